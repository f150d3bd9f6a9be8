/** The tokens of a response (reference 3.6, 3.9, 3.10), without the rows. */
import type { Writer } from './bytes.ts';
import { writeType, writeValue } from './codec.ts';
import type { SqlError } from './errors.ts';
import { COLLATION } from './texts.ts';
import type { SqlType, SqlValue } from './types.ts';

const SERVER_NAME = 'keymill';
/** TDS 7.4, as it stands in LOGINACK. */
const VERSION = 0x7400_0004;

export const TOKEN = {
  returnStatus: 0x79,
  columns: 0x81,
  order: 0xa9,
  error: 0xaa,
  info: 0xab,
  returnValue: 0xac,
  loginAck: 0xad,
  featureAck: 0xae,
  row: 0xd1,
  nullRow: 0xd2,
  change: 0xe3,
  done: 0xfd,
  doneProc: 0xfe,
  doneInProc: 0xff,
} as const;

export const DONE = { final: 0, more: 0x01, error: 0x02, count: 0x10, attention: 0x20, fatal: 0x100 } as const;

const CHANGE = {
  database: 1,
  language: 2,
  packetBytes: 4,
  collation: 7,
  begin: 8,
  commit: 9,
  rollback: 10,
  reset: 18,
  routing: 20,
} as const;

export interface Column {
  readonly name: string;
  readonly type: SqlType;
  readonly isNullable: boolean;
}

export function writeColumns(writer: Writer, columns: readonly Column[]): void {
  writer.u8(TOKEN.columns);
  writer.u16(columns.length);
  for (const { name, type, isNullable } of columns) {
    writer.u32(0);
    writer.u16(0x08 | (isNullable ? 1 : 0));
    writeType(writer, type);
    writer.shortText(name);
  }
}

/** `count`: rows, if that is said. */
export function writeDone(writer: Writer, token: number, status: number, command: number, count: bigint | null): void {
  writer.u8(token);
  writer.u16(status | (count === null ? 0 : DONE.count));
  writer.u16(command);
  writer.u64(count ?? 0n);
}

export function writeError(writer: Writer, error: SqlError): void {
  writeNotice(writer, TOKEN.error, error);
}

type Notice = Pick<SqlError, 'number' | 'state' | 'class' | 'message' | 'procedure' | 'line'>;

export function writeInfo(writer: Writer, number: number, message: string): void {
  writeNotice(writer, TOKEN.info, { number, message, state: 1, class: 0, procedure: '', line: 1 });
}

function writeNotice(writer: Writer, token: number, notice: Notice): void {
  writer.u8(token);
  writer.counted(() => {
    writer.i32(notice.number);
    writer.u8(notice.state);
    writer.u8(notice.class);
    writer.longText(notice.message.slice(0, 4000));
    writer.shortText(SERVER_NAME);
    writer.shortText(notice.procedure.slice(0, 128));
    writer.u32(notice.line);
  });
}

export function writeDatabase(writer: Writer, name: string, before: string): void {
  writeTextChange(writer, CHANGE.database, name, before);
}

export function writeLanguage(writer: Writer): void {
  writeTextChange(writer, CHANGE.language, 'us_english', '');
}

export function writePacketBytes(writer: Writer, bytes: number, before: number): void {
  writeTextChange(writer, CHANGE.packetBytes, String(bytes), String(before));
}

function writeTextChange(writer: Writer, type: number, now: string, before: string): void {
  writer.u8(TOKEN.change);
  writer.counted(() => {
    writer.u8(type);
    writer.shortText(now);
    writer.shortText(before);
  });
}

export function writeCollation(writer: Writer): void {
  writeBytesChange(writer, CHANGE.collation, COLLATION, NOTHING);
}

export function writeBegin(writer: Writer, transaction: bigint): void {
  writeBytesChange(writer, CHANGE.begin, descriptorOf(transaction), NOTHING);
}

export function writeEnd(writer: Writer, how: 'commit' | 'rollback', transaction: bigint): void {
  writeBytesChange(writer, CHANGE[how], NOTHING, descriptorOf(transaction));
}

export function writeReset(writer: Writer): void {
  writeBytesChange(writer, CHANGE.reset, NOTHING, NOTHING);
}

const NOTHING = Buffer.alloc(0);

function descriptorOf(transaction: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(transaction);
  return bytes;
}

function writeBytesChange(writer: Writer, type: number, now: Buffer, before: Buffer): void {
  writer.u8(TOKEN.change);
  writer.counted(() => {
    writer.u8(type);
    writer.u8(now.length);
    writer.put(now);
    writer.u8(before.length);
    writer.put(before);
  });
}

/** Where the client is to connect instead. */
export function writeRouting(writer: Writer, host: string, port: number): void {
  writer.u8(TOKEN.change);
  writer.counted(() => {
    writer.u8(CHANGE.routing);
    writer.counted(() => {
      writer.u8(0);
      writer.u16(port);
      writer.longText(host);
    });
    writer.u16(0);
  });
}

export function writeLoginAck(writer: Writer): void {
  writer.u8(TOKEN.loginAck);
  writer.counted(() => {
    writer.u8(1);
    writer.u32be(VERSION);
    writer.shortText('Microsoft SQL Server');
    writer.put(Buffer.from([16, 0, 0x10, 0x00]));
  });
}

const UTF8_FEATURE = 0x0a;

/** That this server knows of UTF-8 is all it says of its features. */
export function writeFeatures(writer: Writer): void {
  writer.u8(TOKEN.featureAck);
  writer.u8(UTF8_FEATURE);
  writer.u32(1);
  writer.u8(1);
  writer.u8(0xff);
}

export function writeReturnStatus(writer: Writer, status: number): void {
  writer.u8(TOKEN.returnStatus);
  writer.i32(status);
}

/** An output parameter. */
export function writeReturnValue(writer: Writer, name: string, type: SqlType, value: SqlValue): void {
  writer.u8(TOKEN.returnValue);
  writer.u16(0);
  writer.shortText(name);
  writer.u8(1);
  writer.u32(0);
  writer.u16(0);
  writeType(writer, type);
  writeValue(writer, value, type);
}

/** A row. `hasBitmap`: as NBCROW, whose nulls are bits before the values; else as ROW, with a null in each place. */
export function writeRow(
  writer: Writer,
  columns: readonly Column[],
  values: readonly SqlValue[],
  hasBitmap: boolean,
): void {
  writer.u8(hasBitmap ? TOKEN.nullRow : TOKEN.row);
  if (hasBitmap)
    for (let at = 0; at < columns.length; at += 8) {
      let bits = 0;
      for (let bit = 0; bit < 8 && at + bit < columns.length; bit++) if (values[at + bit] === null) bits |= 1 << bit;
      writer.u8(bits);
    }
  for (let at = 0; at < columns.length; at++) {
    const value = values[at]!;
    if (!hasBitmap || value !== null) writeValue(writer, value, columns[at]!.type);
  }
}
