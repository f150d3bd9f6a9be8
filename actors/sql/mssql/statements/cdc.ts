/**
 * Change tables of CDC (reference sql-server-and-tds 1.9 to 1.11). They are read themselves: the functions over them tell no
 * `__$command_id`, and without it changes of one transaction have no order. What bounds a read is the newest LSN that was
 * captured, told before the rows; the oldest one that is kept is looked at before and after them.
 */
import type { ReadOptions, SqlValue } from '../../contract.ts';
import { type Command, command, parametersOf } from '../command.ts';
import { columnOf, keyColumns, literal, quote, type Table } from '../names.ts';
import { type Column, converting, reading, textOf } from '../types.ts';
import { LIFE, LIFE_FROM } from './server.ts';

/** A capture instance: at most two for a table, the older read up to where the newer begins. */
export interface Capture {
  readonly instance: string;
  readonly startLsn: Uint8Array;
  /** Captured columns that the table still has, by their bit of the mask (from 0). */
  readonly columns: readonly { readonly name: string; readonly bit: number }[];
}

export interface Captures {
  /** Older first. */
  readonly all: readonly Capture[];
  /** Another value: other instances. */
  readonly stamp: string;
}

const STAMP = `(
    SELECT CONCAT(COUNT(*), N' ', MIN(s.object_id), N' ', MAX(s.object_id))
    FROM cdc.change_tables AS s
    WHERE s.source_object_id = @kmObject
  )`;

/** Rows: instance, start_lsn, column, column_ordinal, stamp. None where the table is not captured. */
export function capturesCommand(table: Table): Command {
  return command(
    'captures',
    `SELECT
  c.capture_instance,
  c.start_lsn,
  x.column_name,
  x.column_ordinal,
  ${STAMP}
FROM cdc.change_tables AS c
INNER JOIN cdc.captured_columns AS x ON x.object_id = c.object_id
WHERE c.source_object_id = @kmObject
ORDER BY c.start_lsn, c.object_id, x.column_ordinal;`,
    [{ name: 'kmObject', kind: 'bigint', value: table.objectId }],
  );
}

export function capturesOf(table: Table, rows: readonly (readonly SqlValue[])[]): Captures {
  const all: { instance: string; startLsn: Uint8Array; columns: { name: string; bit: number }[] }[] = [];
  const own = new Map(table.columns.map(column => [column.name.toLowerCase(), column.name]));
  for (const [instance, startLsn, name, ordinal] of rows) {
    if (all.at(-1)?.instance !== instance)
      all.push({ instance: String(instance), startLsn: startLsn as Uint8Array, columns: [] });
    const spelt = own.get(String(name).toLowerCase());
    if (spelt !== undefined) all.at(-1)!.columns.push({ name: spelt, bit: Number(ordinal) - 1 });
  }
  return { all, stamp: String(rows[0]?.[4] ?? '') };
}

/** Where reading goes on: after this row of a change table. */
export interface LsnCursor {
  readonly lsn: Uint8Array;
  /** Null: the transaction is read whole. */
  readonly within: { readonly command: number; readonly seqval: Uint8Array; readonly operation: number } | null;
}

export interface CapturedLook {
  /** Null: nothing was captured yet. */
  readonly max: Uint8Array | null;
  readonly min: Uint8Array | null;
  readonly stamp: string;
  /** Changes after the cursor that wait, as far as they were counted. */
  readonly waiting: number;
  readonly databaseGuid: string | null;
  readonly forkGuid: string | null;
  readonly createDate: string | null;
  readonly wall: number;
}

export function capturedLook(row: readonly SqlValue[]): CapturedLook {
  const [max, min, stamp, waiting, databaseGuid, forkGuid, createDate, wall] = row;
  const bytes = (value: SqlValue | undefined): Uint8Array | null => (value instanceof Uint8Array ? value : null);
  return {
    max: bytes(max),
    min: bytes(min),
    stamp: String(stamp ?? ''),
    waiting: Number(waiting ?? 0),
    databaseGuid: (databaseGuid ?? null) as string | null,
    forkGuid: (forkGuid ?? null) as string | null,
    createDate: (createDate ?? null) as string | null,
    wall: Number(wall ?? 0),
  };
}

/** Columns of a row before those of the table: start_lsn, command_id, seqval, operation, mask, time. */
export const CAPTURED_FIXED = 6;
/** As far as waiting changes are counted. */
const COUNTED = 10_000;

export interface CapturedSelection {
  readonly command: Command;
  readonly columns: readonly Column[];
}

/** Throws SQL_IDENTIFIER, TABLE_NO_KEY. `until`: where the newer instance begins. */
export function capturedCommand(
  table: Table,
  captures: Captures,
  capture: Capture,
  options: ReadOptions,
  wanted: { readonly cursor: LsnCursor; readonly until: Uint8Array | null; readonly limit: number },
): CapturedSelection {
  const columns = capturedColumns(table, capture, options);
  const changes = `cdc.${quote(`${capture.instance}_CT`)}`;
  const { cursor, until, limit } = wanted;
  const { within } = cursor;
  const after =
    within === null
      ? 't.__$start_lsn > CONVERT(binary(10), @kmLsn)'
      : `(t.__$start_lsn > CONVERT(binary(10), @kmLsn) OR (t.__$start_lsn = CONVERT(binary(10), @kmLsn) AND (
    t.__$command_id > @kmCommand OR (t.__$command_id = @kmCommand AND (
      t.__$seqval > CONVERT(binary(10), @kmSeqval) OR (t.__$seqval = CONVERT(binary(10), @kmSeqval) AND t.__$operation > @kmOperation)
    ))
  )))`;
  const bounds = [
    after,
    't.__$start_lsn <= @kmMax',
    ...(until === null ? [] : ['t.__$start_lsn < CONVERT(binary(10), @kmUntil)']),
  ];
  const conditions = [...bounds, ...(options.filter ? [`(t.__$operation IN (1, 3) OR (${options.filter.sql}))`] : [])];
  const sql = `SET NOCOUNT ON;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
${looking(capture, `SELECT COUNT(*) FROM (SELECT TOP (${COUNTED}) 1 AS one FROM ${changes} AS t WHERE ${bounds.join(' AND ')} AND t.__$operation <> 3) AS waiting`)}
IF @kmMax IS NOT NULL AND @kmSeen = @kmStamp
SELECT TOP (@kmLimit)
  t.__$start_lsn,
  t.__$command_id,
  t.__$seqval,
  t.__$operation,
  t.__$update_mask,
  DATEDIFF_BIG(MILLISECOND, CONVERT(datetime2(3), '1970-01-01'), DATEADD(
    MINUTE, DATEDIFF(MINUTE, GETDATE(), GETUTCDATE()), CONVERT(datetime2(3), m.tran_end_time)
  )),
  ${columns.map(column => reading(column, `t.${quote(column.name)}`)).join(',\n  ')}
FROM ${changes} AS t
LEFT JOIN cdc.lsn_time_mapping AS m ON m.start_lsn = t.__$start_lsn
WHERE ${conditions.join('\n  AND ')}
ORDER BY t.__$start_lsn, t.__$command_id, t.__$seqval, t.__$operation;
SELECT sys.fn_cdc_get_min_lsn(${literal(capture.instance)});`;
  return {
    command: command('captured', sql, [
      { name: 'kmObject', kind: 'bigint', value: table.objectId },
      { name: 'kmStamp', kind: 'text', value: captures.stamp },
      { name: 'kmLimit', kind: 'bigint', value: limit },
      { name: 'kmLsn', kind: 'bytes', value: cursor.lsn },
      ...(within === null
        ? []
        : ([
            { name: 'kmCommand', kind: 'bigint', value: within.command },
            { name: 'kmSeqval', kind: 'bytes', value: within.seqval },
            { name: 'kmOperation', kind: 'bigint', value: within.operation },
          ] as const)),
      ...(until === null ? [] : ([{ name: 'kmUntil', kind: 'bytes', value: until }] as const)),
      ...parametersOf(options.filter?.params ?? {}),
    ]),
    columns,
  };
}

/** The newest LSN first, then rows by the key: what is committed up to it is in them. */
export function capturedRowsCommand(
  table: Table,
  captures: Captures,
  capture: Capture,
  options: ReadOptions,
  { after, limit }: { readonly after: readonly SqlValue[] | null; readonly limit: number },
): CapturedSelection {
  const keys = keyColumns(table);
  const columns = capturedColumns(table, capture, options);
  const names = keys.map(column => `t.${quote(column.name)}`);
  const at = keys.map((column, i) => converting(column, `@kmKey${i}`));
  const steps = names.map((name, i) =>
    [...names.slice(0, i).map((one, j) => `${one} = ${at[j]}`), `${name} > ${at[i]}`].join(' AND '),
  );
  const conditions = [
    ...(after === null ? [] : [`(${steps.map(step => `(${step})`).join(' OR ')})`]),
    ...(options.filter ? [`(${options.filter.sql})`] : []),
  ];
  const sql = `SET NOCOUNT ON;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
${looking(capture, 'SELECT 0')}
SELECT TOP (@kmLimit)
  ${columns.map(column => reading(column, `t.${quote(column.name)}`)).join(',\n  ')}
FROM ${table.quoted} AS t
${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}\n` : ''}ORDER BY ${names.join(', ')};`;
  return {
    command: command('captured-rows', sql, [
      { name: 'kmObject', kind: 'bigint', value: table.objectId },
      { name: 'kmStamp', kind: 'text', value: captures.stamp },
      { name: 'kmLimit', kind: 'bigint', value: limit },
      ...(after ?? []).map((value, i) => ({
        name: `kmKey${i}`,
        kind: 'text' as const,
        value: textOf(keys[i]!, value),
      })),
      ...parametersOf(options.filter?.params ?? {}),
    ]),
    columns,
  };
}

function looking(capture: Capture, waiting: string): string {
  return `DECLARE @kmMax binary(10) = sys.fn_cdc_get_max_lsn();
DECLARE @kmSeen nvarchar(4000) = ${STAMP};
SELECT
  @kmMax,
  sys.fn_cdc_get_min_lsn(${literal(capture.instance)}),
  @kmSeen,
  (${waiting}),
  ${LIFE},
  DATEDIFF_BIG(MILLISECOND, CONVERT(datetime2(3), '1970-01-01'), SYSUTCDATETIME())
FROM ${LIFE_FROM}
WHERE d.database_id = DB_ID();`;
}

/** The key first, then the others that are wanted and captured. */
function capturedColumns(table: Table, capture: Capture, { columns }: ReadOptions): Column[] {
  const captured = new Set(capture.columns.map(column => column.name));
  const keys = keyColumns(table);
  const wanted = columns ? columns.map(name => columnOf(table, name)) : table.columns;
  return [...keys, ...[...new Set(wanted)].filter(column => !column.isKey && captured.has(column.name))];
}
