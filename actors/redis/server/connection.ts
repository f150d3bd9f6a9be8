/**
 * A connection with one life: when it ends, for whatever reason, another is made. ioredis is told to queue, retry and resend
 * nothing, since its promises may hang then (reference/ecosystem.md section 0.3 and 0.4).
 */
import type { Redis } from 'ioredis';
import type { Clock } from '../../../runtime/index.ts';
import { faultOf, lostFault } from './faults.ts';

/** Rejects with what `late` gives when it takes longer. */
export function within<T>(clock: Clock, ms: number, promise: Promise<T>, late: () => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => reject(late()));
    promise.then(resolve, reject).finally(() => timer.cancel());
  });
}

export class Connection {
  readonly redis: Redis;
  /** Without secrets. */
  readonly at: string;
  /** Resolves with the reason. */
  readonly ended: Promise<unknown>;
  readonly #end: (reason: unknown) => void;
  /** Calls that wait for an answer. */
  readonly #open = new Set<(reason: unknown) => void>();
  isEnded = false;

  constructor(redis: Redis, at: string) {
    this.redis = redis;
    this.at = at;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.ended = promise;
    this.#end = resolve;
    redis.once('close', () => this.end(lostFault(at, 'the connection was lost')));
    redis.once('end', () => this.end(lostFault(at, 'the connection was lost')));
  }

  /** Does not wait for the other side. */
  end(reason: unknown): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.#end(reason);
    for (const fail of [...this.#open]) fail(reason);
    this.redis.disconnect();
  }

  /** Rejects with IO_FAILED and the like, when the connection ends or after `ms` at the latest. */
  timely<T>(clock: Clock, ms: number, call: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        timer.cancel();
        this.#open.delete(fail);
      };
      const fail = (error: unknown): void => {
        done();
        reject(faultOf(error, this.at));
      };
      const timer = clock.after(ms, () => fail(lostFault(this.at, `no answer in ${ms} ms`)));
      this.#open.add(fail);
      call.then(value => {
        done();
        resolve(value);
      }, fail);
    });
  }
}
