/**
 * A statement with its parameters. Their types have fixed lengths, whatever the values, so that all calls share one plan
 * (reference sql-server-and-tds 3.8).
 */
import { KeymillError } from '../../../runtime/index.ts';
import type { Params, SqlValue } from '../contract.ts';

/** text: nvarchar(4000). longText and longBytes: of max. bytes: varbinary(8000). context: varbinary(128). time: datetime2(7). */
export type ParameterKind =
  | 'bigint'
  | 'bit'
  | 'float'
  | 'text'
  | 'longText'
  | 'bytes'
  | 'longBytes'
  | 'context'
  | 'time';

export interface Parameter {
  readonly name: string;
  readonly kind: ParameterKind;
  readonly value: SqlValue;
}

export interface Command {
  /** What the comment at its start says: `/* keymill:changes *\/`. */
  readonly name: string;
  readonly sql: string;
  readonly params: readonly Parameter[];
  /** As a plain batch, whose temporary tables and settings outlive it. Takes no parameters. */
  readonly isBatch?: boolean;
}

const TEXT = 4000;
const BYTES = 8000;
const INT64 = 2n ** 63n;
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/;

export function command(name: string, sql: string, params: readonly Parameter[] = []): Command {
  return { name, sql: `/* keymill:${name} */\n${sql}`, params };
}

export function batch(name: string, sql: string): Command {
  return { ...command(name, sql), isBatch: true };
}

/** A statement of the user's own. Throws SQL_IDENTIFIER for a parameter whose name is none. */
export function ownCommand(sql: string, params: Params): Command {
  return { name: 'own', sql, params: parametersOf(params) };
}

export function parametersOf(params: Params): Parameter[] {
  return Object.entries(params).map(([name, value]) => {
    if (!NAME.test(name))
      throw new KeymillError('SQL_IDENTIFIER', `${JSON.stringify(name)} is no name of a parameter`, {
        place: { at: name.slice(0, 100) },
      });
    return { name, ...typed(value) };
  });
}

/** How a value travels whose column is not known. */
export function typed(value: SqlValue): Pick<Parameter, 'kind' | 'value'> {
  switch (typeof value) {
    case 'boolean':
      return { kind: 'bit', value };
    case 'number':
      return Number.isSafeInteger(value) ? { kind: 'bigint', value } : { kind: 'float', value };
    case 'bigint':
      return value >= -INT64 && value < INT64 ? { kind: 'bigint', value } : { kind: 'text', value: String(value) };
    case 'string':
      return { kind: value.length > TEXT ? 'longText' : 'text', value };
  }
  if (value instanceof Date) return { kind: 'time', value };
  if (value instanceof Uint8Array) return { kind: value.byteLength > BYTES ? 'longBytes' : 'bytes', value };
  return { kind: 'text', value: null };
}

const DECLARED: Readonly<Record<ParameterKind, string>> = {
  bigint: 'bigint',
  bit: 'bit',
  float: 'float',
  text: 'nvarchar(4000)',
  longText: 'nvarchar(max)',
  bytes: 'varbinary(8000)',
  longBytes: 'varbinary(max)',
  context: 'varbinary(128)',
  time: 'datetime2(7)',
};

/** As sp_executesql wants it: `@k bigint, @name nvarchar(4000)`. */
export function declaration(params: readonly Parameter[]): string {
  return params.map(({ name, kind }) => `@${name} ${DECLARED[kind]}`).join(', ');
}
