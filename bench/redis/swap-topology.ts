/** A cache whose set is swapped by one host and read by another. */
import { type Cache, cache } from '../../actors/cache/index.ts';
import { defineActor, defineTopology } from '../../runtime/index.ts';
import { now, turn } from '../lib/clock.ts';
import { type Counts, Histogram } from '../lib/histogram.ts';
import { uniform } from '../lib/random.ts';

export interface Swapping {
  readonly place: number;
  readonly entries: number;
  /** Part of each value. */
  readonly generation: number;
}

export interface Watching {
  readonly place: number;
  readonly entries: number;
  /** Reads under way at once. */
  readonly readers: number;
  readonly seed: number;
}

export interface Watched {
  readonly reads: number;
  readonly ns: number;
  readonly latencies: Counts;
  /** Reads that saw entries of more than one generation, and reads that missed one. */
  readonly mixed: number;
  readonly empty: number;
  readonly generations: readonly number[];
}

interface Entry {
  readonly n: number;
  readonly generation: number;
}

const SET = 'prices';
/** Keys of a read. */
const KEYS = 4;
const AT_ONCE = 500;
/** Reads that find all in L1 end in the same turn of the event loop: after so many others get theirs. */
const IN_A_TURN = 32;

const keyOf = (n: number): string => `sku:${n}`;

const where = defineActor<{ place: number }, { host: number }>({
  key: ({ place }) => place,
  handle: (_, ctx) => ({ host: ctx.host }),
});

/** Gives how long it took, ns. */
const swap = defineActor<Swapping, number>({
  key: ({ place }) => place,
  async handle({ entries, generation }, ctx) {
    const began = now();
    await ctx.io<Cache>('cache').swap(SET, generated(entries, generation), { count: entries });
    return now() - began;
  },
});

function* generated(entries: number, generation: number): Generator<[string, Entry]> {
  for (let n = 0; n < entries; n++) yield [keyOf(n), { n, generation }];
}

/** Reads all of it, so that L1 of this host has it. */
const warm = defineActor<{ place: number; entries: number }>({
  key: ({ place }) => place,
  async handle({ entries }, ctx) {
    const set = ctx.io<Cache>('cache').fromSet<Entry>(SET);
    for (let from = 0; from < entries; from += AT_ONCE)
      await set.getMany(Array.from({ length: Math.min(AT_ONCE, entries - from) }, (_, i) => keyOf(from + i)));
  },
});

let isStopped = false;

/** Reads until it is told to stop. */
const watch = defineActor<Watching, Watched>({
  key: ({ place }) => place,
  async handle({ entries, readers, seed }, ctx) {
    isStopped = false;
    const set = ctx.io<Cache>('cache').fromSet<Entry>(SET);
    const latencies = new Histogram();
    const generations = new Set<number>();
    const seen = { reads: 0, mixed: 0, empty: 0 };
    const began = now();
    const one = async (reader: number): Promise<void> => {
      const draw = uniform(seed * readers + reader);
      for (let reads = 1; !isStopped; reads++) {
        const places = Array.from({ length: KEYS }, () => Math.floor(draw() * entries));
        const asked = now();
        const found = await set.getMany(places.map(keyOf));
        latencies.record(now() - asked);
        seen.reads++;
        const first = found[0]?.generation;
        if (found.some((entry, i) => entry?.n !== places[i])) seen.empty++;
        else if (found.some(entry => entry?.generation !== first)) seen.mixed++;
        if (first !== undefined) generations.add(first);
        if (reads % IN_A_TURN === 0) await turn();
      }
    };
    await Promise.all(Array.from({ length: readers }, (_, reader) => one(reader)));
    return { ...seen, ns: now() - began, latencies: latencies.counts(), generations: [...generations] };
  },
});

const stop = defineActor<{ place: number }>({
  key: ({ place }) => place,
  handle: () => {
    isStopped = true;
  },
});

export default defineTopology({
  module: import.meta.url,
  name: 'bench-swap',
  io: { cache: cache({ url: 'memory:', namespace: 'bench-swap' }) },
  actors: { where, swap, warm, watch, stop },
});
