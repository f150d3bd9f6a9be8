/** A message as it was handed to a producer, checked, and with what is decided of it. */
import { describe, KeymillError } from '../../../runtime/index.ts';
import type { MessageId, OutMessage } from '../contract.ts';

export interface Prepared {
  readonly payload: Uint8Array | string | null;
  readonly key: string | undefined;
  readonly orderingKey: string | undefined;
  readonly properties: Readonly<Record<string, string>> | undefined;
  readonly eventTime: number | undefined;
  readonly deliverAt: number | undefined;
  /** The caller's own; undefined where it is for the producer to count. */
  readonly sequenceId: number | undefined;
  /** Bytes of payload, keys and properties; the frame has some 30 more. */
  readonly size: number;
  resolve(id: MessageId): void;
  reject(error: unknown): void;
}

/** Throws MESSAGE_TOO_LARGE, and RECORD_BROKEN for what no client could send. */
export function prepared(
  message: OutMessage,
  maxBytes: number,
  resolve: (id: MessageId) => void,
  reject: (error: unknown) => void,
): Prepared {
  const { payload, key, orderingKey, properties, eventTime, deliverAt, sequenceId } = message;
  if (payload !== null && typeof payload !== 'string' && !(payload instanceof Uint8Array))
    throw broken(`payload: expected bytes, text or null, found ${describe(payload)}`);
  if (key !== undefined) mustBeText('key', key);
  if (orderingKey !== undefined) mustBeText('orderingKey', orderingKey);
  if (eventTime !== undefined) mustBeTime('eventTime', eventTime);
  if (deliverAt !== undefined) mustBeTime('deliverAt', deliverAt);
  if (sequenceId !== undefined && !(Number.isSafeInteger(sequenceId) && sequenceId >= 0))
    throw broken(`sequenceId: expected a whole number from 0 on, found ${describe(sequenceId)}`);
  let size = payload === null ? 0 : typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length;
  if (key !== undefined) size += Buffer.byteLength(key);
  if (orderingKey !== undefined) size += Buffer.byteLength(orderingKey);
  if (properties !== undefined)
    for (const [name, value] of Object.entries(properties)) {
      mustBeText(`properties.${name}`, value);
      size += Buffer.byteLength(name) + Buffer.byteLength(value) + 6;
    }
  if (size > maxBytes)
    throw new KeymillError(
      'MESSAGE_TOO_LARGE',
      `a message has ${size} bytes with key and properties, of ${maxBytes} at most`,
    );
  return { payload, key, orderingKey, properties, eventTime, deliverAt, sequenceId, size, resolve, reject };
}

function mustBeText(name: string, value: unknown): void {
  if (typeof value !== 'string') throw broken(`${name}: expected text, found ${describe(value)}`);
}

function mustBeTime(name: string, value: unknown): void {
  if (!Number.isFinite(value)) throw broken(`${name}: expected ms, found ${describe(value)}`);
}

function broken(what: string): KeymillError {
  return new KeymillError('RECORD_BROKEN', what, { class: 'fatal' });
}
