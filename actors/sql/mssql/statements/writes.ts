/**
 * Writes. Each is one call and one transaction of its own, ended by the first error in it. What joins asks keeps their
 * order: of two rows with one key the later stands, as if they had been made one after the other.
 *
 * Upserts are an UPDATE and an INSERT of what is not there, under key-range locks. MERGE is not used: without them it races
 * as well, and with them it gains nothing but a list of known faults.
 */
import type { SqlValue, Statement } from '../../contract.ts';
import { type Command, command, declaration, type Parameter, parametersOf } from '../command.ts';
import { ROWS_EXPECTED, TRANSACTION_ENDED } from '../errors.ts';
import { keyColumns, quote, type Table } from '../names.ts';
import type { Column } from '../types.ts';
import { LONGEST_KEY, ownTable, takingNumber } from './own.ts';
import { type Extra, type Road, type RowSet, rowsParameter, sourceOf } from './rows.ts';

/** A number that a transaction takes, so that it is not made twice. */
export interface Once {
  readonly schema: string;
  readonly writer: string;
  readonly batch: number;
}

export interface WriteHow {
  readonly road: Road;
  readonly once: Once | null;
  readonly context: string | null;
}

const BEGIN = `SET NOCOUNT ON;
SET XACT_ABORT ON;
BEGIN TRANSACTION;
`;
const COMMIT = 'COMMIT TRANSACTION;';

export function insertCommand(table: Table, set: RowSet, how: WriteHow): Command {
  const { columns } = set;
  const into = columns.map(column => quote(column.name)).join(', ');
  return writing(
    'insert',
    `${identity(table, columns, 'ON')}${context(how)}INSERT INTO ${table.quoted} (${into})
SELECT ${columns.map((_, i) => `r.c${i}`).join(', ')}
FROM ${sourceOf(set, how.road)} AS r
ORDER BY r.ord;
${identity(table, columns, 'OFF')}`,
    [set],
    how,
  );
}

export function upsertCommand(table: Table, set: RowSet, how: WriteHow): Command {
  return writing('upsert', putting(table, set, how, last(table, set, how.road)), [set], how);
}

/** Answers how many rows went for each ask: ask, rows. */
export function removeCommand(table: Table, set: RowSet, how: WriteHow): Command {
  const { columns } = set;
  const same = columns.map((column, i) => `t.${quote(column.name)} = r.c${i}`).join(' AND ');
  const keys = partition(table, columns);
  return writing(
    'remove',
    `SELECT r.ask, COUNT_BIG(*)
FROM (
  SELECT s.*, ROW_NUMBER() OVER (PARTITION BY ${keys} ORDER BY s.ord) AS nth
  FROM ${sourceOf(set, how.road)} AS s
) AS r
INNER JOIN ${table.quoted} AS t WITH (UPDLOCK, HOLDLOCK) ON ${same}
WHERE r.nth = 1
GROUP BY r.ask;
${context(how)}DELETE t
FROM ${table.quoted} AS t
INNER JOIN ${sourceOf(set, how.road)} AS r ON ${same};
`,
    [set],
    how,
  );
}

/** Rows of deltas: to put in place with these columns, or to remove by the key alone. Each key at most once. */
export interface DeltaSet extends RowSet {
  readonly kind: 'put' | 'remove';
}

/** What the rows of a delta set have beside the columns of the table. */
export const DELTA_EXTRA: readonly Extra[] = [
  { name: 'pk', type: 'nvarchar(550)' },
  { name: 'epoch', type: 'bigint' },
  { name: 'n', type: 'bigint' },
];
/** What a delta came to: see DeltaOutcome. */
export const OUTCOMES = ['applied', 'same', 'older'] as const;

/** Answers ord and outcome of each delta. */
export function applyCommand(schema: string, table: Table, sets: readonly DeltaSet[], how: WriteHow): Command {
  const versions = ownTable(schema, 'keymill_versions');
  const steps = sets.map(set => {
    const source = sourceOf(set, how.road);
    const applied = `(
  SELECT s.* FROM ${source} AS s INNER JOIN @kmDone AS d ON d.ord = s.ord WHERE d.outcome = 0
)`;
    return `INSERT INTO @kmDone (ord, pk, epoch, n, gone, outcome)
SELECT
  r.ord, r.pk, r.epoch, r.n, ${set.kind === 'remove' ? 1 : 0},
  CASE
    WHEN v.pk IS NULL OR v.epoch < r.epoch OR (v.epoch = r.epoch AND v.n < r.n) THEN 0
    WHEN v.epoch = r.epoch AND v.n = r.n THEN 1
    ELSE 2
  END
FROM ${source} AS r
LEFT JOIN ${versions} AS v WITH (UPDLOCK, HOLDLOCK)
  ON v.name = @kmName AND v.pk = r.pk COLLATE Latin1_General_100_BIN2;
${set.kind === 'put' ? putting(table, set, how, applied) : removing(table, set, applied)}${noting(versions)}`;
  });
  return writing(
    'apply',
    `DECLARE @kmDone TABLE (
  ord int NOT NULL PRIMARY KEY,
  pk nvarchar(${LONGEST_KEY}) COLLATE Latin1_General_100_BIN2 NOT NULL,
  epoch bigint NOT NULL,
  n bigint NOT NULL,
  gone bit NOT NULL,
  outcome tinyint NOT NULL,
  noted bit NOT NULL DEFAULT 0
);
${steps.join('')}SELECT d.ord, d.outcome FROM @kmDone AS d;
`,
    sets,
    how,
    [{ name: 'kmName', kind: 'text', value: `${table.schema}.${table.name}` }],
  );
}

/** Statements of the user's own, one after the other. Answers the rows that each changed, as one row. */
export function transactionCommand(statements: readonly Statement[], how: Pick<WriteHow, 'once' | 'context'>): Command {
  const params: Parameter[] = [];
  const steps = statements.map(({ sql, params: given = {}, expectRows }, i) => {
    const own = parametersOf(given);
    params.push({ name: `kmSql${i}`, kind: 'longText', value: inContext(sql, how.context) });
    for (const one of own) params.push({ ...one, name: `km${i}_${one.name}` });
    const withContext: Parameter[] =
      how.context === null ? own : [...own, { name: 'kmContext', kind: 'context', value: null }];
    const values = [
      ...own.map(({ name }) => `@${name} = @km${i}_${name}`),
      ...(how.context === null ? [] : ['@kmContext = @kmContext']),
    ];
    const list = withContext.length === 0 ? '' : `, N'${declaration(withContext)}', ${values.join(', ')}`;
    const demand =
      expectRows === undefined
        ? ''
        : `IF @kmRows${i} <> @kmExpect${i} THROW ${ROWS_EXPECTED}, N'keymill: another number of rows was changed than expected', 1;\n`;
    if (expectRows !== undefined) params.push({ name: `kmExpect${i}`, kind: 'bigint', value: expectRows });
    return `EXEC sys.sp_executesql @kmSql${i}${list};
SET @kmRows${i} = ROWCOUNT_BIG();
IF @@TRANCOUNT <> 1 THROW ${TRANSACTION_ENDED}, N'keymill: a statement began or ended a transaction', 1;
${demand}`;
  });
  const counts = statements.map((_, i) => `@kmRows${i}`);
  const reply = counts.map(name => `CONVERT(nvarchar(max), ${name})`).join(" + N' ' + ");
  const keep =
    how.once === null
      ? ''
      : `UPDATE ${ownTable(how.once.schema, 'keymill_done')}
SET reply = LEFT(@kmReply, 4000)
WHERE writer = CONVERT(uniqueidentifier, @kmWriter);
`;
  const declares = counts.map(name => `${name} bigint`).join(', ');
  return writing(
    'transaction',
    `DECLARE ${declares};
${steps.join('')}DECLARE @kmReply nvarchar(max) = ${reply};
${keep}SELECT @kmReply;
`,
    [],
    { ...how, road: 'json' },
    params,
  );
}

// ── parts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function writing(
  name: string,
  body: string,
  sets: readonly RowSet[],
  { road, once, context: text }: WriteHow,
  more: readonly Parameter[] = [],
): Command {
  const params: Parameter[] = [
    ...(road === 'json' ? sets.map(rowsParameter) : []),
    ...(text === null ? [] : [contextParameter(text)]),
    ...(once === null
      ? []
      : ([
          { name: 'kmWriter', kind: 'text', value: once.writer },
          { name: 'kmBatch', kind: 'bigint', value: once.batch },
        ] as const)),
    ...more,
  ];
  return command(name, `${BEGIN}${once === null ? '' : takingNumber(once.schema)}${body}${COMMIT}`, params);
}

/** Rows that are there are updated, the others inserted. `rows`: a table expression with each key once. */
function putting(table: Table, { columns }: RowSet, how: WriteHow, rows: string): string {
  const at = (name: string): number => columns.findIndex(column => column.name === name);
  const same = keyColumns(table)
    .map(({ name }) => `t.${quote(name)} = r.c${at(name)}`)
    .join(' AND ');
  const settable = columns.filter(column => !column.isKey && !column.isIdentity && !column.isComputed);
  const set = settable.map(({ name }) => `t.${quote(name)} = r.c${at(name)}`).join(', ');
  const update =
    settable.length === 0
      ? ''
      : `${context(how)}UPDATE t
SET ${set}
FROM ${table.quoted} AS t WITH (UPDLOCK, HOLDLOCK)
INNER JOIN ${rows} AS r ON ${same};
`;
  const into = columns.map(column => quote(column.name)).join(', ');
  return `${update}${identity(table, columns, 'ON')}${context(how)}INSERT INTO ${table.quoted} (${into})
SELECT ${columns.map((_, i) => `r.c${i}`).join(', ')}
FROM ${rows} AS r
WHERE NOT EXISTS (
  SELECT 1 FROM ${table.quoted} AS t WITH (UPDLOCK, HOLDLOCK) WHERE ${same}
);
${identity(table, columns, 'OFF')}`;
}

function removing(table: Table, { columns }: RowSet, rows: string): string {
  const same = columns.map(({ name }, i) => `t.${quote(name)} = r.c${i}`).join(' AND ');
  return `DELETE t
FROM ${table.quoted} AS t
INNER JOIN ${rows} AS r ON ${same};
`;
}

/** The versions of what was applied since this was last done. */
function noting(versions: string): string {
  return `UPDATE v
SET v.epoch = d.epoch, v.n = d.n, v.gone = d.gone
FROM ${versions} AS v
INNER JOIN @kmDone AS d ON v.name = @kmName AND v.pk = d.pk
WHERE d.outcome = 0 AND d.noted = 0;
INSERT INTO ${versions} (name, pk, epoch, n, gone)
SELECT @kmName, d.pk, d.epoch, d.n, d.gone
FROM @kmDone AS d
WHERE d.outcome = 0 AND d.noted = 0 AND NOT EXISTS (
  SELECT 1 FROM ${versions} AS v WHERE v.name = @kmName AND v.pk = d.pk
);
UPDATE @kmDone SET noted = 1;
`;
}

/** Of rows with one key the last. */
function last(table: Table, set: RowSet, road: Road): string {
  return `(
  SELECT k.* FROM (
    SELECT s.*, ROW_NUMBER() OVER (PARTITION BY ${partition(table, set.columns)} ORDER BY s.ord DESC) AS nth
    FROM ${sourceOf(set, road)} AS s
  ) AS k
  WHERE k.nth = 1
)`;
}

function partition(table: Table, columns: readonly Column[]): string {
  return keyColumns(table)
    .map(({ name }) => `s.c${columns.findIndex(column => column.name === name)}`)
    .join(', ');
}

/** Values of an identity column are taken as given. */
function identity(table: Table, columns: readonly Column[], state: 'ON' | 'OFF'): string {
  return columns.some(column => column.isIdentity) ? `SET IDENTITY_INSERT ${table.quoted} ${state};\n` : '';
}

function context({ context: text }: WriteHow): string {
  return text === null ? '' : 'WITH CHANGE_TRACKING_CONTEXT (@kmContext) ';
}

function contextParameter(text: string): Parameter {
  const value: SqlValue = Buffer.from(text, 'utf8');
  return { name: 'kmContext', kind: 'context', value };
}

/** The statement with the context of its changes. */
function inContext(sql: string, text: string | null): string {
  return text === null ? sql : `WITH CHANGE_TRACKING_CONTEXT (@kmContext) ${sql}`;
}
