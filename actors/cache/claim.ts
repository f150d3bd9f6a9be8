/**
 * Who may load a key: one thread of the process, by asking the I/O thread, and then one process, by a lease whose token fences
 * the store of what was loaded. The lease is renewed while the load runs, so it can be short, and its holder's death is
 * noticed soon.
 */
import type { IoThread, Timer } from '../../runtime/index.ts';
import type { Fence, Lease } from '../redis/contract.ts';
import type { Found, Levels } from './levels.ts';
import type { Names } from './names.ts';
import type { DoneOp, LeadOp, Outcome, WaitOp, WaitReply } from './ops.ts';
import type { CacheOptions } from './options.ts';
import { isAwayError, type Store } from './store.ts';
import { Wakes } from './wakes.ts';
import type { Writes } from './writes.ts';

export interface ClaimsNeeds {
  readonly thread: IoThread;
  readonly options: CacheOptions;
  readonly names: Names;
  readonly store: Store;
  readonly levels: Levels;
  readonly writes: Writes;
  /** Name of this thread among all. */
  readonly me: string;
  /** Words of keys on the channel. */
  readonly wakes: Wakes<'changed' | 'freed'>;
}

/** The right to load. `end` tells how it went, once. */
export interface Claim {
  /** Null where the store is away, or without `lock`. */
  readonly fence: Fence | null;
  /** What stood there when the right was had. */
  readonly found: Found;
  end(outcome: Outcome): void;
}

/** What became of asking for it: the right, what another stored meanwhile, how another's load ended, or null: time is over. */
export type Claimed = { readonly claim: Claim } | { readonly found: Found } | { readonly outcome: Outcome } | null;

export interface ClaimOptions {
  /** Among processes, too. */
  readonly lock: boolean;
  /** Waits while another loads; else null at once. */
  readonly patient: boolean;
  /** By `clock.now()`. */
  readonly until: number;
  /** What was found meanwhile makes a load needless. */
  isEnough(found: Found): boolean;
}

const AWAY: Found = { fresh: null, stale: null, version: null, hasValue: false, floor: null, isAway: true };

/** A little over the life of a lead, for the way of the word. */
const MARGIN_MS = 500;

export class Claims {
  readonly #needs: ClaimsNeeds;
  readonly #outcomes: Wakes<Outcome>;
  #isPolling = false;
  #holders = 0;

  constructor(needs: ClaimsNeeds) {
    this.#needs = needs;
    this.#outcomes = new Wakes(needs.thread.environment);
  }

  async claim(key: string, found: Found, { lock, patient, until, isEnough }: ClaimOptions): Promise<Claimed> {
    const { clock } = this.#needs.thread.environment;
    const follow = this.#outcomes.wait(key, until - clock.now());
    const isLeader = await this.#lead(key, until).catch((error: unknown) => {
      if (isAwayError(error)) return true; // without its I/O thread each thread is for itself
      follow.end();
      throw error;
    });
    if (!isLeader) {
      if (!patient) follow.end();
      else void this.#poll();
      const outcome = await follow.word;
      return outcome && { outcome };
    }
    follow.end();
    try {
      const claimed = lock && !found.isAway ? await this.#lease(key, patient, until, isEnough) : { fence: null, found };
      if (claimed === null || !('fence' in claimed)) {
        this.#done(key, { is: 'nothing' }); // who follows reads it
        return claimed;
      }
      return { claim: this.#claimOf(key, claimed.fence, claimed.found) };
    } catch (error) {
      this.#done(key, { is: 'nothing' });
      throw error;
    }
  }

  #lead(key: string, until: number): Promise<boolean> {
    const { thread, me } = this.#needs;
    const ms = Math.max(1, until - thread.environment.clock.now()) + MARGIN_MS;
    return thread.ask({ op: 'cache.lead', key, by: me, ms } satisfies LeadOp) as Promise<boolean>;
  }

  #done(key: string, outcome: Outcome): void {
    const { thread, me } = this.#needs;
    thread.ask({ op: 'cache.done', key, by: me, outcome } satisfies DoneOp).catch(() => {}); // they ask again in time
  }

  async #lease(
    key: string,
    patient: boolean,
    until: number,
    isEnough: (found: Found) => boolean,
  ): Promise<{ fence: Fence | null; found: Found } | { found: Found } | null> {
    const { thread, store, names, levels, options, me, wakes } = this.#needs;
    const { clock } = thread.environment;
    const holder = `${me}.${++this.#holders}`;
    for (;;) {
      const wake = wakes.wait(key, Math.min(options.leaseMs, until - clock.now()));
      let lease: Lease | null;
      let found: Found;
      try {
        levels.forgetReading(key);
        const acquiring = store.ask(redis => redis.acquire(names.lease(key), holder, options.leaseMs));
        [lease, found] = await Promise.all([acquiring, levels.read(key)]);
      } catch (error) {
        wake.end();
        if (!isAwayError(error)) throw error;
        return { fence: null, found: AWAY };
      }
      if (lease !== null && !found.isAway && !isEnough(found)) {
        wake.end();
        return { fence: { lease: lease.name, token: lease.token }, found };
      }
      if (lease !== null) this.#release(lease);
      if (found.isAway || isEnough(found)) {
        wake.end();
        return found.isAway ? { fence: null, found } : { found };
      }
      if (!patient) {
        wake.end();
        return null;
      }
      await wake.word;
      if (clock.now() >= until) return null;
    }
  }

  #claimOf(key: string, fence: Fence | null, found: Found): Claim {
    const { thread, store, options, writes } = this.#needs;
    const lease: Lease | null = fence && { name: fence.lease, token: fence.token, ttlMs: options.leaseMs };
    let timer: Timer | null = null;
    const renew = (): void => {
      timer = thread.environment.clock.after(options.leaseMs / 3, () => {
        store.ask(redis => redis.renew(lease!)).catch(() => {}); // the fence says so in the end
        renew();
      });
    };
    if (lease !== null) renew();
    let hasEnded = false;
    return {
      fence,
      found,
      end: outcome => {
        if (hasEnded) return;
        hasEnded = true;
        timer?.cancel();
        if (lease !== null) {
          this.#release(lease);
          if (outcome.is !== 'value') writes.freed(key);
        }
        this.#done(key, outcome);
      },
    };
  }

  #release(lease: Lease): void {
    this.#needs.store.ask(redis => redis.release(lease)).catch(() => {}); // it ends by itself
  }

  /** Asks for outcomes as long as anybody here waits for one. */
  async #poll(): Promise<void> {
    if (this.#isPolling) return;
    this.#isPolling = true;
    const { thread, me } = this.#needs;
    let after = 0;
    try {
      while (this.#outcomes.size > 0) {
        const reply = (await thread.ask({ op: 'cache.wait', by: me, after } satisfies WaitOp)) as WaitReply;
        after = reply.seq;
        for (const { key, outcome } of reply.outcomes) this.#outcomes.wake(key, outcome);
      }
    } catch {
      // Who waits asks again when its time is over.
    } finally {
      this.#isPolling = false;
    }
  }
}
