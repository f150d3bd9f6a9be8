/** Place of a message or entry in a topic, as it travels (MessageIdData, reference/pulsar.md 2.6 and 3.3). */
import { absent, type Reader } from './reader.ts';
import type { Writer } from './writer.ts';

export interface MessageIdData {
  /** -1: before all; Infinity: after all. The same for `entryId`. */
  readonly ledgerId: number;
  readonly entryId: number;
  /** -1 where the topic has none. */
  readonly partition?: number | undefined;
  /** -1 where the message is no part of a batch. */
  readonly batchIndex?: number | undefined;
  /** Bit i stands for index i of the batch, 1: not acknowledged. Two words, low and high, for each int64. */
  readonly ackSet?: Uint32Array | undefined;
  readonly batchSize?: number | undefined;
  readonly firstChunkMessageId?: MessageIdData | undefined;
}

const LEDGER = 8;
const ENTRY = 16;
const PARTITION = 24;
const BATCH_INDEX = 32;
const ACK_SET = 40;
const ACK_SET_PACKED = 42;
const BATCH_SIZE = 48;
const FIRST_CHUNK = 58;

/** Reads one that begins with its length. */
export function readMessageId(reader: Reader): MessageIdData {
  let ledgerId: number | undefined;
  let entryId: number | undefined;
  let partition = -1;
  let batchIndex = -1;
  let words: number[] | undefined;
  let batchSize: number | undefined;
  let firstChunkMessageId: MessageIdData | undefined;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    switch (tag) {
      case LEDGER:
        ledgerId = reader.long();
        break;
      case ENTRY:
        entryId = reader.long();
        break;
      case PARTITION:
        partition = reader.int();
        break;
      case BATCH_INDEX:
        batchIndex = reader.int();
        break;
      case ACK_SET:
        reader.wordPair((words ??= []));
        break;
      case ACK_SET_PACKED:
        readPackedWords(reader, (words ??= []));
        break;
      case BATCH_SIZE:
        batchSize = reader.int();
        break;
      case FIRST_CHUNK:
        firstChunkMessageId = readMessageId(reader);
        break;
      default:
        reader.skip(tag);
    }
  reader.leave(outer);
  if (ledgerId === undefined || entryId === undefined) throw absent(ledgerId === undefined ? 'ledgerId' : 'entryId');
  const ackSet = words && Uint32Array.from(words);
  return { ledgerId, entryId, partition, batchIndex, ackSet, batchSize, firstChunkMessageId };
}

/** `repeated int64` comes unpacked, but both forms are to be read (2.1). */
export function readPackedWords(reader: Reader, words: number[]): void {
  const outer = reader.enter();
  while (reader.at < reader.end) reader.wordPair(words);
  reader.leave(outer);
}

export function writeMessageId(writer: Writer, tag: number, id: MessageIdData): void {
  const body = writer.begin(tag);
  writer.uint(LEDGER);
  writer.long(id.ledgerId);
  writer.uint(ENTRY);
  writer.long(id.entryId);
  writer.longField(PARTITION, id.partition);
  writer.longField(BATCH_INDEX, id.batchIndex);
  writeWords(writer, ACK_SET, id.ackSet);
  writer.longField(BATCH_SIZE, id.batchSize);
  if (id.firstChunkMessageId !== undefined) writeMessageId(writer, FIRST_CHUNK, id.firstChunkMessageId);
  writer.end(body);
}

/** An odd number of words is filled up with zero bits. */
export function writeWords(writer: Writer, tag: number, words: Uint32Array | undefined): void {
  if (words === undefined) return;
  for (let i = 0; i < words.length; i += 2) {
    writer.uint(tag);
    writer.words(words[i]!, words[i + 1] ?? 0);
  }
}
