/** One that waits: its promise, and how to end the wait from outside. */
export interface Waiter {
  readonly promise: Promise<void>;
  /** Resolves the promise; nothing if the wait is over. */
  wake(): void;
  /** Rejects the promise; nothing if the wait is over. */
  fail(reason: unknown): void;
}

/**
 * Those that wait for the same thing, first come first served. Each leaves no trace once its wait is over: neither in
 * here nor as a listener on its signal.
 */
export class Waiters {
  /** A Set keeps the order of arrival and lets anyone leave from the middle at no cost. */
  readonly #waiting = new Set<Waiter>();

  get size(): number {
    return this.#waiting.size;
  }

  /** Joins the end of the queue. The wait ends with the signal's reason when that is aborted. */
  add(signal?: AbortSignal): Waiter {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      this.#waiting.delete(waiter);
      signal?.removeEventListener('abort', onAbort);
    };
    const waiter: Waiter = {
      promise,
      wake() {
        leave();
        resolve();
      },
      fail(reason) {
        leave();
        reject(reason);
      },
    };
    const onAbort = () => waiter.fail(signal?.reason);
    if (signal?.aborted) reject(signal.reason);
    else {
      this.#waiting.add(waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
    }
    return waiter;
  }

  /** Wakes the one that waits longest; false when nobody waits. */
  wakeFirst(): boolean {
    for (const waiter of this.#waiting) {
      waiter.wake();
      return true;
    }
    return false;
  }

  wakeAll(): void {
    for (const waiter of [...this.#waiting]) waiter.wake();
  }

  failAll(reason: unknown): void {
    for (const waiter of [...this.#waiting]) waiter.fail(reason);
  }
}
