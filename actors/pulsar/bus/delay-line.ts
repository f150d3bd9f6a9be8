/** Numbers that are due the same time after they were put in: nacks, and acknowledgement time-outs. One timer for all. */
import type { Clock, Timer } from '../../../runtime/index.ts';

export class DelayLine {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #due: (numbers: readonly number[]) => void;
  /** When each is due; in the order of being put in, which is that of being due. */
  readonly #waiting = new Map<number, number>();
  #timer: Timer | null = null;

  constructor(clock: Clock, delayMs: number, due: (numbers: readonly number[]) => void) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#due = due;
  }

  /** Nothing changes for one that waits already. */
  add(n: number): void {
    if (this.#waiting.has(n)) return;
    this.#waiting.set(n, this.#clock.now() + this.#delayMs);
    if (this.#timer === null) this.#arm(this.#delayMs);
  }

  delete(n: number): void {
    if (this.#waiting.size > 0) this.#waiting.delete(n);
  }

  clear(): void {
    this.#waiting.clear();
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** The timer is not cancelled when what it was set for is taken out: it then finds nothing, or sets itself anew. */
  #arm(ms: number): void {
    this.#timer = this.#clock.after(ms, () => {
      this.#timer = null;
      const now = this.#clock.now();
      const due: number[] = [];
      for (const [n, at] of this.#waiting) {
        if (at > now) {
          this.#arm(at - now);
          break;
        }
        this.#waiting.delete(n);
        due.push(n);
      }
      if (due.length > 0) this.#due(due);
    });
  }
}
