/**
 * CRC-32C (Castagnoli), the checksum of entries (reference/pulsar.md 2.1). Node's zlib.crc32 is of another polynomial. The
 * processor has an instruction for it, which @node-rs/crc32 uses; where that is not installed, and for few bytes, eight tables
 * take eight bytes a step (M. Kounavis and F. Berry, "A systematic approach to building high performance software-based CRC
 * generators", 2005).
 */
import { createRequire } from 'node:module';

/** Reflected. */
const POLYNOMIAL = 0x82f63b78;
/** Fewer bytes are done here: the call out costs more. */
const NATIVE_FROM = 256;

type Crc = (bytes: Uint8Array, seed: number) => number;

/** 256 words each: what a byte does to the checksum when 0 to 7 bytes follow it. */
const tables = makeTables();
let native: Crc | null | undefined;

/** Of the bytes after `from`: unsigned 32 bits. `seed`: the checksum of what comes before these. */
export function crc32c(bytes: Uint8Array, seed = 0, from = 0): number {
  if (bytes.length - from < NATIVE_FROM) return crc32cByTables(bytes, seed, from);
  if (native === undefined) native = nativeCrc32c();
  if (native === null) return crc32cByTables(bytes, seed, from);
  return native(from === 0 ? bytes : bytes.subarray(from), seed);
}

/** Null where it is not installed. */
export function nativeCrc32c(): Crc | null {
  try {
    return (createRequire(import.meta.url)('@node-rs/crc32') as { readonly crc32c: Crc }).crc32c;
  } catch {
    return null;
  }
}

export function crc32cByTables(bytes: Uint8Array, seed = 0, from = 0): number {
  const t = tables;
  let crc = ~seed;
  let i = from;
  const { length } = bytes;
  for (const last = length - 8; i <= last; i += 8) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    crc =
      t[0x700 | (crc & 255)]! ^
      t[0x600 | ((crc >>> 8) & 255)]! ^
      t[0x500 | ((crc >>> 16) & 255)]! ^
      t[0x400 | (crc >>> 24)]! ^
      t[0x300 | bytes[i + 4]!]! ^
      t[0x200 | bytes[i + 5]!]! ^
      t[0x100 | bytes[i + 6]!]! ^
      t[bytes[i + 7]!]!;
  }
  for (; i < length; i++) crc = (crc >>> 8) ^ t[(crc ^ bytes[i]!) & 255]!;
  return ~crc >>> 0;
}

function makeTables(): Int32Array {
  const words = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    words[byte] = crc;
  }
  for (let i = 256; i < words.length; i++) {
    const before = words[i - 256]!;
    words[i] = (before >>> 8) ^ words[before & 255]!;
  }
  return words;
}
