/** Whole frames with a message in them: the SEND of a client and the MESSAGE of a broker (reference/pulsar.md 2.1). */
import { beginCommand, type Command, decodeCommand, type UnknownCommand } from './commands.ts';
import { crc32c } from './crc32c.ts';
import { WireFault } from './fault.ts';
import { HOT, type SendCommand, writeSend } from './hot-commands.ts';
import {
  type BrokerEntryMetadata,
  decodeBrokerEntryMetadata,
  decodeMessageMetadata,
  type MessageMetadata,
  writeMessageMetadata,
} from './metadata.ts';
import { Writer } from './writer.ts';

export { FrameSplitter } from './splitter.ts';

export type SendHead = Omit<SendCommand, 'type'>;

interface Framed {
  readonly brokerEntry: BrokerEntryMetadata | undefined;
  /** A view of the frame; empty where there is no metadata. */
  readonly payload: Buffer;
}

/** Not intact: the checksum is wrong, or the metadata cannot be read, which then is null. */
export type FramedMessage =
  | (Framed & { readonly isIntact: true; readonly metadata: MessageMetadata })
  | (Framed & { readonly isIntact: false; readonly metadata: MessageMetadata | null });

export interface DecodedFrame {
  readonly command: Command | UnknownCommand;
  /** Of `message` and `send`. */
  readonly message: FramedMessage | undefined;
}

/** What stands before a part that may be left out. */
const BROKER_ENTRY_MAGIC = 0x0e02;
const CHECKSUM_MAGIC = 0x0e01;
/** Both sizes of a frame. */
const SIZES_BYTES = 8;
const KEPT_BYTES = 64 * 1024;

let scratch = new Writer(1024);

/** A whole frame, with its checksum. Throws a WireFault for a value that has no form on the wire. */
export function encodeSend(head: SendHead, metadata: MessageMetadata, payload: Uint8Array): Uint8Array {
  const writer = scratch;
  writer.at = SIZES_BYTES;
  const body = beginCommand(writer, HOT.send);
  writeSend(writer, head);
  writer.end(body);
  const commandEnd = writer.at;
  writer.reserve(10);
  const checked = commandEnd + 6;
  writer.at = checked + 4;
  writeMessageMetadata(writer, metadata);
  const metadataEnd = writer.at;
  const total = metadataEnd + payload.length;
  writer.setUint32(total - 4, 0);
  writer.setUint32(commandEnd - SIZES_BYTES, 4);
  writer.setUint16(CHECKSUM_MAGIC, commandEnd);
  writer.setUint32(metadataEnd - checked - 4, checked);

  const frame = Buffer.allocUnsafe(total);
  writer.bytes.copy(frame, 0, 0, metadataEnd);
  frame.set(payload, metadataEnd);
  frame.writeUInt32BE(crc32c(frame, 0, checked), commandEnd + 2);
  if (writer.bytes.length > KEPT_BYTES) scratch = new Writer(1024);
  return frame;
}

/** Of a whole frame with its size in front. Throws a WireFault for what is none. */
export function decodeFrame(frame: Buffer): DecodedFrame {
  if (frame.length < SIZES_BYTES) throw new WireFault(`a frame of ${frame.length} bytes`);
  const commandEnd = SIZES_BYTES + frame.readUInt32BE(4);
  if (commandEnd > frame.length || frame.readUInt32BE(0) !== frame.length - 4)
    throw new WireFault('the sizes of a frame are not those of what is in it');
  const command = decodeCommand(frame, SIZES_BYTES, commandEnd);
  const hasMessage = command.type === 'message' || command.type === 'send';
  return { command, message: hasMessage ? messageOf(frame, commandEnd) : undefined };
}

function messageOf(frame: Buffer, from: number): FramedMessage {
  let at = from;
  let brokerEntry: BrokerEntryMetadata | undefined;
  if (magicAt(frame, at) === BROKER_ENTRY_MAGIC) {
    const end = endOf(frame, at + 2);
    if (end === -1) throw new WireFault('what the broker adds to an entry is longer than the frame');
    brokerEntry = decodeBrokerEntryMetadata(frame, at + 6, end);
    at = end;
  }
  let isRight = true;
  // Very old entries have no checksum.
  if (magicAt(frame, at) === CHECKSUM_MAGIC) {
    if (at + 6 > frame.length) throw new WireFault('the frame ends within its checksum');
    isRight = crc32c(frame, 0, at + 6) === frame.readUInt32BE(at + 2);
    at += 6;
  }
  const end = endOf(frame, at);
  const metadata = end === -1 ? null : metadataOf(frame, at + 4, end);
  if (metadata === null) return { brokerEntry, isIntact: false, metadata, payload: frame.subarray(frame.length) };
  return { brokerEntry, isIntact: isRight, metadata, payload: frame.subarray(end) };
}

function metadataOf(frame: Buffer, from: number, to: number): MessageMetadata | null {
  try {
    return decodeMessageMetadata(frame, from, to);
  } catch (error) {
    if (error instanceof WireFault) return null;
    throw error;
  }
}

function magicAt(frame: Buffer, at: number): number {
  return at + 2 > frame.length ? -1 : frame.readUInt16BE(at);
}

/** Where that ends whose size stands at `at`, -1 where the frame is too short for it. */
function endOf(frame: Buffer, at: number): number {
  if (at + 4 > frame.length) return -1;
  const end = at + 4 + frame.readUInt32BE(at);
  return end > frame.length ? -1 : end;
}
