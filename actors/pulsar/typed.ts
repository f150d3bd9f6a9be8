/** Typed messages (G1085): what they are, when they were made, and whether their payload is compressed, in their properties. */
import { gunzipSync, gzipSync } from 'node:zlib';
import type { InMessage, OutMessage } from './contract.ts';

/** Payloads above this size are compressed, if that makes them smaller. */
const COMPRESS_ABOVE = 1024;
/** Largest payload that is made of a compressed one: what would be larger is refused. */
const MAX_BYTES = 256 * 1024 * 1024;
const GZIP = 'gzip';

export function typed(type: string, message: OutMessage & { readonly payload: string | Uint8Array }): OutMessage {
  const { payload, properties } = message;
  const compressed = Buffer.byteLength(payload) > COMPRESS_ABOVE ? gzipSync(payload) : null;
  const isSmaller = compressed !== null && compressed.length < Buffer.byteLength(payload);
  return {
    ...message,
    payload: isSmaller ? compressed : payload,
    properties: {
      ...properties,
      type,
      timestamp: new Date().toISOString(),
      compression: isSmaller ? GZIP : 'none',
    },
  };
}

/** The payload as it was before. Throws what gzip says of one that is not what its properties say. */
export function plainPayload({ payload, properties }: Pick<InMessage, 'payload' | 'properties'>): Uint8Array | null {
  if (payload === null || properties['type'] === undefined || properties['compression'] !== GZIP) return payload;
  return gunzipSync(payload, { maxOutputLength: MAX_BYTES });
}
