/** The cache on a real Redis that is cut off, killed, emptied and read-only; and a swap under reads. */
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Cache, CacheEntry } from '../../actors/cache/index.ts';
import { compareVersions, start, type Version } from '../../runtime/index.ts';
import { later } from '../support/later.ts';
import { QUICK, redisProxy } from '../support/redis-client.ts';
import { redisServer } from '../support/redis-server.ts';
import { skipped } from '../support/services.ts';
import { tempFolder } from '../support/temp-folder.ts';
import topology from './fixtures/cache-topology.ts';

/** A process's worth of cache; more than one may run here. */
async function cacheAt(url: string, more: Record<string, unknown> = {}): Promise<Cache> {
  const quick = Object.fromEntries(Object.entries(QUICK).map(([name, value]) => [`io.cache.${name}`, value]));
  const runtime = await start(topology, {
    threads: 1,
    dataDir: join(await tempFolder('cache-faults'), 'data'),
    logLevel: 'silent',
    set: { 'io.cache.url': url, 'io.cache.namespace': 'faults', ...quick, ...more },
  });
  onTestFinished(async () => void (await runtime.stop({ graceMs: 0 })));
  return runtime.io<Cache>('cache');
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
/** Of sixteen loops that read 100 entries each: 160,000 entries a second at most. */
const CALL_EVERY_MS = 10;
const KEYS = range(200).map(i => `k${i}`);

describe.skipIf(skipped('redis'))('the cache on a real Redis', () => {
  test.each(['REDIS', 'REDIS_SENTINEL', 'REDIS_CLUSTER'])('does all it does on %s', async name => {
    const url = process.env[`KEYMILL_TEST_${name}`]!;
    const namespace = `all-${process.pid}-${Date.now()}`;
    const [a, b] = await Promise.all(range(2).map(() => cacheAt(url, { 'io.cache.namespace': namespace })));
    for (const key of KEYS) await a!.set(key, key, { tags: ['t'] });
    expect(await b!.getMany(KEYS)).toEqual(KEYS);
    await a!.set('k0', 'new');
    await expect.poll(() => b!.get('k0')).toBe('new');
    await a!.invalidateTag('t');
    await expect.poll(() => b!.getMany(['k0', 'k1', 'k2'])).toEqual(['new', undefined, undefined]);
    const many = await b!.getOrSetMany(KEYS, keys => keys.map(key => `loaded ${key}`));
    expect(many).toEqual(KEYS.map((key, i) => (i === 0 ? 'new' : `loaded ${key}`)));
    await a!.delete('k1');
    await expect.poll(() => b!.get('k1')).toBe(undefined);
    expect(await a!.set('versioned', 7, { version: { epoch: 1, n: 7 } })).toMatchObject({ isStored: true });
    expect(await b!.set('versioned', 6, { version: { epoch: 1, n: 6 } })).toMatchObject({ isStored: false });
    await b!.invalidate({ key: 'versioned', version: { epoch: 1, n: 8 } });
    await expect.poll(() => a!.get('versioned')).toBe(undefined);
    await a!.swap(
      's',
      KEYS.map(key => [key, 'one'] as const),
    );
    await a!.swap(
      's',
      KEYS.map(key => [key, 'two'] as const),
    );
    await expect.poll(() => b!.fromSet('s').get('k9')).toBe('two');
    await b!.rollback('s');
    await expect.poll(async () => new Set(await a!.fromSet('s').getMany(KEYS))).toEqual(new Set(['one']));
    for (const cache of [a!, b!]) expect(cache.stats().counts).toMatchObject({ storeErrors: 0, refusedOlder: 0 });
  });

  test('cut off while values change: once healed, nothing of L1 is given before it was revalidated', async () => {
    const { url } = await redisServer();
    const proxy = await redisProxy(url);
    onTestFinished(() => proxy.close());
    const writer = await cacheAt(url);
    const reader = await cacheAt(proxy.url);
    for (const key of KEYS) await writer.set(key, `old ${key}`);
    expect(await reader.getMany(KEYS)).toEqual(KEYS.map(key => `old ${key}`));
    const { gaps } = reader.stats().counts;
    proxy.refuse();
    proxy.cut();
    for (const key of KEYS.slice(0, 50)) await writer.set(key, `new ${key}`);
    expect(await reader.getMany(KEYS.slice(0, 50))).toEqual(KEYS.slice(0, 50).map(key => `old ${key}`)); // L1, in its life
    await proxy.heal();
    await expect.poll(() => reader.stats().counts['gaps'], { timeout: 20_000 }).toBeGreaterThan(gaps!);
    expect(reader.peek('k0')).toBe(undefined);
    await expect
      .poll(() => reader.getMany(KEYS.slice(0, 50)), { timeout: 20_000 })
      .toEqual(KEYS.slice(0, 50).map(key => `new ${key}`));
    expect(await reader.getMany(KEYS.slice(50))).toEqual(KEYS.slice(50).map(key => `old ${key}`));
    expect(reader.stats().counts['revalidated']).toBeGreaterThanOrEqual(50);
    expect(reader.stats()).toMatchObject({ suspects: 0, isDegraded: false });
  });

  test('killed, and started empty: L1, stale values and loaders answer, and no version goes back', async () => {
    const server = await redisServer();
    const cache = await cacheAt(server.url, { 'io.cache.l1.ttlMs': 300, 'io.cache.l2.timeoutMs': 500 });
    const last = new Map<string, Version>();
    const seen = (key: string, entry: CacheEntry | undefined): void => {
      if (!entry?.version) return;
      const before = last.get(key);
      if (before) expect(compareVersions(entry.version, before)).toBeGreaterThanOrEqual(0);
      last.set(key, entry.version);
    };
    const read = async (value: string): Promise<void> => {
      for (const key of KEYS.slice(0, 20)) seen(key, await cache.getOrSetEntry(key, () => value));
    };
    for (let i = 0; i < 5; i++) for (const key of KEYS.slice(0, 20)) await cache.set(key, `${i}`);
    await read('before');
    await server.kill();
    const began = Date.now();
    await read('while it is away');
    await cache.set('written', 'while it is away');
    expect(await cache.get('written')).toBe('while it is away');
    expect(Date.now() - began).toBeLessThan(10_000);
    await expect
      .poll(
        async () => {
          await read('away');
          return cache.stats().isDegraded;
        },
        { timeout: 10_000 },
      )
      .toBe(true);
    await server.start({ empty: true });
    const back = Date.now();
    await expect
      .poll(
        async () => {
          await read('after');
          return cache.stats().isDegraded;
        },
        { timeout: 10_000 },
      )
      .toBe(false);
    expect(Date.now() - back).toBeLessThan(5000);
    await expect.poll(() => cache.stats().owed).toBe(0);
    await read('after');
  });

  test('a set of 100,000 entries is swapped under reads: none is empty, none is mixed', {
    timeout: 120_000,
  }, async () => {
    const { url } = await redisServer();
    const writer = await cacheAt(url);
    const readers = await Promise.all(range(2).map(() => cacheAt(url)));
    const keys = range(100_000).map(i => `k${i}`);
    const entries = function* (of: string): Generator<[string, string]> {
      for (const key of keys) yield [key, of];
    };
    await writer.swap('s', entries('0'), { count: keys.length });
    let isDone = false;
    let reads = 0;
    const seen = new Set<string>();
    const began = performance.now();
    // Many calls at once, as requests are: one alone mostly waits for its turn behind the writer.
    const calls = readers.flatMap(reader => range(8).map(n => ({ reader, from: n * 1009 })));
    const reading = calls.map(async ({ reader, from }) => {
      const set = reader.fromSet<string>('s');
      for (let at = from; !isDone; at = (at + 7919) % keys.length) {
        const values = await set.getMany(range(100).map(i => keys[(at + i * 31) % keys.length]!));
        reads += values.length;
        const kinds = new Set(values);
        if (kinds.size !== 1 || kinds.has(undefined)) throw new Error(`mixed or empty: ${[...kinds].join()}`);
        seen.add(values[0]!);
        await later(CALL_EVERY_MS);
      }
    });
    for (const of of ['1', '2', '3']) expect(await writer.swap('s', entries(of))).toMatchObject({ count: keys.length });
    await writer.rollback('s');
    await expect.poll(() => seen.size, { timeout: 20_000 }).toBeGreaterThanOrEqual(3);
    isDone = true;
    await Promise.all(reading);
    const perSecond = Math.round(reads / ((performance.now() - began) / 1000));
    expect(perSecond).toBeGreaterThan(20_000); // 50,000 and more where the machine has nothing else to do
    process.env['KEYMILL_SHOW'] && process.stdout.write(`${perSecond} reads a second\n`);
    await expect.poll(() => readers[0]!.fromSet('s').get('k5')).toBe('2');
  });
});
