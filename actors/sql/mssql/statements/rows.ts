/**
 * Many rows in one call, as a table that statements can join. They are all text, and each column is converted to its own
 * type on the server, so the text of a statement depends on the columns alone. They travel as one parameter in JSON, which
 * needs no further round trip (the seed's bound is one for a batch, G9.6); what is too large for that, or comes to a database
 * of a level below 130, goes by bulk load into a temporary table of the same columns.
 */
import { batch, type Command, type Parameter } from '../command.ts';
import type { BulkColumn } from '../connection.ts';
import { type Column, converting, isLong, textType } from '../types.ts';

/** A row: which ask it is of, its number in the call, and its values as text. */
export type TextRow = readonly [ask: number, ord: number, ...values: (string | number | null)[]];

export type Road = 'json' | 'bulk';

/** Columns beside those of the table that rows of deltas have. */
export interface Extra {
  readonly name: string;
  readonly type: 'bigint' | 'bit' | 'nvarchar(550)';
}

export interface RowSet {
  /** Tells the sets of one call apart. */
  readonly index: number;
  readonly columns: readonly Column[];
  readonly extra?: readonly Extra[] | undefined;
  readonly rows: readonly TextRow[];
}

/** A table expression with the columns ask, ord, c0, c1, … and the extra ones by their names. */
export function sourceOf({ index, columns, extra = [] }: RowSet, road: Road): string {
  const values = [
    ...columns.map((column, i) => `${converting(column, `j.c${i}`)} AS c${i}`),
    ...extra.map(({ name, type }, i) => `CONVERT(${type}, j.c${columns.length + i}) AS ${name}`),
  ];
  const from =
    road === 'bulk'
      ? tableOf(index)
      : `OPENJSON(@kmRows${index}) WITH (${[
          "ask int '$[0]'",
          "ord int '$[1]'",
          ...typesOf(columns, extra).map((type, i) => `c${i} ${type} '$[${i + 2}]'`),
        ].join(', ')})`;
  return `(
  SELECT j.ask, j.ord, ${values.join(', ')}
  FROM ${from} AS j
)`;
}

export function rowsParameter({ index, rows }: RowSet): Parameter {
  return { name: `kmRows${index}`, kind: 'longText', value: JSON.stringify(rows) };
}

/** The temporary table of a set, for the bulk load. */
export function stageCommand({ index, columns, extra = [] }: RowSet): Command {
  const types = typesOf(columns, extra).map((type, i) => `c${i} ${type} COLLATE DATABASE_DEFAULT NULL`);
  return batch(
    'stage',
    `CREATE TABLE ${tableOf(index)} (
  ask int NOT NULL,
  ord int NOT NULL${types.map(type => `,\n  ${type}`).join('')}
);`,
  );
}

export function stageColumns({ columns, extra = [] }: RowSet): BulkColumn[] {
  return [
    { name: 'ask', kind: 'int' },
    { name: 'ord', kind: 'int' },
    ...columns.map((column, i): BulkColumn => ({ name: `c${i}`, kind: isLong(column) ? 'longText' : 'text' })),
    ...extra.map((_, i): BulkColumn => ({ name: `c${columns.length + i}`, kind: 'text' })),
  ];
}

export function tableOf(index: number): string {
  return `#keymill_rows${index}`;
}

function typesOf(columns: readonly Column[], extra: readonly Extra[]): string[] {
  return [...columns.map(textType), ...extra.map(() => 'nvarchar(4000)')];
}
