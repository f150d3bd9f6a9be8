/**
 * Values as they stand on a server, so that other programs can read and write them: text as it is, and what is not only
 * text behind a first byte that says what it is.
 *
 *     00 bytes            01 text that begins with one of these bytes
 *     02 id 00 value      a value that was set where there was none, and by which call
 *     03 value            a value whose version stands at the version key
 */
import { isUtf8 } from 'node:buffer';
import type { RedisValue } from '../contract.ts';

const BYTES = 0;
const TEXT = 1;
const BY = 2;
const VERSIONED = 3;

export type Packed = string | Buffer;

export function pack(value: RedisValue): Packed {
  if (typeof value !== 'string') return Buffer.concat([Uint8Array.of(BYTES), value]);
  return value.length > 0 && value.charCodeAt(0) <= VERSIONED ? `\x01${value}` : value;
}

export function packVersioned(value: RedisValue): Packed {
  const packed = pack(value);
  return typeof packed === 'string' ? `\x03${packed}` : Buffer.concat([Uint8Array.of(VERSIONED), packed]);
}

/** Null where it is a versioned value. */
export function unpack(found: Buffer): RedisValue | null {
  const mark = found[0];
  if (mark === undefined || mark > VERSIONED) return inner(found, 0);
  if (mark === VERSIONED) return null;
  return inner(found, mark === BY ? found.indexOf(0, 1) + 1 : 0);
}

/** Null where it is none of a version. */
export function unpackVersioned(found: Buffer): RedisValue | null {
  return found[0] === VERSIONED ? inner(found, 1) : null;
}

function inner(found: Buffer, from: number): RedisValue {
  const mark = found[from];
  if (mark === BYTES) return new Uint8Array(found.subarray(from + 1)); // memory of its own, not a part of a pool
  const begin = mark === TEXT ? from + 1 : from;
  const rest = begin === 0 ? found : found.subarray(begin);
  return isUtf8(rest) ? rest.toString() : new Uint8Array(rest);
}
