/**
 * The cache over a real Redis that is killed, emptied, silent, read-only, full, slow, or fails over with lost writes. Meanwhile
 * L1, stale values and loaders answer as the options say, and no call outlasts its end; afterwards it is well again within 5 s.
 */
import { describe, expect, test } from 'vitest';
import type { Cache } from '../../actors/cache/index.ts';
import { type CacheThread, cacheDriver } from '../support/cache-driver.ts';
import { CacheTraffic, TRAFFIC_KEYS } from '../support/cache-traffic.ts';
import type { FaultProxy } from '../support/proxy.ts';
import { QUICK, redisProxy } from '../support/redis-client.ts';
import { type RedisServer, redisGroup, redisServer } from '../support/redis-server.ts';
import { skipped } from '../support/services.ts';

/** Of a server that is well again. */
const RECOVERY_MS = 5000;
const TIMEOUT_MS = 800;
const HARD_MS = 4000;
/** A machine that is busy. */
const ROOM_MS = 2000;
const LONGEST_MS: Readonly<Record<string, number>> = {
  set: TIMEOUT_MS + ROOM_MS,
  get: TIMEOUT_MS + ROOM_MS,
  getOrSet: HARD_MS + ROOM_MS,
};
const PATIENT = { timeout: 20_000, interval: 20 };
/** The driver waits longer than the cache does. */
const OPTIONS = {
  ...QUICK,
  commandTimeoutMs: 3000,
  namespace: 'outlives',
  l1: { ttlMs: 400 },
  l2: { timeoutMs: TIMEOUT_MS, backoffMs: 300 },
  hardTimeoutMs: HARD_MS,
  retryMs: 100,
} as const;

interface Served {
  readonly server: RedisServer;
  readonly proxy: FaultProxy;
}

interface Fault {
  readonly name: string;
  begin(served: Served): Promise<unknown> | void;
  heal(served: Served): Promise<unknown> | void;
  /** none: nothing of it is seen. writes: reads are answered still. all: nothing is. */
  readonly takes: 'none' | 'writes' | 'all';
}

const FAULTS: readonly Fault[] = [
  {
    name: 'is killed and comes back empty',
    begin: ({ server }) => server.kill(),
    heal: ({ server }) => server.start({ empty: true }),
    takes: 'all',
  },
  {
    name: 'cannot be reached, and no connection ends',
    begin: ({ proxy }) => proxy.blackhole(),
    heal: ({ proxy }) => proxy.heal(),
    takes: 'all',
  },
  {
    name: 'gets all and its replies get lost',
    begin: ({ proxy }) => proxy.halfOpen('toClient'),
    heal: ({ proxy }) => proxy.heal(),
    takes: 'all',
  },
  {
    name: 'hangs',
    begin: ({ server }) => server.pause(),
    heal: ({ server }) => server.resume(),
    takes: 'all',
  },
  {
    name: 'is slower than the time-out',
    begin: ({ proxy }) => proxy.delay(TIMEOUT_MS),
    heal: ({ proxy }) => proxy.heal(),
    takes: 'all',
  },
  {
    name: 'is slow',
    begin: ({ proxy }) => proxy.delay(60),
    heal: ({ proxy }) => proxy.heal(),
    takes: 'none',
  },
  {
    name: 'becomes read-only',
    begin: ({ server }) => server.ask('REPLICAOF', '127.0.0.1', 1),
    heal: ({ server }) => server.ask('REPLICAOF', 'NO', 'ONE'),
    takes: 'writes',
  },
  {
    name: 'has no memory left',
    begin: ({ server }) => server.config('maxmemory', 1_000_000),
    heal: ({ server }) => server.config('maxmemory', 0),
    takes: 'writes',
  },
];

describe.skipIf(skipped('redis'))('a cache', () => {
  test('outlives whatever its server does', { timeout: 120_000 }, async () => {
    const servers: RedisServer[] = [];
    for (const _ of FAULTS) servers.push(await redisServer({ data: true })); // at once they would fight for ports
    await Promise.all(FAULTS.map((fault, i) => named(`a server that ${fault.name}`, outlives(fault, servers[i]!))));
  });

  test('outlives a failover that loses writes: nothing older is given, and what is loaded goes above it', {
    timeout: 120_000,
  }, async () => {
    const group = await redisGroup();
    const [a, b] = await seats(group.url, group.url);
    const traffic = new CacheTraffic().by(a.cache).by(b.cache);
    await expect.poll(() => traffic.stored, PATIENT).toBeGreaterThan(40);
    await a.cache.set('lost', 'one');
    await expect.poll(() => group.ask('replica', 'KEYS', '*lost*'), PATIENT).not.toEqual([]);
    await group.part();
    const parted = traffic.stored;
    for (const value of ['two', 'three']) await a.cache.set('lost', value);
    const last = await a.cache.getEntry('lost');
    await expect.poll(() => traffic.stored, PATIENT).toBeGreaterThan(parted + 60);
    traffic.isQuiet = true;
    const stale = expect.poll(() => a.cache.getEntry('lost'), PATIENT).toMatchObject({ value: 'three', isStale: true });
    await group.kill('master');
    group.resume('replica');
    await stale;
    await group.promoted('master');
    const healed = performance.now();
    await recovered(healed, traffic, a.cache, b.cache);
    // The replica has `one`.
    await expect.poll(() => b.cache.get('lost'), PATIENT).toBe('one');
    expect((await a.cache.getEntry('lost'))?.value ?? 'three').toBe('three');
    const loaded = await a.cache.getOrSetEntry('lost', () => 'four');
    expect(loaded.version!.epoch > last!.version!.epoch || loaded.version!.n > last!.version!.n).toBe(true);
    await expect.poll(() => b.cache.get('lost'), PATIENT).toBe('four');
    traffic.isQuiet = false;
    await kept(traffic, a.cache, b.cache);
    expect(a.cache.stats().counts['refusedOlder']).toBeGreaterThan(0); // else nothing was lost
  });
});

async function outlives({ begin, heal, takes }: Fault, server: RedisServer): Promise<void> {
  const served = { server, proxy: await redisProxy(server.url) };
  const [a, b] = await seats(served.proxy.url, server.url);
  const { cache } = a;
  const traffic = new CacheTraffic().by(cache).by(b.cache);
  await expect.poll(() => traffic.stored, PATIENT).toBeGreaterThan(40);
  await expect.poll(() => cache.set('held', 'v'), PATIENT).toMatchObject({ isStored: true });
  const { version } = (await cache.getEntry('held'))!;
  await cache.set('brief', 'v', { ttlMs: 200, staleMs: 300 });

  await begin(served);
  const { owed, stored } = traffic;
  if (takes === 'none') await expect.poll(() => traffic.stored, PATIENT).toBeGreaterThan(stored + 20);
  else {
    await expect.poll(() => traffic.owed, PATIENT).toBeGreaterThan(owed + 4);
    expect(await cache.get('held')).toBe('v');
    await expect.poll(() => cache.get('brief'), PATIENT).toBe(undefined);
    const missing = await cache.getOrSetEntry('missing', () => 'from the source');
    expect(missing).toMatchObject({ value: 'from the source', from: 'load' });
    expect(cache.peek('missing')).toBe('from the source');
    await expect.poll(() => cache.stats().isDegraded, PATIENT).toBe(true);
  }
  if (takes === 'all') {
    await expect.poll(() => cache.getEntry('held'), PATIENT).toMatchObject({ value: 'v', version, isStale: true });
    expect(await cache.get('never there')).toBe(undefined);
  }

  await heal(served);
  await recovered(performance.now(), traffic, cache, b.cache);
  await kept(traffic, cache, b.cache);
}

/** Two processes. */
async function seats(one: string, other: string): Promise<readonly [CacheThread, CacheThread]> {
  const [a, b] = await Promise.all([one, other].map(url => cacheDriver({ ...OPTIONS, url })));
  return [a!.thread(), b!.thread()];
}

async function recovered(healed: number, traffic: CacheTraffic, ...caches: readonly Cache[]): Promise<void> {
  const { stored } = traffic;
  await expect
    .poll(() => traffic.stored > stored + 4 && caches.every(cache => !cache.stats().isDegraded), PATIENT)
    .toBe(true);
  expect(performance.now() - healed).toBeLessThan(RECOVERY_MS);
  await expect.poll(() => caches.map(cache => cache.stats().owed), PATIENT).toEqual(caches.map(() => 0));
}

/** Ends the traffic. No promise was broken, and all agree on what stands there. */
async function kept(traffic: CacheTraffic, ...caches: readonly Cache[]): Promise<void> {
  const { faults, longestMs } = await traffic.end();
  expect(faults).toEqual([]);
  for (const [kind, ms] of Object.entries(longestMs)) expect(ms, kind).toBeLessThan(LONGEST_MS[kind]!);
  await expect
    .poll(async () => {
      const read = await Promise.all(caches.map(cache => cache.getMany(TRAFFIC_KEYS)));
      return read.slice(1).every(values => JSON.stringify(values) === JSON.stringify(read[0]));
    }, PATIENT)
    .toBe(true);
}

const named = (name: string, promise: Promise<void>): Promise<void> =>
  promise.catch(cause => {
    throw new Error(`${name}: ${cause.message}`, { cause });
  });
