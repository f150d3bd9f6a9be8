/** A message as loops see it: with its payload as text, JSON or BSON. */
import { asError, KeymillError } from '../../runtime/index.ts';
import type { Delivery, InMessage } from './contract.ts';
import { bsonDocument } from './schema/bson.ts';
import { DATES_PROPERTY, withDates } from './schema/dates.ts';
import { plainPayload } from './typed.ts';

const decoder = new TextDecoder();

/** Publishes what shall come again, or never. */
export type Letter = (message: InMessage, delayMs: number | undefined, isDead: boolean) => Promise<void>;

export function deliveryOf(message: InMessage, letter: Letter = noLetter): Delivery {
  return {
    ...message,
    text: () => textOf(message),
    json: <T>() => jsonOf(message) as T,
    bson: <T>() => bsonOf(message) as T,
    retryLater: delayMs => letter(message, delayMs, false),
    bury: () => letter(message, undefined, true),
  };
}

const noLetter: Letter = async ({ id, topic }) => {
  throw new KeymillError('ACK_REFUSED', `message ${id} of ${topic}: it was consumed without retryLetter`);
};

type Payload = Pick<InMessage, 'payload' | 'properties' | 'topic' | 'id'>;

/** The payload as UTF-8 text; '' for a tombstone. Throws RECORD_BROKEN. */
export function textOf(message: Payload): string {
  const payload = plainOf(message);
  return payload === null ? '' : decoder.decode(payload);
}

/** The payload as JSON, its dates as they were (schema/dates.ts); null for a tombstone. Throws RECORD_BROKEN. */
export function jsonOf(message: Payload): unknown {
  if (message.payload === null) return null;
  const text = textOf(message);
  try {
    return withDates(JSON.parse(text), message.properties[DATES_PROPERTY]);
  } catch (cause) {
    throw broken('not JSON', message, cause);
  }
}

function bsonOf(message: Payload): unknown {
  const payload = plainOf(message);
  if (payload === null) return null;
  try {
    return bsonDocument(payload);
  } catch (cause) {
    throw broken('not BSON', message, cause);
  }
}

function plainOf(message: Payload): Uint8Array | null {
  try {
    return plainPayload(message);
  } catch (cause) {
    throw broken('not compressed by gzip', message, cause);
  }
}

function broken(what: string, { id, topic }: Payload, cause: unknown): KeymillError {
  const { message } = asError(cause);
  return new KeymillError('RECORD_BROKEN', `${what}: message ${id} of ${topic} (${message})`, {
    cause,
    place: { at: `${topic} ${id}` },
  });
}
