/** Watches threads: event loops that stand still (D5), starts that never end, heaps that fill (rule 18). */
import type { Environment, Timer } from '../environment.ts';
import { KeymillError } from '../errors.ts';
import type { Log } from '../topology/define.ts';
import type { Plan } from '../topology/plan.ts';
import type { KillReason, Slot } from './slot.ts';
import { GAUGE_BEAT } from './threads.ts';

const START_TIMEOUT_MS = 60_000;

interface WatchNeeds {
  readonly plan: Plan;
  readonly environment: Environment;
  readonly log: Log;
  readonly slots: readonly (Slot | undefined)[];
  isClosed(): boolean;
  kill(slot: number, reason: KillReason): void;
  /** A thread takes no more input, or takes it again. */
  paused(slot: Slot, paused: boolean): void;
  fail(error: Error): void;
}

export class Watch {
  readonly #needs: WatchNeeds;
  #timer: Timer | null = null;

  constructor(needs: WatchNeeds) {
    this.#needs = needs;
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Finds threads whose event loop stands still (D5), and starts that never end. */
  start(): void {
    const { stuckMs } = this.#needs.plan.options;
    this.#timer = this.#needs.environment.clock.after(Math.max(10, stuckMs / 4), () => {
      if (this.#needs.isClosed()) return;
      const now = this.#needs.environment.clock.now();
      for (const slot of this.#needs.slots) {
        if (!slot?.handle) continue;
        const beat = Atomics.load(slot.gauges, GAUGE_BEAT);
        if (beat !== slot.beat) {
          slot.beat = beat;
          slot.beatAt = now;
        } else if (now - slot.beatAt > (slot.isReachable ? stuckMs : Math.max(stuckMs, START_TIMEOUT_MS)))
          this.#needs.kill(slot.index, 'stuck');
      }
      this.start();
    });
  }

  /** Rule 18: above the watermark take nothing in; still above, recycle; again, give up. */
  heap(slot: Slot, used: number, limit: number): void {
    const { pauseAt, recycleAfterMs } = this.#needs.plan.options.heap;
    const now = this.#needs.environment.clock.now();
    const high = used > pauseAt * limit;
    if (high !== slot.paused) {
      slot.paused = high;
      slot.heapHighSince = high ? now : 0;
      this.#needs.paused(slot, high);
      this.#needs.log[high ? 'warn' : 'info'](
        { slot: slot.index, used, limit },
        high ? 'heap above the watermark: no more input' : 'heap below the watermark again',
      );
    }
    if (!high || now - slot.heapHighSince < recycleAfterMs) return;
    if (++slot.heapRecycles > 1)
      return this.#needs.fail(
        new KeymillError(
          'HOST_LOST',
          `${slot.kind} ${slot.index} filled its heap again after it was recycled (${Math.round(used / 2 ** 20)} of ${Math.round(limit / 2 ** 20)} MiB)`,
        ),
      );
    this.#needs.kill(slot.index, 'heap');
  }
}
