/** SELECT, its sources and its columns. */
import { SqlError } from '../errors.ts';
import { type Collation, collationOf, quote } from './catalog.ts';
import { changesOf } from './changes.ts';
import { ordered } from './compile-call.ts';
import { collated, compile, compileCondition, converted, joint, textLiteral } from './compile-expression.ts';
import { type Compiling, columnsOf, type NamedPiece, type Piece, piece, Scope } from './scope.ts';
import type { Expression, Item, Select, Source } from './syntax.ts';
import { typeOf } from './values.ts';

export interface Selected {
  readonly sql: string;
  readonly columns: readonly NamedPiece[];
  /** Variables that get the values: SELECT @a = …; null for a result set. */
  readonly into: readonly string[] | null;
}

const LOCKS = new Set(['updlock', 'xlock', 'tablockx', 'holdlock', 'serializable']);
const WAITS = new Set(['readcommittedlock', 'rowlock', 'paglock']);
const HINTS = new Set([...LOCKS, ...WAITS, 'readpast', 'nolock', 'tablock', 'forceseek', 'rowlock', 'nowait']);

export function compileSelect(compiling: Compiling, outer: Scope | null, select: Select): Selected {
  const first = compileOne(compiling, outer, select);
  if (select.more.length === 0) return first;
  const parts = [first, ...select.more.map(one => compileOne(compiling, outer, one))];
  const columns = first.columns.map((column, i) => {
    const of = parts.map(part => part.columns[i]);
    if (of.includes(undefined) || parts.some(part => part.columns.length !== first.columns.length))
      throw new SqlError(205, 'All queries combined using a UNION operator must have an equal number of expressions.');
    return { ...column, type: joint(of as Piece[]).type };
  });
  const sql = parts.map(part => {
    const list = columns.map(
      (column, i) => converted({ ...part.columns[i]!, sql: `u.${quote(`c${i}`)}` }, column.type).sql,
    );
    const named = part.columns.map((_, i) => quote(`c${i}`)).join(', ');
    return `SELECT ${list.map((one, i) => `${one} AS ${quote(`c${i}`)}`).join(', ')} FROM (WITH u0(${named}) AS (${part.sql}) SELECT * FROM u0) AS u`;
  });
  const order = select.order.map(({ value, isDescending }) => {
    const at = columns.findIndex(
      column => value.kind === 'column' && column.name.toLowerCase() === value.name.toLowerCase(),
    );
    if (at < 0) throw new SqlError(104, 'ORDER BY items must appear in the select list of a UNION.', { class: 15 });
    return `${at + 1}${collated(columns[at]!.collation)}${isDescending ? ' DESC' : ''}`;
  });
  return {
    sql: `${sql.join(' UNION ALL ')}${order.length > 0 ? ` ORDER BY ${order.join(', ')}` : ''}`,
    columns,
    into: null,
  };
}

function compileOne(compiling: Compiling, outer: Scope | null, select: Select): Selected {
  const scope = new Scope(compiling, outer);
  const from = compileSources(scope, select.from);
  const where = select.where === null ? '' : ` WHERE ${compileCondition(scope, select.where)}`;
  const items = select.items.flatMap(item => compileItem(scope, item));
  const into = select.items.every(item => item.kind === 'value' && item.into !== null)
    ? select.items.map(item => (item as { into: string }).into)
    : null;
  const group =
    select.group.length === 0
      ? ''
      : ` GROUP BY ${select.group
          .map(one => compile(scope, one))
          .map(({ sql, collation }) => sql + collated(collation))
          .join(', ')}`;
  const having = select.having === null ? '' : ` HAVING ${compileCondition(scope, select.having)}`;
  const order = select.more.length > 0 || select.order.length === 0 ? '' : ` ORDER BY ${orderOf(scope, select, items)}`;
  const limit = select.top === null ? '' : ` LIMIT ${compile(scope, select.top).sql}`;
  const list = items.map(({ sql, name }) => (name === '' ? sql : `${sql} AS ${quote(name)}`));
  const sql = `SELECT ${select.isDistinct ? 'DISTINCT ' : ''}${list.join(', ')}${from}${where}${group}${having}${order}${limit}`;
  return { sql, columns: items, into };
}

/** By an alias of the list first, as there. */
function orderOf(scope: Scope, { order, items }: Select, columns: readonly NamedPiece[]): string {
  return order
    .map(one => {
      const { value } = one;
      const alias = value.kind === 'column' && value.of === null ? value.name.toLowerCase() : null;
      const at = items.findIndex(
        item => item.kind === 'value' && item.alias !== null && item.alias.toLowerCase() === alias,
      );
      if (at < 0 || columns.length !== items.length) return ordered(scope, [one]);
      return `${at + 1}${collated(columns[at]!.collation)}${one.isDescending ? ' DESC' : ''}`;
    })
    .join(', ');
}

export function compileItem(scope: Scope, item: Item): NamedPiece[] {
  if (item.kind === 'star') {
    const all = item.of === null ? scope.visible : [scope.named(item.of)];
    if (all.length === 0 || all.includes(undefined))
      throw new SqlError(107, `The column prefix '${item.of ?? '*'}' does not match with a table name.`, { class: 15 });
    return all.flatMap(one => one!.columns);
  }
  const found = compile(scope, item.value);
  const name = item.alias ?? (item.value.kind === 'column' ? nameOf(scope, item.value) : '');
  return [{ ...found, name }];
}

/** As the table spells it. */
function nameOf(scope: Scope, { of, name }: Extract<Expression, { kind: 'column' }>): string {
  const found = scope.column(of, name);
  return 'name' in found ? String(found.name) : name;
}

// ── sources ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** With FROM, or nothing. */
export function compileSources(scope: Scope, sources: readonly Source[]): string {
  if (sources.length === 0) return '';
  return ` FROM ${sources.map(source => compileSource(scope, source)).join(' CROSS JOIN ')}`;
}

export function compileSource(scope: Scope, source: Source): string {
  const { compiling } = scope;
  switch (source.kind) {
    case 'table': {
      const table = compiling.catalog.table(source.name);
      noteHints(compiling, source.hints);
      compiling.reads.add(table);
      const alias = source.alias ?? table.name;
      scope.show(alias, table, columnsOf(alias, table));
      return `${table.place} AS ${quote(alias)}`;
    }
    case 'derived': {
      const { sql, columns } = derived(scope, source);
      const names = source.columns ?? columns.map(column => column.name);
      const visible = columns.map((column, i): NamedPiece => {
        const name = names[i] ?? '';
        if (name === '')
          throw new SqlError(8155, `No column name was specified for column ${i + 1} of '${source.alias}'.`);
        return { ...column, name, sql: `${quote(source.alias)}.${quote(name)}` };
      });
      scope.show(source.alias, null, visible);
      return `(${sql}) AS ${quote(source.alias)}`;
    }
    case 'openjson':
      return compileJson(scope, source);
    case 'changes': {
      const table = compiling.catalog.table(source.table);
      compiling.reads.add(table);
      const { sql, columns } = changesOf(table, compile(scope, source.since).sql, source.alias);
      scope.show(source.alias, null, columns);
      return `(${sql}) AS ${quote(source.alias)}`;
    }
    case 'join': {
      const left = compileSource(scope, source.left);
      const right = compileSource(scope, source.right);
      const on = source.on === null ? '' : ` ON ${compileCondition(scope, source.on)}`;
      return `${left} ${source.how} JOIN ${right}${on}`;
    }
  }
}

export function noteHints(compiling: Compiling, hints: readonly string[]): void {
  for (const hint of hints) {
    if (!HINTS.has(hint)) throw new SqlError(321, `"${hint}" is not a recognized table hints option.`, { class: 15 });
    if (LOCKS.has(hint)) compiling.isLocking = true;
    if (WAITS.has(hint)) compiling.isWaiting = true;
  }
}

function derived(
  scope: Scope,
  { select, columns: names }: Extract<Source, { kind: 'derived' }>,
): Omit<Selected, 'into'> {
  const { compiling, outer } = scope;
  if (select.kind === 'select') {
    const found = compileSelect(compiling, outer, select);
    if (names === null) return found;
    return { ...found, sql: `WITH d(${names.map(quote).join(', ')}) AS (${found.sql}) SELECT * FROM d` };
  }
  if (names === null) throw new SqlError(8155, 'No column name was specified for a column of VALUES.');
  const rows = select.rows.map(row => row.map(value => compile(new Scope(compiling, outer), value)));
  const columns = rows[0]!.map((first, i): NamedPiece => {
    const all = rows.map(row => row[i] ?? first);
    const { type, collation } = joint(all);
    return { ...piece('', type), collation: collation ?? collationOf(type, null), name: names[i] ?? '' };
  });
  const lists = rows.map(row => `(${row.map((one, i) => converted(one, columns[i]!.type).sql).join(', ')})`);
  return { sql: `WITH d(${names.map(quote).join(', ')}) AS (VALUES ${lists.join(', ')}) SELECT * FROM d`, columns };
}

/** Rows are arrays, or objects. */
function compileJson(scope: Scope, { value, columns, alias }: Extract<Source, { kind: 'openjson' }>): string {
  const given = compile(scope, value);
  const list = columns.map(({ name, type, path }) => {
    const declared = typeOf(type);
    const raw = `json_extract(e.value, ${textLiteral(path)})`;
    const isText = declared.name === 'nvarchar' || declared.name === 'varchar';
    // A number in JSON is a text to begin with, as each of its values is there.
    const read = isText ? `CAST(${raw} AS TEXT)` : declared.name === 'bigint' || declared.name === 'int' ? raw : null;
    const sql = read ?? converted(piece(`CAST(${raw} AS TEXT)`, typeOf('nvarchar(max)')), declared).sql;
    return { sql, name, type: declared, collation: collationOf(declared, null) as Collation | null };
  });
  scope.show(
    alias,
    null,
    list.map(column => ({ ...column, sql: `${quote(alias)}.${quote(column.name)}` })),
  );
  const selected = list.map(({ sql, name }) => `${sql} AS ${quote(name)}`).join(', ');
  return `(SELECT ${selected} FROM json_each(${given.sql}) AS e) AS ${quote(alias)}`;
}
