/** Sets that are replaced as a whole. */
import { expect, test } from 'vitest';
import { rejected, world } from './support.ts';

const entries = (n: number, of: string): [string, string][] => Array.from({ length: n }, (_, i) => [`k${i}`, of]);

test('a set is replaced at one moment, and all that one call reads is of one version', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  const reader = b.cache.fromSet<string>('rates');
  expect([await reader.view(), await reader.get('k1')]).toEqual([null, undefined]);
  expect(await a.cache.swap('rates', entries(1200, 'one'), { count: 1200 })).toMatchObject({ count: 1200 });
  await environment.settle();
  const keys = entries(1200, '').map(([key]) => key);
  expect(new Set(await reader.getMany(keys))).toEqual(new Set(['one']));
  let isDone = false;
  const swapping = a.cache.swap('rates', entries(1200, 'two')).finally(() => {
    isDone = true;
  });
  const seen = new Set<string>();
  while (!isDone) {
    const values = new Set(await reader.getMany(keys));
    expect(values.size).toBe(1);
    seen.add([...values][0]!);
  }
  await swapping;
  await environment.settle();
  expect(await reader.get('k7')).toBe('two');
  expect(seen).toContain('one');
});

test('a view stays at its version, until the set after the next and the grace after it', async () => {
  const { thread, environment, redis } = await world({ graceMs: 1000, l1: { maxBytes: 65_536 } });
  const { cache } = thread();
  await cache.swap('s', entries(600, 'one'));
  const other = thread();
  const view = (await other.cache.fromSet<string>('s').view())!;
  expect([view.count, view.version.n]).toEqual([600, 1]);
  await cache.swap('s', entries(10, 'two'));
  await environment.advance(60_000);
  expect(await view.get('k500')).toBe('one');
  await cache.swap('s', entries(10, 'three'));
  await environment.advance(900);
  expect(await view.get('k501')).toBe('one');
  await environment.advance(1000);
  expect(await rejected(view.get('k502'))).toMatchObject({ code: 'CACHE_SET_GONE' });
  expect(await other.cache.fromSet('s').getMany(['k1', 'k502'])).toEqual(['three', undefined]);
  const left: string[] = [];
  for await (const key of redis.scan('cache:s:')) left.push(key);
  expect(left).toHaveLength(20);
});

test('rollback goes back to the set before, once and again', async () => {
  const { thread, environment } = await world();
  const { cache } = thread();
  const reader = thread().cache.fromSet('s');
  expect(await rejected(cache.rollback('s'))).toMatchObject({ code: 'CACHE_SET_GONE' });
  await cache.swap('s', entries(3, 'good'));
  await cache.swap('s', entries(5, 'bad'));
  expect(await reader.get('k0')).toBe('bad');
  expect(await cache.rollback('s')).toMatchObject({ count: 3, version: { n: 3 } });
  await environment.settle();
  expect(await reader.getMany(['k0', 'k4'])).toEqual(['good', undefined]);
  await cache.rollback('s');
  await environment.settle();
  expect(await reader.get('k4')).toBe('bad');
  await cache.rollback('s');
  await cache.swap('s', entries(2, 'next'));
  await environment.advance(2000);
  expect(await reader.get('k0')).toBe('next');
  await cache.rollback('s');
  await environment.settle();
  expect(await reader.get('k0')).toBe('good');
});

test('a set that is not whole is not swapped in, and of two swaps at once one stands', async () => {
  const { thread, environment, redis } = await world();
  const [a, b] = [thread(), thread()];
  await a.cache.swap('s', entries(3, 'first'));
  expect(await rejected(a.cache.swap('s', entries(3, 'short'), { count: 4 }))).toMatchObject({
    code: 'CACHE_SWAP_INCOMPLETE',
  });
  async function* broken(): AsyncGenerator<[string, string]> {
    yield ['k0', 'x'];
    throw new Error('source down');
  }
  expect(await rejected(a.cache.swap('s', broken()))).toMatchObject({ message: 'source down' });
  expect(await a.cache.fromSet('s').get('k0')).toBe('first');
  const outcomes = await Promise.allSettled([a.cache.swap('s', entries(3, 'a')), b.cache.swap('s', entries(3, 'b'))]);
  const lost = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
  expect(lost.map(({ reason }) => (reason as { code: string }).code)).toEqual(['CACHE_SWAP_LOST']);
  await environment.advance(2000);
  const winner = outcomes[0]!.status === 'fulfilled' ? 'a' : 'b';
  expect(await thread().cache.fromSet('s').get('k2')).toBe(winner);
  const left: string[] = [];
  for await (const key of redis.scan('cache:s:')) left.push(key);
  expect(left).toHaveLength(6); // the current one and the one before
});

test('a set expires as a whole', async () => {
  const { thread, environment } = await world();
  const { cache } = thread();
  await cache.swap('s', entries(3, 'x'), { ttlMs: 100_000 });
  await environment.advance(98_000);
  expect(await cache.fromSet('s').getMany(['k0', 'k1'])).toEqual(['x', 'x']);
  await environment.advance(1500);
  expect(await cache.fromSet('s').getMany(['k0', 'k1'])).toEqual([undefined, undefined]);
});
