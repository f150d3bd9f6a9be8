/** A message as loops see it: with its payload as text or JSON. */
import { asError, KeymillError } from '../../runtime/index.ts';
import type { Delivery, InMessage } from './contract.ts';

const decoder = new TextDecoder();

export function deliveryOf(message: InMessage): Delivery {
  return {
    ...message,
    text: () => textOf(message),
    json: <T>() => jsonOf(message) as T,
  };
}

/** The payload as UTF-8 text; '' for a tombstone. */
export function textOf({ payload }: Pick<InMessage, 'payload'>): string {
  return payload === null ? '' : decoder.decode(payload);
}

/** The payload as JSON; null for a tombstone. Throws RECORD_BROKEN. */
export function jsonOf(message: Pick<InMessage, 'payload' | 'topic' | 'id'>): unknown {
  if (message.payload === null) return null;
  try {
    return JSON.parse(textOf(message));
  } catch (cause) {
    throw new KeymillError(
      'RECORD_BROKEN',
      `not JSON: message ${message.id} of ${message.topic} (${asError(cause).message})`,
      {
        cause,
        place: { at: `${message.topic} ${message.id}` },
      },
    );
  }
}
