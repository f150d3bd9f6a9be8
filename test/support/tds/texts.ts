/** Texts and binaries: with a length of two bytes, or in parts (PLP) where they are (max). */
import { type Reader, TdsFault, type Writer } from './bytes.ts';
import { MAX, type SqlType, type SqlValue } from './types.ts';

/** SQL_Latin1_General_CP1_CI_AS, whose narrow texts are of code page 1252. */
export const COLLATION = Buffer.from([0x09, 0x04, 0xd0, 0x00, 0x34]);

const NULL = 0xffff;
const NULL_PARTS = 0xffff_ffff_ffff_ffffn;
const UNKNOWN_PARTS = 0xffff_ffff_ffff_fffen;
/** What one part of a (max) value takes at most. */
const PART_BYTES = 8000;

const narrow = new TextDecoder('windows-1252');
/** The chars of the code page that are others in Latin-1. */
const ONLY_1252: ReadonlyMap<string, number> = new Map(
  Array.from({ length: 32 }, (_, index) => 0x80 + index).map(byte => [narrow.decode(Uint8Array.of(byte)), byte]),
);

const isWide = ({ name }: SqlType): boolean => name.startsWith('n') || name === 'xml';
const isText = ({ name }: SqlType): boolean => name !== 'varbinary' && name !== 'binary';
const isFixed = ({ name }: SqlType): boolean => name === 'char' || name === 'nchar' || name === 'binary';
const inParts = ({ name, length }: SqlType): boolean => length === MAX || name === 'xml';

/** Of its declared length, in bytes. */
export const declaredBytes = (type: SqlType): number =>
  type.length === MAX ? MAX : type.length * (isWide(type) ? 2 : 1);

/** The declared length of a type that says it in bytes. */
export const declaredLength = (bytes: number, isWideType: boolean): number =>
  bytes === MAX ? MAX : isWideType ? bytes / 2 : bytes;

export function readText(reader: Reader, type: SqlType): SqlValue {
  const bytes = inParts(type) ? readParts(reader) : readWhole(reader);
  if (bytes === null) return null;
  if (!isText(type)) return Buffer.from(bytes);
  if (!isWide(type)) return narrow.decode(bytes);
  if (bytes.length % 2 === 1) throw new TdsFault(`a text of ${bytes.length} bytes, two for a char`);
  const text = bytes.toString('utf16le');
  return type.name === 'xml' && text.startsWith('\ufeff') ? text.slice(1) : text;
}

export function writeText(writer: Writer, value: SqlValue, type: SqlType): void {
  if (value === null) {
    if (inParts(type)) writer.u64(NULL_PARTS);
    else writer.u16(NULL);
    return;
  }
  if (typeof value === 'string' && (type.name === 'nvarchar' || type.name === 'varchar') && type.length !== MAX)
    return writeShort(writer, value, type);
  const bytes = bytesOf(value, type);
  if (inParts(type)) return writeParts(writer, bytes);
  const most = declaredBytes(type);
  if (bytes.length > most) throw new Error(`${bytes.length} bytes do not fit ${type.text}`);
  const pad = isFixed(type) ? most - bytes.length : 0;
  writer.u16(bytes.length + pad);
  writer.put(bytes);
  if (pad > 0) writer.put(Buffer.alloc(pad, isText(type) ? (isWide(type) ? ' \0' : ' ') : 0));
}

/** What most texts are, without bytes of their own in between. */
function writeShort(writer: Writer, value: string, type: SqlType): void {
  if (value.length > type.length) throw new Error(`${value.length} chars do not fit ${type.text}`);
  if (type.name === 'nvarchar') {
    writer.u16(2 * value.length);
    return writer.text(value);
  }
  writer.u16(value.length);
  const at = writer.narrowText(value);
  toCodePage(value, writer.bytes, at);
}

function bytesOf(value: SqlValue, type: SqlType): Uint8Array {
  if (!isText(type)) {
    if (value instanceof Uint8Array) return value;
    throw new Error(`not bytes for ${type.text}: ${String(value)}`);
  }
  if (typeof value !== 'string') throw new Error(`no text for ${type.text}: ${String(value)}`);
  return isWide(type) ? Buffer.from(value, 'utf16le') : narrowBytes(value);
}

/** A char that the code page lacks is a question mark, as SQL Server has it. */
function narrowBytes(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  toCodePage(text, bytes, 0);
  return bytes;
}

/** `bytes` has the text from `from` on, as Latin-1. */
function toCodePage(text: string, bytes: Buffer, from: number): void {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code >= 0x80 && !(code >= 0xa0 && code <= 0xff)) bytes[from + index] = ONLY_1252.get(text[index]!) ?? 0x3f;
  }
}

function readWhole(reader: Reader): Buffer | null {
  const length = reader.u16();
  return length === NULL ? null : reader.take(length);
}

function readParts(reader: Reader): Buffer | null {
  const total = reader.u64();
  if (total === NULL_PARTS) return null;
  const parts: Buffer[] = [];
  for (let length = reader.u32(); length > 0; length = reader.u32()) parts.push(reader.take(length));
  const bytes = Buffer.concat(parts);
  if (total !== UNKNOWN_PARTS && total !== BigInt(bytes.length))
    throw new TdsFault(`a value of ${bytes.length} bytes that says it has ${total}`);
  return bytes;
}

function writeParts(writer: Writer, bytes: Uint8Array): void {
  writer.u64(BigInt(bytes.length));
  for (let at = 0; at < bytes.length; at += PART_BYTES) {
    const part = bytes.subarray(at, at + PART_BYTES);
    writer.u32(part.length);
    writer.put(part);
  }
  writer.u32(0);
}
