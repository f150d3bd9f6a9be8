/** INSERT, UPDATE and DELETE. */
import { SqlError } from '../errors.ts';
import { type Column, quote, type Table } from './catalog.ts';
import { compile, compileCondition, converted } from './compile-expression.ts';
import { compileItem, compileSelect, compileSource, noteHints } from './compile-select.ts';
import { parseExpressionText } from './parse-text.ts';
import { type Compiling, columnsOf, mustColumn, type NamedPiece, NULL, type Piece, piece, Scope } from './scope.ts';
import type { Action, Name, Output, Source } from './syntax.ts';

export interface Written {
  readonly sql: string;
  readonly table: Table;
  /** Names of the columns that an UPDATE sets; null for other writes. */
  readonly sets: readonly Column[] | null;
  /** Of OUTPUT; null without. */
  readonly columns: readonly NamedPiece[] | null;
}

type Insert = Extract<Action, { kind: 'insert' }>;
type Update = Extract<Action, { kind: 'update' }>;
type Delete = Extract<Action, { kind: 'delete' }>;

/** `hasIdentities`: IDENTITY_INSERT is on for the table. */
export function compileInsert(compiling: Compiling, action: Insert, hasIdentities: (table: Table) => boolean): Written {
  const table = writable(compiling, action.table);
  const given =
    action.columns?.map(name => mustColumn(table, name)) ?? table.columns.filter(column => !column.identity);
  const identity = table.columns.find(column => column.identity);
  if (identity && given.includes(identity) !== hasIdentities(table))
    throw given.includes(identity)
      ? new SqlError(
          544,
          `Cannot insert explicit value for identity column in table '${table.name}' when IDENTITY_INSERT is set to OFF.`,
        )
      : new SqlError(545, `Explicit value must be specified for identity column in table '${table.name}'.`);
  const { sql: rows, pieces } = rowsOf(compiling, action, given.length);
  const source = pieces.map((one, i) => ({ ...one, sql: `s.${quote(`c${i}`)}` }));
  const values = given.map((column, i) => assigned(source[i]!, column));
  const others = table.columns.filter(
    column => !given.includes(column) && (column.standard !== null || column.identity),
  );
  const standards = others.map(column =>
    column.identity
      ? piece(`km_identity(${table.objectId})`, column.type)
      : assigned(compile(new Scope(compiling, null), parseExpressionText(column.standard!)), column),
  );
  const into = [...given, ...others].map(column => quote(column.name)).join(', ');
  const columns = pieces.map((_, i) => quote(`c${i}`)).join(', ');
  const list = [...values, ...standards].map(one => one.sql).join(', ');
  const sql = `INSERT INTO ${table.place} (${into}) SELECT ${list} FROM (WITH r(${columns}) AS (${rows}) SELECT * FROM r) AS s WHERE true`;
  return { ...returning(compiling, table, action.output, 'inserted', sql), sets: null };
}

function rowsOf(compiling: Compiling, { rows }: Insert, count: number): { sql: string; pieces: readonly Piece[] } {
  if (rows.kind === 'select') {
    const { sql, columns } = compileSelect(compiling, null, rows);
    if (columns.length !== count) throw wrongCount(columns.length > count);
    return { sql, pieces: columns };
  }
  const scope = new Scope(compiling, null);
  const lists = rows.rows.map(row => row.map(value => compile(scope, value)));
  if (lists.some(list => list.length !== count)) throw wrongCount(lists[0]!.length > count);
  // Each row's value is converted by itself: they may be of several types.
  const pieces = lists[0]!.map((first, i) => {
    const differ = lists.some(list => !list[i]!.isNull && list[i]!.type.text !== first.type.text);
    return differ ? (lists.map(list => list[i]!).find(one => !one.isNull) ?? first) : first;
  });
  const lines = lists.map(list => `(${list.map((one, i) => converted(one, pieces[i]!.type).sql).join(', ')})`);
  return {
    sql: `VALUES ${lines.join(', ')}`,
    pieces: pieces.map((one, i) => (lists.every(list => list[i]!.isNull) ? NULL : { ...one, isNull: false })),
  };
}

export function compileUpdate(compiling: Compiling, action: Update): Written {
  const { scope, table, alias, others, conditions } = targetOf(compiling, action);
  const sets = action.set.map(({ column: name }) => mustColumn(table, name));
  const values = action.set.map(({ value }, i) => {
    if (sets[i]!.identity) throw new SqlError(8102, `Cannot update identity column '${sets[i]!.name}'.`);
    return `${quote(sets[i]!.name)} = ${assigned(compile(scope, value), sets[i]!).sql}`;
  });
  const where = conditionOf(scope, action, conditions);
  const from = others.length === 0 ? '' : ` FROM ${others.join(' CROSS JOIN ')}`;
  const sql = `UPDATE ${table.place} AS ${quote(alias)} SET ${values.join(', ')}${from}${where}`;
  return { ...returning(compiling, table, action.output, 'inserted', sql), sets };
}

export function compileDelete(compiling: Compiling, action: Delete): Written {
  const { scope, table, alias, others, conditions } = targetOf(compiling, action);
  const where = conditionOf(scope, action, conditions);
  const limit = action.top === null ? '' : ` LIMIT ${compile(new Scope(compiling, null), action.top).sql}`;
  const from = [`${table.place} AS ${quote(alias)}`, ...others].join(' CROSS JOIN ');
  const sql =
    others.length === 0 && limit === '' && where === ''
      ? `DELETE FROM ${table.place} WHERE true`
      : `DELETE FROM ${table.place} WHERE _rowid_ IN (SELECT ${quote(alias)}._rowid_ FROM ${from}${where}${limit})`;
  return { ...returning(compiling, table, action.output, 'deleted', sql), sets: null };
}

// ── parts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The table that is written, and what is joined with it; conditions of those joins go with the WHERE. */
function targetOf(compiling: Compiling, { target, hints, from }: Update | Delete) {
  const scope = new Scope(compiling, null);
  noteHints(compiling, hints);
  const conditions: (() => string)[] = [];
  const leaf = (source: Source): Source[] => {
    if (source.kind !== 'join') return [source];
    const parts = [...leaf(source.left), ...leaf(source.right)];
    if (source.how === 'LEFT') throw new SqlError(50_000, 'the test server: a write with LEFT JOIN', { class: 18 });
    const { on } = source;
    if (on) conditions.push(() => compileCondition(scope, on));
    return parts;
  };
  const sources = from.flatMap(leaf);
  const wanted = target.at(-1)!.toLowerCase();
  const at = sources.findIndex(
    source => source.kind === 'table' && (source.alias ?? source.name.at(-1)!).toLowerCase() === wanted,
  );
  const one = sources[at];
  const own = one?.kind === 'table' ? one : null;
  const table = writable(compiling, own ? own.name : target);
  if (own) noteHints(compiling, own.hints);
  const alias = own?.alias ?? table.name;
  scope.show(alias, table, columnsOf(alias, table));
  const others = sources.filter((_, i) => i !== at).map(source => compileSource(scope, source));
  return { scope, table, alias, others, conditions };
}

function conditionOf(scope: Scope, { where }: Update | Delete, conditions: readonly (() => string)[]): string {
  const all = [...conditions.map(make => make()), ...(where === null ? [] : [compileCondition(scope, where)])];
  return all.length === 0 ? '' : ` WHERE ${all.join(' AND ')}`;
}

function writable(compiling: Compiling, name: Name): Table {
  const table = compiling.catalog.table(name);
  if (table.kind === 'system') throw new SqlError(259, 'Ad hoc updates to system catalogs are not allowed.');
  return table;
}

function assigned(value: Piece, column: Column): Piece {
  return converted(value, column.type, 0, true);
}

function wrongCount(isMore: boolean): SqlError {
  return isMore
    ? new SqlError(121, 'The select list for the INSERT statement contains more items than the insert list.', {
        class: 15,
      })
    : new SqlError(120, 'The select list for the INSERT statement contains fewer items than the insert list.', {
        class: 15,
      });
}

/** OUTPUT of what is there afterwards, or was before a DELETE. */
function returning(
  compiling: Compiling,
  table: Table,
  output: Output,
  alias: 'inserted' | 'deleted',
  sql: string,
): Omit<Written, 'sets'> {
  if (output === null) return { sql, table, columns: null };
  const scope = new Scope(compiling, null);
  const plain = table.columns.map(({ name, type, collation }) => ({ name, type, collation, sql: quote(name) }));
  scope.show(alias, table, plain);
  const columns = output.flatMap(item => compileItem(scope, item));
  return { sql: `${sql} RETURNING ${columns.map(column => column.sql).join(', ')}`, table, columns };
}
