/**
 * Sets that are replaced as a whole (R9, G 10.3). Each version of a set has entries of its own; a pointer says which version is
 * current and which was before. A swap writes the new version aside, looks whether all of it is there, and turns the pointer:
 * that is the moment. The version before stays, for rollback and for who is reading it; the one before that is cleared when
 * readers have had graceMs to see the pointer, and long enough ago for none to have an older one.
 */
import { asError, type IoThread, KeymillError, type Version } from '../../runtime/index.ts';
import type { RedisClient, Step, VersionedReply } from '../redis/contract.ts';
import type { Channel } from './channel.ts';
import { packBody, unpackBody } from './codec.ts';
import type { SetReader, SwapOptions, SwapReply } from './contract.ts';
import type { L1 } from './l1.ts';
import { lifeFrom } from './life.ts';
import { checkKey, type Names } from './names.ts';
import type { CacheOptions } from './options.ts';
import { type Pointer, Pointers, type SetVersion } from './pointers.ts';
import { Reader } from './set-reader.ts';
import type { Store } from './store.ts';

export interface SetsNeeds {
  readonly thread: IoThread;
  readonly options: CacheOptions;
  readonly names: Names;
  readonly store: Store;
  readonly channel: Channel;
  readonly l1: L1;
}

const DAY = 86_400_000;
/** Entries of one ask, and keys of one page. */
const AT_ONCE = 500;
/** The pointer goes first, so that no reader finds a set half expired. */
const POINTER_LIFE = 0.99;

export class Sets {
  readonly #needs: SetsNeeds;
  readonly #pointers: Pointers;
  readonly #readers = new Map<string, Reader>();

  constructor(needs: SetsNeeds) {
    this.#needs = needs;
    this.#pointers = new Pointers(needs);
  }

  heard(set: string): void {
    this.#pointers.heard(set);
  }

  reader<V>(set: string): SetReader<V> {
    let reader = this.#readers.get(set);
    if (!reader) this.#readers.set(set, (reader = new Reader(set, this.#needs, this.#pointers)));
    return reader as SetReader<unknown> as SetReader<V>;
  }

  async swap(
    set: string,
    entries: Iterable<readonly [string, unknown]> | AsyncIterable<readonly [string, unknown]>,
    { ttlMs, count }: SwapOptions = {},
  ): Promise<SwapReply> {
    const life = lifeFrom(ttlMs, DAY, 'ttlMs');
    const { environment } = this.#needs.thread;
    const id = `${Math.floor(environment.clock.wall()).toString(36)}-${Math.floor(environment.random() * 2 ** 48).toString(36)}`;
    const before = await this.#pointers.read(set);
    const built: SetVersion = { id, count: 0, pages: 0 };
    try {
      const { pages, size } = await this.#write(set, id, entries, life);
      Object.assign(built, { count: size, pages });
      if (count !== undefined && count !== size)
        throw new KeymillError('CACHE_SWAP_INCOMPLETE', `${set}: ${size} entries were given, ${count} expected`);
      await this.#verify(set, built, life);
      const next: Pointer = { current: built, former: before?.current ?? null, lifeMs: life };
      const version = await this.#turn(set, before?.version ?? null, next);
      if (before?.former) this.#clearLater(set, before.former);
      return { version, count: size };
    } catch (error) {
      this.#clear(set, { ...built, pages: built.pages || Number.POSITIVE_INFINITY }).catch(() => {}); // it expires
      throw error;
    }
  }

  async rollback(set: string): Promise<SwapReply> {
    const before = await this.#pointers.read(set);
    if (!before?.former) throw new KeymillError('CACHE_SET_GONE', `${set} has no version before the current one`);
    const next: Pointer = { current: before.former, former: before.current, lifeMs: before.lifeMs };
    return { version: await this.#turn(set, before.version, next), count: next.current.count };
  }

  /** The last value of a key that comes twice stands, and it counts once. */
  async #write(
    set: string,
    id: string,
    entries: Iterable<readonly [string, unknown]> | AsyncIterable<readonly [string, unknown]>,
    ttlMs: number,
  ): Promise<{ pages: number; size: number }> {
    const { store, names } = this.#needs;
    const seen = new Set<string>();
    let page: string[] = [];
    let pages = 0;
    let sets: [string, Uint8Array][] = [];
    const flush = async (): Promise<void> => {
      const some = sets;
      const keys = page;
      sets = [];
      page = [];
      await store.patiently(redis =>
        Promise.all([
          ...some.map(([name, value]) => redis.set(name, value, { ttlMs })),
          ...(keys.length === 0 ? [] : [redis.set(names.page(set, id, pages), packBody(keys), { ttlMs })]),
        ]),
      );
      if (keys.length > 0) pages++;
    };
    for await (const [key, value] of entries) {
      checkKey(key);
      if (!seen.has(key)) {
        seen.add(key);
        page.push(key);
      }
      sets.push([names.member(set, id, key), packBody(value)]);
      if (sets.length >= AT_ONCE) await flush();
    }
    if (sets.length > 0) await flush();
    return { pages, size: seen.size };
  }

  /** Every entry is there, and lives from now on. */
  async #verify(set: string, built: SetVersion, ttlMs: number): Promise<void> {
    const { store, names } = this.#needs;
    let there = 0;
    await this.#eachPage(set, built, async (keys, page) => {
      const found = await store.patiently(redis =>
        Promise.all([
          ...keys.map(key => redis.expire(names.member(set, built.id, key), ttlMs)),
          redis.expire(page, ttlMs),
        ]),
      );
      there += found.slice(0, -1).filter(Boolean).length;
    });
    if (there !== built.count)
      throw new KeymillError('CACHE_SWAP_INCOMPLETE', `${set}: ${there} of ${built.count} entries are in the store`);
  }

  async #turn(set: string, expected: Version | null, next: Pointer): Promise<Version> {
    const { store, names, channel } = this.#needs;
    const ttlMs = Math.floor(next.lifeMs * POINTER_LIFE);
    const steps: Step[] = [
      {
        do: 'compareAndSet',
        key: names.pointer(set),
        expected,
        value: JSON.stringify(next),
        options: { ttlMs },
      },
      channel.step('set', set),
    ];
    const [reply] = await store.patiently(redis => redis.multi(steps));
    this.#pointers.heard(set);
    const { outcome, version } = reply as VersionedReply;
    if (outcome === 'older')
      throw new KeymillError('CACHE_SWAP_LOST', `${set} was swapped by another meanwhile, and stands at ${version.n}`);
    return version;
  }

  #clearLater(set: string, gone: SetVersion): void {
    const { thread, options } = this.#needs;
    thread.environment.clock.after(options.graceMs, () => {
      this.#clear(set, gone).catch((error: unknown) => {
        thread.log.warn({ set, err: asError(error).message }, 'a version of a set was not cleared: it expires');
      });
    });
  }

  async #clear(set: string, gone: SetVersion): Promise<void> {
    const { store, names } = this.#needs;
    await this.#eachPage(set, gone, async (keys, page) => {
      const all = [...keys.map(key => names.member(set, gone.id, key)), page];
      // One by one for the slots of a cluster; of one turn they are one pipeline all the same.
      await store.patiently(redis => Promise.all(all.map(name => redis.delete(name))));
    });
  }

  async #eachPage(
    set: string,
    { id, pages }: SetVersion,
    visit: (keys: readonly string[], page: string) => Promise<void>,
  ): Promise<void> {
    const { store, names } = this.#needs;
    for (let page = 0; page < pages; page++) {
      const name = names.page(set, id, page);
      const bytes = await store.patiently((redis: RedisClient) => redis.get(name));
      if (bytes === null) return;
      await visit(unpackBody(bytes as Uint8Array) as string[], name);
    }
  }
}
