/** Numbers that look random and are the same in every run: whoever is compared gets the same keys at the same times. */
import { finalise } from '../../runtime/lanes/key-hash.ts';

/** Draws in (0, 1), from a seed. */
export function uniform(seed: number): () => number {
  let n = finalise(seed + 1);
  return () => (finalise(n++) + 0.5) / 2 ** 32;
}
