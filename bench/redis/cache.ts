/** The cache beside others: what is in memory, what is in the store, and many misses of one key at once. */
import { Child } from '../lib/child.ts';
import {
  type Bench,
  type Case,
  type Contestant,
  figuresOf,
  rowsOf,
  type Samples,
  takeTurns,
  withWarm,
} from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import type { Flooded, How, Reads } from './cache-load.ts';
import type { CacheSetup } from './cache-ours.ts';
import { CPU_PER_ASK, checkRun, cpuPerAsk, perSecond, type Run } from './load.ts';
import type { CachesSetup } from './rivals/caches.ts';
import { type RedisServer, withServer } from './server.ts';

const OURS_MODULE = new URL('cache-ours.ts', import.meta.url);
const CACHES_MODULE = new URL('rivals/caches.ts', import.meta.url);

export const OURS = 'keymill';
const ON_REDIS = 'keymill, Redis';
const EMBEDDED = 'keymill, embedded';
const FOUR = 'keymill, 4 threads';
const MISSES = 10_000;
const LOAD_MS = 20;

const READS = { metric: 'reads', unit: 'reads/s', better: 'higher' } as const;

type Which = CachesSetup['which'];

const ours = (name: string, setup: CacheSetup): Contestant => ({ name, open: () => Child.open(OURS_MODULE, setup) });
const theirs = (which: Which, { url }: RedisServer): Contestant => ({
  name: which,
  open: () => Child.open(CACHES_MODULE, { which, url } satisfies CachesSetup),
});

interface Table {
  readonly name: string;
  readonly how: How;
  readonly reads: number;
  /** Names of who takes part, ours first. */
  readonly by: readonly string[];
  /** Compared with this name, our figure must be so many times theirs. */
  readonly target?: readonly [ratioTo: Which, atLeast: number];
}

const MEMORY: readonly Table[] = [
  {
    name: 'peek',
    how: 'peek',
    reads: 4_000_000,
    by: [OURS, 'lru-cache', 'lru-cache, ttl and bytes'],
    target: ['lru-cache', 0.5],
  },
  {
    name: 'get in L1, awaited',
    how: 'get',
    reads: 1_000_000,
    by: [OURS, 'lru-cache', 'lru-cache, ttl and bytes', 'bentocache', 'cacheable'],
    target: ['lru-cache', 0.7],
  },
  { name: 'getOrSet in L1, awaited', how: 'getOrSet', reads: 300_000, by: [OURS, 'bentocache', 'cacheable'] },
];

const STORED: readonly Table[] = [
  { name: 'getOrSet in L2, awaited', how: 'getOrSet', reads: 2000, by: [ON_REDIS, EMBEDDED, 'cacheable, Redis only'] },
  {
    name: 'getOrSet in L2, 100 at once',
    how: 'together',
    reads: 20_000,
    by: [ON_REDIS, EMBEDDED, 'cacheable, Redis only'],
  },
];

/** Tables of reads whose values are all there, by contestants that stand side by side. */
async function readTables(bench: Bench, contestants: readonly Contestant[], tables: readonly Table[]): Promise<Row[]> {
  const runs = new Map<Table, Samples<Run>>(tables.map(table => [table, new Map()]));
  for (let round = 0; round < (bench.quick ? 1 : 2); round++)
    await withWarm(bench, contestants, async children => {
      for (const child of children) await child.call('fill');
      for (const [table, samples] of runs) {
        const its = contestants.filter(({ name }) => table.by.includes(name));
        const load: Reads = { how: table.how, reads: bench.quick ? table.reads / 4 : table.reads };
        const sample = async (child: Child, name: string): Promise<Run> => {
          // L1 holds them for half a minute, the others for longer than it takes.
          if (name === OURS) await child.call('fill');
          // Some of them are an order of magnitude slower than others.
          const isSlow = name === 'bentocache' || name.startsWith('cacheable');
          const its = { ...load, reads: isSlow ? 100 * Math.ceil(load.reads / 800) : load.reads };
          const run = await child.call<Run>('read', its);
          checkRun(run, its.reads);
          return run;
        };
        const some = its.map(one => children[contestants.indexOf(one)]!);
        await takeTurns(bench, its, some, 2, new Map(), sample);
        await takeTurns(bench, its, some, bench.quick ? 2 : 4, samples, sample);
      }
    });
  return [...runs].flatMap(([{ name, by, target }, samples]) => {
    const compare = {
      subject: by[0]!,
      to: by.filter(one => !one.startsWith(OURS)),
      target: (ratioTo: string): Row['target'] =>
        ratioTo === target?.[0] ? { of: 'ratio', atLeast: target[1] } : undefined,
    };
    return [
      ...rowsOf(bench, name, READS, figuresOf(samples, perSecond), compare),
      ...rowsOf(bench, name, CPU_PER_ASK, figuresOf(samples, cpuPerAsk)),
    ];
  });
}

export const cache: Case = {
  name: 'cache',
  tables: [...MEMORY, ...STORED].map(({ name }) => name),
  about:
    'Reads of 8,192 small objects in no order, that are all there: a loader that is called fails the case. keymill reads in a handler on a host, in the runtime with its I/O thread; the others are called by themselves in the only thread of a process, and hold the same objects without copying or packing them (bentocache `serialize: false`, cacheable `useClone: false`). lru-cache twice: with nothing but a number of entries, and with a life and a bound in bytes, as L1 has. Their `get` is awaited too where keymill’s is. For L2, L1 is turned off; embedded is the store in the process, cacheable has Redis as its only level through its own adapter (node-redis). bentocache’s Redis driver wants ioredis 5, keymill has ioredis 6: only its memory level is here. Versions, fields, swaps of sets and the detection of lost invalidations none of them has; what keymill does for these is in its figures. keymill’s own count of hits in L1 must agree.',
  run: bench =>
    withServer(bench, async server => {
      const memory = [
        ours(OURS, { url: 'memory:', hosts: 1, hasL1: true }),
        ...(['lru-cache', 'lru-cache, ttl and bytes', 'bentocache', 'cacheable'] as const).map(one =>
          theirs(one, server),
        ),
      ];
      const stored = [
        ours(ON_REDIS, { url: server.url, hosts: 1, hasL1: false }),
        ours(EMBEDDED, { url: 'memory:', hosts: 1, hasL1: false }),
        theirs('cacheable, Redis only', server),
      ];
      await server.ask('FLUSHALL');
      return [...(await readTables(bench, memory, MEMORY)), ...(await readTables(bench, stored, STORED))];
    }),
};

export const stampede: Case = {
  name: 'stampede',
  about:
    '10,000 calls of getOrSet for one key that is nowhere, at the same time; the loader takes 20 ms. keymill: in one thread on the embedded store, and in four threads on a Redis, with the lease that holds among processes; the others: in one thread, in memory. Until all have the value, which must be that of the loader.',
  run: bench =>
    withServer(bench, async server => {
      const contestants = [
        ours(OURS, { url: 'memory:', hosts: 1, hasL1: true }),
        ours(FOUR, { url: server.url, hosts: 4, hasL1: true }),
        theirs('bentocache', server),
        theirs('cacheable', server),
      ];
      const samples: Samples<Flooded> = new Map();
      let floods = 0;
      await withWarm(bench, contestants, async children => {
        const sample = async (child: Child): Promise<Flooded> => {
          const flood = { key: `flood:${++floods}`, reads: MISSES, loadMs: LOAD_MS };
          const flooded = await child.call<Flooded>('flood', flood);
          checkRun(flooded, MISSES);
          return flooded;
        };
        await takeTurns(bench, contestants, children, 1, new Map(), sample);
        await takeTurns(bench, contestants, children, bench.quick ? 2 : 6, samples, sample);
      });
      const loads = { metric: 'loads', unit: 'of one key', better: 'lower' } as const;
      const time = { metric: 'all answered', unit: 'ms', better: 'lower' } as const;
      const isOurs = ({ by }: Row): boolean => by === OURS || by === FOUR;
      return [
        ...rowsOf(
          bench,
          'stampede',
          loads,
          figuresOf(samples, flooded => flooded.loads),
        ).map(row => {
          const most = Math.max(...row.samples!);
          return isOurs(row) ? { ...row, value: most, target: { of: 'value' as const, atMost: 1 } } : row;
        }),
        ...rowsOf(
          bench,
          'stampede',
          time,
          figuresOf(samples, ({ ns }) => ns / 1e6),
          { subject: OURS, to: ['bentocache', 'cacheable'] },
        ),
      ];
    }),
};
