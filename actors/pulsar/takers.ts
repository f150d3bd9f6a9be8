/** Those who wait for the next message of a consumer or reader: the first to come is the first served. */
import type { InMessage } from './contract.ts';

interface Taker {
  resolve(message: InMessage): void;
  reject(error: unknown): void;
}

export class Takers {
  readonly #waiting = new Set<Taker>();
  #isServing = false;

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Rejects with the reason of `signal` when that is aborted first. */
  wait(signal?: AbortSignal): Promise<InMessage> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.delete(taker);
        reject(signal!.reason);
      };
      const over = (): void => signal?.removeEventListener('abort', onAbort);
      const taker: Taker = {
        resolve: message => {
          over();
          resolve(message);
        },
        reject: error => {
          over();
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(taker);
    });
  }

  /** Gives what `next` has to those who wait. Calls from within `next` do nothing: this goes on as long as it has some. */
  serve(next: () => InMessage | undefined): void {
    if (this.#isServing) return;
    this.#isServing = true;
    try {
      for (const taker of this.#waiting) {
        const message = next();
        if (!message) break;
        this.#waiting.delete(taker);
        taker.resolve(message);
      }
    } finally {
      this.#isServing = false;
    }
  }

  failAll(error: unknown): void {
    for (const taker of this.#waiting) taker.reject(error);
    this.#waiting.clear();
  }
}
