/** Tags by counters. */
import { expect, test } from 'vitest';
import { gate, world } from './support.ts';

test('what was stored with a tag is expired once it is invalidated, in all threads', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  await a.cache.set('one', 1, { tags: ['red', 'big'] });
  await a.cache.set('two', 2, { tags: ['red'] });
  await a.cache.set('three', 3, { tags: ['blue'] });
  await environment.settle();
  expect(await b.cache.getMany(['one', 'two', 'three'])).toEqual([1, 2, 3]);
  expect([b.cache.peek('one'), b.cache.peek('three')]).toEqual([1, 3]);
  await a.cache.invalidateTag('red');
  await environment.settle();
  expect([b.cache.peek('one'), b.cache.peek('two'), b.cache.peek('three')]).toEqual([undefined, undefined, 3]);
  for (const { cache } of [a, b])
    expect(await cache.getMany(['one', 'two', 'three'])).toEqual([undefined, undefined, 3]);
  await b.cache.set('one', 'again', { tags: ['red', 'big'] });
  await environment.settle();
  expect(await a.cache.get('one')).toBe('again');
  await a.cache.invalidateTag('big');
  await environment.settle();
  expect(await b.cache.get('one')).toBe(undefined);
});

test('a tag that is invalidated while a value is loaded expires that value', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  const { load, open } = gate<string>();
  const loading = a.cache.getOrSet('k', load, { tags: ['t'] });
  await environment.settle();
  await b.cache.invalidateTag('t');
  open('of before');
  expect(await loading).toBe('of before');
  await environment.settle();
  expect(await a.cache.get('k')).toBe(undefined);
  expect(await a.cache.getOrSet('k', () => 'of after', { tags: ['t'] })).toBe('of after');
  expect(await b.cache.get('k')).toBe('of after');
});

test('what a tag has expired is still there as a stale value', async () => {
  const { thread } = await world();
  const { cache } = thread();
  await cache.set('k', 'old', { tags: ['t'] });
  await cache.invalidateTag('t');
  const entry = await cache.getOrSetEntry('k', () => {
    throw new Error('down');
  });
  expect(entry).toMatchObject({ value: 'old', isStale: true });
});
