/**
 * Values as they lie in SQLite, by their type: whole numbers and bits as INTEGER; decimals and money as INTEGER in units of
 * their scale, so at most 18 digits; floats as REAL; texts, dates and times as TEXT, the latter with as many digits as their
 * type has, so that they compare as they should; binaries as BLOB.
 */

import { SqlError } from '../errors.ts';
import type { SqlType, SqlValue } from '../types.ts';
import { MAX, sqlType } from '../types.ts';

export type Cell = null | bigint | number | string | Uint8Array;

export type Family = 'whole' | 'decimal' | 'float' | 'text' | 'bytes' | 'time' | 'guid';

const FAMILIES: Readonly<Record<SqlType['name'], Family>> = {
  bigint: 'whole',
  int: 'whole',
  smallint: 'whole',
  tinyint: 'whole',
  bit: 'whole',
  float: 'float',
  real: 'float',
  decimal: 'decimal',
  numeric: 'decimal',
  money: 'decimal',
  smallmoney: 'decimal',
  nvarchar: 'text',
  nchar: 'text',
  varchar: 'text',
  char: 'text',
  xml: 'text',
  varbinary: 'bytes',
  binary: 'bytes',
  datetime2: 'time',
  datetimeoffset: 'time',
  time: 'time',
  date: 'time',
  datetime: 'time',
  smalldatetime: 'time',
  uniqueidentifier: 'guid',
};
const DIGITS = 18;
const MONEY_SCALE = 4;

/** Throws 2715, and an error of the test server for what it does not model. */
export function typeOf(declaration: string): SqlType {
  const text = declaration === 'sysname' ? 'nvarchar(128)' : declaration === 'integer' ? 'int' : declaration;
  let type: SqlType;
  try {
    type = sqlType(text);
  } catch {
    throw new SqlError(2715, `Column, parameter, or variable: Cannot find data type ${declaration}.`);
  }
  if (type.precision > DIGITS)
    throw new SqlError(50_000, `the test server: ${declaration} has more than ${DIGITS} digits`, { class: 18 });
  return type;
}

export function familyOf({ name }: SqlType): Family {
  return FAMILIES[name];
}

/** Digits behind the point of a decimal. */
export function scaleOf({ name, scale }: SqlType): number {
  return name === 'money' || name === 'smallmoney' ? MONEY_SCALE : scale;
}

/** How SQLite is told to keep it. */
export function affinityOf(type: SqlType): string {
  const family = familyOf(type);
  // Not INTEGER: a key of that very type would be SQLite's own number of the row.
  if (family === 'whole' || family === 'decimal') return 'BIGINT';
  return family === 'float' ? 'REAL' : family === 'bytes' ? 'BLOB' : 'TEXT';
}

/** From what came over the wire. */
export function cellOf(type: SqlType, value: SqlValue): Cell {
  if (value === null) return null;
  switch (familyOf(type)) {
    case 'whole':
      return typeof value === 'boolean' ? (value ? 1n : 0n) : BigInt(value as number | bigint);
    case 'decimal':
      return unitsOf(String(value), scaleOf(type));
    case 'bytes':
      return new Uint8Array(value as Uint8Array);
    default:
      return value as string | number;
  }
}

/** As it goes over the wire. */
export function wireOf(type: SqlType, cell: Cell | undefined): SqlValue {
  if (cell === null || cell === undefined) return null;
  switch (type.name) {
    case 'bigint':
      return BigInt(cell as bigint);
    case 'int':
    case 'smallint':
    case 'tinyint':
    case 'float':
    case 'real':
      return Number(cell);
    case 'bit':
      return Number(cell) !== 0;
    case 'decimal':
    case 'numeric':
    case 'money':
    case 'smallmoney':
      return decimalText(BigInt(cell as bigint), scaleOf(type));
    case 'varbinary':
    case 'binary':
      return Buffer.from(cell as Uint8Array);
    default:
      return String(cell);
  }
}

/** Rounded where there are more digits. */
export function unitsOf(text: string, scale: number): bigint {
  const [, sign, whole = '', fraction = ''] = /^([+-]?)(\d*)\.?(\d*)$/.exec(text.trim()) ?? [];
  if (sign === undefined || whole + fraction === '') throw new RangeError(text);
  const kept = BigInt(whole + fraction.slice(0, scale).padEnd(scale, '0'));
  const rounded = Number(fraction[scale] ?? 0) >= 5 ? kept + 1n : kept;
  return sign === '-' ? -rounded : rounded;
}

export function decimalText(units: bigint, scale: number): string {
  const sign = units < 0n ? '-' : '';
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, '0');
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** In chars or bytes; infinite for (max). */
export function lengthOf({ length }: SqlType): number {
  return length === MAX ? Number.POSITIVE_INFINITY : length;
}
