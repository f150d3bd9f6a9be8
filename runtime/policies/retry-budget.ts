import type { Clock } from '../environment.ts';
import type { BudgetOptions } from './options.ts';

const TENTHS = 10;

/**
 * Bounds the retries of all calls together: within a sliding window at most `ratio` of its calls, or `minRetries` if
 * that is more. Without it a dependency that fails under load gets `attempts` times that load. Ours; cockatiel has none.
 */
export class RetryBudget {
  readonly #options: BudgetOptions;
  readonly #clock: Clock;
  readonly #tenthMs: number;
  /** A ring of the last ten tenths of the window; #calls[i] and #retries[i] belong to the tenth with number ≡ i. */
  readonly #calls = new Array<number>(TENTHS).fill(0);
  readonly #retries = new Array<number>(TENTHS).fill(0);
  /** Number of the tenth that was current last: floor(now / tenth). */
  #tenth: number;

  constructor(options: BudgetOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#tenthMs = options.windowMs / TENTHS;
    this.#tenth = Math.floor(clock.now() / this.#tenthMs);
  }

  /** Counts a call, whatever becomes of it. */
  call(): void {
    const slot = this.#slide();
    this.#calls[slot] = this.#calls[slot]! + 1;
  }

  /** Takes one retry from the budget; false when there is none left. */
  take(): boolean {
    const slot = this.#slide();
    const allowed = Math.max(this.#options.minRetries, this.#options.ratio * sum(this.#calls));
    if (sum(this.#retries) + 1 > allowed) return false;
    this.#retries[slot] = this.#retries[slot]! + 1;
    return true;
  }

  /** Forgets what left the window; returns the slot of the current tenth. */
  #slide(): number {
    const current = Math.floor(this.#clock.now() / this.#tenthMs);
    const passed = Math.min(TENTHS, current - this.#tenth);
    for (let i = 0; i < passed; i++) {
      const slot = (current - i) % TENTHS;
      this.#calls[slot] = 0;
      this.#retries[slot] = 0;
    }
    this.#tenth = current;
    return current % TENTHS;
  }
}

function sum(numbers: readonly number[]): number {
  let total = 0;
  for (const n of numbers) total += n;
  return total;
}
