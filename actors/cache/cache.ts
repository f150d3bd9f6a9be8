/** The cache of a thread: one for all handlers that run there. */
import { type IoThread, KeymillError, type Version } from '../../runtime/index.ts';
import type { RedisClient } from '../redis/contract.ts';
import { Channel, type ChannelMessage } from './channel.ts';
import { Claims } from './claim.ts';
import type {
  Cache,
  CacheEntry,
  CacheStats,
  GetOrSetOptions,
  Invalidation,
  Load,
  LoadMany,
  SetOptions,
  SetReader,
  SetReply,
  SwapOptions,
  SwapReply,
  WarmUp,
  WarmUpOptions,
} from './contract.ts';
import { Counts } from './counts.ts';
import { type Held, UNREAD } from './held.ts';
import { L1 } from './l1.ts';
import { entryOf, Levels } from './levels.ts';
import { Loads } from './loads.ts';
import { loadMany } from './many.ts';
import { checkKey, Names } from './names.ts';
import type { CacheOptions } from './options.ts';
import { Owed } from './owed.ts';
import { Sets } from './sets.ts';
import { Store } from './store.ts';
import { Suspicion } from './suspicion.ts';
import { Tags } from './tags.ts';
import { Teller } from './teller.ts';
import { READS, TurnTime } from './turn-time.ts';
import { Wakes } from './wakes.ts';
import { warmUp } from './warm.ts';
import { Writes } from './writes.ts';

export class ThreadCache implements Cache {
  readonly #thread: IoThread;
  readonly #options: CacheOptions;
  readonly #counts = new Counts();
  readonly #time: TurnTime;
  readonly #l1: L1;
  readonly #entries: L1['entries'];
  /** Of `counts.l1Hits`, those not added yet. */
  #hits = 0;
  /** Reads that `#now` is good for yet. */
  #reads = 0;
  #now = 0;
  readonly #store: Store;
  readonly #levels: Levels;
  readonly #tags: Tags;
  readonly #writes: Writes;
  readonly #owed: Owed;
  readonly #loads: Loads;
  readonly #sets: Sets;
  readonly #suspicion: Suspicion;
  readonly #teller: Teller;
  readonly #wakes: Wakes<'changed' | 'freed'>;

  constructor(thread: IoThread, redis: RedisClient, options: CacheOptions) {
    this.#thread = thread;
    this.#options = options;
    const counts = this.#counts;
    this.#time = new TurnTime(thread.environment, () => {
      this.#reads = 0;
    });
    const names = new Names(options.namespace);
    const l1 = (this.#l1 = new L1(options, counts));
    this.#entries = l1.entries;
    const store = (this.#store = new Store(thread, redis, options, counts));
    const tags = (this.#tags = new Tags(thread, store, names, l1, options));
    const levels = (this.#levels = new Levels({ thread, options, names, store, l1, tags, counts }));
    this.#suspicion = new Suspicion(thread, levels, l1, counts);
    this.#wakes = new Wakes(thread.environment);
    const channel: Channel = new Channel(thread, redis, names.channel, {
      heard: message => this.#heard(message, channel),
      gap: why => this.#suspicion.gap(why),
    });
    const owed = (this.#owed = new Owed(thread, store, names, channel, options, counts));
    store.onBack = () => void owed.pay();
    const writes = (this.#writes = new Writes({
      thread,
      options,
      names,
      store,
      channel,
      l1,
      levels,
      tags,
      owed,
      counts,
    }));
    const { me } = channel;
    const claims = new Claims({ thread, options, names, store, levels, writes, me, wakes: this.#wakes });
    this.#loads = new Loads({ thread, options, levels, writes, claims, tags, counts });
    this.#sets = new Sets({ thread, options, names, store, channel, l1 });
    this.#teller = new Teller(thread, me, () => {
      this.#addHits();
      return { counts: { ...counts }, entries: l1.size, bytes: l1.bytes, isDegraded: store.isAway };
    });
  }

  // In these two the main path is written out: a look at L1 and at the time, and nothing else (bench/results, redis).

  peek<V>(key: string): V | undefined {
    const held = this.#entries.get(key);
    if (held !== undefined && held.quickUntil > (--this.#reads >= 0 ? this.#now : this.#look())) {
      this.#hits++;
      return (held.unpacked === UNREAD ? held.value : held.unpacked) as V;
    }
    const fresh = this.#fresh(key);
    return fresh === null ? undefined : this.#hit<V>(fresh);
  }

  get<V>(key: string): Promise<V | undefined> {
    const held = this.#entries.get(key);
    if (held !== undefined && held.quickUntil > (--this.#reads >= 0 ? this.#now : this.#look())) {
      this.#hits++;
      return Promise.resolve((held.unpacked === UNREAD ? held.value : held.unpacked) as V);
    }
    const fresh = this.#fresh(key);
    return fresh === null ? this.#read<V>(key) : Promise.resolve(this.#hit<V>(fresh));
  }

  async getEntry<V>(key: string): Promise<CacheEntry<V> | undefined> {
    const held = this.#fresh(key);
    if (held === null) return (await this.#readEntry(key)) as CacheEntry<V> | undefined;
    this.#hit(held);
    return entryOf(held, 'l1') as CacheEntry<V>;
  }

  getMany<V>(keys: readonly string[]): Promise<(V | undefined)[]> {
    return Promise.all(keys.map(key => this.get<V>(key)));
  }

  async set(key: string, value: unknown, options?: SetOptions): Promise<SetReply> {
    checkKey(key);
    this.#teller.soon();
    return this.#writes.set(key, value, options);
  }

  async delete(key: string, version: Version | null = null): Promise<SetReply> {
    checkKey(key);
    this.#teller.soon();
    return this.#writes.delete(key, version);
  }

  getOrSet<V>(key: string, load: Load<V>, options?: GetOrSetOptions): Promise<V> {
    const held = this.#fresh(key);
    if (held === null) return this.#loaded(key, load, options).then(({ value }) => value);
    this.#maybeRefresh(key, held, load as Load<unknown>, options);
    return Promise.resolve(this.#given(held) as V);
  }

  async getOrSetEntry<V>(key: string, load: Load<V>, options?: GetOrSetOptions): Promise<CacheEntry<V>> {
    const held = this.#fresh(key);
    if (held === null) return this.#loaded(key, load, options);
    this.#maybeRefresh(key, held, load as Load<unknown>, options);
    this.#given(held);
    return entryOf(held, 'l1') as CacheEntry<V>;
  }

  async getOrSetMany<V>(keys: readonly string[], load: LoadMany<V>, options?: GetOrSetOptions): Promise<V[]> {
    const one = loadMany(load, this.#thread.environment);
    return Promise.all(keys.map(key => this.getOrSet(key, one, options)));
  }

  async invalidateTag(tag: string): Promise<void> {
    checkKey(tag, 'a tag');
    await this.#writes.invalidateTag(tag);
  }

  async invalidate({ key, version }: Pick<Invalidation, 'key' | 'version'>): Promise<void> {
    checkKey(key);
    await this.#writes.invalidate(key, version);
  }

  async swap(
    set: string,
    entries: Iterable<readonly [string, unknown]> | AsyncIterable<readonly [string, unknown]>,
    options?: SwapOptions,
  ): Promise<SwapReply> {
    checkKey(set, 'the name of a set');
    return this.#sets.swap(set, entries, options);
  }

  async rollback(set: string): Promise<SwapReply> {
    checkKey(set, 'the name of a set');
    return this.#sets.rollback(set);
  }

  fromSet<V>(set: string): SetReader<V> {
    checkKey(set, 'the name of a set');
    return this.#sets.reader<V>(set);
  }

  warmUp(loaders: Readonly<Record<string, WarmUp>>, options?: WarmUpOptions): Promise<void> {
    return warmUp(this, this.#thread, loaders, options);
  }

  stats(): CacheStats {
    this.#addHits();
    return {
      counts: { ...this.#counts },
      entries: this.#l1.size,
      bytes: this.#l1.bytes,
      isDegraded: this.#store.isAway,
      owed: this.#owed.size,
      suspects: this.#l1.suspects(),
    };
  }

  /** The time for the next reads. There is one in each turn that reads, so the counts are told from here. */
  #look(): number {
    this.#reads = READS;
    this.#teller.soon();
    return (this.#now = this.#time.look());
  }

  #addHits(): void {
    this.#counts.l1Hits += this.#hits;
    this.#hits = 0;
  }

  /** What L1 may give as it is. */
  #fresh(key: string): Held | null {
    const held = this.#l1.get(key);
    if (held === undefined || held.generation !== this.#l1.generation) return null;
    const now = --this.#reads >= 0 ? this.#now : this.#look();
    if (held.freshUntil <= now) return null;
    return held.tags === null || this.#tags.areValidNow(held.tags, now) === true ? held : null;
  }

  #given(held: Held): unknown {
    this.#counts.l1Hits++;
    if (held.isStale) this.#counts.stale++;
    return held.value;
  }

  #hit<V>(held: Held): V | undefined {
    const value = this.#given(held);
    return held.isNegative ? undefined : (value as V);
  }

  async #read<V>(key: string): Promise<V | undefined> {
    const entry = await this.#readEntry(key);
    return (entry?.value ?? undefined) as V | undefined;
  }

  async #readEntry(key: string): Promise<CacheEntry | undefined> {
    checkKey(key);
    this.#teller.soon();
    const { fresh, stale, isAway } = await this.#levels.read(key);
    if (fresh !== null) {
      this.#counts.l2Hits++;
      return entryOf(fresh, 'l2');
    }
    if (isAway && stale !== null) {
      this.#counts.stale++;
      return entryOf(stale, 'l1', true);
    }
    this.#counts.misses++;
    return undefined;
  }

  async #loaded<V>(key: string, load: Load<V>, given: GetOrSetOptions | undefined): Promise<CacheEntry<V>> {
    checkKey(key);
    if (typeof load !== 'function') throw new KeymillError('CACHE_VALUE_INVALID', 'getOrSet needs a loader');
    this.#teller.soon();
    return (await this.#loads.entry(key, load as Load<unknown>, this.#loads.planOf(given))) as CacheEntry<V>;
  }

  #maybeRefresh(key: string, held: Held, load: Load<unknown>, given: GetOrSetOptions | undefined): void {
    const now = --this.#reads >= 0 ? this.#now : this.#look();
    if (held.refreshAt > now) return;
    held.refreshAt = now + this.#options.retryMs;
    this.#loads.refresh(key, load, this.#loads.planOf(given));
  }

  #heard(message: ChannelMessage, { me }: Channel): void {
    const { is, key, version, from } = message;
    if (from === me) return;
    this.#counts.heard++;
    this.#teller.soon();
    switch (is) {
      case 'changed':
      case 'removed':
        this.#levels.heard(key, version, is === 'removed');
        return this.#wakes.wake(key, 'changed');
      case 'freed':
        return this.#wakes.wake(key, 'freed');
      case 'tag':
        return this.#tags.heard(key, version);
      case 'set':
        return this.#sets.heard(key);
    }
  }
}
