/**
 * `getOrSet`: one load of a key at a time, stale values where it fails or takes long, and early loads of what is about to end
 * (R8, R11). Whatever the store and the loader do, the promise is settled by the hard time-out.
 */
import { asError, type IoThread, isKeymillError, KeymillError, type Timer } from '../../runtime/index.ts';
import type { Claims } from './claim.ts';
import { checkTags, decode, encode, type Packed, packBody } from './codec.ts';
import { type CacheEntry, type GetOrSetOptions, type Load, Loaded, type SetOptions, UNCHANGED } from './contract.ts';
import type { Counts } from './counts.ts';
import type { Held } from './held.ts';
import { entryOf, type Found, type Levels } from './levels.ts';
import { lifeFrom } from './life.ts';
import type { Outcome } from './ops.ts';
import { type CacheOptions, lifeOf } from './options.ts';
import { isAwayError } from './store.ts';
import type { Tags } from './tags.ts';
import type { Writes } from './writes.ts';

export interface LoadsNeeds {
  readonly thread: IoThread;
  readonly options: CacheOptions;
  readonly levels: Levels;
  readonly writes: Writes;
  readonly claims: Claims;
  readonly tags: Tags;
  readonly counts: Counts;
}

interface Plan {
  readonly lifeMs: number;
  readonly staleMs: number;
  readonly negativeTtlMs: number;
  readonly softTimeoutMs: number;
  readonly hardTimeoutMs: number;
  readonly lock: boolean;
  readonly tags: readonly string[];
}

/** A load under way, which all who ask meanwhile wait for. */
interface Flight {
  entry: Promise<CacheEntry>;
  /** Once it is known: what may be given in its place. */
  stale: Held | null;
}

export class Loads {
  readonly #needs: LoadsNeeds;
  readonly #flights = new Map<string, Flight>();
  readonly #refreshes = new Map<string, Promise<unknown>>();

  constructor(needs: LoadsNeeds) {
    this.#needs = needs;
  }

  /** Throws CACHE_LIFE_INVALID, CACHE_KEY_INVALID. */
  planOf(given: GetOrSetOptions = {}): Plan {
    const { options } = this.#needs;
    checkTags(given.tags);
    return {
      lifeMs: lifeFrom(given.ttlMs, lifeOf(options), 'ttlMs'),
      staleMs: lifeFrom(given.staleMs, options.staleMs, 'staleMs', 0),
      negativeTtlMs: lifeFrom(given.negativeTtlMs, options.negativeTtlMs, 'negativeTtlMs'),
      softTimeoutMs: lifeFrom(given.softTimeoutMs, options.softTimeoutMs, 'softTimeoutMs', 0),
      hardTimeoutMs: lifeFrom(given.hardTimeoutMs, options.hardTimeoutMs, 'hardTimeoutMs'),
      lock: given.lock ?? options.lock,
      tags: given.tags ?? [],
    };
  }

  /** Of what L1 has not. */
  entry(key: string, load: Load<unknown>, plan: Plan): Promise<CacheEntry> {
    let flight = this.#flights.get(key);
    if (flight) this.#needs.counts.shared++;
    else flight = this.#begin(key, load, plan);
    return plan.softTimeoutMs === 0 ? flight.entry : this.#softly(flight, plan.softTimeoutMs);
  }

  /** In the background, of what L1 has: nobody waits for it, and its failure is only counted. */
  refresh(key: string, load: Load<unknown>, plan: Plan): void {
    if (this.#flights.has(key) || this.#refreshes.has(key)) return;
    this.#needs.counts.refreshes++;
    const refresh = new Attempt(this.#needs, key, load, plan, true, () => {}).run().catch(() => {});
    this.#refreshes.set(key, refresh);
    void refresh.then(() => this.#refreshes.delete(key));
  }

  #begin(key: string, load: Load<unknown>, plan: Plan): Flight {
    const flight: Flight = { entry: null as unknown as Promise<CacheEntry>, stale: null };
    const run = (): Promise<CacheEntry> =>
      new Attempt(this.#needs, key, load, plan, false, held => {
        flight.stale = held;
      }).run();
    const refresh = this.#refreshes.get(key);
    flight.entry = refresh ? refresh.then(run) : run();
    this.#flights.set(key, flight);
    const end = (): void => void this.#flights.delete(key);
    flight.entry.then(end, end);
    return flight;
  }

  #softly(flight: Flight, ms: number): Promise<CacheEntry> {
    return new Promise((resolve, reject) => {
      const timer = this.#needs.thread.environment.clock.after(ms, () => {
        if (flight.stale === null) return;
        this.#needs.counts.stale++;
        resolve(entryOf(flight.stale, 'l1', true));
      });
      flight.entry.then(
        entry => {
          timer.cancel();
          resolve(entry);
        },
        (error: unknown) => {
          timer.cancel();
          reject(error);
        },
      );
    });
  }
}

/** One try to have a value, from the levels or by a load, within the hard time-out. */
class Attempt {
  readonly #needs: LoadsNeeds;
  readonly #key: string;
  readonly #load: Load<unknown>;
  readonly #plan: Plan;
  readonly #isRefresh: boolean;
  readonly #tellStale: (held: Held) => void;
  readonly #abort = new AbortController();
  readonly #until: number;
  #stale: Held | null = null;
  #claimEnd: ((outcome: Outcome) => void) | null = null;

  constructor(
    needs: LoadsNeeds,
    key: string,
    load: Load<unknown>,
    plan: Plan,
    isRefresh: boolean,
    tellStale: (held: Held) => void,
  ) {
    this.#needs = needs;
    this.#key = key;
    this.#load = load;
    this.#plan = plan;
    this.#isRefresh = isRefresh;
    this.#tellStale = tellStale;
    this.#until = needs.thread.environment.clock.now() + plan.hardTimeoutMs;
  }

  run(): Promise<CacheEntry> {
    return new Promise((resolve, reject) => {
      const settle = (error: unknown): void => {
        timer.cancel();
        try {
          resolve(this.#instead(error));
        } catch (final) {
          reject(final);
        }
      };
      const timer: Timer = this.#needs.thread.environment.clock.after(this.#plan.hardTimeoutMs, () => {
        const { counts } = this.#needs;
        counts.loadTimeouts++;
        const error = new KeymillError(
          'CACHE_LOAD_TIMEOUT',
          `${JSON.stringify(this.#key.slice(0, 80))}: no value within ${this.#plan.hardTimeoutMs} ms`,
        );
        this.#abort.abort(error);
        this.#claimEnd?.({ is: 'error', message: error.message, class: error.class });
        settle(error);
      });
      this.#attempt().then(entry => {
        timer.cancel();
        resolve(entry);
      }, settle);
    });
  }

  /** What can be given in place of what failed. Throws the error where nothing can. */
  #instead(error: unknown): CacheEntry {
    const { levels, counts, options } = this.#needs;
    const stale = this.#stale;
    if (stale === null || isKeymillError(error, 'RUNTIME_STOPPED') || !levels.mayBeStale(stale)) throw error;
    counts.stale++;
    if (!this.#isRefresh) levels.prolong(this.#key, stale, options.retryMs);
    return entryOf(stale, 'l1', true);
  }

  async #attempt(): Promise<CacheEntry> {
    const { levels, counts, claims, thread } = this.#needs;
    const isEnough = ({ fresh }: Found): boolean =>
      fresh !== null && !(this.#isRefresh && fresh.refreshAt <= thread.environment.clock.now());
    for (;;) {
      const found = await levels.read(this.#key);
      this.#sees(found);
      if (isEnough(found)) {
        if (!this.#isRefresh) counts.l2Hits++;
        return entryOf(found.fresh!, 'l2');
      }
      const { lock } = this.#plan;
      const how = { lock, patient: !this.#isRefresh, until: this.#until, isEnough };
      const claimed = await claims.claim(this.#key, found, how);
      this.#abort.signal.throwIfAborted();
      if (claimed === null) {
        if (!this.#isRefresh && thread.environment.clock.now() < this.#until) continue;
        throw new KeymillError('CACHE_LOAD_TIMEOUT', 'another load of it did not end');
      }
      if ('claim' in claimed) {
        this.#sees(claimed.claim.found);
        return this.#lead(claimed.claim.found, claimed.claim.fence, claimed.claim.end);
      }
      counts.shared++;
      if ('found' in claimed) return entryOf(claimed.found.fresh!, 'l2');
      const { outcome } = claimed;
      if (outcome.is === 'error')
        throw new KeymillError('CACHE_LOAD_FAILED', outcome.message, { class: outcome.class as 'unknown' });
      const packed = outcome.is === 'value' ? decode(outcome.bytes) : null;
      if (packed !== null && outcome.is === 'value')
        return entryOf(levels.adopt(this.#key, packed, outcome.version, outcome.leftMs), 'load');
    }
  }

  #sees({ stale }: Found): void {
    if (stale === null || stale === this.#stale) return;
    this.#stale = stale;
    this.#tellStale(stale);
  }

  async #lead(found: Found, fence: Parameters<Writes['storeLoaded']>[4], end: (outcome: Outcome) => void) {
    this.#claimEnd = end;
    const { counts, writes } = this.#needs;
    counts.misses++;
    counts.loads++;
    try {
      const { packed, options } = await this.#loaded();
      this.#abort.signal.throwIfAborted();
      const held = await writes.storeLoaded(this.#key, packed, options.version, found, fence);
      const { lifeMs, staleMs } = held;
      const left = Math.max(0, held.endsAt - this.#needs.thread.environment.clock.now()) + staleMs;
      const bytes = encode({ lifeMs, staleMs, isNegative: held.isNegative, tags: held.tags, body: held.body! });
      end({ is: 'value', bytes, version: held.version, leftMs: left });
      return entryOf(held, 'load', false);
    } catch (thrown) {
      const error = asError(thrown);
      if (!this.#abort.signal.aborted) counts.loadErrors++;
      const its = (error as { class?: unknown }).class;
      end({ is: 'error', message: error.message, class: typeof its === 'string' ? its : 'unknown' });
      throw thrown;
    }
  }

  async #loaded(): Promise<{ packed: Packed; options: SetOptions }> {
    const plan = this.#plan;
    const stale = this.#stale;
    // The versions of before the load: what is invalidated while it runs does not escape.
    let marks = await this.#marks(plan.tags);
    const given = await this.#load({
      key: this.#key,
      signal: this.#abort.signal,
      stale: stale && entryOf(stale, 'l1', true),
    });
    const options = given instanceof Loaded ? given.options : {};
    let value = given instanceof Loaded ? given.value : given;
    if (value === UNCHANGED) {
      if (stale === null) throw new KeymillError('CACHE_VALUE_INVALID', 'UNCHANGED, and there was nothing stale');
      value = stale.value;
    }
    checkTags(options.tags);
    const more = options.tags?.filter(tag => !plan.tags.includes(tag)) ?? [];
    if (more.length > 0) marks = [...(marks ?? []), ...((await this.#marks(more)) ?? [])];
    const isNegative = value === null || value === undefined;
    const packed: Packed = {
      lifeMs: isNegative ? plan.negativeTtlMs : lifeFrom(options.ttlMs, plan.lifeMs, 'ttlMs'),
      staleMs: isNegative ? 0 : lifeFrom(options.staleMs, plan.staleMs, 'staleMs', 0),
      isNegative,
      tags: marks,
      body: packBody(value),
    };
    return { packed, options };
  }

  async #marks(tags: readonly string[]) {
    if (tags.length === 0) return null;
    try {
      return await this.#needs.tags.marks(tags);
    } catch (error) {
      if (!isAwayError(error)) throw error;
      return tags.map(tag => ({ tag, version: null }));
    }
  }
}
