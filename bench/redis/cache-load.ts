/** What is asked of every cache, in words that travel between processes. */
import { turn } from '../lib/clock.ts';
import { uniform } from '../lib/random.ts';
import { type Run, Watch } from './load.ts';

/** Entries that are read; a power of two. */
export const ENTRIES = 8192;
/** Of calls that do not wait for one another. */
const AT_ONCE = 100;

export interface Item {
  readonly n: number;
  readonly name: string;
  readonly price: { readonly cents: number; readonly currency: string };
}

/**
 * peek: synchronous. get, getOrSet: each awaited before the next. together: getOrSet, so many at once, the next when all of
 * them are answered.
 */
export type How = 'peek' | 'get' | 'getOrSet' | 'together';

export interface Reads {
  readonly how: How;
  /** A multiple of 100. */
  readonly reads: number;
}

/** Of one key that is nowhere, at the same time. */
export interface Flood {
  readonly key: string;
  readonly reads: number;
  readonly loadMs: number;
}

export interface Flooded extends Run {
  readonly loads: number;
}

/** The ways of one cache; what it does not have is left out. All of them give `Item`s. */
export interface Reader {
  peek?(key: string): Item | undefined;
  get?(key: string): Promise<Item | undefined> | Item | undefined;
  getOrSet?(key: string, load: () => Promise<Item>): Promise<Item | undefined>;
}

export const KEYS_OF_ITEMS: readonly string[] = Array.from({ length: ENTRIES }, (_, n) => `item:${n}`);

const draw = uniform(7);
/** In no order, the same for all. */
const ORDER = Uint16Array.from({ length: ENTRIES }, () => Math.floor(draw() * ENTRIES));

export const itemOf = (n: number): Item => ({
  n,
  name: `item number ${n} of the shop`,
  price: { cents: n * 7, currency: 'EUR' },
});

async function refuse(): Promise<Item> {
  throw new Error('loaded what was there');
}

/** Throws where a loader is called: all of it must be there. */
export async function read(reader: Reader, { how, reads }: Reads): Promise<Run> {
  await turn();
  const watch = new Watch();
  const right = await WAYS[how](reader, reads);
  return { asks: reads, right, ...watch.stop() };
}

/** Each way of reading is a loop of its own, so that no call in it is of more than one kind. */
const WAYS: Readonly<Record<How, (reader: Reader, reads: number) => number | Promise<number>>> = {
  peek(reader, reads) {
    let right = 0;
    for (let i = 0; i < reads; i++) {
      const n = ORDER[i % ENTRIES]!;
      if (reader.peek!(KEYS_OF_ITEMS[n]!)?.n === n) right++;
    }
    return right;
  },
  async get(reader, reads) {
    let right = 0;
    for (let i = 0; i < reads; i++) {
      const n = ORDER[i % ENTRIES]!;
      if ((await reader.get!(KEYS_OF_ITEMS[n]!))?.n === n) right++;
    }
    return right;
  },
  async getOrSet(reader, reads) {
    let right = 0;
    for (let i = 0; i < reads; i++) {
      const n = ORDER[i % ENTRIES]!;
      if ((await reader.getOrSet!(KEYS_OF_ITEMS[n]!, refuse))?.n === n) right++;
    }
    return right;
  },
  async together(reader, reads) {
    let right = 0;
    for (let i = 0; i < reads; i += AT_ONCE) {
      const asked: Promise<Item | undefined>[] = [];
      for (let k = i; k < i + AT_ONCE; k++) asked.push(reader.getOrSet!(KEYS_OF_ITEMS[ORDER[k % ENTRIES]!]!, refuse));
      (await Promise.all(asked)).forEach((item, k) => {
        if (item?.n === ORDER[(i + k) % ENTRIES]) right++;
      });
    }
    return right;
  },
};

/** Resolves when all of them have the value. */
export async function flood(reader: Reader, { key, reads, loadMs }: Flood): Promise<Flooded> {
  let loads = 0;
  const load = async (): Promise<Item> => {
    loads++;
    await new Promise(resolve => setTimeout(resolve, loadMs));
    return itemOf(reads);
  };
  const watch = new Watch();
  const items = await Promise.all(Array.from({ length: reads }, () => reader.getOrSet!(key, load)));
  return { asks: reads, right: items.filter(item => item?.n === reads).length, loads, ...watch.stop() };
}
