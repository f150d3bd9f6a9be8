/** The store away: what is given, what is owed, and what is made up for. */
import { expect, test } from 'vitest';
import { rejected, state, world } from './support.ts';

const HOUR = 3_600_000;

test('reads are answered by L1, stale values and loaders, and no promise waits for the store', async () => {
  for (const outage of ['refuses', 'hangs'] as const) {
    const { thread, environment } = await world();
    const seat = thread();
    const { cache } = seat;
    await cache.set('held', 'v');
    seat.outage = outage;
    expect(await cache.get('held')).toBe('v');
    await environment.advance(40_000);
    const entry = cache.getEntry('held');
    const missing = cache.get('missing');
    const loading = cache.getOrSetEntry('loaded', () => 'from the source');
    await environment.advance(3001);
    expect(await state(entry, environment)).toMatchObject({ value: 'v', isStale: true, from: 'l1' });
    expect(await state(missing, environment)).toBe(undefined);
    expect(await state(loading, environment)).toMatchObject({ value: 'from the source', version: null, from: 'load' });
    expect(cache.peek('loaded')).toBe('from the source');
    const { isDegraded, counts } = cache.stats();
    expect([isDegraded, counts['storeErrors']! > 0]).toEqual([true, true]);
    await environment.advance(HOUR * 2);
    const gone = cache.get('held');
    await environment.advance(1001);
    expect(await gone).toBe(undefined);
  }
});

test('a store that did not answer is left alone for a while, and found again within 5 s', async () => {
  const { thread, environment } = await world({ l2: { backoffMs: 1000 } });
  const seat = thread();
  seat.outage = 'refuses';
  await seat.cache.get('a');
  const before = seat.asked['cache.read']!;
  for (let i = 0; i < 100; i++) expect(await seat.cache.get(`k${i}`)).toBe(undefined);
  expect(seat.asked['cache.read']).toBe(before);
  expect(seat.cache.stats().counts['storeSkipped']).toBe(100);
  seat.outage = 'none';
  await environment.advance(1300);
  await thread().cache.set('k', 1);
  expect(await seat.cache.get('k')).toBe(1);
  expect(seat.cache.stats().isDegraded).toBe(false);
  expect(seat.logged.map(({ text }) => text)).toEqual([
    'the store of the cache does not answer: L1, stale values and loaders do',
    'the store of the cache answers again',
  ]);
});

test('writes are kept for who wrote them, owed to the store, and made up for when it is back', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  await a.cache.set('known', 'old');
  await a.cache.set('deleted', 'old');
  await a.cache.set('overtaken', 'old');
  await thread().cache.set('unknown', 'old');
  for (const key of ['known', 'deleted', 'overtaken', 'unknown']) await b.cache.get(key);
  await environment.settle();
  a.outage = 'refuses';
  expect(await a.cache.set('known', 'new')).toEqual({ version: null, isStored: false });
  expect(await a.cache.delete('deleted')).toEqual({ version: null, isStored: false });
  await a.cache.set('overtaken', 'mine');
  await a.cache.set('unknown', 'new');
  expect(a.cache.stats()).toMatchObject({ owed: 4, isDegraded: true });
  expect([await a.cache.get('known'), await a.cache.get('deleted')]).toEqual(['new', undefined]);
  await b.cache.set('overtaken', 'theirs');
  a.outage = 'none';
  await environment.advance(3000);
  expect(a.cache.stats()).toMatchObject({ owed: 0, isDegraded: false });
  expect(a.cache.stats().counts).toMatchObject({ paid: 3, forgiven: 1 });
  expect(await b.cache.getMany(['known', 'deleted', 'overtaken', 'unknown'])).toEqual([
    'new',
    undefined,
    'theirs',
    undefined,
  ]);
});

test('what is owed is bounded, and what is forgotten is counted', async () => {
  const { thread } = await world({ l2: { maxOwed: 10 } });
  const seat = thread();
  seat.outage = 'refuses';
  for (let i = 0; i < 25; i++) await seat.cache.set(`k${i}`, i);
  expect(seat.cache.stats()).toMatchObject({ owed: 10, counts: { owed: 25, forgiven: 15 } });
});

test('a write whose reply is lost is not made twice, and does not undo what came after it', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  await a.cache.set('k', 'one');
  await environment.settle();
  a.outage = 'forgets';
  await a.cache.set('k', 'two');
  expect(await b.cache.get('k')).toBe('two');
  await b.cache.set('k', 'three');
  a.outage = 'none';
  await environment.advance(3000);
  expect(a.cache.stats()).toMatchObject({ owed: 0 });
  await environment.advance(30_000);
  expect([await a.cache.get('k'), await b.cache.get('k')]).toEqual(['three', 'three']);
});

test('a tag is not invalidated by half: the caller hears of it', async () => {
  const { thread } = await world();
  const seat = thread();
  seat.outage = 'refuses';
  expect(await rejected(seat.cache.invalidateTag('t'))).toMatchObject({ code: 'IO_FAILED' });
});

test('after a gap L1 is suspect: entries are read again by version, without the value where it is right still', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  for (let i = 0; i < 20; i++) await a.cache.set(`k${i}`, `old ${i}`);
  await environment.settle();
  await b.cache.getMany(Array.from({ length: 20 }, (_, i) => `k${i}`));
  await environment.settle();
  b.losing = 3;
  for (let i = 0; i < 3; i++) await a.cache.set(`k${i}`, `new ${i}`);
  await environment.settle();
  expect(b.cache.peek('k0')).toBe('old 0'); // it cannot know
  await a.cache.set('other', 'x'); // the next message tells
  await environment.settle();
  expect(b.cache.stats()).toMatchObject({ suspects: 20, counts: { gaps: 1 } });
  expect(b.cache.peek('k0')).toBe(undefined);
  const reads = b.asked['cache.read']!;
  const all = await b.cache.getMany(Array.from({ length: 20 }, (_, i) => `k${i}`));
  expect(all.slice(0, 4)).toEqual(['new 0', 'new 1', 'new 2', 'old 3']);
  expect(b.asked['cache.read']! - reads).toBe(1);
  expect(b.cache.stats()).toMatchObject({ suspects: 0, counts: { revalidated: 20 } });
  await environment.advance(5000);
  expect(b.logged.map(({ text, fields }) => [text, fields['suspects'], fields['revalidated']])).toEqual([
    ['invalidations may be lost: L1 is revalidated', 20, undefined],
    ['entries of L1 were revalidated', 0, 20],
  ]);
});

test('when the last messages are lost a beat tells of it', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  await a.cache.set('k', 'old');
  await environment.advance(2000);
  await b.cache.get('k');
  b.losing = 1;
  await a.cache.set('k', 'new');
  await environment.settle();
  expect(await b.cache.get('k')).toBe('old');
  await environment.advance(1001);
  expect(await b.cache.get('k')).toBe('new');
});

test('while L1 is suspect and the store is away, it is given for suspectMs and no longer', async () => {
  const { thread, environment } = await world({ suspectMs: 10_000 });
  const [a, b] = [thread(), thread()];
  await a.cache.set('k', 'old');
  await environment.advance(2000);
  await b.cache.get('k');
  b.losing = 1;
  await a.cache.set('k', 'new');
  await environment.advance(1001);
  b.outage = 'refuses';
  expect(await b.cache.getEntry('k')).toMatchObject({ value: 'old', isStale: true });
  await environment.advance(9000);
  expect(await b.cache.getEntry('k')).toMatchObject({ value: 'old', isStale: true });
  await environment.advance(1000);
  expect(await b.cache.get('k')).toBe(undefined);
});
