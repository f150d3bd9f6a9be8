/**
 * Rows of a replica with the version each was last written by, kept beside them in `keymill_versions`: repeated and late
 * changes are told apart by (epoch, n) and ignored, and a row that was removed keeps its version (D10, Y2).
 */
import { compareVersions } from '../../../runtime/index.ts';
import type { Delta, DeltaOutcome, Row, TableInfo } from '../contract.ts';
import { canonicalKey, valuesOfKey } from '../driver.ts';
import type { Database } from './database.ts';
import { columnOf, quote } from './names.ts';

const VERSIONS = `CREATE TABLE IF NOT EXISTS keymill_versions (
  name TEXT NOT NULL, pk TEXT NOT NULL, epoch INTEGER NOT NULL, n INTEGER NOT NULL, gone INTEGER NOT NULL,
  PRIMARY KEY (name, pk)
) WITHOUT ROWID`;

/** In a transaction. */
export function applyDeltas(db: Database, info: TableInfo, deltas: readonly Delta[]): DeltaOutcome[] {
  if (!hasVersions(db)) db.exec(VERSIONS);
  return deltas.map(delta => {
    const pk = canonicalKey(info.key.map(name => delta.pk[name] ?? null));
    const known = db.first('SELECT epoch, n FROM keymill_versions WHERE name = @name AND pk = @pk', {
      name: info.table,
      pk,
    }) as { epoch: number; n: number } | undefined;
    const order = known ? compareVersions(delta.version, known) : 1;
    if (order <= 0) return order === 0 ? 'same' : 'older';
    if (delta.data === null) removeRow(db, info, delta.pk);
    else upsertRow(db, info, { ...delta.data, ...delta.pk });
    db.run(
      `INSERT INTO keymill_versions VALUES (@name, @pk, @epoch, @n, @gone)
       ON CONFLICT DO UPDATE SET epoch = excluded.epoch, n = excluded.n, gone = excluded.gone`,
      { name: info.table, pk, ...delta.version, gone: delta.data === null },
    );
    return 'applied';
  });
}

export function rowsOlderThan(
  db: Database,
  info: TableInfo,
  epoch: number,
  after: string | null,
  limit: number,
): { pk: Row; key: string }[] {
  if (!hasVersions(db)) return [];
  return db
    .all(
      `SELECT pk FROM keymill_versions WHERE name = @name AND gone = 0 AND epoch < @epoch AND pk > @after
       ORDER BY pk LIMIT @limit`,
      { name: info.table, epoch, after: after ?? '', limit },
    )
    .map(row => {
      const key = String(row['pk']);
      const values = valuesOfKey(key);
      return { pk: Object.fromEntries(info.key.map((name, i) => [name, values[i]!])), key };
    });
}

export function upsertRow(db: Database, info: TableInfo, row: Row): void {
  const names = Object.keys(row);
  db.run(upsertSql(info, names), Object.fromEntries(names.map((name, i) => [`c${i}`, row[name]!])));
}

/** The values are the parameters c0, c1, … in the order of the names. */
export function upsertSql(info: TableInfo, names: readonly string[]): string {
  const columns = names.map(name => columnOf(info, name));
  const others = columns.filter(name => !info.key.includes(name));
  const set = others.map(name => `${quote(name)} = excluded.${quote(name)}`).join(', ');
  return `INSERT INTO ${quote(info.table)} (${columns.map(quote).join(', ')})
    VALUES (${names.map((_, i) => `@c${i}`).join(', ')})
    ON CONFLICT (${info.key.map(quote).join(', ')}) DO ${others.length === 0 ? 'NOTHING' : `UPDATE SET ${set}`}`;
}

export function removeSql(info: TableInfo, names: readonly string[]): string {
  const where = names.map((name, i) => `${quote(columnOf(info, name))} = @c${i}`).join(' AND ');
  return `DELETE FROM ${quote(info.table)} WHERE ${where}`;
}

function removeRow(db: Database, info: TableInfo, pk: Row): void {
  db.run(removeSql(info, info.key), Object.fromEntries(info.key.map((name, i) => [`c${i}`, pk[name] ?? null])));
}

function hasVersions(db: Database): boolean {
  return (
    db.first("SELECT 1 AS one FROM sqlite_schema WHERE type = 'table' AND name = 'keymill_versions'") !== undefined
  );
}
