/** TYPE_INFO and values of every type, both ways (reference 3.8, 3.9). Written is always the form that can be null. */
import { type Reader, TdsFault, type Writer } from './bytes.ts';
import {
  readDate,
  readDateTime,
  readDateTime2,
  readDateTimeOffset,
  readTime,
  writeDate,
  writeDateTime,
  writeDateTime2,
  writeDateTimeOffset,
  writeTime,
} from './dates.ts';
import { decimalBytes, readDecimal, readMoney, writeDecimal, writeMoney } from './decimals.ts';
import { COLLATION, declaredBytes, declaredLength, readText, writeText } from './texts.ts';
import { MAX, type SqlType, type SqlValue, sqlType, type TypeName } from './types.ts';

/** Of a type as it came: one that cannot be null has no length before its value. */
export interface ReadType {
  readonly type: SqlType;
  readonly isFixed: boolean;
}

interface Codec {
  readonly token: number;
  /** What stands after the token. */
  info(writer: Writer, type: SqlType): void;
  /** With what says its length. `null` is written by it only for texts and binaries. */
  write(writer: Writer, value: SqlValue, type: SqlType): void;
  /** Without its length, save for texts and binaries. */
  read(reader: Reader, length: number, type: SqlType): SqlValue;
  /** Has a length of more than one byte, and a null of its own. */
  readonly isLong?: true;
}

const sized = (token: number, bytes: number, read: Codec['read'], write: Codec['write']): Codec => ({
  token,
  info: writer => writer.u8(bytes),
  read,
  write,
});

function whole(value: SqlValue, { name }: SqlType): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  throw new Error(`no exact ${name}: ${String(value)}`);
}

function inexact(value: SqlValue, { name }: SqlType): number {
  if (typeof value === 'number') return value;
  throw new Error(`no ${name}: ${String(value)}`);
}

const readInteger = (reader: Reader, length: number): number => {
  if (length === 1) return reader.u8();
  if (length === 2) return reader.i16();
  if (length === 4) return reader.i32();
  throw new TdsFault(`an integer of ${length} bytes`);
};

const integer = (bytes: 1 | 2 | 4): Codec =>
  sized(0x26, bytes, readInteger, (writer, value, type) => {
    writer.u8(bytes);
    const number = Number.isSafeInteger(value) ? (value as number) : Number(whole(value, type));
    if (bytes === 1) writer.u8(number);
    else if (bytes === 2) writer.i16(number);
    else writer.i32(number);
  });

const scaled = (token: number, read: Codec['read'], write: Codec['write']): Codec => ({
  token,
  info: (writer, { scale }) => writer.u8(scale),
  read,
  write,
});

const long = (token: number, hasCollation: boolean): Codec => ({
  token,
  isLong: true,
  info: (writer, type) => {
    writer.u16(declaredBytes(type));
    if (hasCollation) writer.put(COLLATION);
  },
  read: (reader, _length, type) => readText(reader, type),
  write: writeText,
});

const exact = (token: number): Codec => ({
  token,
  info: (writer, { precision, scale }) => {
    writer.u8(decimalBytes(precision));
    writer.u8(precision);
    writer.u8(scale);
  },
  read: readDecimal,
  write: writeDecimal,
});

const CODECS: Readonly<Record<TypeName, Codec>> = {
  bigint: sized(
    0x26,
    8,
    reader => reader.i64(),
    (writer, value, type) => {
      writer.u8(8);
      writer.i64(whole(value, type));
    },
  ),
  int: integer(4),
  smallint: integer(2),
  tinyint: integer(1),
  bit: sized(
    0x68,
    1,
    reader => reader.u8() !== 0,
    (writer, value) => {
      writer.u8(1);
      writer.u8(Number(value) === 0 ? 0 : 1);
    },
  ),
  float: sized(
    0x6d,
    8,
    reader => reader.f64(),
    (writer, value, type) => {
      writer.u8(8);
      writer.f64(inexact(value, type));
    },
  ),
  real: sized(
    0x6d,
    4,
    reader => reader.f32(),
    (writer, value, type) => {
      writer.u8(4);
      writer.f32(inexact(value, type));
    },
  ),
  decimal: exact(0x6a),
  numeric: exact(0x6c),
  money: sized(0x6e, 8, readMoney, writeMoney),
  smallmoney: sized(0x6e, 4, readMoney, writeMoney),
  nvarchar: long(0xe7, true),
  nchar: long(0xef, true),
  varchar: long(0xa7, true),
  char: long(0xaf, true),
  varbinary: long(0xa5, false),
  binary: long(0xad, false),
  datetime2: scaled(0x2a, readDateTime2, writeDateTime2),
  datetimeoffset: scaled(0x2b, readDateTimeOffset, writeDateTimeOffset),
  time: scaled(0x29, readTime, writeTime),
  date: { token: 0x28, info: () => undefined, read: readDate, write: writeDate },
  datetime: sized(0x6f, 8, readDateTime, writeDateTime),
  smalldatetime: sized(0x6f, 4, readDateTime, writeDateTime),
  uniqueidentifier: sized(0x24, 16, readGuid, (writer, value) => {
    writer.u8(16);
    writer.put(guidBytes(String(value)));
  }),
  xml: {
    token: 0xf1,
    isLong: true,
    info: writer => writer.u8(0),
    read: (reader, _length, type) => readText(reader, type),
    write: writeText,
  },
};

/** TYPE_INFO. */
export function writeType(writer: Writer, type: SqlType): void {
  const codec = CODECS[type.name];
  writer.u8(codec.token);
  codec.info(writer, type);
}

export function writeValue(writer: Writer, value: SqlValue, type: SqlType): void {
  const codec = CODECS[type.name];
  if (value === null && !codec.isLong) writer.u8(0);
  else codec.write(writer, value, type);
}

/** Of a null in a ROW, in bytes. */
export const nullBytes = (type: SqlType): number =>
  CODECS[type.name].isLong ? (type.length === MAX || type.name === 'xml' ? 8 : 2) : 1;

/** Throws a TdsFault for types that this server does not know. */
export function readType(reader: Reader): ReadType {
  const token = reader.u8();
  const fixed = FIXED[token];
  if (fixed) return { type: sqlType(fixed), isFixed: true };
  return { type: nullableType(reader, token), isFixed: false };
}

export function readValue(reader: Reader, { type, isFixed }: ReadType): SqlValue {
  const codec = CODECS[type.name];
  if (codec.isLong) return codec.read(reader, 0, type);
  const length = isFixed ? FIXED_BYTES[type.name]! : reader.u8();
  if (length === 0) return null;
  const end = reader.at + length;
  const value = codec.read(reader, length, type);
  if (reader.at !== end) throw new TdsFault(`a ${type.text} of ${length} bytes`);
  return value;
}

const FIXED: Readonly<Record<number, TypeName>> = {
  48: 'tinyint',
  50: 'bit',
  52: 'smallint',
  56: 'int',
  58: 'smalldatetime',
  59: 'real',
  60: 'money',
  61: 'datetime',
  62: 'float',
  122: 'smallmoney',
  127: 'bigint',
};

const FIXED_BYTES: Readonly<Partial<Record<TypeName, number>>> = {
  tinyint: 1,
  bit: 1,
  smallint: 2,
  int: 4,
  smalldatetime: 4,
  real: 4,
  money: 8,
  datetime: 8,
  float: 8,
  smallmoney: 4,
  bigint: 8,
};

/** By token, then by the length that stands after it. */
const SIZED: Readonly<Record<number, Readonly<Record<number, TypeName>>>> = {
  36: { 16: 'uniqueidentifier' },
  38: { 1: 'tinyint', 2: 'smallint', 4: 'int', 8: 'bigint' },
  104: { 1: 'bit' },
  109: { 4: 'real', 8: 'float' },
  110: { 4: 'smallmoney', 8: 'money' },
  111: { 4: 'smalldatetime', 8: 'datetime' },
};

const LONG: Readonly<Record<number, TypeName>> = {
  165: 'varbinary',
  167: 'varchar',
  173: 'binary',
  175: 'char',
  231: 'nvarchar',
  239: 'nchar',
};

function nullableType(reader: Reader, token: number): SqlType {
  const sizes = SIZED[token];
  if (sizes) return declared(sizes[reader.u8()]);
  const name = LONG[token];
  if (name) {
    const isWide = name.startsWith('n');
    const length = declaredLength(reader.u16(), isWide);
    if (!name.endsWith('binary')) reader.take(COLLATION.length);
    return declared(`${name}(${length === MAX ? 'max' : Math.max(1, length)})`);
  }
  switch (token) {
    case 0x28:
      return sqlType('date');
    case 0x29:
      return declared(`time(${reader.u8()})`);
    case 0x2a:
      return declared(`datetime2(${reader.u8()})`);
    case 0x2b:
      return declared(`datetimeoffset(${reader.u8()})`);
    case 0x6a:
    case 0x6c: {
      reader.u8();
      return declared(`${token === 0x6a ? 'decimal' : 'numeric'}(${reader.u8()},${reader.u8()})`);
    }
    case 0xf1:
      if (reader.u8() !== 0) throw new TdsFault('an xml with a schema');
      return sqlType('xml');
    default:
      throw new TdsFault(`data type 0x${token.toString(16)} is unknown`);
  }
}

/** What a client declares may be nonsense. */
function declared(text: string | undefined): SqlType {
  try {
    return sqlType(text ?? 'of no length');
  } catch (error) {
    throw new TdsFault((error as Error).message);
  }
}

/** The first three groups are little-endian. */
const GUID_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

function readGuid(reader: Reader, length: number): string {
  if (length !== 16) throw new TdsFault(`a uniqueidentifier of ${length} bytes`);
  const bytes = reader.take(16);
  const hex = Buffer.from(GUID_ORDER.map(at => bytes[at]!))
    .toString('hex')
    .toUpperCase();
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function guidBytes(text: string): Uint8Array {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) throw new Error(`no uniqueidentifier: ${text}`);
  const hex = Buffer.from(text.replaceAll('-', ''), 'hex');
  return Uint8Array.from(GUID_ORDER, at => hex[at]!);
}
