/** L1 over L2: lives, versions, and what is heard of changes. */
import { expect, test } from 'vitest';
import { world } from './support.ts';

const MINUTE = 60_000;

test('a value is found where it was set, in another thread by the store, and then in its memory', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  expect(await a.cache.get('k')).toBe(undefined);
  const value = { name: 'Ada', at: new Date(5), bytes: Uint8Array.of(1, 2), big: 2n ** 70n, map: new Map([[1, 'x']]) };
  expect(await a.cache.set('k', value)).toMatchObject({ isStored: true, version: { n: 1 } });
  expect(await a.cache.getEntry('k')).toMatchObject({ value, from: 'l1', isStale: false, version: { n: 1 } });
  await environment.settle(); // what b hears while it reads would overtake the read
  expect(b.cache.peek('k')).toBe(undefined);
  expect(await b.cache.getEntry('k')).toMatchObject({ value, from: 'l2' });
  expect(await b.cache.getEntry('k')).toMatchObject({ value, from: 'l1' });
  expect(b.cache.peek('k')).toEqual(value);
  value.name = 'changed by who set it';
  expect(a.cache.peek<typeof value>('k')!.name).toBe('Ada');
  await environment.settle();
  expect(await b.cache.getMany(['none', 'k'])).toMatchObject([undefined, { name: 'Ada' }]);
});

test('L1 lives 30 s, and never longer than what the store has left', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  await a.cache.set('k', 1, { ttlMs: MINUTE });
  await environment.advance(50_000);
  expect(await b.cache.getEntry('k')).toMatchObject({ value: 1, from: 'l2' });
  await environment.advance(9_999);
  expect(b.cache.peek('k')).toBe(1);
  await environment.advance(1);
  expect(b.cache.peek('k')).toBe(undefined);
  expect(await b.cache.get('k')).toBe(undefined);
  await a.cache.set('long', 1);
  await environment.advance(29_999);
  expect(a.cache.peek('long')).toBe(1);
  await environment.advance(1);
  expect(a.cache.peek('long')).toBe(undefined);
  expect(await a.cache.getEntry('long')).toMatchObject({ value: 1, from: 'l2' });
  await environment.advance(3_600_000);
  expect(await a.cache.get('long')).toBe(undefined);
});

test('the preset short is 15 minutes, and a life can be given', async () => {
  const { thread, environment } = await world({ l2: { preset: 'short' } });
  const { cache } = thread();
  await cache.set('k', 1);
  await environment.advance(15 * MINUTE - 1);
  expect(await cache.get('k')).toBe(1);
  await environment.advance(1);
  expect(await cache.get('k')).toBe(undefined);
});

test('a change is heard of in other threads at once, with its version where that is known', async () => {
  const { thread, redis, environment } = await world();
  const [a, b] = [thread(), thread()];
  const heard = redis.subscribe({ channel: 'cache:invalidations' })[Symbol.asyncIterator]();
  await a.cache.set('k', 'one', { version: { epoch: 1, n: 5 } });
  const { value } = await heard.next();
  expect(JSON.parse((value as { message: string }).message)).toMatchObject({
    key: 'k',
    version: { epoch: 1, n: 5 },
    is: 'changed',
    seq: 1,
  });
  expect(await b.cache.get('k')).toBe('one');
  await a.cache.set('k', 'two', { version: { epoch: 1, n: 6 } });
  await environment.settle();
  expect(b.cache.peek('k')).toBe(undefined);
  expect(await b.cache.getEntry('k')).toMatchObject({ value: 'two', version: { n: 6 }, from: 'l2' });
  expect(await a.cache.set('k', 'late', { version: { epoch: 1, n: 4 } })).toMatchObject({
    isStored: false,
    version: { n: 6 },
  });
  expect(await a.cache.get('k')).toBe('two');
  await b.cache.delete('k');
  await environment.settle();
  expect([a.cache.peek('k'), await a.cache.get('k')]).toEqual([undefined, undefined]);
  await heard.return?.();
});

test('a message about what it has already takes nothing out of L1', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  await a.cache.set('k', 'one', { version: { epoch: 1, n: 5 } });
  await b.cache.get('k');
  await a.cache.invalidate({ key: 'k', version: { epoch: 1, n: 5 } });
  await environment.settle();
  expect(b.cache.peek('k')).toBe('one');
  await a.cache.invalidate({ key: 'k', version: { epoch: 1, n: 6 } });
  await environment.advance(2);
  expect([b.cache.peek('k'), await b.cache.get('k'), await a.cache.get('k')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  // The version that the invalidation named may be stored, an older one may not.
  expect(await a.cache.set('k', 'late', { version: { epoch: 1, n: 5 } })).toMatchObject({ isStored: false });
  expect(await a.cache.set('k', 'six', { version: { epoch: 1, n: 6 } })).toMatchObject({ isStored: true });
});

test('what is heard while a value is read overtakes the read', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  await a.cache.set('k', 'old');
  const reading = b.cache.get('k');
  await a.cache.set('k', 'new');
  await reading;
  await environment.settle();
  expect(await b.cache.get('k')).toBe('new');
});

test('a version never goes back for a reader, though the store has lost writes', async () => {
  const { thread, redis, environment } = await world();
  const { cache } = thread();
  for (const value of ['one', 'two', 'three']) await cache.set('k', value);
  const entry = await cache.getEntry('k');
  expect(entry).toMatchObject({ value: 'three', version: { n: 3 } });
  // As after a failover: an older version stands there again.
  const [old] = await redis.getEntries(['cache:k:{k}']);
  await redis.delete('cache:k:{k}');
  await redis.setVersioned('cache:k:{k}', old!.value!, { epoch: old!.version!.epoch, n: 1 });
  await environment.advance(30_000);
  expect(await cache.get('k')).toBe(undefined);
  expect(cache.stats().counts['refusedOlder']).toBe(1);
  const again = await cache.getOrSetEntry('k', () => 'loaded');
  expect(again).toMatchObject({ value: 'loaded', from: 'load' });
  expect(again.version!.n).toBeGreaterThan(3);
  expect(await thread().cache.getEntry('k')).toMatchObject({ value: 'loaded', version: again.version });
});

test('entries of a format that is not known yet are as good as none, and are written over', async () => {
  const { thread, redis } = await world();
  const { cache } = thread();
  await redis.setVersioned('cache:k:{k}', Uint8Array.of(9, 0, 0), { epoch: 1, n: 4 });
  expect(await cache.get('k')).toBe(undefined);
  expect(await cache.getOrSetEntry('k', () => 'mine')).toMatchObject({ value: 'mine', version: { n: 5 } });
});

test('L1 is bounded by bytes, and refuses what is too large for it', async () => {
  const { thread } = await world({ l1: { maxBytes: 65_536, maxEntryBytes: 10_000 } });
  const { cache } = thread();
  for (let i = 0; i < 100; i++) await cache.set(`k${i}`, 'x'.repeat(2000));
  const { entries, bytes } = cache.stats();
  expect(bytes).toBeLessThanOrEqual(65_536);
  expect(entries).toBeGreaterThan(20);
  expect([cache.peek('k0'), cache.peek('k99')]).toEqual([undefined, 'x'.repeat(2000)]);
  await cache.set('large', 'x'.repeat(20_000));
  expect(cache.peek('large')).toBe(undefined);
  expect(await cache.getEntry('large')).toMatchObject({ from: 'l2' });
  expect(cache.stats().counts['tooLarge']).toBe(2);
});
