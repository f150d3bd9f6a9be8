/**
 * What the cache gives its callers (R7 to R13). Three levels: L1 in the thread that asks, L2 in the store (a `redis` I/O
 * actor's), and the loader, which reads the source of truth. Values are plain data: what cannot be carried from thread to
 * thread is CACHE_VALUE_INVALID. A value that was read belongs to all readers of its thread: do not change it.
 */
import type { Log, Version } from '../../runtime/index.ts';

export type Level = 'l1' | 'l2' | 'load';

/** A value with what is known of it. */
export interface CacheEntry<V = unknown> {
  /** Null or undefined where a loader found nothing, and that is remembered. */
  readonly value: V;
  /** Null where the store could not be asked, and nothing is known of it. */
  readonly version: Version | null;
  /** Beyond its life: the loader failed or takes long, or the store cannot be asked. */
  readonly isStale: boolean;
  readonly from: Level;
}

export interface SetOptions {
  /** Life in ms, above 0; `l2.ttlMs` by default. */
  readonly ttlMs?: number | undefined;
  /** How long beyond its life it may be given where nothing newer can be had; `staleMs` by default. */
  readonly staleMs?: number | undefined;
  /** Names under which it can be invalidated together with others. */
  readonly tags?: readonly string[] | undefined;
  /** Of the source: written only where it is newer than what stands there. */
  readonly version?: Version | undefined;
}

export interface SetReply {
  /** What stands there now; null where the store could not be asked. */
  readonly version: Version | null;
  /** False: a newer version stood there, or the store could not be asked (then it is owed, see `stats`). */
  readonly isStored: boolean;
}

export interface LoadContext<V = unknown> {
  readonly key: string;
  /** Aborted when the load has run out of its time. */
  readonly signal: AbortSignal;
  /** What is there beyond its life, to be asked about at the source: `UNCHANGED` says that it is still right. */
  readonly stale: CacheEntry<V> | null;
}

/** What a loader may return in place of the bare value: `loaded(value, { version, ttlMs, tags })`. */
export class Loaded<V = unknown> {
  readonly value: V;
  readonly options: SetOptions;

  constructor(value: V, options: SetOptions) {
    this.value = value;
    this.options = options;
  }
}

/** A value with what only the loader knows of it. */
export function loaded<V>(value: V, options: SetOptions): Loaded<V> {
  return new Loaded(value, options);
}

/** A value with its version at the source. */
export function versioned<V>(value: V, version: Version): Loaded<V> {
  return new Loaded(value, { version });
}

/** Returned by a loader: what is stale is what the source still says. */
export const UNCHANGED: unique symbol = Symbol('unchanged');

export type LoadReply<V> = V | Loaded<V> | typeof UNCHANGED;
export type Load<V> = (context: LoadContext<V>) => LoadReply<V> | Promise<LoadReply<V>>;
/** One value for each key, in their order; null or undefined where there is none. */
export type LoadMany<V> = (
  keys: readonly string[],
  signal: AbortSignal,
) => Promise<readonly LoadReply<V>[]> | readonly LoadReply<V>[];

/** What is left out is as in the options of `cache`. */
export interface GetOrSetOptions extends Omit<SetOptions, 'version'> {
  /** Life of "there is none". */
  readonly negativeTtlMs?: number | undefined;
  /** After so long a stale value is given, and the load goes on behind it; 0 never. */
  readonly softTimeoutMs?: number | undefined;
  /** After so long a load is given up with CACHE_LOAD_TIMEOUT. */
  readonly hardTimeoutMs?: number | undefined;
  /** One load in all processes that share the store; without it one in each. */
  readonly lock?: boolean | undefined;
}

/** An invalidation as it is published, and as the topic `cache-invalidation` has it (G560). */
export interface Invalidation {
  readonly key: string;
  /** What stands at the source is at least this; null: changed, whatever its version. */
  readonly version: Version | null;
  /** ms since 1970, for people: nothing is decided by it. */
  readonly timestamp: number;
}

export interface SwapOptions {
  /** Life of the set from the flip on, in ms; a day by default. */
  readonly ttlMs?: number | undefined;
  /** How many entries it must have; another number is CACHE_SWAP_INCOMPLETE, and the former set stays. */
  readonly count?: number | undefined;
}

export interface SwapReply {
  readonly version: Version;
  readonly count: number;
}

/** One version of a set, whatever is swapped meanwhile; it can be read until the set after the next has come, and graceMs more. */
export interface SetView<V = unknown> {
  readonly version: Version;
  readonly count: number;
  /** Rejects with CACHE_SET_GONE where this version has been cleared. */
  get(key: string): Promise<V | undefined>;
  getMany(keys: readonly string[]): Promise<(V | undefined)[]>;
}

/** The current version of a set, which each call looks up: all that one call gives is of one version. */
export interface SetReader<V = unknown> {
  /** Null before the first swap. */
  view(): Promise<SetView<V> | null>;
  get(key: string): Promise<V | undefined>;
  getMany(keys: readonly string[]): Promise<(V | undefined)[]>;
}

export interface CacheStats {
  /** Since the thread began. */
  readonly counts: Readonly<Record<string, number>>;
  readonly entries: number;
  readonly bytes: number;
  /** The store does not answer: it is left out for a while after each try. */
  readonly isDegraded: boolean;
  /** Writes that the store did not take, and that are made up for when it is back. */
  readonly owed: number;
  /** Entries of L1 that are revalidated before they are given again. */
  readonly suspects: number;
}

/** Part of readiness: it is awaited in the `init` of an actor. */
export type WarmUp = (cache: Cache) => unknown;

export interface WarmUpOptions {
  /** Between two tries of one that failed; 1 s by default. */
  readonly retryMs?: number | undefined;
  /** Tries of each; for ever by default. The last error is thrown. */
  readonly attempts?: number | undefined;
  readonly log?: Log | undefined;
}

/**
 * The typed face of a `cache` I/O actor, as `ctx.io<Cache>('cache')` gives it; one for all handlers of a thread. All of it
 * throws or rejects with CACHE_KEY_INVALID, CACHE_VALUE_INVALID, CACHE_LIFE_INVALID, REDIS_VALUE_TOO_LARGE where it was
 * asked wrongly. The store being away is no error: L1, stale values and loaders answer then (see `cache`).
 */
export interface Cache {
  /** Undefined where it is not there, or is known to be nothing at its source. */
  get<V = unknown>(key: string): Promise<V | undefined>;
  /** With what is known of it. Undefined where nothing is. */
  getEntry<V = unknown>(key: string): Promise<CacheEntry<V> | undefined>;
  /** In the order of the keys. */
  getMany<V = unknown>(keys: readonly string[]): Promise<(V | undefined)[]>;
  /** What L1 has, and may be given as it is. */
  peek<V = unknown>(key: string): V | undefined;
  set(key: string, value: unknown, options?: SetOptions): Promise<SetReply>;
  /** With a version: only where what stands there is older. */
  delete(key: string, version?: Version): Promise<SetReply>;
  /**
   * The value, loaded where it is not there or beyond its life; one load of a key at a time in the thread, in the process,
   * and with `lock` among processes. Rejects with the loader's error where no stale value can be given instead, with
   * CACHE_LOAD_FAILED where another thread's loader failed, with CACHE_LOAD_TIMEOUT.
   */
  getOrSet<V>(key: string, load: Load<V>, options?: GetOrSetOptions): Promise<V>;
  getOrSetEntry<V>(key: string, load: Load<V>, options?: GetOrSetOptions): Promise<CacheEntry<V>>;
  /** One read for all, and one call of the loader for those that are to be loaded here. */
  getOrSetMany<V>(keys: readonly string[], load: LoadMany<V>, options?: GetOrSetOptions): Promise<V[]>;
  /** Everything that was stored with this tag before counts as expired. */
  invalidateTag(tag: string): Promise<void>;
  /** What is older than the version is dropped, here and wherever the cache is used; that version itself may be stored. */
  invalidate(invalidation: Pick<Invalidation, 'key' | 'version'>): Promise<void>;

  /** Replaces a whole set at one moment. Rejects with CACHE_SWAP_INCOMPLETE, CACHE_SWAP_LOST, and with the store's errors. */
  swap(
    set: string,
    entries: Iterable<readonly [string, unknown]> | AsyncIterable<readonly [string, unknown]>,
    options?: SwapOptions,
  ): Promise<SwapReply>;
  /** Back to the set before the last swap. Rejects with CACHE_SET_GONE where there is none. */
  rollback(set: string): Promise<SwapReply>;
  fromSet<V = unknown>(set: string): SetReader<V>;

  /** Runs all of them, and what fails again until it does not. */
  warmUp(loaders: Readonly<Record<string, WarmUp>>, options?: WarmUpOptions): Promise<void>;
  stats(): CacheStats;
}
