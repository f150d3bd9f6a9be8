/** Messages and their ids, between keymill's form and that of the official client. */
import { describe, KeymillError } from '../../../runtime/index.ts';
import type { InMessage, MessageId, OutMessage, StartPosition } from '../contract.ts';
import { parseId } from '../message-id.ts';
import { Writer } from '../wire/codec/writer.ts';
import type { NativeId, NativeMessage, NativeOutMessage, NativePackage } from './native.ts';

/** Fields of MessageIdData (reference/pulsar.md 3.3). */
const [LEDGER, ENTRY, PARTITION, BATCH_INDEX] = [8, 16, 24, 32];

/** Throws CONFIG_INVALID for a tombstone, which the client has no word for. */
export function nativeMessage(message: OutMessage, topic: string): NativeOutMessage {
  const { payload, key, orderingKey, properties, eventTime, sequenceId, deliverAt } = message;
  if (payload === null)
    throw new KeymillError('CONFIG_INVALID', `${topic}: driver pulsar-client cannot publish null payloads`, {
      place: { at: topic },
    });
  return {
    data: typeof payload === 'string' ? Buffer.from(payload) : viewOf(payload),
    partitionKey: key,
    orderingKey,
    properties,
    eventTimestamp: eventTime,
    sequenceId,
    deliverAt,
  };
}

/** What the client tells nothing of: sequence id -1; an empty key is none, event time 0 is none, null is empty. */
export function inMessage(native: NativeMessage): InMessage {
  const [key, orderingKey, eventTime] = [native.getPartitionKey(), native.getOrderingKey(), native.getEventTimestamp()];
  return {
    id: idText(native.getMessageId()),
    topic: native.getTopicName(),
    payload: native.getData(),
    key: key === '' ? null : key,
    orderingKey: orderingKey === '' ? null : orderingKey,
    properties: { ...native.getProperties() },
    eventTime: eventTime === 0 ? null : eventTime,
    publishTime: native.getPublishTimestamp(),
    producer: native.getProducerName(),
    sequenceId: -1,
    redeliveryCount: native.getRedeliveryCount(),
  };
}

export function idText(id: NativeId): MessageId {
  const parts = id.toString().match(/-?\d+/g);
  if (parts?.length !== 4) throw new KeymillError('IO_FAILED', `not the id of a message: ${id}`);
  return parts.join(':');
}

/** A place for readers. Times are sought after. Throws CONFIG_INVALID. */
export function nativeStart(
  position: Exclude<StartPosition, { publishedAt: number }>,
  { MessageId: ids }: NativePackage,
): NativeId {
  if (position === 'earliest') return ids.earliest();
  if (position === 'latest') return ids.latest();
  return ids.deserialize(idBytes(position.id));
}

function idBytes(id: MessageId): Buffer {
  const { ledger, entry, partition, batchIndex } = parseId(id);
  const writer = new Writer(64);
  for (const [tag, value] of [
    [LEDGER, ledger],
    [ENTRY, entry],
    [PARTITION, partition],
    [BATCH_INDEX, batchIndex],
  ] as const) {
    writer.uint(tag!);
    writer.long(value);
  }
  return Buffer.from(writer.taken());
}

function viewOf(payload: Uint8Array): Buffer {
  if (!(payload instanceof Uint8Array))
    throw new KeymillError('RECORD_BROKEN', `payload: expected bytes, text or null, found ${describe(payload)}`, {
      class: 'fatal',
    });
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}
