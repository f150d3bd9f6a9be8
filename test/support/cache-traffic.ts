/**
 * Readers and writers of a cache who go on whatever happens to its store, and what they saw: how long calls took, what was
 * thrown, and whether versions kept their promises. A value names the write or load that made it.
 */
import type { Cache, CacheEntry } from '../../actors/cache/index.ts';
import { compareVersions, isKeymillError, type Version } from '../../runtime/index.ts';
import { later } from './later.ts';

export interface CacheSeen {
  /** Longest call by its kind, in ms; one that is still open counts as long as it is. */
  readonly longestMs: Readonly<Record<string, number>>;
  /** What broke a promise, in words. */
  readonly faults: readonly string[];
  readonly calls: number;
}

interface Open {
  readonly kind: string;
  readonly since: number;
}

export const TRAFFIC_KEYS: readonly string[] = Array.from({ length: 8 }, (_, n) => `k${n}`);
/** Of these: loaded by nobody, and not written while it is quiet, so that readers see what the store has made of them. */
const QUIET_KEYS: readonly string[] = TRAFFIC_KEYS.slice(-2);
const LOUD_KEYS: readonly string[] = TRAFFIC_KEYS.slice(0, -2);
/** Between two calls of one loop. */
const PAUSE_MS = 20;

export class CacheTraffic {
  readonly #open = new Map<number, Open>();
  readonly #longest = new Map<string, number>();
  readonly #faults = new Set<string>();
  /** By key and version, over all threads. */
  readonly #values = new Map<string, unknown>();
  readonly #loops: Promise<void>[] = [];
  #calls = 0;
  #writes = 0;
  #stored = 0;
  #owed = 0;
  #isOver = false;
  /** Some of the keys are only read. */
  isQuiet = false;

  /** A writer, a reader and one who loads, in this thread, until `end`. */
  by(cache: Cache): this {
    /** Highest version that this thread was given, by key. */
    const highest = new Map<string, Version>();
    const give = (key: string, before: Version | undefined, entry: CacheEntry | undefined): void => {
      if (!entry?.version) return;
      if (before && compareVersions(entry.version, before) < 0)
        this.#faults.add(`${key}: ${picture(entry.version)} from ${entry.from} was given after ${picture(before)}`);
      const high = highest.get(key);
      if (!high || compareVersions(entry.version, high) > 0) highest.set(key, entry.version);
      this.#is(key, entry.version, entry.value);
    };
    this.#loop('set', async key => {
      if (this.isQuiet && QUIET_KEYS.includes(key)) return;
      const before = highest.get(key);
      const value = `write ${++this.#writes}`;
      const { version, isStored } = await cache.set(key, value);
      if (isStored) {
        this.#stored++;
        give(key, before, { value, version, isStale: false, from: 'l2' });
      } else this.#owed++;
    });
    this.#loop('get', async key => {
      const before = highest.get(key);
      give(key, before, await cache.getEntry(key));
    });
    this.#loop('getOrSet', async key => {
      if (!LOUD_KEYS.includes(key)) return;
      const before = highest.get(key);
      give(key, before, await cache.getOrSetEntry(key, () => `load ${++this.#writes}`));
    });
    return this;
  }

  /** Writes that the store took. */
  get stored(): number {
    return this.#stored;
  }

  /** Those that it did not. */
  get owed(): number {
    return this.#owed;
  }

  get seen(): CacheSeen {
    const longestMs = Object.fromEntries(this.#longest);
    for (const { kind, since } of this.#open.values())
      longestMs[kind] = Math.max(longestMs[kind] ?? 0, performance.now() - since);
    return { longestMs, faults: [...this.#faults], calls: this.#calls };
  }

  /** Resolves when no call is open. */
  async end(): Promise<CacheSeen> {
    this.#isOver = true;
    await Promise.all(this.#loops);
    return this.seen;
  }

  #loop(kind: string, call: (key: string) => Promise<void>): void {
    const run = async (): Promise<void> => {
      for (let at = this.#loops.length; !this.#isOver; at++) {
        await this.#timed(kind, call(TRAFFIC_KEYS[at % TRAFFIC_KEYS.length]!));
        await later(PAUSE_MS);
      }
    };
    this.#loops.push(run());
  }

  /** A version has one value. */
  #is(key: string, version: Version, value: unknown): void {
    const id = `${key} ${picture(version)}`;
    const known = this.#values.get(id);
    if (known !== undefined && known !== value) this.#faults.add(`${id} is ${String(known)} and ${String(value)}`);
    this.#values.set(id, value);
  }

  async #timed(kind: string, call: Promise<void>): Promise<void> {
    const id = ++this.#calls;
    const since = performance.now();
    this.#open.set(id, { kind, since });
    try {
      await call;
    } catch (error) {
      // The store being away is no error of a cache.
      this.#faults.add(`${kind} threw ${isKeymillError(error) ? error.code : ''} ${String(error)}`);
    } finally {
      this.#open.delete(id);
      this.#longest.set(kind, Math.max(this.#longest.get(kind) ?? 0, performance.now() - since));
    }
  }
}

const picture = ({ epoch, n }: Version): string => `${epoch}.${n}`;
