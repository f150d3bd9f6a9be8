/**
 * Change tracking by triggers, with the semantics of SQL Server's: one counter a database, a row in a side table for each
 * change with its version, what it did, which columns and in what context; net changes are worked out when they are read.
 *
 * - A transaction that keymill makes has one version. Another program's transaction has one for each row it changes, as a
 *   trigger cannot see where a transaction begins; that is as safe.
 * - `first` and `last` are what happened first and last to the row in this version: it stood there before unless `first`
 *   is I, and stands there after unless `last` is D.
 * - `min_valid` is the oldest position from which all changes can still be read: that of turning tracking on, or of the
 *   last clean-up. `began` is the first of these.
 * - A NULL in a primary key, which SQLite allows, is refused in a tracked table.
 */
import { KeymillError } from '../../../runtime/index.ts';
import type { TableInfo, TrackOptions } from '../contract.ts';
import type { Database } from './database.ts';
import { quote } from './names.ts';

/** Bits of a mask: beyond that columns are not told apart. */
const MASK_BITS = 62;
/** Rows that one clean-up transaction deletes. */
const CLEAN_UP_ROWS = 5000;
const NOW_MS = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

const STATE = `
CREATE TABLE IF NOT EXISTS keymill_ct_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  current INTEGER NOT NULL,
  open INTEGER NOT NULL,
  context TEXT,
  incarnation TEXT NOT NULL
);
INSERT OR IGNORE INTO keymill_ct_state VALUES (1, 0, 0, NULL, lower(hex(randomblob(16))));
CREATE TABLE IF NOT EXISTS keymill_ct_tables (
  name TEXT PRIMARY KEY,
  began INTEGER NOT NULL,
  min_valid INTEGER NOT NULL,
  columns TEXT
);
CREATE TABLE IF NOT EXISTS keymill_ct_bookmarks (
  consumer TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  PRIMARY KEY (consumer, name)
) WITHOUT ROWID;
`;

/** The side table of a tracked table. Its keys are k0, k1, … whatever the table's are called. */
export function sideOf(info: TableInfo): string {
  return `keymill_ct_${info.table}`;
}

/** Turns tracking on; anew where the table's columns are others than those it was turned on with. In a transaction. */
export function track(db: Database, info: TableInfo, options: TrackOptions): void {
  if (info.key.length === 0)
    throw new KeymillError('TABLE_NO_KEY', `${info.table} has no primary key`, { place: { at: info.table } });
  db.exec(STATE);
  const columns = maskColumns(info, options);
  const known = db.first('SELECT columns FROM keymill_ct_tables WHERE name = @name', { name: info.table });
  const wanted = columns === null ? null : JSON.stringify(columns);
  if (known && info.isTracked && known['columns'] === wanted) return;
  // With the triggers gone changes may have been missed; with new columns none was.
  if (!known || !info.isTracked) {
    const side = quote(sideOf(info));
    const keys = info.key.map((_, i) => `k${i}`);
    const types = info.key.map((name, i) => `k${i} ${typeOf(info, name)} NOT NULL`);
    db.exec(`DROP TABLE IF EXISTS ${side};
      CREATE TABLE ${side} (version INTEGER NOT NULL, ${types.join(', ')}, first TEXT NOT NULL, last TEXT NOT NULL,
        mask INTEGER, time INTEGER NOT NULL, context TEXT, PRIMARY KEY (version, ${keys.join(', ')})) WITHOUT ROWID;
      CREATE INDEX ${quote(`${sideOf(info)}_keys`)} ON ${side} (${keys.join(', ')}, version)`);
    db.run(
      `INSERT INTO keymill_ct_tables SELECT @name, current, current, NULL FROM keymill_ct_state WHERE true
       ON CONFLICT DO UPDATE SET began = excluded.began, min_valid = excluded.min_valid`,
      { name: info.table },
    );
  }
  db.run('UPDATE keymill_ct_tables SET columns = @wanted WHERE name = @name', { name: info.table, wanted });
  dropTriggers(db, info);
  for (const trigger of triggersOf(info, columns)) db.exec(trigger);
}

/** Turns tracking off and forgets what was tracked. In a transaction. */
export function untrack(db: Database, info: TableInfo, hasTracking: boolean): void {
  dropTriggers(db, info);
  db.exec(`DROP TABLE IF EXISTS ${quote(sideOf(info))}`);
  if (hasTracking) db.run('DELETE FROM keymill_ct_tables WHERE name = @name', { name: info.table });
}

/** Begins the version of one of keymill's own transactions. */
export function openVersion(db: Database, context: string | null): void {
  db.run('UPDATE keymill_ct_state SET current = current + 1, open = 1, context = @context', { context });
}

export function closeVersion(db: Database): void {
  db.run('UPDATE keymill_ct_state SET open = 0, context = NULL');
}

/** Deletes the oldest changes made before `beforeMs`, at most CLEAN_UP_ROWS and whole versions. True when more are left. */
export function cleanUp(db: Database, info: TableInfo, beforeMs: number): boolean {
  const side = quote(sideOf(info));
  const rows = db.all(`SELECT version, time FROM ${side} ORDER BY version LIMIT ${CLEAN_UP_ROWS}`);
  const kept = rows.findIndex(row => Number(row['time']) >= beforeMs);
  const old = kept < 0 ? rows : rows.slice(0, kept);
  const firstKept = kept < 0 ? Number.POSITIVE_INFINITY : Number(rows[kept]!['version']);
  const upTo = old.map(row => Number(row['version'])).findLast(version => version < firstKept);
  if (upTo === undefined) return false;
  cleanUpTo(db, info, upTo);
  return kept < 0 && rows.length === CLEAN_UP_ROWS;
}

/** Deletes all changes up to a version. In a transaction. */
export function cleanUpTo(db: Database, info: TableInfo, version: number): void {
  db.run(`DELETE FROM ${quote(sideOf(info))} WHERE version <= @version`, { version });
  db.run('UPDATE keymill_ct_tables SET min_valid = max(min_valid, @version) WHERE name = @name', {
    version,
    name: info.table,
  });
}

/** The columns that have a bit of the mask, by their bit; null where they are not told apart. */
function maskColumns(info: TableInfo, { columns = true }: TrackOptions): string[] | null {
  const names = info.columns.filter(column => !column.isKey && !column.isComputed).map(column => column.name);
  return columns && names.length <= MASK_BITS ? names : null;
}

function typeOf(info: TableInfo, name: string): string {
  const { type } = info.columns.find(column => column.name === name)!;
  // Only the affinity matters; what stands there is the schema's own text, so it is not taken over.
  if (/INT/i.test(type)) return 'INTEGER';
  if (/CHAR|CLOB|TEXT/i.test(type)) return 'TEXT';
  if (type === '' || /BLOB/i.test(type)) return 'BLOB';
  return /REAL|FLOA|DOUB/i.test(type) ? 'REAL' : 'NUMERIC';
}

function dropTriggers(db: Database, info: TableInfo): void {
  for (const kind of ['insert', 'update', 'key', 'delete'])
    db.exec(`DROP TRIGGER IF EXISTS ${triggerName(info, kind)}`);
}

function triggerName(info: TableInfo, kind: string): string {
  return quote(`keymill_ct_${info.table}_${kind}`);
}

function triggersOf(info: TableInfo, columns: readonly string[] | null): string[] {
  const table = quote(info.table);
  const keyOf = (row: 'NEW' | 'OLD'): string => info.key.map(name => `${row}.${quote(name)}`).join(', ');
  const sameKey = info.key.map(name => `OLD.${quote(name)} IS NEW.${quote(name)}`).join(' AND ');
  const nullKey = info.key.map(name => `NEW.${quote(name)} IS NULL`).join(' OR ');
  const keys = info.key.map((_, i) => `k${i}`).join(', ');
  const side = quote(sideOf(info));
  const mask =
    columns === null || columns.length === 0
      ? columns === null
        ? 'NULL'
        : '0'
      : columns.map((name, bit) => `((OLD.${quote(name)} IS NOT NEW.${quote(name)}) << ${bit})`).join(' | ');
  const bump = 'UPDATE keymill_ct_state SET current = current + 1 WHERE open = 0';
  const refuseNull = `SELECT RAISE(ABORT, 'keymill: NULL in the primary key of a tracked table') WHERE ${nullKey}`;
  const note = (row: 'NEW' | 'OLD', did: 'I' | 'U' | 'D', bits: string): string => {
    const merged =
      did === 'I' ? "last = 'I', mask = NULL" : did === 'D' ? "last = 'D', mask = NULL" : 'mask = mask | excluded.mask';
    return `INSERT INTO ${side} (version, ${keys}, first, last, mask, time, context)
      SELECT current, ${keyOf(row)}, '${did}', '${did}', ${bits}, ${NOW_MS}, context FROM keymill_ct_state WHERE true
      ON CONFLICT DO UPDATE SET ${merged}, time = excluded.time, context = excluded.context`;
  };
  const trigger = (kind: string, when: string, steps: readonly string[]): string =>
    `CREATE TRIGGER ${triggerName(info, kind)} AFTER ${when} BEGIN ${steps.join('; ')}; END`;
  return [
    trigger('insert', `INSERT ON ${table}`, [refuseNull, bump, note('NEW', 'I', 'NULL')]),
    trigger('update', `UPDATE ON ${table} WHEN ${sameKey}`, [bump, note('NEW', 'U', mask)]),
    trigger('key', `UPDATE ON ${table} WHEN NOT (${sameKey})`, [
      refuseNull,
      bump,
      note('OLD', 'D', 'NULL'),
      note('NEW', 'I', 'NULL'),
    ]),
    trigger('delete', `DELETE ON ${table}`, [bump, note('OLD', 'D', 'NULL')]),
  ];
}
