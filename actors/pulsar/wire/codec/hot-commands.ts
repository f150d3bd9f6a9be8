/**
 * Commands that travel for each message or batch, written by hand (reference/pulsar.md 3.3). The numbers in the code are tags:
 * the number of a field * 8 + how it travels, 0 as a varint, 2 with its length.
 */
import { type MessageIdData, readMessageId, readPackedWords, writeMessageId, writeWords } from './message-id.ts';
import { Pairs } from './pairs.ts';
import { absent, type Reader } from './reader.ts';
import type { Writer } from './writer.ts';

export interface SendCommand {
  readonly type: 'send';
  readonly producerId: number;
  readonly sequenceId: number;
  readonly numMessages?: number | undefined;
  readonly txnidLeastBits?: number | undefined;
  readonly txnidMostBits?: number | undefined;
  readonly highestSequenceId?: number | undefined;
  readonly isChunk?: boolean | undefined;
  readonly marker?: boolean | undefined;
  readonly messageId?: MessageIdData | undefined;
}

export interface SendReceiptCommand {
  readonly type: 'sendReceipt';
  readonly producerId: number;
  readonly sequenceId: number;
  readonly messageId?: MessageIdData | undefined;
  readonly highestSequenceId?: number | undefined;
}

export interface MessageCommand {
  readonly type: 'message';
  readonly consumerId: number;
  readonly messageId: MessageIdData;
  readonly redeliveryCount?: number | undefined;
  /** As in `MessageIdData`: 1 is to be given. */
  readonly ackSet?: Uint32Array | undefined;
  readonly consumerEpoch?: number | undefined;
}

export interface AckCommand {
  readonly type: 'ack';
  readonly consumerId: number;
  readonly ackType: number;
  readonly messageId?: readonly MessageIdData[] | undefined;
  readonly validationError?: number | undefined;
  readonly properties?: Readonly<Record<string, number>> | undefined;
  readonly txnidLeastBits?: number | undefined;
  readonly txnidMostBits?: number | undefined;
  readonly requestId?: number | undefined;
}

export interface AckResponseCommand {
  readonly type: 'ackResponse';
  readonly consumerId: number;
  readonly txnidLeastBits?: number | undefined;
  readonly txnidMostBits?: number | undefined;
  readonly error?: number | undefined;
  readonly message?: string | undefined;
  readonly requestId?: number | undefined;
}

export interface FlowCommand {
  readonly type: 'flow';
  readonly consumerId: number;
  readonly messagePermits: number;
}

export type HotCommand =
  | SendCommand
  | SendReceiptCommand
  | MessageCommand
  | AckCommand
  | AckResponseCommand
  | FlowCommand;

/** Those that are written here, by the number of their field in BaseCommand. */
export const HOT = { send: 6, sendReceipt: 7, message: 9, ack: 10, flow: 11, ackResponse: 38 } as const;

/** What is in the field of that number. */
export function writeHot(writer: Writer, command: HotCommand): void {
  switch (command.type) {
    case 'ack':
      return writeAck(writer, command);
    case 'flow':
      return writeFlow(writer, command);
    case 'send':
      return writeSend(writer, command);
    case 'sendReceipt':
      return writeSendReceipt(writer, command);
    case 'message':
      return writeMessage(writer, command);
    case 'ackResponse':
      return writeAckResponse(writer, command);
  }
}

/** Up to the end; undefined where the number is of none of these. */
export function readHot(reader: Reader, number: number): HotCommand | undefined {
  switch (number) {
    case HOT.message:
      return readMessage(reader);
    case HOT.sendReceipt:
      return readSendReceipt(reader);
    case HOT.ackResponse:
      return readAckResponse(reader);
    case HOT.send:
      return readSend(reader);
    case HOT.ack:
      return readAck(reader);
    case HOT.flow:
      return readFlow(reader);
    default:
      return undefined;
  }
}

export function writeSend(writer: Writer, command: Omit<SendCommand, 'type'>): void {
  writer.longField(8, command.producerId);
  writer.longField(16, command.sequenceId);
  writer.longField(24, command.numMessages);
  writer.longField(32, command.txnidLeastBits);
  writer.longField(40, command.txnidMostBits);
  writer.longField(48, command.highestSequenceId);
  writer.boolField(56, command.isChunk);
  writer.boolField(64, command.marker);
  if (command.messageId !== undefined) writeMessageId(writer, 74, command.messageId);
}

function readSend(reader: Reader): SendCommand {
  let producerId: number | undefined;
  let sequenceId: number | undefined;
  let numMessages = 1;
  let txnidLeastBits = 0;
  let txnidMostBits = 0;
  let highestSequenceId = 0;
  let isChunk = false;
  let marker = false;
  let messageId: MessageIdData | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    if (tag === 8) producerId = reader.long();
    else if (tag === 16) sequenceId = reader.long();
    else if (tag === 24) numMessages = reader.int();
    else if (tag === 32) txnidLeastBits = reader.long();
    else if (tag === 40) txnidMostBits = reader.long();
    else if (tag === 48) highestSequenceId = reader.long();
    else if (tag === 56) isChunk = reader.bool();
    else if (tag === 64) marker = reader.bool();
    else if (tag === 74) messageId = readMessageId(reader);
    else reader.skip(tag);
  if (producerId === undefined) throw absent('producerId');
  if (sequenceId === undefined) throw absent('sequenceId');
  return {
    type: 'send',
    producerId,
    sequenceId,
    numMessages,
    txnidLeastBits,
    txnidMostBits,
    highestSequenceId,
    isChunk,
    marker,
    messageId,
  };
}

function writeSendReceipt(writer: Writer, command: SendReceiptCommand): void {
  writer.longField(8, command.producerId);
  writer.longField(16, command.sequenceId);
  if (command.messageId !== undefined) writeMessageId(writer, 26, command.messageId);
  writer.longField(32, command.highestSequenceId);
}

function readSendReceipt(reader: Reader): SendReceiptCommand {
  let producerId: number | undefined;
  let sequenceId: number | undefined;
  let messageId: MessageIdData | undefined;
  let highestSequenceId = 0;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    if (tag === 8) producerId = reader.long();
    else if (tag === 16) sequenceId = reader.long();
    else if (tag === 26) messageId = readMessageId(reader);
    else if (tag === 32) highestSequenceId = reader.long();
    else reader.skip(tag);
  if (producerId === undefined) throw absent('producerId');
  if (sequenceId === undefined) throw absent('sequenceId');
  return { type: 'sendReceipt', producerId, sequenceId, messageId, highestSequenceId };
}

function writeMessage(writer: Writer, command: MessageCommand): void {
  writer.longField(8, command.consumerId);
  writeMessageId(writer, 18, command.messageId);
  writer.longField(24, command.redeliveryCount);
  writeWords(writer, 32, command.ackSet);
  writer.longField(40, command.consumerEpoch);
}

function readMessage(reader: Reader): MessageCommand {
  let consumerId: number | undefined;
  let messageId: MessageIdData | undefined;
  let redeliveryCount = 0;
  let words: number[] | undefined;
  let consumerEpoch: number | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    if (tag === 8) consumerId = reader.long();
    else if (tag === 18) messageId = readMessageId(reader);
    else if (tag === 24) redeliveryCount = reader.uint();
    else if (tag === 32) reader.wordPair((words ??= []));
    else if (tag === 34) readPackedWords(reader, (words ??= []));
    else if (tag === 40) consumerEpoch = reader.long();
    else reader.skip(tag);
  if (consumerId === undefined) throw absent('consumerId');
  if (messageId === undefined) throw absent('messageId');
  const ackSet = words && Uint32Array.from(words);
  return { type: 'message', consumerId, messageId, redeliveryCount, ackSet, consumerEpoch };
}

function writeAck(writer: Writer, command: AckCommand): void {
  writer.longField(8, command.consumerId);
  writer.longField(16, command.ackType);
  const ids = command.messageId;
  if (ids !== undefined) for (let i = 0; i < ids.length; i++) writeMessageId(writer, 26, ids[i]!);
  writer.longField(32, command.validationError);
  for (const [key, value] of Object.entries(command.properties ?? {})) {
    const body = writer.begin(42);
    writer.textField(10, key);
    writer.longField(16, value);
    writer.end(body);
  }
  writer.longField(48, command.txnidLeastBits);
  writer.longField(56, command.txnidMostBits);
  writer.longField(64, command.requestId);
}

function readAck(reader: Reader): AckCommand {
  let consumerId: number | undefined;
  let ackType: number | undefined;
  let messageId: MessageIdData[] | undefined;
  let validationError: number | undefined;
  let properties: Record<string, number> | undefined;
  let txnidLeastBits = 0;
  let txnidMostBits = 0;
  let requestId: number | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    if (tag === 8) consumerId = reader.long();
    else if (tag === 16) ackType = reader.int();
    else if (tag === 26) (messageId ??= []).push(readMessageId(reader));
    else if (tag === 32) validationError = reader.int();
    else if (tag === 42) readLongPair(reader, (properties ??= new Pairs<number>()));
    else if (tag === 48) txnidLeastBits = reader.long();
    else if (tag === 56) txnidMostBits = reader.long();
    else if (tag === 64) requestId = reader.long();
    else reader.skip(tag);
  if (consumerId === undefined) throw absent('consumerId');
  if (ackType === undefined) throw absent('ackType');
  return {
    type: 'ack',
    consumerId,
    ackType,
    messageId,
    validationError,
    properties,
    txnidLeastBits,
    txnidMostBits,
    requestId,
  };
}

function readLongPair(reader: Reader, into: Record<string, number>): void {
  let key: string | undefined;
  let value: number | undefined;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    if (tag === 10) key = reader.text();
    else if (tag === 16) value = reader.long();
    else reader.skip(tag);
  reader.leave(outer);
  if (key === undefined || value === undefined) throw absent(key === undefined ? 'key' : 'value');
  into[key] = value;
}

function writeAckResponse(writer: Writer, command: AckResponseCommand): void {
  writer.longField(8, command.consumerId);
  writer.longField(16, command.txnidLeastBits);
  writer.longField(24, command.txnidMostBits);
  writer.longField(32, command.error);
  writer.textField(42, command.message);
  writer.longField(48, command.requestId);
}

function readAckResponse(reader: Reader): AckResponseCommand {
  let consumerId: number | undefined;
  let txnidLeastBits = 0;
  let txnidMostBits = 0;
  let error: number | undefined;
  let message: string | undefined;
  let requestId: number | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    if (tag === 8) consumerId = reader.long();
    else if (tag === 16) txnidLeastBits = reader.long();
    else if (tag === 24) txnidMostBits = reader.long();
    else if (tag === 32) error = reader.int();
    else if (tag === 42) message = reader.text();
    else if (tag === 48) requestId = reader.long();
    else reader.skip(tag);
  if (consumerId === undefined) throw absent('consumerId');
  return { type: 'ackResponse', consumerId, txnidLeastBits, txnidMostBits, error, message, requestId };
}

function writeFlow(writer: Writer, command: FlowCommand): void {
  writer.longField(8, command.consumerId);
  writer.longField(16, command.messagePermits);
}

function readFlow(reader: Reader): FlowCommand {
  let consumerId: number | undefined;
  let messagePermits: number | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    if (tag === 8) consumerId = reader.long();
    else if (tag === 16) messagePermits = reader.uint();
    else reader.skip(tag);
  if (consumerId === undefined) throw absent('consumerId');
  if (messagePermits === undefined) throw absent('messagePermits');
  return { type: 'flow', consumerId, messagePermits };
}
