/** SELECT, and what it reads from. */
import { isReserved, orderBy, parseExpression } from './parse-expression.ts';
import type { TokenReader } from './reader.ts';
import type { Expression, Item, Select, Source } from './syntax.ts';

export function parseSelect(reader: TokenReader): Select {
  const first = one(reader);
  const more: Select[] = [];
  while (reader.takeWords('union', 'all')) more.push(one(reader));
  return { ...first, more, order: orderBy(reader) };
}

function one(reader: TokenReader): Select {
  reader.mustWords('select');
  const isDistinct = reader.takeWords('distinct');
  const top = parseTop(reader);
  const items = reader.list(() => parseItem(reader));
  const from = reader.takeWords('from') ? parseSources(reader) : [];
  const where = reader.takeWords('where') ? parseExpression(reader) : null;
  const group = reader.takeWords('group', 'by') ? reader.list(() => parseExpression(reader)) : [];
  const having = reader.takeWords('having') ? parseExpression(reader) : null;
  return { kind: 'select', isDistinct, top, items, from, where, group, having, order: [], more: [] };
}

export function parseTop(reader: TokenReader): Expression | null {
  if (!reader.takeWords('top')) return null;
  if (reader.isSign('(')) return reader.inBrackets(() => parseExpression(reader));
  return { kind: 'number', value: String(reader.number()) };
}

export function parseItem(reader: TokenReader): Item {
  if (reader.takeSign('*')) return { kind: 'star', of: null };
  const [first, dot, star] = [reader.token, reader.ahead(1), reader.ahead(2)];
  if (
    (first.kind === 'word' || first.kind === 'quoted') &&
    dot.text === '.' &&
    dot.kind === 'sign' &&
    star.text === '*'
  ) {
    const of = reader.name();
    reader.next();
    reader.next();
    return { kind: 'star', of };
  }
  if (first.kind === 'variable' && dot.kind === 'sign' && dot.text === '=' && !first.text.startsWith('@@')) {
    const into = reader.next().lower;
    reader.next();
    return { kind: 'value', value: parseExpression(reader), alias: null, into };
  }
  const value = parseExpression(reader);
  return { kind: 'value', value, alias: parseAlias(reader), into: null };
}

/** Null where there is none. */
function parseAlias(reader: TokenReader): string | null {
  if (reader.takeWords('as')) return reader.name();
  const { kind, lower } = reader.token;
  if (kind === 'quoted' || (kind === 'word' && !isReserved(lower))) return reader.name();
  return null;
}

export function parseSources(reader: TokenReader): Source[] {
  return reader.list(() => parseJoins(reader));
}

function parseJoins(reader: TokenReader): Source {
  let left = parseSource(reader);
  for (;;) {
    const how = joinOf(reader);
    if (how === null) return left;
    const right = parseSource(reader);
    if (how !== 'CROSS') reader.mustWords('on');
    left = { kind: 'join', how, left, right, on: how === 'CROSS' ? null : parseExpression(reader) };
  }
}

function joinOf(reader: TokenReader): 'INNER' | 'LEFT' | 'CROSS' | null {
  if (reader.takeWords('join') || reader.takeWords('inner', 'join')) return 'INNER';
  if (reader.takeWords('left', 'join') || reader.takeWords('left', 'outer', 'join')) return 'LEFT';
  if (reader.takeWords('cross', 'join')) return 'CROSS';
  return null;
}

function parseSource(reader: TokenReader): Source {
  if (reader.isSign('(')) return parseDerived(reader);
  if (reader.token.kind === 'variable') {
    const name = [reader.next().lower];
    return { kind: 'table', name, alias: parseAlias(reader), hints: [] };
  }
  if (reader.takeWords('openjson')) return parseJson(reader);
  if (reader.takeWords('changetable')) return parseChanges(reader);
  const name = reader.names();
  const before = parseHints(reader);
  const alias = parseAlias(reader);
  return { kind: 'table', name, alias, hints: [...before, ...parseHints(reader)] };
}

function parseDerived(reader: TokenReader): Source {
  const select = reader.inBrackets(() => {
    if (!reader.isWord('values')) return parseSelect(reader);
    reader.next();
    return { kind: 'values' as const, rows: reader.list(() => parseRow(reader)) };
  });
  const alias = mustAlias(reader);
  const columns = reader.isSign('(') ? reader.inBrackets(() => reader.list(() => reader.name())) : null;
  return { kind: 'derived', select, alias, columns };
}

export function parseRow(reader: TokenReader): Expression[] {
  return reader.inBrackets(() => reader.list(() => parseExpression(reader)));
}

function parseJson(reader: TokenReader): Source {
  const value = reader.inBrackets(() => parseExpression(reader));
  reader.mustWords('with');
  const columns = reader.inBrackets(() =>
    reader.list(() => ({ name: reader.name(), type: reader.type(), path: reader.text() })),
  );
  return { kind: 'openjson', value, columns, alias: mustAlias(reader) };
}

function parseChanges(reader: TokenReader): Source {
  const { table, since } = reader.inBrackets(() => {
    reader.mustWords('changes');
    const name = reader.names();
    reader.mustSign(',');
    return { table: name, since: parseConstant(reader) };
  });
  return { kind: 'changes', table, since, alias: mustAlias(reader) };
}

/** A variable or a constant: anything else is an error of syntax there too. */
function parseConstant(reader: TokenReader): Expression {
  const { kind } = reader.token;
  if (kind === 'variable') return { kind, name: reader.next().lower };
  if (kind === 'number') return { kind, value: reader.next().text };
  reader.mustWords('null');
  return { kind: 'null' };
}

function mustAlias(reader: TokenReader): string {
  const alias = parseAlias(reader);
  if (alias === null) throw reader.wrong();
  return alias;
}

/** In lower case; nothing where there are none. */
export function parseHints(reader: TokenReader): string[] {
  if (!reader.isWord('with') || reader.ahead(1).text !== '(') return [];
  reader.next();
  return reader.inBrackets(() => reader.list(() => reader.name().toLowerCase()));
}
