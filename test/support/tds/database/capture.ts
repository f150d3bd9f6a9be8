/**
 * Change data capture (reference 1.9 to 1.11). Triggers write each change of a captured table into a log, with its transaction;
 * the capture job, which tests can hold, copies what is committed into the change tables of the table's instances.
 *
 *     log.<object>: seq | tran | command | op 1 to 4 | pair: seq of the first row of an UPDATE | c<column id>, …
 *
 * An LSN is the number of a transaction, in ten bytes.
 */
import type { DatabaseSync } from 'node:sqlite';
import { SqlError } from '../errors.ts';
import { type Column, quote, type Table } from './catalog.ts';
import type { Database } from './database.ts';
import type { SqlSession } from './session.ts';
import type { ColumnDefinition } from './syntax.ts';
import { affinityOf, type Cell } from './values.ts';

const MOST_INSTANCES = 2;

export interface CaptureWanted {
  readonly schema: string;
  readonly table: string;
  readonly instance: string | null;
  /** Names between commas; null for all. */
  readonly columns: string | null;
}

/** EXEC sys.sp_cdc_enable_db. */
export function captureDatabase({ db }: SqlSession): void {
  db.exec('UPDATE "sys.databases" SET is_cdc_enabled = 1; UPDATE "km.state" SET generation = generation + 1');
}

/** EXEC sys.sp_cdc_enable_table. Throws 22901, 22926, 22962. */
export function captureTable(session: SqlSession, wanted: CaptureWanted): void {
  const { db, catalog, definitions, transaction } = session;
  if (!isOn(db))
    throw new SqlError(22_901, `The database '${session.databaseName}' is not enabled for Change Data Capture.`);
  const table = catalog.table([wanted.schema, wanted.table]);
  const instance = wanted.instance ?? `${table.schema}_${table.name}`;
  const others = db
    .prepare('SELECT capture_instance AS name FROM "cdc.change_tables" WHERE source_object_id = ?')
    .all(table.objectId);
  if (others.some(({ name }) => String(name).toLowerCase() === instance.toLowerCase()))
    throw new SqlError(
      22_926,
      `Could not create a capture instance because the capture instance name '${instance}' already exists.`,
    );
  if (others.length >= MOST_INSTANCES)
    throw new SqlError(22_962, 'Two capture instances already exist for the source table.');
  const names =
    wanted.columns?.split(',').map(name =>
      name
        .trim()
        .replace(/^\[|\]$/g, '')
        .toLowerCase(),
    ) ?? null;
  const columns = table.columns.filter(column => names === null || names.includes(column.name.toLowerCase()));
  const plain = (name: string, type: string): ColumnDefinition => ({
    name,
    type,
    collation: null,
    isNullable: true,
    isKey: false,
    isUnique: false,
    identity: null,
    standard: null,
  });
  const changes = definitions.create(['cdc', `${instance}_CT`], {
    columns: [
      plain('__$start_lsn', 'binary(10)'),
      plain('__$end_lsn', 'binary(10)'),
      plain('__$seqval', 'binary(10)'),
      plain('__$operation', 'int'),
      plain('__$update_mask', 'varbinary(128)'),
      ...columns.map(column => plain(column.name, column.type.text)),
      plain('__$command_id', 'int'),
    ],
    key: [],
    uniques: [],
  });
  db.exec(
    `CREATE INDEX ${quote(`${instance}.order`)} ON ${changes.place} (__$start_lsn, __$command_id, __$seqval, __$operation)`,
  );
  const lsn = lsnOf(transaction.takeLog());
  db.prepare(`INSERT INTO "cdc.change_tables" VALUES (${changes.objectId}, ${table.objectId}, ?, ?, 0)`).run(
    instance,
    lsn,
  );
  columns.forEach((column, i) => {
    db.prepare(`INSERT INTO "cdc.captured_columns" VALUES (${changes.objectId}, ?, ${column.id}, ${i + 1})`).run(
      column.name,
    );
  });
  relog(db, table);
}

export function uncaptureTable({ db, catalog, definitions }: SqlSession, instance: string): void {
  const found = db.prepare('SELECT object_id AS id FROM "cdc.change_tables" WHERE capture_instance = ?').get(instance);
  if (!found) throw new SqlError(22_985, `The capture instance '${instance}' could not be found.`);
  const source = Number(
    db.prepare('SELECT source_object_id AS id FROM "cdc.change_tables" WHERE capture_instance = ?').get(instance)![
      'id'
    ],
  );
  definitions.drop(catalog.byId(Number(found['id']))!);
  for (const place of ['cdc.change_tables', 'cdc.captured_columns'])
    db.exec(`DELETE FROM ${quote(place)} WHERE object_id = ${Number(found['id'])}`);
  if (db.prepare('SELECT 1 FROM "cdc.change_tables" WHERE source_object_id = ?').get(source)) return;
  for (const event of ['insert', 'delete', 'update', 'move'])
    db.exec(`DROP TRIGGER IF EXISTS ${quote(`log.${source}.${event}`)}`);
  db.exec(`DROP TABLE IF EXISTS ${quote(`log.${source}`)}`);
}

export function uncaptureDatabase(session: SqlSession): void {
  const { db } = session;
  const instances = db.prepare('SELECT capture_instance AS name FROM "cdc.change_tables"').all() as { name: string }[];
  for (const { name } of instances) uncaptureTable(session, name);
  db.exec(`DELETE FROM "cdc.lsn_time_mapping"; DELETE FROM "km.log";
    UPDATE "sys.databases" SET is_cdc_enabled = 0; UPDATE "km.state" SET generation = generation + 1`);
}

function isOn(db: DatabaseSync): boolean {
  return Number(db.prepare('SELECT is_cdc_enabled AS c FROM "sys.databases"').get()!['c']) === 1;
}

export function isCaptured(db: DatabaseSync, { objectId }: Table): boolean {
  return db.prepare('SELECT 1 FROM "cdc.change_tables" WHERE source_object_id = ?').get(objectId) !== undefined;
}

/** Makes the log of a table, and its triggers, by its columns as they are now. */
export function relog(db: DatabaseSync, table: Table): void {
  const log = quote(`log.${table.objectId}`);
  const there = new Set(
    db
      .prepare(`SELECT name FROM pragma_table_info('log.${table.objectId}')`)
      .all()
      .map(row => String(row['name'])),
  );
  if (there.size === 0)
    db.exec(
      `CREATE TABLE ${log} (seq INTEGER PRIMARY KEY AUTOINCREMENT, tran INTEGER, command INTEGER, op INTEGER, pair INTEGER)`,
    );
  for (const { id, type } of table.columns)
    if (!there.has(`c${id}`)) db.exec(`ALTER TABLE ${log} ADD COLUMN c${id} ${affinityOf(type)}`);
  const places = table.columns.map(column => `c${column.id}`).join(', ');
  const add = (op: number, of: 'OLD' | 'NEW', pair: string): string =>
    `INSERT INTO ${log} (tran, command, op, pair, ${places})
     VALUES (km_log_tran(), km_log_command(), ${op}, ${pair}, ${table.columns.map(({ name }) => `${of}.${quote(name)}`).join(', ')});`;
  const moved = table.key.map(({ name }) => `OLD.${quote(name)} IS NOT NEW.${quote(name)}`).join(' OR ') || '0';
  const on = (name: string, event: string, body: string): void => {
    const trigger = quote(`log.${table.objectId}.${name}`);
    db.exec(`DROP TRIGGER IF EXISTS ${trigger}; CREATE TRIGGER ${trigger} AFTER ${event} ON ${table.place} ${body}`);
  };
  const before = `(SELECT max(seq) FROM ${log})`;
  on('insert', 'INSERT', `BEGIN ${add(2, 'NEW', 'NULL')} END`);
  on('delete', 'DELETE', `BEGIN ${add(1, 'OLD', 'NULL')} END`);
  on('update', 'UPDATE', `WHEN NOT (${moved}) BEGIN ${add(3, 'OLD', 'NULL')} ${add(4, 'NEW', before)} END`);
  on('move', 'UPDATE', `WHEN ${moved} BEGIN ${add(1, 'OLD', 'NULL')} ${add(2, 'NEW', before)} END`);
}

const LSN_BYTES = 10;

export function lsnOf(number: bigint): Uint8Array {
  const lsn = Buffer.alloc(LSN_BYTES);
  // Eight bytes of place, and the last two that commits have.
  lsn.writeBigUInt64BE(number, 0);
  lsn.writeUInt16BE(1, 8);
  return lsn;
}

/** One scan of the capture job. */
export async function captureNow(database: Database): Promise<void> {
  await database.change(db => {
    if (!isOn(db)) return;
    const trans = db.prepare('SELECT tran, ended FROM "km.log" ORDER BY tran').all() as {
      tran: number;
      ended: string;
    }[];
    const map = db.prepare('INSERT OR IGNORE INTO "cdc.lsn_time_mapping" VALUES (?, ?, ?, ?)');
    for (const { tran, ended } of trans) map.run(lsnOf(BigInt(tran)), ended, ended, Buffer.from('01', 'hex'));
    const instances = db.prepare('SELECT * FROM "cdc.change_tables"').all() as Record<
      string,
      number | string | Uint8Array
    >[];
    for (const instance of instances) copy(db, instance);
    const sources = new Set(instances.map(one => Number(one['source_object_id'])));
    for (const source of sources)
      db.exec(`DELETE FROM ${quote(`log.${source}`)} WHERE tran <= ${trans.at(-1)?.tran ?? 0}`);
    db.exec('DELETE FROM "km.log"');
  });
}

/** In quiet times the job writes that it was there, about every five minutes: the newest LSN moves on. */
export async function captureNothing(database: Database): Promise<void> {
  await database.change(db => {
    const { lsn } = db.prepare('UPDATE "km.state" SET lsn = lsn + 1 RETURNING lsn').get() as { lsn: number };
    const now = database.now().slice(0, 23);
    db.prepare('INSERT INTO "cdc.lsn_time_mapping" VALUES (?, ?, ?, ?)').run(
      lsnOf(BigInt(lsn)),
      now,
      now,
      Buffer.alloc(1),
    );
  });
}

/** Removes what was captured before this LSN, of all instances. */
export async function cleanUpCaptured(database: Database, lsn: Uint8Array): Promise<void> {
  await database.change(db => {
    const instances = db.prepare('SELECT capture_instance AS name FROM "cdc.change_tables"').all() as {
      name: string;
    }[];
    for (const { name } of instances)
      db.prepare(`DELETE FROM ${quote(`cdc.${name}_CT`)} WHERE __$start_lsn < ?`).run(lsn);
    db.prepare('UPDATE "cdc.change_tables" SET start_lsn = max(start_lsn, ?)').run(lsn);
    db.prepare('DELETE FROM "cdc.lsn_time_mapping" WHERE start_lsn < ?').run(lsn);
  });
}

function copy(db: DatabaseSync, instance: Record<string, number | string | Uint8Array>): void {
  const source = Number(instance['source_object_id']);
  const columns = db
    .prepare(
      'SELECT column_name AS name, column_id AS id FROM "cdc.captured_columns" WHERE object_id = ? ORDER BY column_ordinal',
    )
    .all(Number(instance['object_id'])) as unknown as Pick<Column, 'name' | 'id'>[];
  const logged = new Set(
    db
      .prepare(`SELECT name FROM pragma_table_info('log.${source}')`)
      .all()
      .map(row => String(row['name'])),
  );
  const read = columns.map(({ id }) => (logged.has(`c${id}`) ? `l.c${id}` : 'NULL'));
  const rows = db.prepare(
    `SELECT l.seq, l.tran, l.command, l.op, l.pair, ${read.join(', ')} FROM ${quote(`log.${source}`)} l
     JOIN "km.log" ON "km.log".tran = l.tran ORDER BY l.seq`,
  );
  rows.setReturnArrays(true);
  rows.setReadBigInts(true);
  const names = columns.map(({ name }) => quote(name));
  const insert = db.prepare(
    `INSERT INTO ${quote(`cdc.${String(instance['capture_instance'])}_CT`)}
       (__$start_lsn, __$seqval, __$operation, __$update_mask, __$command_id${names.map(name => `, ${name}`).join('')})
     VALUES (?, ?, ?, ?, ?${names.map(() => ', ?').join('')})`,
  );
  const start = Buffer.from(instance['start_lsn'] as Uint8Array);
  const all = rows.all() as unknown as Cell[][];
  all.forEach(([seq, tran, command, op, pair, ...values], i) => {
    const lsn = lsnOf(tran as bigint);
    if (Buffer.compare(lsn, start) < 0) return;
    const other = op === 3n ? all[i + 1]!.slice(5) : op === 4n ? all[i - 1]!.slice(5) : null;
    const mask = maskOf(values.map((value, at) => other === null || !same(value, other[at]!)));
    insert.run(lsn, lsnOf((pair ?? seq) as bigint), op as bigint, mask, command as bigint, ...values);
  });
}

function same(a: Cell, b: Cell): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return a === b;
}

/** The first column is the lowest bit of the last byte. */
function maskOf(bits: readonly boolean[]): Uint8Array {
  const mask = new Uint8Array(Math.ceil(bits.length / 8));
  bits.forEach((is, i) => {
    if (is) mask[mask.length - 1 - (i >> 3)]! |= 1 << (i & 7);
  });
  return mask;
}
