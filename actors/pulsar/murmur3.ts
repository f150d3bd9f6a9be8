/**
 * Murmur3_32 (Austin Appleby, public domain) with seed 0 over UTF-8. Masked to 31 bits it is the one hash that Pulsar's Java,
 * C++ and Go clients agree on (reference/pulsar.md 2.10 and pitfall 25), so keys keep their partition whoever publishes.
 */
const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;
const encoder = new TextEncoder();
const scratch = new Uint8Array(1024);

/** Unsigned 32 bits. */
export function murmur3(text: string): number {
  // A character takes three bytes at most.
  if (3 * text.length > scratch.length) {
    const bytes = encoder.encode(text);
    return hash(bytes, bytes.length);
  }
  return hash(scratch, encoder.encodeInto(text, scratch).written);
}

/** Which of `partitions` a key belongs to. */
export function partitionOfKey(key: string, partitions: number): number {
  return (murmur3(key) & 0x7fffffff) % partitions;
}

function hash(bytes: Uint8Array, length: number): number {
  let h = 0;
  const blocks = length & ~3;
  for (let i = 0; i < blocks; i += 4) {
    h ^= scrambled(bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let i = length - 1; i >= blocks; i--) tail = (tail << 8) | bytes[i]!;
  if (length > blocks) h ^= scrambled(tail);
  h ^= length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function scrambled(word: number): number {
  const mixed = Math.imul(word, C1);
  return Math.imul((mixed << 15) | (mixed >>> 17), C2);
}
