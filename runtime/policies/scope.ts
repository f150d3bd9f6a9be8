import type { Clock, Timer } from '../environment.ts';

/** setTimeout takes no longer delay than this and would fire at once (Node: TimeoutOverflowWarning). About 25 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface ScopeLimits {
  /** The scope ends when this is aborted, with the same reason. One listener, removed by `close`. */
  readonly parent?: AbortSignal | undefined;
  /** Milliseconds after which the scope ends; undefined and Infinity mean never, 0 and less at once. */
  readonly limitMs?: number | undefined;
  /** Makes the reason when the limit has passed. */
  expired(limitMs: number): Error;
}

/**
 * A stretch of time with a signal: a call within its deadline, a try within its time-out. Scopes nest by `parent`.
 * Ours, because cockatiel's TimeoutPolicy takes its time from setTimeout. Whoever makes a scope closes it.
 */
export class Scope {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal | undefined;
  readonly #endsAt: number | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock, { parent, limitMs = Number.POSITIVE_INFINITY, expired }: ScopeLimits) {
    this.#clock = clock;
    this.#parent = parent;
    if (limitMs !== Number.POSITIVE_INFINITY) this.#endsAt = clock.now() + limitMs;
    if (parent?.aborted) this.abort(parent.reason);
    else if (limitMs <= 0) this.abort(expired(limitMs));
    else {
      parent?.addEventListener('abort', this.#onParent, { once: true });
      if (limitMs <= LONGEST_TIMER_MS) this.#timer = clock.after(limitMs, () => this.abort(expired(limitMs)));
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Milliseconds until the limit, 0 at least; undefined without one. */
  get leftMs(): number | undefined {
    return this.#endsAt === undefined ? undefined : Math.max(0, this.#endsAt - this.#clock.now());
  }

  /** Ends the scope early. What runs in it rejects with `reason`, by default an AbortError. */
  abort(reason?: unknown): void {
    this.#controller.abort(reason);
  }

  /**
   * Calls `fn` and settles as it does, or rejects with the signal's reason as soon as the scope ends. `fn` is not
   * waited for then: it may go on running unless it honours the signal.
   */
  run<T>(fn: () => T | Promise<T>): Promise<T> {
    const { signal } = this;
    return new Promise<T>((resolve, reject) => {
      signal.throwIfAborted();
      const onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      const work = async () => fn();
      void work()
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  /** Lets go of the timer and of the parent. The signal stays as it is. */
  close(): void {
    this.#timer?.cancel();
    this.#parent?.removeEventListener('abort', this.#onParent);
  }

  readonly #onParent = (): void => this.abort(this.#parent?.reason);
}
