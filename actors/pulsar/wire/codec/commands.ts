/**
 * Commands of the protocol as plain data: `type` is the name of the field in BaseCommand (reference/pulsar.md 3.1). What is
 * absent on the wire is read as the default of the reference, and where it has none left undefined.
 */
import { WireFault } from './fault.ts';
import { type Fields, type Flat, readFields, type Table, writeFields } from './fields.ts';
import { HOT, type HotCommand, readHot, writeHot } from './hot-commands.ts';
import { Reader } from './reader.ts';
import { COMMANDS } from './tables.ts';
import { Writer } from './writer.ts';

export * from './enums.ts';
export type { MessageIdData } from './message-id.ts';

type RareCommand = {
  [T in keyof typeof COMMANDS]: Flat<{ readonly type: T } & Fields<(typeof COMMANDS)[T][1]>>;
}[keyof typeof COMMANDS];

export type Command = HotCommand | RareCommand;
export type CommandOf<T extends Command['type']> = Extract<Command, { readonly type: T }>;

/** Newer than this client, or of a part of the protocol that it takes no part in. */
export interface UnknownCommand {
  readonly type: 'unknown';
  readonly number: number;
}

/** Of a BaseCommand: its type, a varint, and the command itself in the field of that number. */
const TYPE = 8;
/** Both sizes of a frame. */
const SIZES_BYTES = 8;
const KEPT_BYTES = 64 * 1024;

const rareByNumber = new Map<number, readonly [type: string, table: Table]>(
  Object.entries(COMMANDS).map(([type, [number, table]]) => [number, [type, table]]),
);
const HOT_NUMBERS: ReadonlySet<number> = new Set(Object.values(HOT));
let scratch = new Writer(1024);

/** A whole frame, with both sizes. Throws a WireFault for a value that has no form on the wire. */
export function encodeCommand(command: Command): Uint8Array {
  const writer = scratch;
  writer.at = SIZES_BYTES;
  writeCommand(writer, command);
  writer.setUint32(writer.at - 4, 0);
  writer.setUint32(writer.at - SIZES_BYTES, 4);
  const frame = Buffer.from(writer.bytes.subarray(0, writer.at));
  if (writer.bytes.length > KEPT_BYTES) scratch = new Writer(1024);
  return frame;
}

function writeCommand(writer: Writer, command: Command): void {
  if (isHot(command)) {
    const body = beginCommand(writer, HOT[command.type]);
    writeHot(writer, command);
    return writer.end(body);
  }
  const [number, table] = COMMANDS[command.type];
  const body = beginCommand(writer, number);
  writeFields(writer, table, command);
  writer.end(body);
}

function isHot(command: Command): command is HotCommand {
  return HOT[command.type as HotCommand['type']] !== undefined;
}

/** Begins the command of this number. Returns what `writer.end` takes. */
export function beginCommand(writer: Writer, number: number): number {
  writer.uint(TYPE);
  writer.uint(number);
  return writer.begin(number * 8 + 2);
}

/** A BaseCommand, without sizes. Throws a WireFault for what is none. */
export function decodeCommand(bytes: Uint8Array, from: number, to: number): Command | UnknownCommand {
  const reader = new Reader(bytes, from, to);
  let number = -1;
  let field = -1;
  let bodyFrom = 0;
  let bodyTo = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    if (tag === TYPE) number = reader.int();
    else if ((tag & 7) === 2) {
      const end = reader.delimited();
      // The type comes first from all who write these; before it is known, the last field there is may be it.
      if (number === -1 || tag >>> 3 === number) {
        field = tag >>> 3;
        bodyFrom = reader.at;
        bodyTo = end;
      }
      reader.at = end;
    } else reader.skip(tag);
  if (number === -1) throw new WireFault('a command without a type');
  const rare = rareByNumber.get(number);
  if (!rare && !HOT_NUMBERS.has(number)) return { type: 'unknown', number };
  if (field !== number) throw new WireFault(`command ${number} has no body`);
  reader.at = bodyFrom;
  reader.end = bodyTo;
  if (!rare) return readHot(reader, number)!;
  const command = { type: rare[0] };
  readFields(reader, rare[1], command);
  return command as Command;
}
