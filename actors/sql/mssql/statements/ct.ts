/**
 * Change Tracking (reference sql-server-and-tds 1.1 to 1.7): what is asked about one table, and what a look at it is made of. The
 * order of its steps, and the changes themselves: pages.ts.
 */
import type { ReadOptions, SqlValue } from '../../contract.ts';
import { type Command, command, type Parameter, parametersOf } from '../command.ts';
import { columnOf, keyColumns, quote, type Table } from '../names.ts';
import { type Column, converting, reading, textOf } from '../types.ts';
import { STAMP } from './catalog.ts';
import { LIFE, LIFE_FROM } from './server.ts';

/** What a look answers: the database, then the table. */
export interface Look {
  readonly current: number;
  readonly databaseGuid: string | null;
  readonly forkGuid: string | null;
  readonly createDate: string | null;
  /** The clock of the server, in ms since 1970. */
  readonly wall: number;
  /** Null: not tracked, or not to be seen. */
  readonly minValid: number | null;
  readonly began: number | null;
  /** Null: there is no such table any more. */
  readonly stamp: string | null;
  /** Relative to which version INSERT and UPDATE are told. */
  readonly from: number;
}

export type Values = readonly SqlValue[];
export type Sets = readonly { readonly rows: readonly Values[] }[];

/** Of two answers, each of one row. */
export function lookOf([ofDatabase, ofTable]: readonly (Sets[number] | undefined)[]): Look {
  const [current, databaseGuid, forkGuid, createDate, wall] = ofDatabase?.rows[0] ?? [];
  const [minValid, began, stamp, from] = ofTable?.rows[0] ?? [];
  const number = (value: SqlValue | undefined): number | null =>
    value === null || value === undefined ? null : Number(value);
  return {
    current: Number(current ?? 0),
    databaseGuid: (databaseGuid ?? null) as string | null,
    forkGuid: (forkGuid ?? null) as string | null,
    createDate: (createDate ?? null) as string | null,
    wall: Number(wall ?? 0),
    minValid: number(minValid),
    began: number(began),
    stamp: (stamp ?? null) as string | null,
    from: Number(from ?? 0),
  };
}

export interface HowToRead {
  readonly snapshot: boolean;
  readonly tellsCommitTimes: boolean;
}

export interface Selection {
  readonly command: Command;
  /** Columns of `data` that are not of the key, in their order. */
  readonly data: readonly Column[];
}

/** Rows of the table by its key, after a look. Throws TABLE_NO_KEY, SQL_IDENTIFIER. */
export function rowsCommand(
  table: Table,
  options: ReadOptions,
  { after, limit }: { readonly after: readonly SqlValue[] | null; readonly limit: number },
  how: HowToRead,
): Selection {
  const keys = keyColumns(table);
  const data = dataColumns(table, options);
  const conditions = [
    ...(after === null ? [] : [beyond(keys, name => `t.${name}`)]),
    ...(options.filter ? [`(${options.filter.sql})`] : []),
  ];
  const select = [...keys, ...data].map(column => reading(column, `t.${quote(column.name)}`));
  const order = keys.map(column => `t.${quote(column.name)}`).join(', ');
  const sql = atOnce(
    how,
    `${looking(table)}
IF @kmSeen = @kmStamp
BEGIN
SELECT TOP (@kmLimit)
  ${select.join(',\n  ')}
FROM ${table.quoted} AS t
${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}\n` : ''}ORDER BY ${order};
END;`,
  );
  return {
    command: command('rows', sql, [
      { name: 'kmObject', kind: 'bigint', value: table.objectId },
      { name: 'kmStamp', kind: 'text', value: table.stamp },
      { name: 'kmNeeded', kind: 'bigint', value: 0 },
      { name: 'kmBase', kind: 'bigint', value: 0 },
      { name: 'kmLimit', kind: 'bigint', value: limit },
      ...keyParameters(table, after),
      ...parametersOf(options.filter?.params ?? {}),
    ]),
    data,
  };
}

export function lookCommand(table: Table): Command {
  return command('look', `SET NOCOUNT ON;\n${looking(table)}`, [
    { name: 'kmObject', kind: 'bigint', value: table.objectId },
    { name: 'kmStamp', kind: 'text', value: table.stamp },
    { name: 'kmNeeded', kind: 'bigint', value: 0 },
    { name: 'kmBase', kind: 'bigint', value: 0 },
  ]);
}

/** Step 2, as a text of its own. */
export function touchCommand(table: Table): Command {
  return command('touch', touching(table));
}

/** The reference's two halves of turning tracking on; each cannot be part of a transaction. */
export function trackDatabaseCommand(retentionMinutes: number): Command {
  return command(
    'track-database',
    `IF NOT EXISTS (SELECT 1 FROM sys.change_tracking_databases WHERE database_id = DB_ID())
ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON (CHANGE_RETENTION = ${retentionMinutes} MINUTES, AUTO_CLEANUP = ON);`,
  );
}

export function trackCommand(table: Table, columns: boolean): Command {
  return command(
    'track',
    `ALTER TABLE ${table.quoted} ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ${columns ? 'ON' : 'OFF'});`,
  );
}

export function untrackCommand(table: Table): Command {
  return command('untrack', `ALTER TABLE ${table.quoted} DISABLE CHANGE_TRACKING;`);
}

// ── parts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export function atOnce({ snapshot }: HowToRead, body: string): string {
  return snapshot
    ? `SET NOCOUNT ON;
SET XACT_ABORT ON;
SET TRANSACTION ISOLATION LEVEL SNAPSHOT;
BEGIN TRANSACTION;
${body}
COMMIT TRANSACTION;`
    : `SET NOCOUNT ON;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
${body}`;
}

export const NOW = 'DECLARE @kmNow bigint = CHANGE_TRACKING_CURRENT_VERSION();';

export const DATABASE = `SELECT
  @kmNow,
  ${LIFE},
  DATEDIFF_BIG(MILLISECOND, CONVERT(datetime2(3), '1970-01-01'), SYSUTCDATETIME())
FROM ${LIFE_FROM}
WHERE d.database_id = DB_ID();`;

export const OF_TABLE = `DECLARE @kmSeen nvarchar(4000) = (
  SELECT ${STAMP}
  FROM sys.objects AS o
  WHERE o.object_id = @kmObject
);
DECLARE @kmFrom bigint = CASE WHEN @kmBase >= @kmMin THEN @kmBase ELSE @kmNeeded END;
SELECT
  @kmMin,
  @kmBegan,
  @kmSeen,
  @kmFrom;`;

export function beganOf(object: string, place: number | ''): string {
  return `DECLARE @kmBegan${place} bigint = (
  SELECT t.begin_version FROM sys.change_tracking_tables AS t WHERE t.object_id = ${object}
);`;
}

function touching(table: Table): string {
  return `DECLARE @kmTouched int = (SELECT COUNT(*) FROM (SELECT TOP (1) 1 AS one FROM ${table.quoted}) AS touched);`;
}

export function oldestOf(object: string, place: number | ''): string {
  return `DECLARE @kmMin${place} bigint = CHANGE_TRACKING_MIN_VALID_VERSION(CONVERT(int, ${object}));`;
}

/** Steps 1 to 3 of one table, and what they answer. */
function looking(table: Table): string {
  return [NOW, beganOf('@kmObject', ''), touching(table), oldestOf('@kmObject', ''), DATABASE, OF_TABLE].join('\n');
}

/** Beyond the key of the parameters, in the order of the key. */
export function beyond(keys: readonly Column[], spelt: (name: string) => string): string {
  const at = keys.map((column, i) => ({
    column: spelt(quote(column.name)),
    value: converting(column, `@kmKey${i}`),
  }));
  const steps = at.map(({ column, value }, i) =>
    [...at.slice(0, i).map(one => `${one.column} = ${one.value}`), `${column} > ${value}`].join(' AND '),
  );
  return steps.length === 1 ? steps[0]! : `(${steps.map(step => `(${step})`).join(' OR ')})`;
}

export function keyParameters(table: Table, key: readonly SqlValue[] | null): Parameter[] {
  if (key === null) return [];
  return keyColumns(table).map((column, i) => ({
    name: `kmKey${i}`,
    kind: 'text',
    value: textOf(column, key[i] ?? null),
  }));
}

/** Beside the key, which a change has in any case. */
export function dataColumns(table: Table, { columns }: ReadOptions): Column[] {
  keyColumns(table);
  const wanted = columns ? columns.map(name => columnOf(table, name)) : table.columns;
  return [...new Set(wanted)].filter(column => !column.isKey);
}
