/**
 * Pauses of several that end together: each at the next multiple of its length, by one clock. What is as long, or a multiple of
 * another, ends in one turn with it, and what all of them ask then can be asked at once.
 */
import type { Environment, Timer } from '../../../runtime/index.ts';

/** A timer may ring so much before its time, by the clock. */
const EARLY_MS = 5;

interface Tick {
  readonly timer: Timer;
  readonly fns: Set<() => void>;
}

export class Ticks {
  readonly #clock: Environment['clock'];
  /** By the time they come at. */
  readonly #ticks = new Map<number, Tick>();
  /** The last that came: no other look belongs to it. */
  #last = 0;

  constructor(clock: Environment['clock']) {
    this.#clock = clock;
  }

  /** As the clock's own: but sooner, at the next multiple of `ms`. */
  after(ms: number, fn: () => void): Timer {
    const now = this.#clock.now();
    const from = this.#last > now && this.#last - now < EARLY_MS ? this.#last : now;
    const at = (Math.floor(from / ms) + 1) * ms;
    let tick = this.#ticks.get(at);
    if (!tick) this.#ticks.set(at, (tick = { timer: this.#arm(at), fns: new Set() }));
    const { fns } = tick;
    // Given twice it is called twice.
    const own = (): void => fn();
    fns.add(own);
    return { cancel: () => this.#cancel(at, own) };
  }

  #arm(at: number): Timer {
    return this.#clock.after(Math.max(1, Math.ceil(at - this.#clock.now())), () => this.#ring(at));
  }

  #ring(at: number): void {
    const { fns } = this.#ticks.get(at)!;
    this.#last = at;
    this.#ticks.delete(at);
    for (const fn of fns) fn();
  }

  #cancel(at: number, fn: () => void): void {
    const tick = this.#ticks.get(at);
    if (!tick?.fns.delete(fn) || tick.fns.size > 0) return;
    tick.timer.cancel();
    this.#ticks.delete(at);
  }
}
