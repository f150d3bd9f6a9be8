/** Numbers that look random and are the same in every run: whoever is compared gets the same keys at the same times. */

/** Uniform over 0 … 2³²-1 for each n (murmur3's finaliser). */
export function mix(n: number): number {
  let h = n | 0;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}

/** Draws in (0, 1), from a seed. */
export function uniform(seed: number): () => number {
  let n = mix(seed + 1);
  return () => (mix(n++) + 0.5) / 2 ** 32;
}
