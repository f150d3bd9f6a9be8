/**
 * What a `redis` I/O actor can be asked, whatever its driver: embedded (`memory:`, `file:`) or a real server. Written
 * from what Redis does, so that a command is one step there too: a plain command, a pipeline, MULTI or a script. Every
 * write bears being made twice, since a reply may be lost and the write asked for again.
 *
 * Keys and channels are strings, values are strings or bytes and come back as what they were. A key holds one kind of
 * thing: a value, a versioned value, a hash of versioned fields, or a lease; another kind is REDIS_WRONG_KIND.
 */
import type { Version } from '../../runtime/index.ts';

export type RedisValue = string | Uint8Array;

export interface LifeOptions {
  /** Life in ms; the seed's hour where a driver's options say nothing else. 0 lives for ever. */
  readonly ttlMs?: number | undefined;
}

export interface WriteOptions extends LifeOptions {
  /** A write fenced by a lease: refused with REDIS_FENCED when a higher token was seen for this name. */
  readonly fence?: Fence | undefined;
}

export interface CompareOptions extends WriteOptions {
  /** With `expected: null`: the version that outlived the last value, as an Entry told it; null where none was known. */
  readonly seen?: Version | null | undefined;
  /** The version made is above this one too: readers were given it, and what stands there is less, so the store lost some. */
  readonly above?: Version | undefined;
}

export interface SetOptions extends LifeOptions {
  /** Only where the key does not exist. */
  readonly ifAbsent?: boolean | undefined;
}

export interface VersionedValue {
  readonly value: RedisValue;
  readonly version: Version;
}

/** All that is known at the key of a versioned value. */
export interface Entry {
  readonly value: RedisValue | null;
  /** Also where the value has expired or was removed; null where nothing is known. */
  readonly version: Version | null;
  readonly isRemoved: boolean;
  /** What was left of the value's life when it was read, in ms by the store's clock; Infinity for ever, 0 without a value. */
  readonly leftMs: number;
}

/** What a write with a version did. `version` is what stands there now. */
export interface VersionedReply {
  /**
   * newer: written. same: that version stood there already, and nothing changed. older: a newer one stands there, and
   * nothing changed. A version whose value has expired is written again: a cache is filled anew from a source that did
   * not change.
   */
  readonly outcome: 'newer' | 'same' | 'older';
  readonly version: Version;
}

/** A hash whose fields have versions of their own, and that has the highest of them (R3). */
export interface Fields {
  readonly fields: Readonly<Record<string, RedisValue>>;
  /** Also of fields that a merge removed by null, until one that is whole covers them. */
  readonly versions: Readonly<Record<string, Version>>;
  readonly version: Version;
  /** A tombstone: the thing was removed by the change `version`. It has no fields, and is kept so that older ones stay out. */
  readonly isGone: boolean;
}

export interface Merge {
  readonly key: string;
  readonly version: Version;
  /** Fields to set; each only where its version there is older. `null` removes the field, and its version stays. */
  readonly fields?: Readonly<Record<string, RedisValue | null>> | undefined;
  /** Fields that are not named go, where they are older: the fields given are all there are. */
  readonly isWhole?: boolean | undefined;
  /** Leaves a tombstone in place of the hash. Goes without fields and `isWhole`. */
  readonly isGone?: boolean | undefined;
  /** Life in ms; the seed's 7 days by default, 0 for ever. A tombstone has its own: twice that. */
  readonly ttlMs?: number | undefined;
  /** Published in the same step where anything changed, or where the same version stood there already. */
  readonly publish?: { readonly channel: string; readonly message: RedisValue } | undefined;
  /** A write fenced by a lease: refused with REDIS_FENCED when a higher token was seen for this name. */
  readonly fence?: Fence | undefined;
}

export interface MergeReply extends VersionedReply {
  /** Names of the fields that were written or removed. */
  readonly applied: readonly string[];
}

export interface Fence {
  readonly lease: string;
  readonly token: number;
}

export interface Lease {
  readonly name: string;
  /** Rises with every holder, also through a lost store: what is written with it can be refused when it is late. */
  readonly token: number;
  readonly ttlMs: number;
}

export interface Published {
  readonly channel: string;
  readonly message: RedisValue;
}

/** What a subscription gives: messages, and that some may have been missed (link lost, or more than it may hold). */
export type Heard = Published | { readonly lost: number | 'unknown' };

/** One step of `multi`. All or none are done, in order, and nobody sees a part. */
export type Step =
  | { readonly do: 'set'; readonly key: string; readonly value: RedisValue; readonly options?: SetOptions | undefined }
  | { readonly do: 'delete'; readonly key: string }
  | {
      readonly do: 'setVersioned';
      readonly key: string;
      /** Null removes it. */
      readonly value: RedisValue | null;
      readonly version: Version;
      readonly options?: WriteOptions | undefined;
    }
  /** An `older` is a reply like others: it fails none of the steps. */
  | {
      readonly do: 'compareAndSet';
      readonly key: string;
      readonly expected: Expected;
      readonly value: RedisValue | null;
      readonly options?: CompareOptions | undefined;
    }
  | ({ readonly do: 'merge' } & Merge)
  | {
      readonly do: 'publish';
      readonly channel: string;
      readonly message: RedisValue;
      /**
       * The first `"$version"` in the text of the message becomes the version that the step before this one found or left, as
       * `{"epoch":1,"n":2}`; null where it has none.
       */
      readonly isFilled?: boolean | undefined;
    };

/** What must stand at a key: this version, no value, or anything. */
export type Expected = Version | null | 'any';

/**
 * The typed face of a `redis` I/O actor, as `ctx.io<RedisClient>('redis')` gives it. What one thread asks is done in the
 * order it asked; what comes together travels together. Rejects with REDIS_WRONG_KIND, REDIS_VALUE_TOO_LARGE,
 * REDIS_FENCED, RECORD_BROKEN where an ask makes no sense (all fatal); OUTPUT_FULL, STORE_READ_ONLY and IO_FAILED (transient).
 */
export interface RedisClient {
  get(key: string): Promise<RedisValue | null>;
  /** In the order of the keys. One step. */
  getMany(keys: readonly string[]): Promise<(RedisValue | null)[]>;
  /** False where `ifAbsent` found one. */
  set(key: string, value: RedisValue, options?: SetOptions): Promise<boolean>;
  /** Of any kind. How many there were. */
  delete(...keys: readonly string[]): Promise<number>;
  /** New life in ms from now, 0 for ever. False where there is no such key. */
  expire(key: string, ttlMs: number): Promise<boolean>;

  /** A value with its version, read in one step (R1). */
  getVersioned(key: string): Promise<VersionedValue | null>;
  getManyVersioned(keys: readonly string[]): Promise<(VersionedValue | null)[]>;
  /** Writes if the version is newer than what stands there. The version outlives the value (READINGS). */
  setVersioned(key: string, value: RedisValue, version: Version, options?: WriteOptions): Promise<VersionedReply>;
  /** Removes the value if the version is newer, and keeps the version: that change cannot bring it back. */
  deleteVersioned(key: string, version: Version, options?: WriteOptions): Promise<VersionedReply>;
  /**
   * Writes a version above what stands there (n + 1) if that is `expected`; for values born in the cache. Null expects no
   * value, and writes n = 1 of the store's epoch, or above the version that outlived the last value; 'any' compares
   * nothing. A null `value` removes what stands there, and the version that has risen stays. `older`: something else stands
   * there, or nothing (then `version.n` is 0).
   */
  compareAndSet(
    key: string,
    expected: Expected,
    value: RedisValue | null,
    options?: CompareOptions,
  ): Promise<VersionedReply>;
  /** With all that is known, also where no value is left. In the order of the keys. */
  getEntries(keys: readonly string[]): Promise<Entry[]>;

  getFields(key: string): Promise<Fields | null>;
  getManyFields(keys: readonly string[]): Promise<(Fields | null)[]>;
  merge(merge: Merge): Promise<MergeReply>;

  /** All of them in one step, or none. Rejects with the error of the first that cannot be done. */
  multi(steps: readonly Step[]): Promise<unknown[]>;

  /** To all who subscribe now, in this process and, with a server, in others. How many there were, as far as it is known. */
  publish(channel: string, message: RedisValue): Promise<number>;
  /** From now on, until the loop is left or `signal` aborts. `pattern` is a glob: `*`, `?`, `[abc]`. */
  subscribe(
    what: { readonly channel: string } | { readonly pattern: string },
    options?: { readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<Heard>;

  /** Null while another holds it. Asked again by the same holder it answers the same lease, with its life renewed. */
  acquire(name: string, holder: string, ttlMs: number): Promise<Lease | null>;
  /** False when it is lost. */
  renew(lease: Lease): Promise<boolean>;
  /** False when it was lost before. */
  release(lease: Lease): Promise<boolean>;

  /** Keys that begin with `prefix`, each once if it stays; some that come or go meanwhile. In no order. */
  scan(prefix: string): AsyncIterable<string>;

  /** Raised when the store lost what it held; part of versions that are born here. */
  epoch(): Promise<number>;
}

/** What `read` of a source entry may say. Messages of a channel are gone once given: not replayable. */
export type RedisRead = { readonly channel: string } | { readonly pattern: string };
