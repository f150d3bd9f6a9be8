/** The schedule of retries of a message: how long its key waits after its n-th failure. */
import type { RetryOptions } from '../topology/options.ts';

/** Milliseconds before the call that follows failure number `failures` (1 is the first); `random` is uniform in [0, 1). */
export function retryDelay(options: Omit<RetryOptions, 'attempts'>, failures: number, random: () => number): number {
  const full =
    options.kind === 'fixed'
      ? options.delayMs
      : Math.min(options.maxDelayMs, options.delayMs * Math.min(Number.MAX_VALUE, options.factor ** (failures - 1))); // 0 × ∞ is no time
  return full * (1 - options.jitter * random());
}
