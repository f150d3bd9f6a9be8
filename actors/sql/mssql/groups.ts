/**
 * The writes of one drain, put together: consecutive asks of one kind, table, columns and context become one call. What must
 * not be made twice keeps its number from one attempt to the next, and those asks their company.
 */
import { KeymillError } from '../../../runtime/index.ts';
import type { Delta, SqlValue } from '../contract.ts';
import { canonicalKey } from '../driver.ts';
import type { WriteOp } from '../ops.ts';
import { columnOf, keyColumns, mustHaveKey, type Table } from './names.ts';
import { LONGEST_KEY } from './statements/own.ts';
import type { RowSet, TextRow } from './statements/rows.ts';
import { DELTA_EXTRA, type DeltaSet } from './statements/writes.ts';
import { type Column, textOf } from './types.ts';

export type RowsOp = Extract<WriteOp, { readonly op: 'insert' | 'upsert' | 'remove' }>;
export type TransactionOp = Extract<WriteOp, { readonly op: 'transaction' }>;
export type ApplyOp = Extract<WriteOp, { readonly op: 'apply' }>;

/** Asks that can be made in one call. */
export interface Group {
  readonly ops: readonly WriteOp[];
}

/** Rows of one call; a group that would be larger is two. */
const GROUP_ROWS = 10_000;
/** As rows: 50 statements to a call, and less than half of the 2100 parameters that it may have. */
const STATEMENT = 200;
const PARAMETER = 10;

export function groupsOf(ops: readonly WriteOp[], mustStay: (op: WriteOp) => unknown): Group[] {
  const groups: WriteOp[][] = [];
  let rows = 0;
  for (const op of ops) {
    const last = groups.at(-1);
    const size = sizeOf(op);
    const before = last?.at(-1);
    const stays = mustStay(op);
    const joins =
      before !== undefined &&
      (stays === undefined && mustStay(before) === undefined
        ? rows + size <= GROUP_ROWS && canJoin(before, op)
        : stays === mustStay(before));
    if (joins) {
      last!.push(op);
      rows += size;
    } else {
      groups.push([op]);
      rows = size;
    }
  }
  return groups.map(one => ({ ops: one }));
}

function sizeOf(op: WriteOp): number {
  if (op.op === 'apply') return op.deltas.length;
  if (op.op === 'transaction')
    return op.statements.reduce(
      (size, { params = {} }) => size + STATEMENT + PARAMETER * Object.keys(params).length,
      0,
    );
  return 'rows' in op ? op.rows.values.length : 1;
}

function canJoin(a: WriteOp, b: WriteOp): boolean {
  if (a.op === 'apply' && b.op === 'apply') return a.table === b.table;
  if (a.op === 'transaction' && b.op === 'transaction') return a.context === b.context;
  if (!('rows' in a) || !('rows' in b)) return false;
  const { columns } = a.rows;
  return (
    a.op === b.op &&
    a.table === b.table &&
    a.context === b.context &&
    columns.length === b.rows.columns.length &&
    columns.every((name, i) => name === b.rows.columns[i])
  );
}

/** The rows of asks with the same columns. Throws SQL_IDENTIFIER, SQL_CONSTRAINT, TABLE_NO_KEY. */
export function rowSetOf(table: Table, ops: readonly RowsOp[]): RowSet {
  const [{ op, rows: first }] = ops as readonly [RowsOp];
  const columns = first.columns.map(name => columnOf(table, name));
  if (new Set(columns).size < columns.length)
    throw new KeymillError('SQL_IDENTIFIER', `a column of ${table.table} is named twice: ${first.columns.join(', ')}`, {
      place: { at: table.table },
    });
  if (op !== 'insert') mustHaveKey(table, first.columns);
  const rows: TextRow[] = [];
  ops.forEach((one, ask) => {
    for (const values of one.rows.values)
      rows.push([ask, rows.length, ...columns.map((column, i) => textOf(column, values[i] ?? null))]);
  });
  return { index: 0, columns, rows };
}

/**
 * Deltas as sets that each have a key at most once and the same columns, in an order that leaves what doing them one after
 * the other leaves. `ord` numbers the deltas of all asks. Throws SQL_IDENTIFIER, SQL_CONSTRAINT, TABLE_NO_KEY, SQL_TOO_LARGE.
 */
export function deltaSetsOf(table: Table, ops: readonly ApplyOp[]): DeltaSet[] {
  const keys = keyColumns(table);
  /** How many deltas of a key there were. */
  const seen = new Map<string, number>();
  const rounds: Map<string, { columns: readonly Column[]; kind: DeltaSet['kind']; rows: TextRow[] }>[] = [];
  let ord = 0;
  ops.forEach((op, ask) => {
    for (const delta of op.deltas) {
      const pk = canonicalKey(keys.map(({ name }) => delta.pk[name] ?? null));
      if (pk.length > LONGEST_KEY)
        throw new KeymillError(
          'SQL_TOO_LARGE',
          `a key of ${table.table} has ${pk.length} characters as text, ${LONGEST_KEY} at most`,
          {
            place: { at: table.table },
          },
        );
      const round = seen.get(pk) ?? 0;
      seen.set(pk, round + 1);
      const sets = (rounds[round] ??= new Map());
      const { columns, values } = valuesOf(table, keys, delta);
      const kind = delta.data === null ? 'remove' : 'put';
      const form = `${kind} ${columns.map(column => column.id).join(' ')}`;
      let set = sets.get(form);
      if (!set) sets.set(form, (set = { columns, kind, rows: [] }));
      set.rows.push([
        ask,
        ord++,
        ...columns.map((column, i) => textOf(column, values[i]!)),
        pk,
        String(delta.version.epoch),
        String(delta.version.n),
      ]);
    }
  });
  return rounds.flatMap(sets => [...sets.values()]).map((set, index) => ({ ...set, index, extra: DELTA_EXTRA }));
}

function valuesOf(
  table: Table,
  keys: readonly Column[],
  { pk, data }: Delta,
): { columns: readonly Column[]; values: SqlValue[] } {
  const values = new Map<Column, SqlValue>();
  for (const [name, value] of Object.entries(data ?? {})) values.set(columnOf(table, name), value);
  for (const column of keys) values.set(column, pk[column.name] ?? null);
  const columns = [...values.keys()].sort((a, b) => a.id - b.id).filter(column => column.isKey || !column.isComputed);
  return { columns, values: columns.map(column => values.get(column)!) };
}
