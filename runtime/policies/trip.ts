/**
 * Decides when a closed breaker opens. The counting is cockatiel's: ConsecutiveBreaker for failures in a row,
 * CountBreaker for a share of the last calls. Its SamplingBreaker is not used: it reads Date.now. Slow calls are ours:
 * a second CountBreaker that is told slow for failed and fast for good.
 */
import { CircuitState, ConsecutiveBreaker, CountBreaker, type IBreaker } from 'cockatiel';
import type { BreakerOptions } from './options.ts';

/**
 * What a try says of the dependency. none: nothing, because the caller was at fault (poison, fatal), lost interest or
 * ran out of its deadline.
 */
export type Verdict = 'good' | 'bad' | 'none';

const CLOSED = CircuitState.Closed;

export class Trip {
  readonly #failures: IBreaker;
  readonly #failuresSay: string;
  readonly #slow: IBreaker | undefined;
  readonly #slowMs: number;
  readonly #slowSays: string;

  constructor({ failures, sampling, slow }: BreakerOptions) {
    this.#failures = sampling ? counter(sampling.failureRatio, sampling) : new ConsecutiveBreaker(failures);
    this.#failuresSay = sampling
      ? `more than ${percent(sampling.failureRatio)} of the last ${sampling.calls} calls failed`
      : `${failures} calls in a row failed`;
    this.#slow = slow && counter(slow.slowRatio, slow);
    this.#slowMs = slow?.slowMs ?? Number.POSITIVE_INFINITY;
    this.#slowSays = slow
      ? `more than ${percent(slow.slowRatio)} of the last ${slow.calls} calls took ${slow.slowMs} ms or longer`
      : '';
  }

  isSlow(tookMs: number): boolean {
    return tookMs >= this.#slowMs;
  }

  /** Counts a try; returns why the breaker must open, or undefined. */
  count(verdict: Verdict, tookMs: number): string | undefined {
    if (verdict === 'good') this.#failures.success(CLOSED);
    else if (verdict === 'bad' && this.#failures.failure(CLOSED)) return this.#failuresSay;
    // A try that says nothing but was slow still took the dependency's time; a fast one proves nothing either way.
    if (this.isSlow(tookMs)) return this.#slow?.failure(CLOSED) ? this.#slowSays : undefined;
    if (verdict !== 'none') this.#slow?.success(CLOSED);
    return undefined;
  }
}

function counter(threshold: number, window: { calls: number; minCalls: number }): CountBreaker {
  return new CountBreaker({ threshold, size: window.calls, minimumNumberOfCalls: window.minCalls });
}

function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`;
}
