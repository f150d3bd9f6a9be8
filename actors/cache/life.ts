/** Lives and time-outs that a caller gives. */
import { describe, KeymillError } from '../../runtime/index.ts';

/** Ten years, as in the options. */
const MOST_MS = 3650 * 86_400_000;

/** Throws CACHE_LIFE_INVALID. */
export function lifeFrom(given: unknown, otherwise: number, name: string, least = 1): number {
  if (given === undefined) return otherwise;
  if (typeof given === 'number' && given >= least && given <= MOST_MS) return given;
  throw new KeymillError(
    'CACHE_LIFE_INVALID',
    `${name}: expected ${least} to ${MOST_MS} ms, found ${describe(given)}; to remove a key, delete it`,
  );
}
