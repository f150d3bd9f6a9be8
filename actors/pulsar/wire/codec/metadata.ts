/**
 * What stands before the payload of an entry (reference/pulsar.md 3.3). The numbers in the code are tags, as in hot-commands.ts.
 */
import { Pairs } from './pairs.ts';
import { absent, Reader } from './reader.ts';
import { Writer } from './writer.ts';

export {
  type BrokerEntryMetadata,
  decodeBrokerEntryMetadata,
  encodeBrokerEntryMetadata,
} from './broker-entry.ts';
export {
  decodeSingleMessageMetadata,
  encodeSingleMessageMetadata,
  type SingleMessageMetadata,
} from './single-metadata.ts';

/** A data key, encrypted for the owner of the named key. */
export interface EncryptionKey {
  readonly key: string;
  readonly value: Uint8Array;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** Read with the defaults of the reference, but for `numMessagesInBatch`. */
export interface MessageMetadata {
  readonly producerName: string;
  readonly sequenceId: number;
  /** ms since 1970. */
  readonly publishTime: number;
  readonly properties?: Readonly<Record<string, string>> | undefined;
  readonly replicatedFrom?: string | undefined;
  readonly partitionKey?: string | undefined;
  readonly replicateTo?: readonly string[] | undefined;
  /** Index in COMPRESSIONS. */
  readonly compression?: number | undefined;
  readonly uncompressedSize?: number | undefined;
  /** What has this, of whatever value, is a batch (2.1); undefined, not 1, where it is absent. */
  readonly numMessagesInBatch?: number | undefined;
  /** ms since 1970; 0 for none. */
  readonly eventTime?: number | undefined;
  readonly encryptionKeys?: readonly EncryptionKey[] | undefined;
  readonly encryptionAlgo?: string | undefined;
  readonly encryptionParam?: Uint8Array | undefined;
  readonly schemaVersion?: Uint8Array | undefined;
  readonly partitionKeyB64Encoded?: boolean | undefined;
  readonly orderingKey?: Uint8Array | undefined;
  /** ms since 1970. */
  readonly deliverAtTime?: number | undefined;
  readonly markerType?: number | undefined;
  readonly txnidLeastBits?: number | undefined;
  readonly txnidMostBits?: number | undefined;
  readonly highestSequenceId?: number | undefined;
  readonly nullValue?: boolean | undefined;
  readonly uuid?: string | undefined;
  readonly numChunksFromMsg?: number | undefined;
  readonly totalChunkMsgSize?: number | undefined;
  readonly chunkId?: number | undefined;
  readonly nullPartitionKey?: boolean | undefined;
  readonly compactedBatchIndexes?: readonly number[] | undefined;
  readonly schemaId?: Uint8Array | undefined;
  readonly entryHashMin?: number | undefined;
  readonly entryHashMax?: number | undefined;
}

export function encodeMessageMetadata(metadata: MessageMetadata): Uint8Array {
  const writer = new Writer(256);
  writeMessageMetadata(writer, metadata);
  return writer.taken();
}

/** Throws a WireFault. */
export function decodeMessageMetadata(bytes: Uint8Array, from: number, to: number): MessageMetadata {
  return readMessageMetadata(new Reader(bytes, from, to));
}

export function writeMessageMetadata(writer: Writer, metadata: MessageMetadata): void {
  writer.textField(10, metadata.producerName);
  writer.longField(16, metadata.sequenceId);
  writer.longField(24, metadata.publishTime);
  writer.pairsField(34, metadata.properties);
  writer.textField(42, metadata.replicatedFrom);
  writer.textField(50, metadata.partitionKey);
  for (const cluster of metadata.replicateTo ?? NONE) writer.textField(58, cluster);
  writer.longField(64, metadata.compression);
  writer.longField(72, metadata.uncompressedSize);
  writer.longField(88, metadata.numMessagesInBatch);
  writer.longField(96, metadata.eventTime);
  if (metadata.encryptionKeys !== undefined) writeEncryptionKeys(writer, metadata.encryptionKeys);
  writer.textField(114, metadata.encryptionAlgo);
  writer.bytesField(122, metadata.encryptionParam);
  writer.bytesField(130, metadata.schemaVersion);
  writer.boolField(136, metadata.partitionKeyB64Encoded);
  writer.bytesField(146, metadata.orderingKey);
  writer.longField(152, metadata.deliverAtTime);
  writer.longField(160, metadata.markerType);
  writer.longField(176, metadata.txnidLeastBits);
  writer.longField(184, metadata.txnidMostBits);
  writer.longField(192, metadata.highestSequenceId);
  writer.boolField(200, metadata.nullValue);
  writer.textField(210, metadata.uuid);
  writer.longField(216, metadata.numChunksFromMsg);
  writer.longField(224, metadata.totalChunkMsgSize);
  writer.longField(232, metadata.chunkId);
  writer.boolField(240, metadata.nullPartitionKey);
  for (const index of metadata.compactedBatchIndexes ?? NONE) writer.longField(248, index);
  writer.bytesField(258, metadata.schemaId);
  writer.longField(264, metadata.entryHashMin);
  writer.longField(272, metadata.entryHashMax);
}

const NONE: readonly never[] = [];

/** Up to the end. Throws a WireFault. */
export function readMessageMetadata(reader: Reader): MessageMetadata {
  let producerName: string | undefined;
  let sequenceId: number | undefined;
  let publishTime: number | undefined;
  let properties: Record<string, string> | undefined;
  let replicatedFrom: string | undefined;
  let partitionKey: string | undefined;
  let replicateTo: string[] | undefined;
  let compression = 0;
  let uncompressedSize = 0;
  let numMessagesInBatch: number | undefined;
  let eventTime = 0;
  let encryptionKeys: EncryptionKey[] | undefined;
  let encryptionAlgo: string | undefined;
  let encryptionParam: Uint8Array | undefined;
  let schemaVersion: Uint8Array | undefined;
  let partitionKeyB64Encoded = false;
  let orderingKey: Uint8Array | undefined;
  let deliverAtTime: number | undefined;
  let markerType: number | undefined;
  let txnidLeastBits: number | undefined;
  let txnidMostBits: number | undefined;
  let highestSequenceId = 0;
  let nullValue = false;
  let uuid: string | undefined;
  let numChunksFromMsg: number | undefined;
  let totalChunkMsgSize: number | undefined;
  let chunkId: number | undefined;
  let nullPartitionKey = false;
  let compactedBatchIndexes: number[] | undefined;
  let schemaId: Uint8Array | undefined;
  let entryHashMin: number | undefined;
  let entryHashMax: number | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    switch (tag) {
      case 10:
        producerName = reader.text();
        break;
      case 16:
        sequenceId = reader.long();
        break;
      case 24:
        publishTime = reader.long();
        break;
      case 34:
        reader.pair((properties ??= new Pairs<string>()));
        break;
      case 42:
        replicatedFrom = reader.text();
        break;
      case 50:
        partitionKey = reader.text();
        break;
      case 58:
        (replicateTo ??= []).push(reader.text());
        break;
      case 64:
        compression = reader.int();
        break;
      case 72:
        uncompressedSize = reader.uint();
        break;
      case 88:
        numMessagesInBatch = reader.int();
        break;
      case 96:
        eventTime = reader.long();
        break;
      case 106:
        (encryptionKeys ??= []).push(readEncryptionKey(reader));
        break;
      case 114:
        encryptionAlgo = reader.text();
        break;
      case 122:
        encryptionParam = reader.copy();
        break;
      case 130:
        schemaVersion = reader.copy();
        break;
      case 136:
        partitionKeyB64Encoded = reader.bool();
        break;
      case 146:
        orderingKey = reader.copy();
        break;
      case 152:
        deliverAtTime = reader.long();
        break;
      case 160:
        markerType = reader.int();
        break;
      case 176:
        txnidLeastBits = reader.long();
        break;
      case 184:
        txnidMostBits = reader.long();
        break;
      case 192:
        highestSequenceId = reader.long();
        break;
      case 200:
        nullValue = reader.bool();
        break;
      case 210:
        uuid = reader.text();
        break;
      case 216:
        numChunksFromMsg = reader.int();
        break;
      case 224:
        totalChunkMsgSize = reader.int();
        break;
      case 232:
        chunkId = reader.int();
        break;
      case 240:
        nullPartitionKey = reader.bool();
        break;
      case 248:
        (compactedBatchIndexes ??= []).push(reader.int());
        break;
      case 250:
        reader.packedInts((compactedBatchIndexes ??= []));
        break;
      case 258:
        schemaId = reader.copy();
        break;
      case 264:
        entryHashMin = reader.uint();
        break;
      case 272:
        entryHashMax = reader.uint();
        break;
      default:
        reader.skip(tag);
    }
  if (producerName === undefined) throw absent('producerName');
  if (sequenceId === undefined) throw absent('sequenceId');
  if (publishTime === undefined) throw absent('publishTime');
  return {
    producerName,
    sequenceId,
    publishTime,
    properties,
    replicatedFrom,
    partitionKey,
    replicateTo,
    compression,
    uncompressedSize,
    numMessagesInBatch,
    eventTime,
    encryptionKeys,
    encryptionAlgo,
    encryptionParam,
    schemaVersion,
    partitionKeyB64Encoded,
    orderingKey,
    deliverAtTime,
    markerType,
    txnidLeastBits,
    txnidMostBits,
    highestSequenceId,
    nullValue,
    uuid,
    numChunksFromMsg,
    totalChunkMsgSize,
    chunkId,
    nullPartitionKey,
    compactedBatchIndexes,
    schemaId,
    entryHashMin,
    entryHashMax,
  };
}

function writeEncryptionKeys(writer: Writer, keys: readonly EncryptionKey[]): void {
  for (const { key, value, metadata } of keys) {
    const body = writer.begin(106);
    writer.textField(10, key);
    writer.bytesField(18, value);
    writer.pairsField(26, metadata);
    writer.end(body);
  }
}

function readEncryptionKey(reader: Reader): EncryptionKey {
  let key: string | undefined;
  let value: Uint8Array | undefined;
  let metadata: Record<string, string> | undefined;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    if (tag === 10) key = reader.text();
    else if (tag === 18) value = reader.copy();
    else if (tag === 26) reader.pair((metadata ??= new Pairs<string>()));
    else reader.skip(tag);
  reader.leave(outer);
  if (key === undefined || value === undefined) throw absent(key === undefined ? 'key' : 'value');
  return { key, value, metadata };
}
