/**
 * What happens when invalidations may have been lost: all of L1 is suspect, each entry until it was read again by its version.
 * Those are batched reads, and a value that is right still is not sent. How many there were is logged when most is over.
 */
import type { IoThread, Timer } from '../../runtime/index.ts';
import type { Counts } from './counts.ts';
import type { L1 } from './l1.ts';
import type { Levels } from './levels.ts';

const REPORT_MS = 5000;

export class Suspicion {
  readonly #thread: IoThread;
  readonly #levels: Levels;
  readonly #l1: L1;
  readonly #counts: Counts;
  #report: Timer | null = null;

  constructor(thread: IoThread, levels: Levels, l1: L1, counts: Counts) {
    this.#thread = thread;
    this.#levels = levels;
    this.#l1 = l1;
    this.#counts = counts;
  }

  gap(why: string): void {
    this.#counts.gaps++;
    this.#levels.suspect();
    if (this.#report !== null) return;
    const before = this.#counts.revalidated;
    this.#thread.log.warn({ suspects: this.#l1.suspects(), why }, 'invalidations may be lost: L1 is revalidated');
    this.#report = this.#thread.environment.clock.after(REPORT_MS, () => {
      this.#report = null;
      const revalidated = this.#counts.revalidated - before;
      this.#thread.log.info({ revalidated, suspects: this.#l1.suspects() }, 'entries of L1 were revalidated');
    });
  }
}
