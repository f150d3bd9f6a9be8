/** A message as loops see it: with its payload as text or JSON. */
import { asError, KeymillError } from '../../runtime/index.ts';
import type { Delivery, InMessage } from './contract.ts';
import { plainPayload } from './typed.ts';

const decoder = new TextDecoder();

export function deliveryOf(message: InMessage): Delivery {
  return {
    ...message,
    text: () => textOf(message),
    json: <T>() => jsonOf(message) as T,
  };
}

type Payload = Pick<InMessage, 'payload' | 'properties' | 'topic' | 'id'>;

/** The payload as UTF-8 text; '' for a tombstone. Throws RECORD_BROKEN. */
export function textOf(message: Payload): string {
  try {
    const payload = plainPayload(message);
    return payload === null ? '' : decoder.decode(payload);
  } catch (cause) {
    throw broken('not compressed by gzip', message, cause);
  }
}

/** The payload as JSON; null for a tombstone. Throws RECORD_BROKEN. */
export function jsonOf(message: Payload): unknown {
  if (message.payload === null) return null;
  const text = textOf(message);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw broken('not JSON', message, cause);
  }
}

function broken(what: string, { id, topic }: Payload, cause: unknown): KeymillError {
  const { message } = asError(cause);
  return new KeymillError('RECORD_BROKEN', `${what}: message ${id} of ${topic} (${message})`, {
    cause,
    place: { at: `${topic} ${id}` },
  });
}
