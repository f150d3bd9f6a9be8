/**
 * Change Tracking (reference 1.1 to 1.6): triggers write the history of each tracked table in the transaction that changes it;
 * the transaction has one version, which is the database's next when it commits. No document says whether turning
 * tracking on and TRUNCATE take a version of their own: `unsure` does.
 */
import type { DatabaseSync } from 'node:sqlite';
import { SqlError } from '../errors.ts';
import { quote, type Table } from './catalog.ts';
import { historyOf } from './changes.ts';
import { DATABASE_ID } from './system-tables.ts';
import { affinityOf } from './values.ts';

export function isDatabaseTracked(db: DatabaseSync): boolean {
  return db.prepare('SELECT 1 FROM "sys.change_tracking_databases"').get() !== undefined;
}

export function isTracked(db: DatabaseSync, { objectId }: Table): boolean {
  return db.prepare(`SELECT 1 FROM "sys.change_tracking_tables" WHERE object_id = ${objectId}`).get() !== undefined;
}

/** ALTER DATABASE … SET CHANGE_TRACKING. Throws 5088, 22115. */
export function trackDatabase(db: DatabaseSync, on: boolean, minutes: number, cleans: boolean): void {
  if (!on) {
    if (db.prepare('SELECT 1 FROM "sys.change_tracking_tables"').get())
      throw new SqlError(22_115, 'Change tracking is enabled for one or more tables in the database.');
    db.exec('DELETE FROM "sys.change_tracking_databases"');
    return;
  }
  if (isDatabaseTracked(db)) throw new SqlError(5088, 'Change tracking is already enabled for the database.');
  db.exec(
    `INSERT INTO "sys.change_tracking_databases" VALUES (${DATABASE_ID}, ${cleans ? 1 : 0}, ${minutes}, 'MINUTES')`,
  );
}

/** `version`: of the transaction that turns it on. Throws 4996, 4997, 22119. */
export function track(db: DatabaseSync, table: Table, columns: boolean, version: bigint): void {
  if (!isDatabaseTracked(db))
    throw new SqlError(5089, `Change tracking is disabled for the database; table '${table.name}' cannot be tracked.`);
  if (isTracked(db, table)) throw new SqlError(4996, `Change tracking is already enabled for table '${table.name}'.`);
  if (table.key.length === 0)
    throw new SqlError(
      4997,
      `Cannot enable change tracking on table '${table.name}'. Change tracking requires a primary key on the table.`,
    );
  db.exec(
    `INSERT INTO "sys.change_tracking_tables" VALUES (${table.objectId}, ${columns ? 1 : 0}, ${version}, ${version}, ${version})`,
  );
  const history = historyOf(table);
  const keys = table.key.map(
    (column, i) => `k${i} ${affinityOf(column.type)}${column.collation === 'ci' ? ' COLLATE NOCASE' : ''}`,
  );
  const places = table.key.map((_, i) => `k${i}`).join(', ');
  const index = (name: string): string => quote(`ct.${table.objectId}.${name}`);
  db.exec(`CREATE TABLE ${history} (
      seq INTEGER PRIMARY KEY AUTOINCREMENT, version BIGINT NOT NULL, prior BIGINT, op TEXT NOT NULL, mask BLOB, context BLOB,
      ${keys.join(', ')}
    );
    CREATE INDEX ${index('version')} ON ${history} (version, ${places});
    CREATE INDEX ${index('key')} ON ${history} (${places}, seq);`);
  const names = table.key.map(column => quote(column.name));
  const prior = (of: 'NEW' | 'OLD'): string =>
    `(SELECT p.version FROM ${history} AS p
      WHERE ${names.map((name, i) => `p.k${i} = ${of}.${name}`).join(' AND ')} ORDER BY p.seq DESC LIMIT 1)`;
  const add = (op: string, of: 'NEW' | 'OLD', mask: string): string =>
    `INSERT INTO ${history} (version, prior, op, mask, context, ${places})
     VALUES (km_ct_version(), ${prior(of)}, '${op}', ${mask}, km_ct_context(), ${names.map(name => `${of}.${name}`).join(', ')});`;
  const moved = names.map(name => `OLD.${name} IS NOT NEW.${name}`).join(' OR ');
  const on = (event: string, when: string, body: string): void =>
    db.exec(
      `CREATE TRIGGER ${index(event.toLowerCase() + when.length)} AFTER ${event} ON ${table.place} ${when} BEGIN ${body} END`,
    );
  on('INSERT', '', add('I', 'NEW', 'NULL'));
  on('DELETE', '', add('D', 'OLD', 'NULL'));
  on('UPDATE', `WHEN NOT (${moved})`, add('U', 'NEW', columns ? `km_ct_mask(${table.objectId})` : 'NULL'));
  on('UPDATE', `WHEN ${moved}`, add('D', 'OLD', 'NULL') + add('I', 'NEW', 'NULL'));
  db.exec('UPDATE "km.state" SET generation = generation + 1');
}

/** Throws 4998. */
export function untrack(db: DatabaseSync, table: Table): void {
  if (!isTracked(db, table)) throw new SqlError(4998, `Change tracking is not enabled on table '${table.name}'.`);
  const triggers = db
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE ?")
    .all(`ct.${table.objectId}.%`) as { name: string }[];
  for (const { name } of triggers) db.exec(`DROP TRIGGER ${quote(name)}`);
  db.exec(`DROP TABLE ${historyOf(table)};
    DELETE FROM "sys.change_tracking_tables" WHERE object_id = ${table.objectId};
    UPDATE "km.state" SET generation = generation + 1`);
}

/** What TRUNCATE does: nothing of before is valid. */
export function truncated(db: DatabaseSync, table: Table, version: bigint): void {
  db.exec(`DELETE FROM ${historyOf(table)};
    UPDATE "sys.change_tracking_tables" SET min_valid_version = ${version}, begin_version = ${version}
    WHERE object_id = ${table.objectId}`);
}

/** A run of the clean-up: all that is of this version and older goes, of all tracked tables. */
export function cleanUp(db: DatabaseSync, version: bigint, now: string): void {
  const tables = db.prepare('SELECT object_id AS id FROM "sys.change_tracking_tables"').all() as { id: number }[];
  for (const { id } of tables) db.exec(`DELETE FROM ${quote(`ct.${id}`)} WHERE version <= ${version}`);
  db.exec(`UPDATE "sys.change_tracking_tables" SET cleanup_version = max(cleanup_version, ${version}),
      min_valid_version = max(min_valid_version, ${version});
    DELETE FROM "sys.dm_tran_commit_table" WHERE commit_ts <= ${version};
    DELETE FROM "dbo.MSchange_tracking_history"; INSERT INTO "dbo.MSchange_tracking_history" VALUES ('${now}', '${now}')`);
}

const ID_BYTES = 4;

/** The columns that an UPDATE names, as one binary; null for all that there are outside of the key. */
export function maskOf(table: Table, ids: readonly number[]): Uint8Array | null {
  const all = table.columns.filter(column => !table.key.includes(column));
  const named = ids.filter(id => all.some(column => column.id === id));
  if (named.length === all.length) return null;
  const mask = Buffer.alloc(ID_BYTES * (1 + named.length));
  [...named].sort((a, b) => a - b).forEach((id, i) => mask.writeInt32LE(id, ID_BYTES * (i + 1)));
  return mask;
}

/** Of several changes: all columns of any. */
export function joinMasks(a: Uint8Array, b: Uint8Array): Uint8Array {
  const ids = [...new Set([...idsOf(a), ...idsOf(b)])].sort((x, y) => x - y);
  const mask = Buffer.alloc(ID_BYTES * (1 + ids.length));
  ids.forEach((id, i) => mask.writeInt32LE(id, ID_BYTES * (i + 1)));
  return mask;
}

export function idsOf(mask: Uint8Array): number[] {
  const buffer = Buffer.from(mask.buffer, mask.byteOffset, mask.byteLength);
  if (mask.length < ID_BYTES || mask.length % ID_BYTES !== 0)
    throw new SqlError(22_101, 'The value is not a valid change tracking column mask.');
  return Array.from({ length: mask.length / ID_BYTES - 1 }, (_, i) => buffer.readInt32LE(ID_BYTES * (i + 1)));
}
