/** What the catalog of a database has, as far as keymill asks for it: tables of the SQLite file, so that a snapshot has them too. */
import type { DatabaseSync } from 'node:sqlite';

type Columns = readonly (readonly [name: string, type: string])[];

/** By their names in SQL. */
export const SYSTEM_TABLES: Readonly<Record<string, Columns>> = {
  'sys.schemas': [
    ['name', 'nvarchar(128)'],
    ['schema_id', 'int'],
  ],
  'sys.objects': [
    ['name', 'nvarchar(128)'],
    ['object_id', 'int'],
    ['schema_id', 'int'],
    ['type', 'nchar(2)'],
    ['create_date', 'datetime'],
    ['modify_date', 'datetime'],
  ],
  'sys.columns': [
    ['object_id', 'int'],
    ['name', 'nvarchar(128)'],
    ['column_id', 'int'],
    ['system_type_id', 'tinyint'],
    ['user_type_id', 'int'],
    ['max_length', 'smallint'],
    ['precision', 'tinyint'],
    ['scale', 'tinyint'],
    ['collation_name', 'nvarchar(128)'],
    ['is_nullable', 'bit'],
    ['is_identity', 'bit'],
    ['is_computed', 'bit'],
    ['generated_always_type', 'tinyint'],
  ],
  'sys.types': [
    ['name', 'nvarchar(128)'],
    ['system_type_id', 'tinyint'],
    ['user_type_id', 'int'],
  ],
  'sys.indexes': [
    ['object_id', 'int'],
    ['name', 'nvarchar(128)'],
    ['index_id', 'int'],
    ['is_primary_key', 'bit'],
  ],
  'sys.index_columns': [
    ['object_id', 'int'],
    ['index_id', 'int'],
    ['column_id', 'int'],
    ['key_ordinal', 'tinyint'],
  ],
  'sys.databases': [
    ['name', 'nvarchar(128)'],
    ['database_id', 'int'],
    ['create_date', 'datetime'],
    ['compatibility_level', 'tinyint'],
    ['snapshot_isolation_state', 'tinyint'],
    ['is_read_committed_snapshot_on', 'bit'],
    ['is_read_only', 'bit'],
    ['is_cdc_enabled', 'bit'],
  ],
  'sys.database_recovery_status': [
    ['database_id', 'int'],
    ['database_guid', 'uniqueidentifier'],
    ['recovery_fork_guid', 'uniqueidentifier'],
  ],
  'sys.change_tracking_databases': [
    ['database_id', 'int'],
    ['is_auto_cleanup_on', 'bit'],
    ['retention_period', 'int'],
    ['retention_period_units_desc', 'nvarchar(60)'],
  ],
  'sys.change_tracking_tables': [
    ['object_id', 'int'],
    ['is_track_columns_updated_on', 'bit'],
    ['min_valid_version', 'bigint'],
    ['begin_version', 'bigint'],
    ['cleanup_version', 'bigint'],
  ],
  'sys.dm_tran_commit_table': [
    ['commit_ts', 'bigint'],
    ['commit_time', 'datetime'],
  ],
  'cdc.change_tables': [
    ['object_id', 'int'],
    ['source_object_id', 'int'],
    ['capture_instance', 'nvarchar(128)'],
    ['start_lsn', 'binary(10)'],
    ['supports_net_changes', 'bit'],
  ],
  'cdc.captured_columns': [
    ['object_id', 'int'],
    ['column_name', 'nvarchar(128)'],
    ['column_id', 'int'],
    ['column_ordinal', 'int'],
  ],
  'cdc.lsn_time_mapping': [
    ['start_lsn', 'binary(10)'],
    ['tran_begin_time', 'datetime'],
    ['tran_end_time', 'datetime'],
    ['tran_id', 'varbinary(10)'],
  ],
  'dbo.MSchange_tracking_history': [
    ['start_time', 'datetime'],
    ['end_time', 'datetime'],
  ],
};

/** Names of the types in `sys.types`, with their numbers there. */
export const TYPE_IDS: Readonly<Record<string, number>> = {
  image: 34,
  text: 35,
  uniqueidentifier: 36,
  date: 40,
  time: 41,
  datetime2: 42,
  datetimeoffset: 43,
  tinyint: 48,
  smallint: 52,
  int: 56,
  smalldatetime: 58,
  real: 59,
  money: 60,
  datetime: 61,
  float: 62,
  ntext: 99,
  bit: 104,
  decimal: 106,
  numeric: 108,
  smallmoney: 122,
  bigint: 127,
  varbinary: 165,
  varchar: 167,
  binary: 173,
  char: 175,
  nvarchar: 231,
  nchar: 239,
  xml: 241,
};

export const DATABASE_ID = 5;
export const COLLATION = 'Latin1_General_CI_AS';
const FIRST_OBJECT = 565_577_053;

/** What keeps no name of SQL Server: counters, and what the log has for the capture job. */
const OWN = `CREATE TABLE "km.state" (
  version INTEGER NOT NULL, generation INTEGER NOT NULL, object INTEGER NOT NULL, lsn INTEGER NOT NULL, captured INTEGER NOT NULL
);
INSERT INTO "km.state" VALUES (0, 1, ${FIRST_OBJECT}, 16, 0);
CREATE TABLE "km.columns" (object_id INTEGER, column_id INTEGER, standard TEXT, seed INTEGER, step INTEGER, last INTEGER);
CREATE TABLE "km.log" (tran INTEGER NOT NULL, ended TEXT, id INTEGER PRIMARY KEY);`;

export interface NewDatabase {
  readonly name: string;
  readonly now: string;
  readonly guid: string;
  readonly fork: string;
}

export function makeDatabase(db: DatabaseSync, { name, now, guid, fork }: NewDatabase): void {
  for (const [table, columns] of Object.entries(SYSTEM_TABLES)) {
    const list = columns.map(([column, type]) => {
      const isText = type.startsWith('n');
      const key =
        column === 'commit_ts' || (table === 'cdc.lsn_time_mapping' && column === 'start_lsn') ? ' PRIMARY KEY' : '';
      return `"${column}" ${isText ? 'TEXT COLLATE NOCASE' : type.includes('date') || type.includes('uniq') ? 'TEXT' : type.includes('binary') ? 'BLOB' : 'BIGINT'}${key}`;
    });
    db.exec(`CREATE TABLE "${table}" (${list.join(', ')})`);
  }
  db.exec(`CREATE VIEW "sys.tables" AS SELECT * FROM "sys.objects" WHERE type = 'U '; ${OWN}`);
  db.exec('CREATE UNIQUE INDEX "km.objects" ON "sys.objects" (object_id)');
  const put = (table: string, ...values: (string | number | null)[]): void => {
    const marks = values.map(value => (typeof value === 'number' ? String(value) : '?'));
    db.prepare(`INSERT INTO "${table}" VALUES (${marks.join(', ')})`).run(
      ...values.filter(one => typeof one !== 'number'),
    );
  };
  for (const [type, id] of Object.entries(TYPE_IDS)) put('sys.types', type, id, id);
  [
    ['dbo', 1],
    ['sys', 4],
    ['cdc', 6],
  ].forEach(([schema, id]) => put('sys.schemas', schema!, id!));
  put('sys.databases', name, DATABASE_ID, now, 160, 1, 0, 0, 0);
  put('sys.database_recovery_status', DATABASE_ID, guid, fork);
}
