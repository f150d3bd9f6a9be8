/** A cache with its defaults, and on each host handlers that read it. */
import { type Cache, cache } from '../../actors/cache/index.ts';
import { defineActor, defineTopology } from '../../runtime/index.ts';
import {
  ENTRIES,
  type Flood,
  type Flooded,
  flood,
  type Item,
  itemOf,
  KEYS_OF_ITEMS,
  type Reader,
  type Reads,
  read,
} from './cache-load.ts';
import type { Run } from './load.ts';

interface At {
  readonly place: number;
}

export type ReadsAt = At & Reads;
export type FloodAt = At & Flood;

const where = defineActor<At, { host: number }>({
  key: ({ place }) => place,
  handle: (_, ctx) => ({ host: ctx.host }),
});

/** Puts all entries there, and into this thread. */
const fill = defineActor<At>({
  key: ({ place }) => place,
  async handle(_, ctx) {
    const its = ctx.io<Cache>('cache');
    for (let from = 0; from < ENTRIES; from += 512)
      await Promise.all(
        KEYS_OF_ITEMS.slice(from, from + 512).map((key, i) => its.getOrSet(key, () => itemOf(from + i))),
      );
  },
});

/** All of L1, where it has one: what it counted must be what was read. */
const reads = defineActor<ReadsAt, Run & { hits: number }>({
  key: ({ place }) => place,
  async handle(load, ctx) {
    const its = ctx.io<Cache>('cache');
    const before = its.stats().counts['l1Hits']!;
    const run = await read(readerOf(its), load);
    return { ...run, hits: its.stats().counts['l1Hits']! - before };
  },
});

const floods = defineActor<FloodAt, Flooded>({
  key: ({ place }) => place,
  handle: (load, ctx) => flood(readerOf(ctx.io<Cache>('cache')), load),
});

function readerOf(its: Cache): Reader {
  return {
    peek: key => its.peek<Item>(key),
    get: key => its.get<Item>(key),
    getOrSet: (key, load) => its.getOrSet<Item>(key, load),
  };
}

export default defineTopology({
  module: import.meta.url,
  name: 'bench-cache',
  io: { cache: cache({ url: 'memory:', namespace: 'bench' }) },
  actors: { where, fill, reads, floods },
});
