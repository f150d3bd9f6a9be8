/** The pause between looks that find nothing: 50 ms, doubled each time, to 5 s; from the start again when something comes (G6.3). */
import type { Environment } from '../../../runtime/index.ts';

export const POLL_MIN_MS = 50;
export const POLL_MAX_MS = 5000;

export interface PollMs {
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

export class Pauses {
  readonly #min: number;
  readonly #max: number;
  #empty = 0;

  constructor({ min = POLL_MIN_MS, max = POLL_MAX_MS }: PollMs = {}) {
    this.#min = min;
    this.#max = Math.max(min, max);
  }

  /** Looks in a row that found nothing. */
  get empty(): number {
    return this.#empty;
  }

  /**
   * After a look: how long to wait for the next. `took`: ms that the look took. Doubled until it is longer than that: those that
   * begin at different ticks, and are still under way at the next, would never come together.
   */
  after(found: boolean, took = 0): number {
    this.#empty = found ? 0 : this.#empty + 1;
    let ms = Math.min(this.#max, this.#min * 2 ** Math.min(30, Math.max(0, this.#empty - 1)));
    while (ms < took) ms *= 2;
    return ms;
  }
}

/** Resolves after `ms`, or at once when one of the signals aborts. */
export function pause(
  clock: Pick<Environment['clock'], 'after'>,
  ms: number,
  ...signals: AbortSignal[]
): Promise<void> {
  if (signals.some(signal => signal.aborted)) return Promise.resolve();
  return new Promise(resolve => {
    const end = (): void => {
      timer.cancel();
      for (const signal of signals) signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.after(ms, end);
    for (const signal of signals) signal.addEventListener('abort', end);
  });
}
