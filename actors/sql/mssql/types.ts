/**
 * Types of columns, and how their values travel. Where the table is known every value goes as text and comes as what the
 * contract says, converted on the server to the very type of its column: decimals, money and big whole numbers are exact,
 * key columns are compared as what they are (an index is used), and the text of a statement does not depend on values.
 */
import { KeymillError } from '../../../runtime/index.ts';
import type { ColumnInfo, SqlValue } from '../contract.ts';

export interface Column extends ColumnInfo {
  /** column_id: what a mask of Change Tracking goes by. */
  readonly id: number;
  /** Name of the system type, in lower case; `udt` for CLR types. */
  readonly base: string;
  /** In bytes; -1 for max. */
  readonly maxLength: number;
  readonly precision: number;
  readonly scale: number;
  readonly collation: string | null;
  readonly isNullable: boolean;
  readonly isIdentity: boolean;
}

const DECIMAL = new Set(['decimal', 'numeric']);
const MONEY = new Set(['money', 'smallmoney']);
const FLOAT = new Set(['float', 'real']);
const NARROW = new Set(['char', 'varchar', 'text']);
const WIDE = new Set(['nchar', 'nvarchar', 'ntext', 'sysname']);
const BYTES = new Set(['binary', 'varbinary', 'image', 'udt', 'timestamp', 'rowversion']);
/** Finer than a Date: as keys they are text, so that a position is exact. */
const TIMES = new Set(['datetime', 'datetime2', 'smalldatetime', 'time', 'datetimeoffset']);
/** Largest text of what is not of a `max` type. */
const TEXT = 4000;

/** The type in SQL, with its length: `nvarchar(50)`, `decimal(10,2)`. */
export function declared(column: Column): string {
  const { base, maxLength, precision, scale } = column;
  switch (base) {
    case 'text':
      return 'varchar(max)';
    case 'ntext':
      return 'nvarchar(max)';
    case 'sysname':
      return 'nvarchar(128)';
    case 'image':
    case 'udt':
      return 'varbinary(max)';
    case 'timestamp':
    case 'rowversion':
      return 'binary(8)';
    case 'char':
    case 'varchar':
    case 'binary':
    case 'varbinary':
      return `${base}(${maxLength < 0 ? 'max' : maxLength})`;
    case 'nchar':
    case 'nvarchar':
      return `${base}(${maxLength < 0 ? 'max' : maxLength / 2})`;
    case 'decimal':
    case 'numeric':
      return `${base}(${precision}, ${scale})`;
    case 'datetime2':
    case 'datetimeoffset':
    case 'time':
      return `${base}(${scale})`;
    default:
      return base;
  }
}

/** Reads a column so that nothing is lost on the way. `expression` names it. */
export function reading(column: Column, expression: string): string {
  const { base, isKey } = column;
  if (DECIMAL.has(base)) return `CONVERT(varchar(41), ${expression})`;
  if (MONEY.has(base)) return `CONVERT(varchar(30), ${expression}, 2)`;
  if (base === 'time') return `CONVERT(varchar(16), ${expression})`;
  if (isKey && TIMES.has(base)) return `CONVERT(varchar(34), ${expression}, 126)`;
  if (base === 'sql_variant') return `CONVERT(nvarchar(4000), ${expression})`;
  return expression;
}

/** The value of a column out of its text. */
export function converting(column: Column, expression: string): string {
  const { base, collation } = column;
  const type = declared(column);
  if (BYTES.has(base)) return `CONVERT(${type}, ${expression}, 2)`;
  if (collation === null || !/^\w+$/.test(collation)) return `CONVERT(${type}, ${expression})`;
  // The collation first: it says which code page a narrow type has.
  if (NARROW.has(base)) return `CONVERT(${type}, ${expression} COLLATE ${collation})`;
  return `CONVERT(${type}, ${expression}) COLLATE ${collation}`;
}

/** The type that its text travels in. */
export function textType(column: Column): string {
  return isLong(column) ? 'nvarchar(max)' : `nvarchar(${TEXT})`;
}

export function isLong({ base, maxLength }: Column): boolean {
  return (
    maxLength < 0 ||
    maxLength > TEXT ||
    base === 'text' ||
    base === 'ntext' ||
    base === 'image' ||
    base === 'xml' ||
    base === 'udt' ||
    (BYTES.has(base) && maxLength * 2 > TEXT)
  );
}

/** A value as the text that `converting` reads. Throws SQL_CONSTRAINT where the column cannot hold it. */
export function textOf(column: Column, value: SqlValue): string | null {
  if (value === null) return null;
  const text = spelt(column, value);
  const most = longest(column);
  if (lengthOf(column, text) > most) throw refused(column, `longer than ${most}`);
  return text;
}

function spelt(column: Column, value: Exclude<SqlValue, null>): string {
  const { base } = column;
  if (value instanceof Uint8Array) {
    if (!BYTES.has(base)) throw refused(column, 'bytes');
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex').toUpperCase();
  }
  if (BYTES.has(base)) throw refused(column, `a ${typeof value}, not bytes`);
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw refused(column, 'no date');
    return value.toISOString().slice(0, -1);
  }
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw refused(column, String(value));
    return FLOAT.has(base) || base === 'sql_variant' ? String(value) : plain(value);
  }
  return String(value);
}

/** A number without an exponent: decimals are read from such text only. */
export function plain(value: number): string {
  const text = String(value);
  const [, sign = '', whole = '', fraction = '', exponent] = /^(-?)(\d+)(?:\.(\d+))?e([+-]\d+)$/.exec(text) ?? [];
  if (exponent === undefined) return text;
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return `${sign}${digits.padEnd(point, '0')}`;
}

/** In characters, or bytes in hexadecimal, as `lengthOf` counts. */
function longest({ base, maxLength }: Column): number {
  if (maxLength < 0 || base === 'text' || base === 'ntext' || base === 'image' || base === 'xml' || base === 'udt')
    return Number.POSITIVE_INFINITY;
  if (NARROW.has(base)) return maxLength;
  if (WIDE.has(base)) return maxLength / 2;
  return BYTES.has(base) ? maxLength * 2 : TEXT;
}

/** CONVERT cuts what is too long without a word, so it is counted here; where a character may be two bytes, as two. */
function lengthOf({ base, collation }: Column, text: string): number {
  if (!NARROW.has(base) || collation === null) return text.length;
  if (collation.endsWith('_UTF8')) return Buffer.byteLength(text);
  if (!/^(Chinese|Japanese|Korean)/.test(collation)) return text.length;
  let bytes = 0;
  for (let i = 0; i < text.length; i++) bytes += text.charCodeAt(i) < 0x80 ? 1 : 2;
  return bytes;
}

function refused({ name, type }: Column, what: string): KeymillError {
  return new KeymillError('SQL_CONSTRAINT', `column ${name} is ${type}, and was given ${what}`, {
    place: { at: name },
  });
}

/** Whether `data` of this column can be told apart by Change Tracking. */
export function isMasked(column: Column): boolean {
  return !column.isKey && !column.isComputed;
}
