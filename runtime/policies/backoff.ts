/**
 * Growing delays. The chain that remembers where a call stands is cockatiel's ExponentialBackoff. The generator inside
 * it is ours, because cockatiel's own draw from Math.random, or always double whatever the factor (noJitterGenerator).
 */
import { ExponentialBackoff, type GeneratorFn, type IBackoff } from 'cockatiel';
import type { RetryOptions } from './options.ts';

export interface BackoffShape {
  readonly delayMs: number;
  readonly factor: number;
  readonly maxDelayMs: number;
  /** Share of each delay that is random, 0 to 1. */
  readonly jitter: number;
}

/** The shape of a retry: a fixed delay is one that does not grow. */
export function retryShape(options: RetryOptions): BackoffShape {
  return options.kind === 'fixed' ? { ...options, factor: 1, maxDelayMs: Number.POSITIVE_INFINITY } : options;
}

/**
 * Gives one delay after the other, in ms. The n-th (from 0) has the length L = min(maxDelayMs, delayMs × factor^n) and
 * lies in (L × (1 - jitter), L], with `random` uniform in [0, 1); without jitter it is L.
 */
export function backoff(shape: BackoffShape, random: () => number): () => number {
  // The state is the last length, not a count: multiplying a capped length cannot overflow, factor^1000 would.
  const generator: GeneratorFn<number> = (last, { initialDelay, exponent, maxDelay }) => {
    const length = Math.min(maxDelay, last === undefined ? initialDelay : last * exponent);
    return [length * (1 - shape.jitter * random()), length];
  };
  const first = new ExponentialBackoff({
    generator,
    initialDelay: shape.delayMs,
    exponent: shape.factor,
    maxDelay: shape.maxDelayMs,
  });
  let step: IBackoff<unknown> | undefined;
  return () => {
    step = step ? step.next(undefined) : first.next();
    return step.duration;
  };
}
