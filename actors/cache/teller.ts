/** Tells the I/O actor what this thread counts, at most once a second and only while something happens. */
import type { IoThread } from '../../runtime/index.ts';
import type { Told } from './counts.ts';
import type { ToldOp } from './ops.ts';

const EVERY_MS = 1000;

export class Teller {
  readonly #thread: IoThread;
  readonly #by: string;
  readonly #told: () => Told;
  #isDue = false;

  constructor(thread: IoThread, by: string, told: () => Told) {
    this.#thread = thread;
    this.#by = by;
    this.#told = told;
  }

  soon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#thread.environment.clock.after(EVERY_MS, () => {
      this.#isDue = false;
      this.#thread.ask({ op: 'cache.told', by: this.#by, told: this.#told() } satisfies ToldOp).catch(() => {}); // the next says it all
    });
  }
}
