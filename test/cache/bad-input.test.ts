/** What a cache does not take, each with its error; and what only looks as if. */
import { expect, test } from 'vitest';
import { type CacheOptionsInput, cache } from '../../actors/cache/index.ts';
import { rejected, world } from './support.ts';

test.each([
  ['empty', ''],
  ['a newline', 'a\nb'],
  ['NUL', 'a\0b'],
  ['too long', 'x'.repeat(1025)],
  ['half a character', '\ud800'],
  ['no text', 7 as unknown as string],
  ['nothing', undefined as unknown as string],
])('a key that is %s is CACHE_KEY_INVALID', async (_what, key) => {
  const { cache } = (await world()).thread();
  for (const call of [
    () => cache.get(key),
    () => cache.getMany(['fine', key]),
    () => cache.set(key, 1),
    () => cache.delete(key),
    () => cache.getOrSet(key, () => 1),
    () => cache.invalidateTag(key),
    () => cache.set('k', 1, { tags: [key] }),
    () => cache.swap('s', [[key, 1]]),
  ])
    expect(await rejected((async () => call())())).toMatchObject({ code: 'CACHE_KEY_INVALID', class: 'fatal' });
  expect(cache.peek(key)).toBe(undefined);
});

test('keys with braces, and such as are names elsewhere, are keys like others', async () => {
  const { thread, redis } = await world();
  const [a, b] = [thread(), thread()];
  const keys = [
    '{',
    '}',
    '{a}b',
    '{}',
    '%7b',
    '{{',
    'a:b',
    '__proto__',
    'constructor',
    'ü 😀',
    'x'.repeat(1024),
    '*?[a]',
  ];
  for (const key of keys) await a.cache.set(key, `of ${key}`);
  expect(await b.cache.getMany(keys)).toEqual(keys.map(key => `of ${key}`));
  const names: string[] = [];
  for await (const name of redis.scan('cache:k:')) names.push(name);
  // What is between the first pair of braces chooses the slot: all of the key, and nothing else.
  expect(names.every(name => /^cache:k:\{[^{}]+\}$/.test(name))).toBe(true);
  expect(new Set(names).size).toBe(keys.length);
});

test('values that are no plain data are CACHE_VALUE_INVALID, with the path', async () => {
  const { cache } = (await world()).thread();
  const cycle: { inner: unknown[] } = { inner: [] };
  cycle.inner.push(cycle);
  for (const [value, path] of [
    [() => 1, 'the value is'],
    [{ a: [{ f: () => 1 }] }, 'the value.a[0].f is'],
    [{ s: Symbol('s') }, 'the value.s is'],
    [new Map([['k', Symbol('s')]]), 'the value.values() is'],
    [cycle, 'cycle'],
    [Promise.resolve(1), 'holds no data'],
    [undefined, 'undefined'],
    [JSON.parse('{"a":{"__proto__":{"isAdmin":true}}}'), 'the value.a has a property called __proto__'],
  ] as const) {
    const error = await rejected(cache.set('k', value));
    expect(error).toMatchObject({ code: 'CACHE_VALUE_INVALID', class: 'fatal' });
    expect(error.message).toContain(path);
  }
  expect(await rejected(cache.getOrSet('k', () => ({ f: () => 1 })))).toMatchObject({ code: 'CACHE_VALUE_INVALID' });
  expect(await rejected(cache.getOrSet('k', undefined as never))).toMatchObject({ code: 'CACHE_VALUE_INVALID' });
  expect(await cache.get('k')).toBe(undefined);
  await cache.set('k', { constructor: 'x', prototype: 1, toString: 2 });
  expect(({} as { isAdmin?: boolean }).isAdmin).toBe(undefined);
  expect(await cache.get('k')).toEqual({ constructor: 'x', prototype: 1, toString: 2 });
});

test('a value of 100 MB is REDIS_VALUE_TOO_LARGE before it is sent; a loaded one is given, and not kept', async () => {
  const seat = (await world()).thread();
  const large = new Uint8Array(100 * 2 ** 20);
  expect(await rejected(seat.cache.set('k', large))).toMatchObject({ code: 'REDIS_VALUE_TOO_LARGE' });
  expect(seat.asked['multi']).toBe(undefined);
  const given = await seat.cache.getOrSet('k', () => large);
  expect(given.length).toBe(large.length);
  expect(seat.cache.peek('k')).toBe(undefined);
  expect(seat.cache.stats().counts['tooLarge']).toBe(1);
});

test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, '1000' as unknown as number])(
  'a life of %s is CACHE_LIFE_INVALID',
  async ttlMs => {
    const { cache } = (await world()).thread();
    for (const promise of [
      cache.set('k', 1, { ttlMs }),
      cache.getOrSet('k', () => 1, { ttlMs }),
      cache.swap('s', [['k', 1]], { ttlMs }),
    ])
      expect(await rejected(promise)).toMatchObject({ code: 'CACHE_LIFE_INVALID' });
    expect(await rejected(cache.set('k', 1, { staleMs: -1 }))).toMatchObject({ code: 'CACHE_LIFE_INVALID' });
  },
);

test("options are the cache's own or those of its store, and each is checked", () => {
  const faults = (options: Record<string, unknown>) => {
    const spec = cache(options as CacheOptionsInput);
    return spec.check(spec.options).map(({ path }) => path);
  };
  expect(faults({})).toEqual([]);
  expect(faults({ url: 'file:./x.db', maxValueBytes: 2048, namespace: 'shop' })).toEqual([]);
  expect(faults({ namespace: 'a b', l1: { ttlMs: -1 }, url: 'nonsense', maxValueBytes: 1 }).toSorted()).toEqual([
    'l1.ttlMs',
    'maxValueBytes',
    'namespace',
    'url',
  ]);
  expect(faults({ colour: 'red' })).toHaveLength(1);
});
