/**
 * Key → 32-bit hash → partition. Murmur3 (x86, 32 bit, seed 0) over the UTF-8 of the key, as Pulsar's key routing uses
 * it for strings (reference/pulsar.md), so that a key can keep its partition across both. Numbers that are 32-bit
 * integers take the finaliser alone: it mixes as well and costs a tenth.
 */
import type { Key } from '../topology/define.ts';

const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;
const encoder = new TextEncoder();
let scratch = new Uint8Array(256);

/**
 * Uniform over -2³¹ … 2³¹-1 (what fits 32 bits is never boxed); equal keys have equal hashes in every thread, process and
 * version.
 */
export function hashKey(key: Key): number {
  if (typeof key === 'number') return (key | 0) === key ? finalise(key) | 0 : hashString(String(key));
  return hashString(typeof key === 'string' ? key : String(key));
}

function hashString(text: string): number {
  const length = text.length;
  if (length * 3 > scratch.length) scratch = new Uint8Array(length * 6);
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 127) return murmur3(scratch, encoder.encodeInto(text, scratch).written) | 0;
    scratch[i] = unit;
  }
  return murmur3(scratch, length) | 0;
}

/** Murmur3_x86_32 of the first `length` bytes, seed 0. */
export function murmur3(bytes: Uint8Array, length: number): number {
  let h = 0;
  const whole = length & ~3;
  for (let i = 0; i < whole; i += 4) {
    const k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    h ^= scramble(k);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let i = length - 1; i >= whole; i--) tail = (tail << 8) | bytes[i]!;
  if (length > whole) h ^= scramble(tail);
  return finalise(h ^ length);
}

function scramble(k: number): number {
  const m = Math.imul(k, C1);
  return Math.imul((m << 15) | (m >>> 17), C2);
}

/** Spreads a number evenly over 0 … 2³²-1 (murmur3's last step). */
export function finalise(value: number): number {
  let h = value;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}
