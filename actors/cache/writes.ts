/**
 * What a thread writes: each change and the word of it in one step of the store, so none is made that nobody hears of. A store
 * that is away is owed the write: who wrote sees it meanwhile, in L1, and others are made to look anew once it is back.
 */
import { compareVersions, type IoThread, isKeymillError, KeymillError, type Version } from '../../runtime/index.ts';
import type { CompareOptions, Expected, Fence, Step, VersionedReply, WriteOptions } from '../redis/contract.ts';
import type { Channel } from './channel.ts';
import { checkTags, encode, encodeVoid, type Packed, packBody, type TagMark } from './codec.ts';
import type { SetOptions, SetReply } from './contract.ts';
import type { Counts } from './counts.ts';
import type { Held } from './held.ts';
import type { L1 } from './l1.ts';
import type { Found, Levels } from './levels.ts';
import { lifeFrom } from './life.ts';
import type { Names } from './names.ts';
import { type CacheOptions, lifeOf } from './options.ts';
import { type Owed, storeLife } from './owed.ts';
import { isAwayError, type Store } from './store.ts';
import type { Tags } from './tags.ts';

/** As the store has it where its options say nothing. */
const MAX_VALUE_BYTES = 10 * 1024 * 1024;
/** A void has gone at once, and its version stays. */
const VOID_MS = 1;

/** Written if this stands there. */
interface Compared {
  readonly expected: Expected;
  readonly options: CompareOptions;
}
const ANY: Compared = { expected: 'any', options: {} };

export interface WritesNeeds {
  readonly thread: IoThread;
  readonly options: CacheOptions;
  readonly names: Names;
  readonly store: Store;
  readonly channel: Channel;
  readonly l1: L1;
  readonly levels: Levels;
  readonly tags: Tags;
  readonly owed: Owed;
  readonly counts: Counts;
}

export class Writes {
  readonly #needs: WritesNeeds;
  readonly #maxBytes: number;

  constructor(needs: WritesNeeds) {
    this.#needs = needs;
    const { maxValueBytes } = needs.thread.options;
    this.#maxBytes = typeof maxValueBytes === 'number' ? maxValueBytes : MAX_VALUE_BYTES;
  }

  async set(key: string, value: unknown, given: SetOptions = {}): Promise<SetReply> {
    if (value === undefined)
      throw new KeymillError('CACHE_VALUE_INVALID', 'the value is undefined: delete the key, or set null');
    checkTags(given.tags);
    const { options, levels, owed, tags, l1 } = this.#needs;
    const lifeMs = lifeFrom(given.ttlMs, lifeOf(options), 'ttlMs');
    const staleMs = lifeFrom(given.staleMs, options.staleMs, 'staleMs', 0);
    const body = packBody(value);
    const marks = given.tags?.length ? await tags.marks(given.tags).catch(whereAway([])) : null;
    const packed: Packed = { lifeMs, staleMs, isNegative: false, tags: marks, body };
    const bytes = this.encoded(packed);
    const ttlMs = storeLife(packed);
    const version = given.version ?? null;
    try {
      const reply = await this.#write(key, 'changed', version ?? ANY, bytes, { ttlMs });
      owed.forget(key);
      if (reply.outcome === 'older') {
        levels.heard(key, reply.version, false);
        return { version: reply.version, isStored: false };
      }
      levels.adopt(key, packed, reply.version, lifeMs + staleMs);
      return { version: reply.version, isStored: true };
    } catch (error) {
      if (!isAwayError(error)) throw error;
      owed.add(key, { base: l1.look(key)?.version ?? null, version, bytes, ttlMs });
      levels.adopt(key, packed, null, lifeMs + staleMs);
      return { version: null, isStored: false };
    }
  }

  async delete(key: string, version: Version | null): Promise<SetReply> {
    const { levels, owed } = this.#needs;
    levels.heard(key, version, true);
    try {
      const reply = await this.#write(key, 'removed', version ?? ANY, null, {});
      owed.forget(key);
      if (reply.outcome !== 'older') levels.heard(key, reply.version, true);
      return { version: reply.version, isStored: reply.outcome !== 'older' };
    } catch (error) {
      if (!isAwayError(error)) throw error;
      owed.add(key, { base: null, version, bytes: null, ttlMs: undefined });
      return { version: null, isStored: false };
    }
  }

  /** What is older goes; that very version may still be stored. */
  async invalidate(key: string, version: Version | null): Promise<void> {
    if (version === null) return void (await this.delete(key, null));
    const { levels, owed } = this.#needs;
    levels.heard(key, version, false);
    try {
      await this.#write(key, 'changed', version, encodeVoid(), { ttlMs: VOID_MS });
    } catch (error) {
      if (!isAwayError(error)) throw error;
      owed.add(key, { base: null, version, bytes: encodeVoid(), ttlMs: VOID_MS });
    }
  }

  /** Rejects with the store's error where it is away: nobody would know of it. */
  async invalidateTag(tag: string): Promise<void> {
    const { store, names, channel, tags, thread } = this.#needs;
    tags.heard(tag, null);
    const askedAt = thread.environment.clock.now();
    const steps: Step[] = [
      { do: 'compareAndSet', key: names.tag(tag), expected: 'any', value: tag, options: { ttlMs: 0 } },
      channel.step('tag', tag),
    ];
    const [reply] = await store.ask(redis => redis.multi(steps));
    tags.heard(tag, null);
    tags.learn(tag, (reply as VersionedReply).version, askedAt);
  }

  /**
   * Stores what a load gave, if what stood there when it began stands there still; else what came meanwhile is given. Without a
   * store it is kept in this thread.
   */
  async storeLoaded(
    key: string,
    packed: Packed,
    version: Version | undefined,
    found: Found,
    fence: Fence | null,
  ): Promise<Held> {
    const { levels, counts, store, names } = this.#needs;
    const left = packed.lifeMs + packed.staleMs;
    if (found.isAway) return levels.adopt(key, packed, null, left);
    try {
      const bytes = this.encoded(packed);
      const ttlMs = storeLife(packed);
      const options = { ttlMs, ...(fence && { fence }) };
      const reply = await this.#write(key, 'changed', version ?? unchangedSince(found), bytes, options);
      if (reply.outcome === 'same') await store.ask(redis => redis.expire(names.value(key), ttlMs));
      if (reply.outcome !== 'older') return levels.adopt(key, packed, reply.version, left);
    } catch (error) {
      if (isKeymillError(error, 'REDIS_VALUE_TOO_LARGE')) {
        counts.tooLarge++;
        return levels.unkept(packed);
      }
      if (isAwayError(error)) return levels.adopt(key, packed, null, left);
      if (!isKeymillError(error, 'REDIS_FENCED')) throw error;
    }
    counts.refusedStores++;
    levels.forgetReading(key);
    const now = await levels.read(key);
    return now.fresh ?? levels.unkept(packed);
  }

  /** Nobody loads it any more: who waits for the lease need not wait for its end. */
  freed(key: string): void {
    const { store, channel } = this.#needs;
    store.ask(redis => redis.publish(channel.name, channel.message('freed', key))).catch(() => {}); // they wait a little longer
  }

  /** Throws REDIS_VALUE_TOO_LARGE. */
  encoded(packed: Packed): Uint8Array {
    const bytes = encode(packed);
    if (bytes.length > this.#maxBytes)
      throw new KeymillError('REDIS_VALUE_TOO_LARGE', `${bytes.length} bytes, maxValueBytes is ${this.#maxBytes}`);
    return bytes;
  }

  async #write(
    key: string,
    is: 'changed' | 'removed',
    as: Version | Compared,
    value: Uint8Array | null,
    options: WriteOptions,
  ): Promise<VersionedReply> {
    const { store, names, channel } = this.#needs;
    const name = names.value(key);
    const write: Step =
      'expected' in as
        ? { do: 'compareAndSet', key: name, expected: as.expected, value, options: { ...options, ...as.options } }
        : { do: 'setVersioned', key: name, value, version: as, options };
    const [reply] = await store.ask(redis => redis.multi([write, channel.step(is, key)]));
    return reply as VersionedReply;
  }
}

/**
 * What stood there when the store was asked stands there still. What the store lost must not bring versions back: the write goes
 * above what was known before it was asked. What was heard since is no loss, but a write that came meanwhile.
 */
function unchangedSince({ hasValue, version, floor }: Found): Compared {
  const hasLost = floor !== null && (version === null || compareVersions(version, floor) < 0);
  const options = { ...(!hasValue && { seen: version }), ...(hasLost && { above: floor }) };
  return { expected: hasValue ? version : null, options };
}

function whereAway(marks: TagMark[]): (error: unknown) => TagMark[] {
  return error => {
    if (!isAwayError(error)) throw error;
    return marks;
  };
}
