/** Runs in a child: caches that are called by themselves, in one thread, each as fast as its options make it. */
import { createKeyv } from '@keyv/redis';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { Cacheable, createKeyv as createMemory } from 'cacheable';
import { LRUCache } from 'lru-cache';
import type { Commands } from '../../lib/child.ts';
import {
  ENTRIES,
  type Flood,
  flood,
  type Item,
  itemOf,
  KEYS_OF_ITEMS,
  type Reader,
  type Reads,
  read,
} from '../cache-load.ts';

export interface CachesSetup {
  readonly which: keyof typeof MAKERS;
  readonly url: string;
}

interface Made {
  readonly reader: Reader;
  set(key: string, item: Item): unknown;
  close?(): Promise<unknown>;
}

/** Room for all that is read, as L1 has by default. */
const MOST = 2 * ENTRIES;
const TTL_MS = 3_600_000;
const L1_MS = 30_000;

function lru(options: LRUCache.Options<string, Item, unknown>): Made {
  const its = new LRUCache<string, Item>(options);
  return { reader: { peek: key => its.get(key), get: key => its.get(key) }, set: (key, item) => its.set(key, item) };
}

const MAKERS = {
  'lru-cache': () => lru({ max: MOST }),
  /** With what L1 also has: a life, and a bound in bytes. */
  'lru-cache, ttl and bytes': () =>
    lru({ ttl: L1_MS * 10, maxSize: 64 * 2 ** 20, sizeCalculation: (_item, key) => 300 + 2 * key.length }),
  bentocache: () => {
    const memory = memoryDriver({ maxItems: MOST, serialize: false });
    const its = new BentoCache({ default: 'only', stores: { only: bentostore().useL1Layer(memory) } });
    return {
      reader: {
        get: (key: string) => its.get<Item>({ key }),
        getOrSet: (key: string, factory: () => Promise<Item>) => its.getOrSet<Item>({ key, factory, ttl: TTL_MS }),
      },
      set: (key: string, value: Item) => its.set({ key, value, ttl: TTL_MS }),
      close: () => its.disconnectAll(),
    };
  },
  cacheable: () => cacheable(new Cacheable({ primary: createMemory({ useClone: false, lruSize: MOST }) })),
  'cacheable, Redis only': (url: string) => cacheable(new Cacheable({ primary: createKeyv(url) })),
} satisfies Record<string, (url: string) => Made>;

function cacheable(its: Cacheable): Made {
  return {
    reader: {
      get: key => its.get<Item>(key),
      getOrSet: (key, load) => its.getOrSet<Item>(key, load, { ttl: TTL_MS, throwErrors: true }),
    },
    set: (key, item) => its.set(key, item, TTL_MS),
    close: () => its.disconnect(),
  };
}

export async function open({ which, url }: CachesSetup): Promise<Commands> {
  const make: (url: string) => Made = MAKERS[which];
  const { reader, set, close } = make(url);
  return {
    async fill() {
      await Promise.all(KEYS_OF_ITEMS.map((key, n) => set(key, itemOf(n))));
    },
    read: (load: Reads) => read(reader, load),
    flood: (load: Flood) => flood(reader, load),
    async close() {
      await close?.();
    },
  };
}
