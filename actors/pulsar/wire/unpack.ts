/** What an entry of a topic holds, as messages: decompressed, and a batch split (reference/pulsar.md 2.1, 2.6). */
import { KeymillError } from '../../../runtime/index.ts';
import type { InMessage } from '../contract.ts';
import { readBatch } from './codec/batch.ts';
import { COMPRESSIONS } from './codec/commands.ts';
import { decompress } from './codec/compression.ts';
import type { MessageMetadata, SingleMessageMetadata } from './codec/metadata.ts';

/** Largest entry after decompression: what claims to be larger is refused before room is made for it. */
const MAX_BYTES = 256 * 1024 * 1024;
const NONE: Readonly<Record<string, string>> = Object.freeze(Object.create(null) as Record<string, string>);

export interface EntryPlace {
  /** Full name of the topic or partition. */
  readonly topic: string;
  /** `LEDGER:ENTRY:PARTITION:`, before the index. */
  readonly idBegin: string;
  readonly redeliveryCount: number;
}

/**
 * Calls `visit` with each message and its index. Throws WireFault for what cannot be decompressed or split; RECORD_BROKEN for
 * what is encrypted or in a codec that is not known, and CONFIG_INVALID where the package of a codec is missing.
 */
export function unpackEntry(
  metadata: MessageMetadata,
  body: Buffer,
  place: EntryPlace,
  visit: (index: number, message: InMessage) => void,
): void {
  if (metadata.encryptionKeys !== undefined && metadata.encryptionKeys.length > 0)
    throw new KeymillError(
      'RECORD_BROKEN',
      `${place.topic}: ${place.idBegin} is encrypted, which keymill does not read`,
      {
        class: 'fatal',
        place: { at: place.topic },
      },
    );
  const codec = COMPRESSIONS[metadata.compression ?? 0];
  if (codec === undefined)
    throw new KeymillError(
      'RECORD_BROKEN',
      `${place.topic}: ${place.idBegin} has compression ${metadata.compression}, which is not known`,
      {
        class: 'fatal',
        place: { at: place.topic },
      },
    );
  const payload = codec === 'none' ? body : decompress(codec, body, metadata.uncompressedSize ?? 0, MAX_BYTES);
  const { numMessagesInBatch } = metadata;
  if (numMessagesInBatch === undefined) return visit(0, single(metadata, payload, place));
  const indexes = metadata.compactedBatchIndexes;
  readBatch(payload, indexes && indexes.length > 0 ? indexes.length : numMessagesInBatch, (at, one, part) => {
    if (one.compactedOut) return;
    const index = indexes?.[at] ?? at;
    visit(index, ofBatch(metadata, one, part, index, place));
  });
}

function single(metadata: MessageMetadata, payload: Buffer, place: EntryPlace): InMessage {
  const { partitionKey, orderingKey, properties, eventTime, publishTime, producerName, sequenceId } = metadata;
  return {
    id: `${place.idBegin}-1`,
    topic: place.topic,
    payload: metadata.nullValue ? null : payload,
    key: partitionKey ?? null,
    orderingKey: textOf(orderingKey),
    properties: properties ?? NONE,
    eventTime: eventTime || null,
    publishTime,
    producer: producerName,
    sequenceId,
    redeliveryCount: place.redeliveryCount,
  };
}

function ofBatch(
  { publishTime, producerName, sequenceId: first }: MessageMetadata,
  { partitionKey, orderingKey, properties, eventTime, sequenceId }: SingleMessageMetadata,
  payload: Buffer | null,
  index: number,
  place: EntryPlace,
): InMessage {
  return {
    id: `${place.idBegin}${index}`,
    topic: place.topic,
    payload,
    key: partitionKey ?? null,
    orderingKey: textOf(orderingKey),
    properties: properties ?? NONE,
    eventTime: eventTime || null,
    publishTime,
    producer: producerName,
    sequenceId: sequenceId ?? first + index,
    redeliveryCount: place.redeliveryCount,
  };
}

function textOf(bytes: Uint8Array | undefined): string | null {
  return bytes === undefined || bytes.length === 0
    ? null
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}
