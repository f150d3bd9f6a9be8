/** Definitions of tables and columns. */
import { parseExpression } from './parse-expression.ts';
import type { TokenReader } from './reader.ts';
import type { ColumnDefinition, TableDefinition } from './syntax.ts';

export function parseTable(reader: TokenReader): TableDefinition {
  const columns: ColumnDefinition[] = [];
  const uniques: string[][] = [];
  let key: string[] = [];
  reader.inBrackets(() =>
    reader.list(() => {
      if (reader.takeWords('constraint')) reader.name();
      if (reader.takeWords('primary', 'key')) key = keyOf(reader);
      else if (reader.takeWords('unique')) uniques.push(keyOf(reader));
      else columns.push(parseColumn(reader));
    }),
  );
  if (key.length === 0) key = columns.filter(column => column.isKey).map(column => column.name);
  uniques.push(...columns.filter(column => column.isUnique).map(column => [column.name]));
  return { columns, key, uniques };
}

function keyOf(reader: TokenReader): string[] {
  clustered(reader);
  return reader.inBrackets(() =>
    reader.list(() => {
      const name = reader.name();
      reader.takeWords('asc');
      return name;
    }),
  );
}

function clustered(reader: TokenReader): void {
  if (!reader.takeWords('nonclustered')) reader.takeWords('clustered');
}

export function parseColumn(reader: TokenReader): ColumnDefinition {
  const name = reader.name();
  const type = reader.type();
  let column: ColumnDefinition = {
    name,
    type,
    collation: null,
    isNullable: null,
    isKey: false,
    isUnique: false,
    identity: null,
    standard: null,
  };
  for (;;) {
    if (reader.takeWords('collate')) column = { ...column, collation: reader.name() };
    else if (reader.takeWords('not', 'null')) column = { ...column, isNullable: false };
    else if (reader.takeWords('null')) column = { ...column, isNullable: true };
    else if (reader.takeWords('primary', 'key')) {
      clustered(reader);
      column = { ...column, isKey: true };
    } else if (reader.takeWords('unique')) {
      clustered(reader);
      column = { ...column, isUnique: true };
    } else if (reader.takeWords('constraint')) reader.name();
    else if (reader.takeWords('default')) column = { ...column, standard: parseExpression(reader) };
    else if (reader.takeWords('identity')) {
      const [seed = 1, step = 1] = reader.isSign('(')
        ? reader.inBrackets(() => reader.list(() => reader.number()))
        : [];
      column = { ...column, identity: { seed, step } };
    } else return column;
  }
}
