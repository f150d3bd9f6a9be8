/** Expressions, with their types: SQLite has none, so conversions are written out. */
import { SqlError } from '../errors.ts';
import type { SqlType } from '../types.ts';
import type { Collation } from './catalog.ts';
import { collationOf } from './catalog.ts';
import { compileCall } from './compile-call.ts';
import { compileSelect } from './compile-select.ts';
import { BIGINT, BIT, FLOAT, INT, NULL, type Piece, piece, type Scope } from './scope.ts';
import type { Expression, Select } from './syntax.ts';
import { type Family, familyOf, lengthOf, typeOf } from './values.ts';

const INT_MAX = 2_147_483_647n;
/** Which type two become. */
const RANKS: readonly Family[] = ['bytes', 'text', 'guid', 'whole', 'decimal', 'float', 'time'];
const WHOLE_RANKS: Readonly<Record<string, number>> = { bit: 0, tinyint: 1, smallint: 2, int: 3, bigint: 4 };

export function compile(scope: Scope, expression: Expression): Piece {
  switch (expression.kind) {
    case 'null':
      return NULL;
    case 'text':
      return piece(textLiteral(expression.value), typeOf(`nvarchar(${lengthFor(expression.value.length)})`));
    case 'number':
      return number(expression.value);
    case 'bytes':
      return piece(`x'${evenly(expression.value)}'`, typeOf(`varbinary(${Math.max(1, expression.value.length >> 1)})`));
    case 'variable':
      return expression.name.startsWith('@@') ? global(expression.name) : scope.compiling.variable(expression.name);
    case 'column':
      return scope.column(expression.of, expression.name);
    case 'negative': {
      const value = compile(scope, expression.value);
      return { ...value, sql: `(-${value.sql})` };
    }
    case 'arithmetic':
      return arithmetic(expression.sign, compile(scope, expression.left), compile(scope, expression.right));
    case 'scalar':
      return scalar(scope, expression.select);
    case 'case':
      return caseOf(scope, expression);
    case 'call':
      return compileCall(scope, expression);
    case 'convert': {
      const style = expression.style === null ? 0 : constant(expression.style);
      return converted(compile(scope, expression.value), typeOf(expression.type), style);
    }
    case 'collate': {
      const value = compile(scope, expression.value);
      const isDatabases = expression.collation.toLowerCase() === 'database_default';
      return { ...value, collation: isDatabases ? 'ci' : collationOf(value.type, expression.collation) };
    }
    default:
      throw new SqlError(
        4145,
        'An expression of non-boolean type specified in a context where a condition is expected.',
      );
  }
}

/** A condition: SQL Server has no values of them. */
export function compileCondition(scope: Scope, expression: Expression): string {
  const value = (one: Expression): Piece => compile(scope, one);
  switch (expression.kind) {
    case 'logic': {
      const pairs = risingOf(expression);
      if (pairs) return beyond(pairs.map(([left, right]) => [value(left), value(right)]));
      return `(${compileCondition(scope, expression.left)} ${expression.sign} ${compileCondition(scope, expression.right)})`;
    }
    case 'not':
      return `(NOT ${compileCondition(scope, expression.value)})`;
    case 'compare':
      return compared(expression.sign, value(expression.left), value(expression.right));
    case 'isNull':
      return `(${value(expression.value).sql} IS ${expression.isNot ? 'NOT ' : ''}NULL)`;
    case 'in':
      return membership(scope, expression);
    case 'between': {
      const one = value(expression.value);
      const inside = `(${compared('>=', one, value(expression.low))} AND ${compared('<=', one, value(expression.high))})`;
      return expression.isNot ? `(NOT ${inside})` : inside;
    }
    case 'like':
      return `(km_like(${value(expression.value).sql}, ${value(expression.pattern).sql}) ${expression.isNot ? '= 0' : '= 1'})`;
    case 'exists':
      return `EXISTS (${compileSelect(scope.compiling, scope, expression.select).sql})`;
    default:
      throw new SqlError(
        4145,
        'An expression of non-boolean type specified in a context where a condition is expected.',
      );
  }
}

/** With the style of CONVERT; `isAssigned`: what is too long is refused. */
export function converted(value: Piece, type: SqlType, style = 0, isAssigned = false): Piece {
  const collation = familyOf(type) === 'text' ? (value.collation ?? 'ci') : null;
  if (value.isNull) return { ...NULL, type, collation };
  if (isSame(value.type, type)) return { sql: value.sql, type, collation };
  const key = `${value.type.text}|${type.text}|${style}|${isAssigned ? 1 : 0}`;
  return { sql: `km_convert(${value.sql}, '${key}')`, type, collation };
}

/** No conversion is needed: every value of one is one of the other. */
function isSame(from: SqlType, to: SqlType): boolean {
  const family = familyOf(from);
  if (family !== familyOf(to)) return false;
  switch (family) {
    case 'whole':
      return WHOLE_RANKS[from.name]! <= WHOLE_RANKS[to.name]! && (from.name !== 'bit' || to.name === 'bit');
    case 'text': {
      const isWide = to.name === 'nvarchar' || to.name === from.name;
      return isWide && to.name !== 'nchar' && to.name !== 'char' && lengthOf(from) <= lengthOf(to);
    }
    case 'bytes':
      return to.name === 'varbinary' ? lengthOf(from) <= lengthOf(to) : from.text === to.text;
    case 'float':
      return to.name === 'float' || from.name === 'real';
    case 'time':
      return from.text === to.text || (from.name === 'datetime' && to.text === 'datetime2(3)');
    default:
      return from.text === to.text;
  }
}

/** The type that values of both become. */
export function common(a: Piece, b: Piece): SqlType {
  if (a.isNull) return b.type;
  if (b.isNull || a.type.text === b.type.text) return a.type;
  const [x, y] = [familyOf(a.type), familyOf(b.type)];
  if (x !== y) return RANKS.indexOf(x) > RANKS.indexOf(y) ? a.type : b.type;
  switch (x) {
    case 'whole':
      return WHOLE_RANKS[a.type.name]! >= WHOLE_RANKS[b.type.name]! ? a.type : b.type;
    case 'text': {
      const length = Math.max(lengthOf(a.type), lengthOf(b.type));
      const isWide = a.type.name.startsWith('n') || b.type.name.startsWith('n');
      return typeOf(`${isWide ? 'nvarchar' : 'varchar'}(${Number.isFinite(length) ? length : 'max'})`);
    }
    case 'bytes':
      return lengthOf(a.type) >= lengthOf(b.type) ? a.type : b.type;
    case 'float':
      return FLOAT;
    case 'time':
      return typeOf('datetime2(7)');
    default:
      throw new SqlError(50_000, `the test server: ${a.type.text} with ${b.type.text}`, { class: 18 });
  }
}

/** The type that all of them become, and how it compares. */
export function joint([first, ...others]: readonly Piece[]): Piece {
  let { type, collation, isNull = false } = first!;
  for (const other of others) {
    type = common({ sql: '', type, collation, isNull }, other);
    isNull &&= other.isNull ?? false;
    if (collation !== 'bin') collation = other.collation ?? collation;
  }
  return { sql: '', type, collation, isNull };
}

export function compared(sign: string, a: Piece, b: Piece): string {
  const type = common(a, b);
  const [left, right] = [converted(a, type).sql, converted(b, type).sql];
  return `(${left} ${sign} ${right}${familyOf(type) === 'text' ? collated(collationFor(a, b)) : ''})`;
}

/** Beyond a place in an order of several columns: as one comparison, which SQLite seeks in an index. */
function beyond(pairs: readonly (readonly [Piece, Piece])[]): string {
  const sides = pairs.map(([a, b]) => {
    const type = common(a, b);
    const collation = familyOf(type) === 'text' ? collated(collationFor(a, b)) : '';
    return [converted(a, type).sql, converted(b, type).sql + collation] as const;
  });
  return `((${sides.map(([left]) => left).join(', ')}) > (${sides.map(([, right]) => right).join(', ')}))`;
}

/** That of a column or an explicit one wins over that of a variable, which is the database's. */
function collationFor(a: Piece, b: Piece): Collation {
  return a.collation === 'bin' || b.collation === 'bin' ? 'bin' : 'ci';
}

/** What stands behind a text that is sorted, grouped or compared. */
export function collated(collation: Collation | null): string {
  return collation === 'ci' ? ' COLLATE NOCASE' : collation === 'bin' ? ' COLLATE BINARY' : '';
}

export function textLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/**
 * `a > x OR (a = x AND b > y) OR (a = x AND b = y AND c > z)`, or nested: its pairs (a, x), (b, y), (c, z); null for anything
 * else. With nulls it is true, false and unknown where `(a, b, c) > (x, y, z)` is.
 */
function risingOf(expression: Expression): (readonly [Expression, Expression])[] | null {
  const [first, ...others] = partsOf(expression, 'OR');
  if (others.length === 0 || !isCompare(first!, '>')) return null;
  const pairs: (readonly [Expression, Expression])[] = [[first.left, first.right]];
  for (const [at, other] of others.entries()) {
    const parts = partsOf(other, 'AND');
    const isSame = parts
      .slice(0, -1)
      .every(
        (part, i) =>
          isCompare(part, '=') && JSON.stringify([part.left, part.right]) === JSON.stringify(pairs[i] ?? null),
      );
    if (!isSame || parts.length !== pairs.length + 1) return null;
    const last = parts.at(-1)!;
    if (isCompare(last, '>')) pairs.push([last.left, last.right]);
    else {
      const more = at === others.length - 1 ? risingOf(last) : null;
      if (!more) return null;
      pairs.push(...more);
    }
  }
  return pairs;
}

function partsOf(expression: Expression, sign: 'AND' | 'OR'): Expression[] {
  if (expression.kind !== 'logic' || expression.sign !== sign) return [expression];
  return [...partsOf(expression.left, sign), ...partsOf(expression.right, sign)];
}

function isCompare(expression: Expression, sign: string): expression is Extract<Expression, { kind: 'compare' }> {
  return expression.kind === 'compare' && expression.sign === sign;
}

// ── parts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function lengthFor(chars: number): number | 'max' {
  return chars > 4000 ? 'max' : Math.max(1, chars);
}

function evenly(hex: string): string {
  return hex.length % 2 === 0 ? hex : `0${hex}`;
}

/** Numbers with a point are floats here. */
function number(text: string): Piece {
  if (!/^\d+$/.test(text)) return piece(/e|\./i.test(text) ? String(Number(text) || '0.0') : text, FLOAT);
  return piece(text, BigInt(text) > INT_MAX ? BIGINT : INT);
}

function global(name: string): Piece {
  switch (name) {
    case '@@rowcount':
      return piece('km_rowcount()', INT);
    case '@@trancount':
      return piece('km_trancount()', INT);
    case '@@spid':
      return piece('km_spid()', INT);
    case '@@version':
      return piece("'Microsoft SQL Server 2022 (the test server of keymill)'", typeOf('nvarchar(300)'));
    default:
      throw new SqlError(137, `Must declare the scalar variable "${name}".`, { class: 15 });
  }
}

function arithmetic(sign: string, a: Piece, b: Piece): Piece {
  const type = common(a, b);
  const family = familyOf(type);
  if (family === 'text' && sign === '+') {
    const length = lengthOf(a.type) + lengthOf(b.type);
    const text = typeOf(`nvarchar(${length > 4000 ? 'max' : length})`);
    return { sql: `(${a.sql} || ${b.sql})`, type: text, collation: collationFor(a, b) };
  }
  if (family !== 'whole' && family !== 'float')
    throw new SqlError(50_000, `the test server: ${sign} of ${a.type.text} and ${b.type.text}`, { class: 18 });
  const wide = type === BIT ? INT : type;
  return piece(`(${converted(a, wide).sql} ${sign} ${converted(b, wide).sql})`, wide);
}

function scalar(scope: Scope, select: Select): Piece {
  const { sql, columns } = compileSelect(scope.compiling, scope, select);
  const [only] = columns;
  if (!only || columns.length > 1)
    throw new SqlError(116, 'Only one expression can be specified in the select list of a subquery.');
  return { sql: `(${sql})`, type: only.type, collation: only.collation };
}

function caseOf(scope: Scope, { value, whens, otherwise }: Extract<Expression, { kind: 'case' }>): Piece {
  const of = value === null ? null : compile(scope, value);
  const results = whens.map(({ give }) => compile(scope, give));
  if (otherwise !== null) results.push(compile(scope, otherwise));
  const result = joint(results);
  const steps = whens.map(({ when }, i) => {
    const condition = of === null ? compileCondition(scope, when) : compared('=', of, compile(scope, when));
    return `WHEN ${condition} THEN ${converted(results[i]!, result.type).sql}`;
  });
  const last = otherwise === null ? '' : ` ELSE ${converted(results.at(-1)!, result.type).sql}`;
  return { sql: `CASE ${steps.join(' ')}${last} END`, type: result.type, collation: result.collation };
}

function membership(scope: Scope, { value, list, isNot }: Extract<Expression, { kind: 'in' }>): string {
  const one = compile(scope, value);
  if ('kind' in list) {
    const { sql, columns } = compileSelect(scope.compiling, scope, list as Select);
    const type = common(one, columns[0]!);
    return `(${converted(one, type).sql}${collated(one.collation)} ${isNot ? 'NOT IN' : 'IN'} (${sql}))`;
  }
  const all = (list as readonly Expression[]).map(item => compared('=', one, compile(scope, item)));
  return `(${isNot ? 'NOT ' : ''}(${all.join(' OR ')}))`;
}

/** A style, a date part: what must stand there as it is. */
export function constant(expression: Expression): number {
  if (expression.kind !== 'number')
    throw new SqlError(50_000, 'the test server: a style that is no number', { class: 18 });
  return Number(expression.value);
}
