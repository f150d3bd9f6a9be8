import type { BulkheadOptions } from './options.ts';
import { policyError } from './policy-error.ts';
import { Waiters } from './waiters.ts';

/**
 * Bounds how many tries run at once and how many wait, first come first served. Ours: cockatiel 4's bulkhead frees the
 * slot a microtask before the queue's head takes it, so a newcomer can step in and the head is rejected; it sees an
 * abort only when a slot falls free; and its queue cannot be emptied.
 */
export class Bulkhead {
  readonly #name: string;
  readonly #options: BulkheadOptions;
  readonly #queue = new Waiters();
  /** Slots taken. While anyone is queued it equals maxCalls: a freed slot goes straight to the head of the queue. */
  #running = 0;
  #rejected = 0;

  constructor(name: string, options: BulkheadOptions) {
    this.#name = name;
    this.#options = options;
  }

  get running(): number {
    return this.#running;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** Calls refused with BULKHEAD_FULL so far. */
  get rejected(): number {
    return this.#rejected;
  }

  /**
   * Resolves when the caller holds a slot, which it gives back by `leave`. Rejects with BULKHEAD_FULL, with the
   * signal's reason when that is aborted in the queue, or with what `close` was given.
   */
  async enter(signal: AbortSignal): Promise<void> {
    const { maxCalls, maxQueued } = this.#options;
    if (this.#running < maxCalls) {
      this.#running++;
      return;
    }
    if (this.#queue.size < maxQueued) return this.#queue.add(signal).promise;
    this.#rejected++;
    throw policyError(this.#name, 'BULKHEAD_FULL', `${maxCalls} calls are running and ${maxQueued} are waiting`);
  }

  /** Gives a slot back. */
  leave(): void {
    if (!this.#queue.wakeFirst()) this.#running--;
  }

  /** Rejects all that wait with `reason`. What runs goes on. */
  close(reason: unknown): void {
    this.#queue.failAll(reason);
  }
}
