/** A message as it was handed to a producer, checked and made ready to be written. */
import { describe, KeymillError } from '../../../runtime/index.ts';
import type { OutMessage } from '../contract.ts';
import type { NewMessage } from './topic.ts';

/** Throws MESSAGE_TOO_LARGE, and RECORD_BROKEN for what no client could send. */
export function outgoing(message: OutMessage, maxBytes: number): NewMessage {
  const { payload, key = null, orderingKey = null, eventTime = null, deliverAt = null, properties } = message;
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'utf8') : payload;
  if (bytes !== null && !(bytes instanceof Uint8Array))
    throw broken(`payload: expected bytes, text or null, found ${describe(payload)}`);
  for (const [name, text] of [
    ['key', key],
    ['orderingKey', orderingKey],
  ] as const)
    if (text !== null && typeof text !== 'string') throw broken(`${name}: expected text, found ${describe(text)}`);
  for (const [name, number] of [
    ['eventTime', eventTime],
    ['deliverAt', deliverAt],
  ] as const)
    if (number !== null && !Number.isFinite(number)) throw broken(`${name}: expected ms, found ${describe(number)}`);
  const { sequenceId } = message;
  if (sequenceId !== undefined && !(Number.isSafeInteger(sequenceId) && sequenceId >= 0))
    throw broken(`sequenceId: expected a whole number from 0 on, found ${describe(sequenceId)}`);
  const packed = properties === undefined ? null : packProperties(properties);
  // The limit is of payload and metadata together, as a broker counts (reference/pulsar.md pitfall 3).
  const size = (bytes?.length ?? 0) + lengthOf(key) + lengthOf(orderingKey) + lengthOf(packed);
  if (size > maxBytes)
    throw new KeymillError(
      'MESSAGE_TOO_LARGE',
      `a message has ${size} bytes with key and properties, of ${maxBytes} at most`,
    );
  return { payload: bytes, key, orderingKey, properties: packed, eventTime, deliverAt, size };
}

function packProperties(properties: Readonly<Record<string, string>>): string | null {
  const entries = Object.entries(properties);
  if (entries.length === 0) return null;
  for (const [name, value] of entries)
    if (typeof value !== 'string') throw broken(`properties.${name}: expected text, found ${describe(value)}`);
  return JSON.stringify(properties);
}

function lengthOf(text: string | null): number {
  return text === null ? 0 : Buffer.byteLength(text);
}

function broken(what: string): KeymillError {
  return new KeymillError('RECORD_BROKEN', what, { class: 'fatal' });
}
