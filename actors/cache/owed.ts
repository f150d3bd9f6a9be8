/**
 * Writes that a store which was away did not take. When it is back they are made up for, the last of each key: a value that was
 * written over a version goes in if that version stands there still; any other is removed in the store, and so read anew from its
 * source. What finds no room is forgotten, and counted: others may see the former value until its end of life.
 */
import type { IoThread, Timer, Version } from '../../runtime/index.ts';
import type { Step, VersionedReply } from '../redis/contract.ts';
import type { Channel } from './channel.ts';
import type { Packed } from './codec.ts';
import type { Counts } from './counts.ts';
import type { Names } from './names.ts';
import type { CacheOptions } from './options.ts';
import { isAwayError, type Store } from './store.ts';

export interface Debt {
  /** What stood there when it was written; null where that is not known. */
  readonly base: Version | null;
  /** The source's own. */
  readonly version: Version | null;
  readonly bytes: Uint8Array | null;
  readonly ttlMs: number | undefined;
}

/** What the store is told: with the stale part; 0 for ever. */
export function storeLife({ lifeMs, staleMs }: Pick<Packed, 'lifeMs' | 'staleMs'>): number {
  const ms = lifeMs + staleMs;
  return Number.isFinite(ms) ? Math.ceil(ms) : 0;
}

const AT_ONCE = 100;

export class Owed {
  readonly #thread: IoThread;
  readonly #store: Store;
  readonly #names: Names;
  readonly #channel: Channel;
  readonly #counts: Counts;
  readonly #most: number;
  readonly #retryMs: number;
  readonly #debts = new Map<string, Debt>();
  #timer: Timer | null = null;
  #isPaying = false;

  constructor(thread: IoThread, store: Store, names: Names, channel: Channel, { l2 }: CacheOptions, counts: Counts) {
    this.#thread = thread;
    this.#store = store;
    this.#names = names;
    this.#channel = channel;
    this.#counts = counts;
    this.#most = l2.maxOwed;
    this.#retryMs = l2.backoffMs;
  }

  get size(): number {
    return this.#debts.size;
  }

  add(key: string, debt: Debt): void {
    this.#counts.owed++;
    const before = this.#debts.get(key);
    this.#debts.delete(key);
    // The base of the first is what stands in the store still.
    this.#debts.set(key, before === undefined ? debt : { ...debt, base: before.base });
    if (this.#debts.size > this.#most) {
      this.#debts.delete(this.#debts.keys().next().value!);
      this.#counts.forgiven++;
    }
    this.#payLater();
  }

  /** The key was written since. */
  forget(key: string): void {
    this.#debts.delete(key);
  }

  async pay(): Promise<void> {
    if (this.#isPaying) return;
    this.#isPaying = true;
    try {
      while (this.#debts.size > 0) {
        const some = [...this.#debts].slice(0, AT_ONCE);
        await Promise.all(some.map(([key, debt]) => this.#payOne(key, debt)));
      }
    } catch (error) {
      if (isAwayError(error)) this.#payLater();
    } finally {
      this.#isPaying = false;
    }
  }

  async #payOne(key: string, debt: Debt): Promise<void> {
    const steps = stepsOf(this.#names.value(key), debt);
    const isValue = debt.bytes !== null && steps.do !== 'delete';
    const word = this.#channel.step(isValue ? 'changed' : 'removed', key);
    const [reply] = await this.#store.ask(redis => redis.multi([steps, word]));
    if (this.#debts.get(key) !== debt) return;
    this.#debts.delete(key);
    if ((reply as VersionedReply).outcome === 'older') this.#counts.forgiven++;
    else this.#counts.paid++;
  }

  #payLater(): void {
    if (this.#debts.size === 0) return;
    this.#timer ??= this.#thread.environment.clock.after(this.#retryMs, () => {
      this.#timer = null;
      void this.pay();
    });
  }
}

function stepsOf(key: string, { base, version, bytes, ttlMs }: Debt): Step {
  if (version !== null) return { do: 'setVersioned', key, value: bytes, version, options: { ttlMs } };
  if (base !== null && bytes !== null)
    return { do: 'compareAndSet', key, expected: base, value: bytes, options: { ttlMs } };
  return { do: 'compareAndSet', key, expected: 'any', value: null };
}
