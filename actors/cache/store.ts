/**
 * L2 as a thread asks it. Reads of one turn go as one ask; each ask has an end of its own, and after one that the store did
 * not answer it is left alone for a while: what can be answered without it must not wait for it.
 */
import { asError, type IoThread, isKeymillError, KeymillError, type Version } from '../../runtime/index.ts';
import type { RedisClient } from '../redis/contract.ts';
import type { Counts } from './counts.ts';
import type { ReadOp, ReadReply } from './ops.ts';
import type { CacheOptions } from './options.ts';

/** Keys of one read. */
const MOST_KEYS = 500;

interface Wanted {
  readonly key: string;
  readonly version: Version | null;
  resolve(reply: ReadReply): void;
  reject(error: unknown): void;
}

export class Store {
  readonly redis: RedisClient;
  readonly #thread: IoThread;
  readonly #counts: Counts;
  readonly #timeoutMs: number;
  readonly #backoffMs: number;
  #wanted: Wanted[] = [];
  #awayUntil = Number.NEGATIVE_INFINITY;
  #isAway = false;
  /** Called when it answers again. */
  onBack: () => void = () => {};

  constructor(thread: IoThread, redis: RedisClient, { l2 }: CacheOptions, counts: Counts) {
    this.#thread = thread;
    this.redis = redis;
    this.#counts = counts;
    this.#timeoutMs = l2.timeoutMs;
    this.#backoffMs = l2.backoffMs;
  }

  /** It did not answer when it was asked last. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /** One entry, by its name in the store. Rejects with what `isAwayError` knows where it cannot be had. */
  read(key: string, version: Version | null): Promise<ReadReply> {
    return new Promise((resolve, reject) => {
      if (this.#wanted.push({ key, version, resolve, reject }) === 1)
        this.#thread.environment.soon(() => this.#readAll());
    });
  }

  /** Anything else. Asked at once, so the order of the calls is that of the asks. */
  ask<T>(call: (redis: RedisClient) => Promise<T>): Promise<T> {
    return this.#within(() => call(this.redis));
  }

  /** As long as it takes: for whole sets. */
  patiently<T>(call: (redis: RedisClient) => Promise<T>): Promise<T> {
    return call(this.redis);
  }

  #readAll(): void {
    const wanted = this.#wanted;
    this.#wanted = [];
    for (let from = 0; from < wanted.length; from += MOST_KEYS) {
      const some = wanted.slice(from, from + MOST_KEYS);
      const op: ReadOp = {
        op: 'cache.read',
        keys: some.map(({ key }) => key),
        versions: some.map(({ version }) => version),
      };
      this.#within(() => this.#thread.ask(op) as Promise<readonly ReadReply[]>).then(
        replies => {
          for (const [i, { resolve }] of some.entries()) resolve(replies[i]!);
        },
        (error: unknown) => {
          for (const { reject } of some) reject(error);
        },
      );
    }
  }

  #within<T>(call: () => Promise<T>): Promise<T> {
    const { clock } = this.#thread.environment;
    if (clock.now() < this.#awayUntil) {
      this.#counts.storeSkipped++;
      return Promise.reject(new KeymillError('IO_FAILED', 'the store of the cache did not answer a moment ago'));
    }
    return new Promise((resolve, reject) => {
      const timer = clock.after(this.#timeoutMs, () => {
        const error = new KeymillError('TIMEOUT', `the store of the cache: no answer within ${this.#timeoutMs} ms`);
        this.#failed(error);
        reject(error);
      });
      call().then(
        value => {
          timer.cancel();
          this.#answered();
          resolve(value);
        },
        (error: unknown) => {
          timer.cancel();
          this.#failed(error);
          reject(error);
        },
      );
    });
  }

  #answered(): void {
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#awayUntil = Number.NEGATIVE_INFINITY;
    this.#thread.log.info({}, 'the store of the cache answers again');
    this.onBack();
  }

  #failed(error: unknown): void {
    if (!isAwayError(error)) return;
    this.#counts.storeErrors++;
    const { clock, random } = this.#thread.environment;
    this.#awayUntil = clock.now() + this.#backoffMs * (0.75 + random() / 2);
    if (this.#isAway) return;
    this.#isAway = true;
    this.#thread.log.warn(
      { err: asError(error).message },
      'the store of the cache does not answer: L1, stale values and loaders do',
    );
  }
}

/** The store could not do it now; other errors are of the ask itself, or of the end. */
export function isAwayError(error: unknown): boolean {
  if (isKeymillError(error, 'RUNTIME_STOPPED')) return false;
  return (error as { class?: unknown }).class !== 'fatal';
}
