/**
 * Change Tracking (reference sql-server-and-tds 1.1 to 1.7). A poll is one call, of one table or many: a look at the database and
 * at each table, and of those that can still be read on, the changes. The order inside holds with and without a snapshot:
 *
 * 1. the current version, before anything else: whatever is committed up to it is seen by what follows; and where tracking of each
 *    table began: a reader that keeps it sees with its next page that the table was truncated meanwhile, whatever this page gave;
 * 2. a table is touched, which begins the snapshot where there is one;
 * 3. the oldest valid version of each: a clean-up that ran before the snapshot began shows here, and a later one does not matter
 *    in it, so this is known of all tables before the changes of the first are read;
 * 4. table by table the changes, with the rows as they are;
 * 5. without a snapshot the oldest valid version of that table again, as a clean-up may have run meanwhile.
 *
 * What changes is told relative to `kmBase`, what the reader knew before it began to page, while the page begins after
 * (`kmVersion`, key). Where the base is no longer valid, the position itself is the base.
 *
 * Steps 4 and 5 of a table are a text of their own, which the call hands to sp_executesql: it has one plan, whichever tables
 * are asked about with it, and the call itself one for each number of tables.
 */
import type { ReadOptions, SqlValue } from '../../contract.ts';
import { type Command, command, declaration, type Parameter, parametersOf } from '../command.ts';
import { keyColumns, quote, type Table } from '../names.ts';
import { type Column, isMasked, reading } from '../types.ts';
import { STAMP } from './catalog.ts';
import {
  atOnce,
  beganOf,
  beyond,
  DATABASE,
  dataColumns,
  type HowToRead,
  keyParameters,
  type Look,
  lookOf,
  NOW,
  OF_TABLE,
  oldestOf,
  type Selection,
  type Sets,
  touchCommand,
  type Values,
} from './ct.ts';

/** Columns of a change before its key: version, version and operation told in their place, operation, mask, context, time, present. */
export const FIXED = 8;

export interface PageWanted {
  readonly version: number;
  readonly key: readonly SqlValue[] | null;
  readonly baseline: number;
  readonly limit: number;
}

/** Steps 4 and 5 of one table. */
export interface Page extends Selection {
  readonly table: Table;
  readonly wanted: PageWanted;
}

/** Within a version the rest of it is needed, and that is kept only from the version before on. */
export function neededOf({ version, key }: Pick<PageWanted, 'version' | 'key'>): number {
  return key === null ? version : version - 1;
}

/** Throws TABLE_NO_KEY, SQL_IDENTIFIER. */
export function pageOf(table: Table, options: ReadOptions, wanted: PageWanted, how: HowToRead): Page {
  const { version, key, baseline, limit } = wanted;
  const data = dataColumns(table, options);
  const needed = neededOf(wanted);
  const params: Parameter[] = [
    ...OF_CALL,
    { name: 'kmObject', kind: 'bigint', value: table.objectId },
    { name: 'kmStamp', kind: 'text', value: table.stamp },
    { name: 'kmVersion', kind: 'bigint', value: version },
    { name: 'kmNeeded', kind: 'bigint', value: needed },
    { name: 'kmBase', kind: 'bigint', value: Math.min(baseline, needed) },
    { name: 'kmLimit', kind: 'bigint', value: limit },
    ...keyParameters(table, key),
    ...parametersOf(options.filter?.params ?? {}),
  ];
  const sql = `${OF_TABLE}
IF @kmNeeded >= @kmMin AND @kmVersion <= @kmNow AND @kmSeen = @kmStamp
BEGIN
${changesOf(table, options, data, key !== null, how)}
END;${how.snapshot ? '' : again()}`;
  return { command: command('page', sql, params), data, table, wanted };
}

/** One call for all of these: `kmPage0` and the others are their texts. */
export function changesCommand(pages: readonly Page[], how: HowToRead): Command {
  const params: Parameter[] = [{ name: 'kmTouch', kind: 'text', value: touchCommand(pages[0]!.table).sql }];
  const steps = pages.map(({ command: page }, i) => {
    const own = page.params.slice(OF_CALL.length);
    params.push({ name: `kmPage${i}`, kind: 'longText', value: page.sql });
    for (const one of own) params.push({ ...one, name: `km${i}_${one.name}` });
    return `EXEC sys.sp_executesql @kmPage${i}, N'${declaration(page.params)}',
  @kmNow = @kmNow, @kmBegan = @kmBegan${i}, @kmMin = @kmMin${i}, ${own.map(({ name }) => `@${name} = @km${i}_${name}`).join(', ')};`;
  });
  const objects = pages.map((_, i) => `@km${i}_kmObject`);
  const sql = atOnce(
    how,
    `${NOW}
${objects.map(beganOf).join('\n')}
EXEC sys.sp_executesql @kmTouch;
${objects.map(oldestOf).join('\n')}
${DATABASE}
${steps.join('\n')}`,
  );
  return command('changes', sql, params);
}

/** What was answered about one page. */
export interface PageAnswer {
  readonly page: Page;
  readonly look: Look;
  readonly rows: readonly Values[];
  /** The oldest valid version and the stamp, after a page without a snapshot. */
  readonly again?: Values | undefined;
}

/** The answers to a call, page by page. */
export function pageAnswers(sets: Sets, pages: readonly Page[], { snapshot }: HowToRead): PageAnswer[] {
  let at = 1;
  return pages.map(page => {
    const { table, wanted } = page;
    const look = lookOf([sets[0], sets[at++]]);
    const { minValid, current, stamp } = look;
    const isRead =
      minValid !== null && neededOf(wanted) >= minValid && wanted.version <= current && stamp === table.stamp;
    const rows = isRead ? (sets[at++]?.rows ?? []) : [];
    return { page, look, rows, again: snapshot ? undefined : sets[at++]?.rows[0] };
  });
}

// ── parts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a page gets of its call. */
const OF_CALL: readonly Parameter[] = ['kmNow', 'kmBegan', 'kmMin'].map(name => ({
  name,
  kind: 'bigint',
  value: null,
}));

/** Step 5: the oldest valid version and the stamp once more. */
function again(): string {
  return `
SELECT
  CHANGE_TRACKING_MIN_VALID_VERSION(CONVERT(int, @kmObject)),
  (
    SELECT ${STAMP}
    FROM sys.objects AS o
    WHERE o.object_id = @kmObject
  );`;
}

function changesOf(
  table: Table,
  options: ReadOptions,
  data: readonly Column[],
  isWithin: boolean,
  { tellsCommitTimes }: HowToRead,
): string {
  const keys = keyColumns(table);
  const names = keys.map(column => quote(column.name));
  // Short names for `versionSelect` and `operationSelect`, as the embedded database has them.
  const taken = new Set(keys.map(column => column.name.toLowerCase()));
  const short = (name: string, of: string): string[] => (taken.has(name) ? [] : [`c.${of} AS ${name}`]);
  const inner = [
    'c.SYS_CHANGE_VERSION',
    'c.SYS_CHANGE_OPERATION',
    'c.SYS_CHANGE_COLUMNS',
    'c.SYS_CHANGE_CONTEXT',
    ...short('version', 'SYS_CHANGE_VERSION'),
    ...short('operation', 'SYS_CHANGE_OPERATION'),
    ...names.map(name => `c.${name}`),
  ];
  const outer = [
    'ct.SYS_CHANGE_VERSION',
    options.versionSelect === undefined ? 'NULL' : `CONVERT(bigint, ${options.versionSelect})`,
    options.operationSelect === undefined ? 'NULL' : `CONVERT(nvarchar(10), ${options.operationSelect})`,
    'ct.SYS_CHANGE_OPERATION',
    maskOf(table),
    'ct.SYS_CHANGE_CONTEXT',
    tellsCommitTimes
      ? `DATEDIFF_BIG(MILLISECOND, CONVERT(datetime2(3), '1970-01-01'), CONVERT(datetime2(3), m.commit_time))`
      : 'NULL',
    `CASE WHEN t.${names[0]} IS NULL THEN 0 ELSE 1 END`,
    ...keys.map(column => reading(column, `ct.${quote(column.name)}`)),
    ...data.map(column => reading(column, `t.${quote(column.name)}`)),
  ];
  const join = names.map(name => `t.${name} = ct.${name}`).join(' AND ');
  const conditions = [
    isWithin
      ? `(ct.SYS_CHANGE_VERSION > @kmVersion OR (ct.SYS_CHANGE_VERSION = @kmVersion AND ${beyond(keys, name => `ct.${name}`)}))`
      : 'ct.SYS_CHANGE_VERSION > @kmVersion',
    ...(options.filter ? [`(ct.SYS_CHANGE_OPERATION = N'D' OR (${options.filter.sql}))`] : []),
  ];
  return `SELECT TOP (@kmLimit)
  ${outer.join(',\n  ')}
FROM (
  SELECT
    ${inner.join(',\n    ')}
  FROM CHANGETABLE(CHANGES ${table.quoted}, @kmFrom) AS c
) AS ct
LEFT JOIN ${table.quoted} AS t ON ${join}
${tellsCommitTimes ? 'LEFT JOIN sys.dm_tran_commit_table AS m ON m.commit_ts = ct.SYS_CHANGE_VERSION\n' : ''}WHERE ${conditions.join('\n  AND ')}
ORDER BY ct.SYS_CHANGE_VERSION, ${names.map(name => `ct.${name}`).join(', ')};`;
}

/** Columns as a text of 0 and 1, in their order; NULL where they are not told apart. */
function maskOf(table: Table): string {
  const columns = table.columns.filter(isMasked);
  if (!table.tracksColumns || columns.length === 0) return 'NULL';
  const bits = columns.map(column => `CHANGE_TRACKING_IS_COLUMN_IN_MASK(${column.id}, ct.SYS_CHANGE_COLUMNS)`);
  return `CASE WHEN ct.SYS_CHANGE_COLUMNS IS NOT NULL THEN ${joined(bits)} END`;
}

/** CONCAT takes 254 at most. */
function joined(parts: readonly string[]): string {
  const most = 250;
  if (parts.length <= most) return `CONCAT(N'', ${parts.join(', ')})`;
  const groups: string[] = [];
  for (let i = 0; i < parts.length; i += most) groups.push(joined(parts.slice(i, i + most)));
  return joined(groups);
}
