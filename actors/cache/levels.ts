/**
 * L1 over L2: reading through both, and what is known of a key after that. A life is counted from the moment of the asking, so
 * it never lasts longer here than there; what is heard of a key while it is read overtakes the read.
 */
import { compareVersions, type IoThread, type Version } from '../../runtime/index.ts';
import { decode, type Packed } from './codec.ts';
import type { CacheEntry, Level } from './contract.ts';
import type { Counts } from './counts.ts';
import { Held } from './held.ts';
import type { L1 } from './l1.ts';
import type { Names } from './names.ts';
import type { ReadReply } from './ops.ts';
import type { CacheOptions } from './options.ts';
import { isAwayError, type Store } from './store.ts';
import type { Tags } from './tags.ts';

/** What a read through the levels found. */
export interface Found {
  /** May be given as it is. */
  readonly fresh: Held | null;
  /** May be given where nothing fresh can be had. */
  readonly stale: Held | null;
  /** What the store said: the version that stands there, and whether a value stands with it. */
  readonly version: Version | null;
  readonly hasValue: boolean;
  /** Known here before the store was asked: where what it said is below this, it has lost something. */
  readonly floor: Version | null;
  readonly isAway: boolean;
}

interface Reading {
  readonly found: Promise<Found>;
  /** Heard meanwhile: what is read and older was overtaken. `any`: whatever its version. */
  past: Version | 'any' | null;
}

export interface LevelsNeeds {
  readonly thread: IoThread;
  readonly options: CacheOptions;
  readonly names: Names;
  readonly store: Store;
  readonly l1: L1;
  readonly tags: Tags;
  readonly counts: Counts;
}

export class Levels {
  readonly #needs: LevelsNeeds;
  readonly #readings = new Map<string, Reading>();
  #suspectSince = Number.NEGATIVE_INFINITY;

  constructor(needs: LevelsNeeds) {
    this.#needs = needs;
  }

  /** From the store, whatever L1 has; once for all who ask meanwhile. */
  read(key: string): Promise<Found> {
    const before = this.#readings.get(key);
    if (before) return before.found;
    const reading: Reading = { found: this.#read(key, () => reading.past), past: null };
    this.#readings.set(key, reading);
    const end = (): void => {
      if (this.#readings.get(key) === reading) this.#readings.delete(key);
    };
    reading.found.then(end, end);
    return reading.found;
  }

  /** A read that was begun before now does not count: the next begins anew. */
  forgetReading(key: string): void {
    this.#readings.delete(key);
  }

  heard(key: string, version: Version | null, isRemoved: boolean): void {
    const reading = this.#readings.get(key);
    if (reading !== undefined)
      if (version === null) reading.past = 'any';
      else if (reading.past === null || (reading.past !== 'any' && compareVersions(version, reading.past) > 0))
        reading.past = version;
    this.#needs.l1.heard(key, version, isRemoved);
  }

  /** Invalidations may have been lost: all that L1 has is suspect from now on. */
  suspect(): void {
    this.#needs.l1.suspect();
    this.#readings.clear(); // who asks from now on joins none that was begun before
    this.#suspectSince = this.#needs.thread.environment.clock.now();
  }

  /** Puts into L1 what was just stored or loaded. `leftMs` as the store counts: with the stale part. */
  adopt(key: string, packed: Packed, version: Version | null, leftMs: number): Held {
    const held = this.#held(key, packed, version, leftMs, this.#needs.thread.environment.clock.now());
    this.#needs.l1.put(key, held);
    return held;
  }

  /** To be given once, and not kept. */
  unkept(packed: Packed): Held {
    return this.#held('', packed, null, 0, this.#needs.thread.environment.clock.now());
  }

  /** Gives it on for a while though it is beyond its life, so that a loader that fails is not asked each time. */
  prolong(key: string, held: Held, ms: number): void {
    const { l1, thread } = this.#needs;
    held.freshTill(Math.min(thread.environment.clock.now() + ms, held.staleUntil), true);
    held.generation = l1.generation;
    held.refreshAt = Number.POSITIVE_INFINITY;
    if (l1.look(key) !== held) l1.put(key, held);
  }

  /** Whether this may be given while nothing fresh can be had. */
  mayBeStale(held: Held): boolean {
    const now = this.#needs.thread.environment.clock.now();
    if (held.body === null || now >= held.staleUntil) return false;
    return held.generation === this.#needs.l1.generation || now < this.#suspectSince + this.#needs.options.suspectMs;
  }

  async #read(key: string, past: () => Reading['past']): Promise<Found> {
    const { l1, names, store, counts, tags, thread } = this.#needs;
    const held = l1.look(key);
    const floor = held?.floor ?? null;
    const askedAt = thread.environment.clock.now();
    const { generation } = l1;
    let reply: ReadReply;
    try {
      reply = await store.read(names.value(key), held?.body ? held.version : null);
    } catch (error) {
      if (!isAwayError(error)) throw error;
      const stale = held !== undefined && this.mayBeStale(held) ? held : null;
      return { fresh: null, stale, version: floor, hasValue: false, floor, isAway: true };
    }
    if (held?.body && held.generation !== generation) counts.revalidated++;
    const { version } = reply;
    const hasValue = reply.isSame || reply.value !== null;
    const packed = reply.isSame ? held! : reply.value === null ? null : decode(reply.value);
    const known = l1.look(key);
    if (known?.floor && version !== null && compareVersions(version, known.floor) < 0) {
      counts.refusedOlder++;
      return {
        fresh: null,
        stale: known.body && this.mayBeStale(known) ? known : null,
        version,
        hasValue,
        floor,
        isAway: false,
      };
    }
    if (packed === null || packed.body === null) {
      if (known !== undefined) l1.heard(key, version, reply.isRemoved);
      const stale = !reply.isRemoved && known?.body && this.mayBeStale(known) ? known : null;
      return { fresh: null, stale, version, hasValue, floor, isAway: false };
    }
    const now = this.#held(key, packed as Packed, version, reply.leftMs, askedAt, generation);
    const overtaken = past();
    if (overtaken === 'any' || (overtaken !== null && (version === null || compareVersions(version, overtaken) < 0)))
      now.freshTill(0);
    l1.put(key, now);
    const isAlive = now.endsAt > thread.environment.clock.now();
    const isValid = now.tags === null || (await tags.areValid(now.tags));
    if (isAlive && isValid) return { fresh: now, stale: now, version, hasValue, floor, isAway: false };
    return { fresh: null, stale: this.mayBeStale(now) ? now : null, version, hasValue, floor, isAway: false };
  }

  #held(
    key: string,
    packed: Packed,
    version: Version | null,
    leftMs: number,
    at: number,
    generation = this.#needs.l1.generation,
  ): Held {
    const { l1, refresh } = this.#needs.options;
    const { lifeMs, staleMs, isNegative, tags, body } = packed;
    const endsAt = at + leftMs - staleMs;
    const early = lifeMs * (1 - refresh.fraction + refresh.jitter * this.#needs.thread.environment.random());
    return new Held({
      body,
      version,
      floor: version === null ? (this.#needs.l1.look(key)?.floor ?? null) : null,
      isNegative,
      tags,
      lifeMs,
      staleMs,
      freshUntil: Math.min(at + l1.ttlMs, endsAt),
      endsAt,
      refreshAt: refresh.fraction < 1 && Number.isFinite(early) ? endsAt - early : Number.POSITIVE_INFINITY,
      generation,
    });
  }
}

export function entryOf(held: Held, from: Level, isStale = held.isStale): CacheEntry {
  return { value: held.value, version: held.version, isStale, from };
}
