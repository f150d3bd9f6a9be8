/** Expressions and conditions. */
import { parseSelect } from './parse-select.ts';
import type { TokenReader } from './reader.ts';
import type { Expression, Order } from './syntax.ts';

const COMPARISONS = new Set(['=', '<', '>', '<=', '>=', '<>', '!=']);
/** Words that end an expression, and are no names. */
const RESERVED = new Set(
  'select from where group having order union on inner left right full cross join as and or not in is null like between exists case when then else end insert into values update set delete if begin commit rollback declare exec execute create alter drop throw with top distinct return collate asc desc truncate option'.split(
    ' ',
  ),
);

export function isReserved(word: string): boolean {
  return RESERVED.has(word);
}

export function parseExpression(reader: TokenReader): Expression {
  let left = conjunction(reader);
  while (reader.takeWords('or')) left = { kind: 'logic', sign: 'OR', left, right: conjunction(reader) };
  return left;
}

function conjunction(reader: TokenReader): Expression {
  let left = negation(reader);
  while (reader.takeWords('and')) left = { kind: 'logic', sign: 'AND', left, right: negation(reader) };
  return left;
}

function negation(reader: TokenReader): Expression {
  if (reader.takeWords('not')) return { kind: 'not', value: negation(reader) };
  if (reader.isWord('exists')) {
    reader.next();
    return { kind: 'exists', select: reader.inBrackets(() => parseSelect(reader)) };
  }
  return comparison(reader);
}

function comparison(reader: TokenReader): Expression {
  let left = sum(reader);
  for (;;) {
    const { token } = reader;
    if (token.kind === 'sign' && COMPARISONS.has(token.text)) {
      const sign = reader.next().text;
      left = { kind: 'compare', sign: sign === '!=' ? '<>' : sign, left, right: sum(reader) };
      continue;
    }
    if (reader.takeWords('is')) {
      const isNot = reader.takeWords('not');
      reader.mustWords('null');
      left = { kind: 'isNull', value: left, isNot };
      continue;
    }
    const isNot = reader.isWord('not') && ['in', 'between', 'like'].includes(reader.ahead(1).lower);
    if (isNot) reader.next();
    if (reader.takeWords('in')) {
      const list = reader.inBrackets(() =>
        reader.isWord('select') ? parseSelect(reader) : reader.list(() => parseExpression(reader)),
      );
      left = { kind: 'in', value: left, list, isNot };
    } else if (reader.takeWords('between')) {
      const low = sum(reader);
      reader.mustWords('and');
      left = { kind: 'between', value: left, low, high: sum(reader), isNot };
    } else if (reader.takeWords('like')) left = { kind: 'like', value: left, pattern: sum(reader), isNot };
    else return left;
  }
}

function sum(reader: TokenReader): Expression {
  let left = product(reader);
  while (reader.isSign('+') || reader.isSign('-'))
    left = { kind: 'arithmetic', sign: reader.next().text, left, right: product(reader) };
  return left;
}

function product(reader: TokenReader): Expression {
  let left = collated(reader);
  while (reader.isSign('*') || reader.isSign('/') || reader.isSign('%'))
    left = { kind: 'arithmetic', sign: reader.next().text, left, right: collated(reader) };
  return left;
}

function collated(reader: TokenReader): Expression {
  let value = operand(reader);
  while (reader.takeWords('collate')) value = { kind: 'collate', value, collation: reader.name() };
  return value;
}

function operand(reader: TokenReader): Expression {
  const { token } = reader;
  switch (token.kind) {
    case 'text':
      return { kind: 'text', value: reader.next().text };
    case 'number':
      return { kind: 'number', value: reader.next().text };
    case 'bytes':
      return { kind: 'bytes', value: reader.next().text };
    case 'variable':
      return { kind: 'variable', name: reader.next().lower };
    case 'sign':
      if (reader.takeSign('-')) return { kind: 'negative', value: collated(reader) };
      if (reader.takeSign('+')) return collated(reader);
      return reader.inBrackets(() =>
        reader.isWord('select') ? { kind: 'scalar', select: parseSelect(reader) } : parseExpression(reader),
      );
    case 'word':
    case 'quoted':
      return named(reader);
    default:
      throw reader.wrong();
  }
}

function named(reader: TokenReader): Expression {
  if (reader.takeWords('null')) return { kind: 'null' };
  if (reader.takeWords('case')) return caseOf(reader);
  if (reader.token.kind === 'word' && isReserved(reader.token.lower) && !reader.isWord('left', 'right'))
    throw reader.wrong();
  const parts = [reader.name()];
  while (reader.takeSign('.')) parts.push(reader.name());
  if (reader.isSign('(')) return call(reader, parts.join('.').toLowerCase());
  if (parts.length > 3) throw reader.wrong();
  return { kind: 'column', of: parts.length > 1 ? parts.at(-2)! : null, name: parts.at(-1)! };
}

function caseOf(reader: TokenReader): Expression {
  const value = reader.isWord('when') ? null : parseExpression(reader);
  const whens: { when: Expression; give: Expression }[] = [];
  while (reader.takeWords('when')) {
    const when = parseExpression(reader);
    reader.mustWords('then');
    whens.push({ when, give: parseExpression(reader) });
  }
  const otherwise = reader.takeWords('else') ? parseExpression(reader) : null;
  reader.mustWords('end');
  return { kind: 'case', value, whens, otherwise };
}

function call(reader: TokenReader, name: string): Expression {
  reader.mustSign('(');
  if (name === 'convert' || name === 'cast' || name === 'try_convert') return conversion(reader, name);
  const isStar = reader.takeSign('*');
  const isDistinct = reader.takeWords('distinct');
  const args = isStar || reader.isSign(')') ? [] : reader.list(() => parseExpression(reader));
  reader.mustSign(')');
  const over = reader.takeWords('over')
    ? reader.inBrackets(() => ({
        partition: reader.takeWords('partition', 'by') ? reader.list(() => parseExpression(reader)) : [],
        order: orderBy(reader),
      }))
    : null;
  return { kind: 'call', name, args, isStar, isDistinct, over };
}

function conversion(reader: TokenReader, name: string): Expression {
  if (name === 'try_convert') throw reader.wrong();
  if (name === 'cast') {
    const value = parseExpression(reader);
    reader.mustWords('as');
    const type = reader.type();
    reader.mustSign(')');
    return { kind: 'convert', type, value, style: null };
  }
  const type = reader.type();
  reader.mustSign(',');
  const value = parseExpression(reader);
  const style = reader.takeSign(',') ? parseExpression(reader) : null;
  reader.mustSign(')');
  return { kind: 'convert', type, value, style };
}

/** Nothing where there is none. */
export function orderBy(reader: TokenReader): Order[] {
  if (!reader.takeWords('order', 'by')) return [];
  return reader.list(() => {
    const value = parseExpression(reader);
    const isDescending = reader.takeWords('desc');
    if (!isDescending) reader.takeWords('asc');
    return { value, isDescending };
  });
}
