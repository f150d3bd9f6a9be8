/**
 * Things due at a time: a binary heap behind one timer of the clock. For back-offs, rate limits and dead lines of
 * handlers; equal delays in bulk (flush times) have cheaper queues of their own.
 */
import type { Clock, Timer } from '../environment.ts';

interface Due {
  at: number;
  order: number;
  fn: () => void;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #heap: Due[] = [];
  #order = 0;
  #timer: Timer | null = null;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Calls `fn` at the time `at` of the clock (ms). There is no cancelling: `fn` must check that it still matters. */
  at(at: number, fn: () => void): void {
    const heap = this.#heap;
    const due = { at, order: this.#order++, fn };
    let i = heap.length;
    heap.push(due);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(due, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = due;
    this.#arm();
  }

  close(): void {
    this.#timer?.cancel();
    this.#heap.length = 0;
  }

  #arm(): void {
    const first = this.#heap[0];
    if (!first || first.at >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = first.at;
    this.#timer = this.#clock.after(Math.max(0, first.at - this.#clock.now()), () => this.#fire());
  }

  #fire(): void {
    this.#timer = null;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    for (;;) {
      const first = this.#heap[0];
      if (!first || first.at > now) break;
      this.#pop();
      first.fn();
    }
    this.#arm();
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
