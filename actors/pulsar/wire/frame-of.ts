/** The frame of a batch: compressed, with what is common to its messages in front (reference/pulsar.md 2.1, 2.5). */
import type { Clock } from '../../../runtime/index.ts';
import type { OpenBatch } from './batches.ts';
import { COMPRESSIONS } from './codec/commands.ts';
import { type Codec, compress } from './codec/compression.ts';
import { encodeSend } from './codec/frames.ts';
import type { MessageMetadata } from './codec/metadata.ts';
import type { Frame } from './pending.ts';
import type { Prepared } from './prepared.ts';

export interface Packing {
  readonly codec: Codec;
  /** Payloads below this size are not compressed. */
  readonly compressFrom: number;
}

/**
 * A message that is alone is no batch: it is sent as it is, as Java does. One that is larger than `maxBytes`, compressed and
 * with its metadata, comes in chunks, each a frame of its own (reference/pulsar.md 2.5); only the last has the message.
 */
export function framesOf(
  batch: OpenBatch,
  producerName: string,
  producerId: number,
  { codec, compressFrom }: Packing,
  clock: Clock,
  maxBytes: number,
): readonly Frame[] {
  const { messages, first, highest } = batch;
  const isBatch = messages.length > 1;
  const { payload, isNull } = batch.take();
  // What is empty stays so: other clients take a size of 0 for none that is said.
  const isCompressed = codec !== 'none' && payload.length >= Math.max(1, compressFrom);
  const [{ key, orderingKey, properties, eventTime, deliverAt }] = messages as [Prepared, ...Prepared[]];
  const metadata: MessageMetadata = {
    producerName,
    sequenceId: first,
    publishTime: Math.floor(clock.wall()),
    partitionKey: key,
    orderingKey: orderingKey === undefined ? undefined : Buffer.from(orderingKey),
    numMessagesInBatch: isBatch ? messages.length : undefined,
    highestSequenceId: isBatch ? highest : undefined,
    properties: isBatch ? undefined : properties,
    eventTime: isBatch ? undefined : eventTime,
    deliverAtTime: isBatch ? undefined : deliverAt,
    nullValue: isNull ? true : undefined,
    compression: isCompressed ? COMPRESSIONS.indexOf(codec) : undefined,
    uncompressedSize: isCompressed ? payload.length : undefined,
  };
  const head = {
    producerId,
    sequenceId: first,
    numMessages: isBatch ? messages.length : undefined,
    highestSequenceId: isBatch ? highest : undefined,
  };
  const body = isCompressed ? compress(codec, payload) : payload;
  const common = { sequenceId: first, highestSequenceId: highest, isBatch, sentAt: clock.now() };
  if (isBatch || body.length <= maxBytes) return [{ ...common, bytes: encodeSend(head, metadata, body), messages }];
  const count = Math.ceil(body.length / maxBytes);
  const uuid = `${producerName}-${first}`;
  return Array.from({ length: count }, (_, chunkId) => ({
    ...common,
    bytes: encodeSend(
      { ...head, isChunk: true },
      { ...metadata, uuid, chunkId, numChunksFromMsg: count, totalChunkMsgSize: body.length },
      body.subarray(chunkId * maxBytes, (chunkId + 1) * maxBytes),
    ),
    messages: chunkId === count - 1 ? messages : NONE,
  }));
}

const NONE: readonly Prepared[] = [];
