/** `getOrSet`: who loads, who waits, and what is given meanwhile. */
import { expect, test } from 'vitest';
import { loaded, UNCHANGED, versioned } from '../../actors/cache/index.ts';
import { gate, rejected, state, world } from './support.ts';

const HOUR = 3_600_000;

test('a key is loaded once for all who ask in the thread, the process, and in other processes', async () => {
  const one = await world();
  const two = one.process();
  const seats = [one.thread(), one.thread(), two.thread(), two.thread()];
  const { load, calls, open } = gate<string>();
  const asked = seats.flatMap(({ cache }) => Array.from({ length: 50 }, () => cache.getOrSet('k', load)));
  const all = Promise.all(asked);
  expect(await state(all, one.environment)).toBe('pending');
  expect(calls()).toBe(1);
  open('value');
  expect(new Set(await all)).toEqual(new Set(['value']));
  expect(calls()).toBe(1);
  await one.environment.advance(1000);
  const loads = seats.map(({ cache }) => cache.stats().counts['loads']!);
  expect(loads.reduce((sum, n) => sum + n)).toBe(1);
});

test('without a lock each process loads once', async () => {
  const one = await world({ lock: false });
  const seats = [one.thread(), one.thread()];
  const other = one.process();
  seats.push(other.thread(), other.thread());
  const { load, calls, open } = gate<string>();
  const all = Promise.all(seats.map(({ cache }) => cache.getOrSet('k', load)));
  await one.environment.settle();
  expect(calls()).toBe(2);
  open('value');
  expect(await all).toEqual(['value', 'value', 'value', 'value']);
});

test('when the holder of the lease dies, another loads after its end, and the late store is refused', async () => {
  const one = await world({ leaseMs: 3000 });
  const two = one.process();
  const [a, b] = [one.thread(), two.thread()];
  const late = gate<string>();
  const lost = a.cache.getOrSet('k', late.load);
  await one.environment.settle();
  a.outage = 'hangs'; // as good as dead: it renews nothing, and tells nobody
  const next = gate<string>();
  const found = b.cache.getOrSetEntry('k', next.load);
  await one.environment.advance(2900);
  expect(next.calls()).toBe(0);
  await one.environment.advance(3100);
  expect(next.calls()).toBe(1);
  next.open('of the second');
  expect(await found).toMatchObject({ value: 'of the second', from: 'load' });
  a.outage = 'none';
  await one.environment.advance(1500);
  late.open('too late');
  expect(await lost).toBe('of the second');
  expect(await two.thread().cache.get('k')).toBe('of the second');
  expect(a.cache.stats().counts['refusedStores']).toBe(1);
});

test('a load does not undo a write that was made while it ran', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  for (const { cache: other } of [a, b])
    for (const change of ['set', 'delete'] as const) {
      const key = `${change} by ${other === a.cache ? 'itself' : 'another'}`;
      const { load, open } = gate<string>();
      const loading = a.cache.getOrSet(key, load);
      await environment.settle();
      if (change === 'set') await other.set(key, 'newer');
      else await other.delete(key);
      open('read before it');
      expect(await loading, key).toBe(change === 'set' ? 'newer' : 'read before it');
      await environment.settle();
      expect(await a.cache.get(key), key).toBe(change === 'set' ? 'newer' : undefined);
    }
});

test('a load that goes above what the store lost is refused where another has made that version meanwhile', async () => {
  const { thread, redis, environment } = await world();
  const { cache } = thread();
  for (const value of ['one', 'two']) await cache.set('k', value);
  const { version } = (await cache.getEntry('k'))!;
  await redis.delete('cache:k:{k}');
  await environment.advance(30_000);
  const { load, open } = gate<string>();
  const loading = cache.getOrSetEntry('k', load);
  await environment.settle();
  const next = { epoch: version!.epoch, n: version!.n + 1 };
  await thread().cache.set('k', 'theirs', { version: next });
  open('mine');
  expect(await loading).toMatchObject({ value: 'theirs', version: next });
  expect(await thread().cache.getEntry('k')).toMatchObject({ value: 'theirs', version: next });
});

test('a loader can say the version, the life and the tags', async () => {
  const { thread, environment } = await world();
  const { cache } = thread();
  const entry = await cache.getOrSetEntry('k', () => versioned('v7', { epoch: 2, n: 7 }));
  expect(entry).toMatchObject({ value: 'v7', version: { epoch: 2, n: 7 } });
  expect(await cache.set('k', 'v6', { version: { epoch: 2, n: 6 } })).toMatchObject({ isStored: false });
  await cache.getOrSet('short', () => loaded('x', { ttlMs: 1000, staleMs: 0, tags: ['t'] }));
  expect(await cache.get('short')).toBe('x');
  await cache.invalidateTag('t');
  expect(await cache.get('short')).toBe(undefined);
  await cache.getOrSet('short', () => loaded('y', { ttlMs: 1000, staleMs: 0 }));
  await environment.advance(1000);
  expect(await cache.get('short')).toBe(undefined);
});

test('the same version of the source, loaded again, lives again', async () => {
  const { thread, environment } = await world();
  const { cache } = thread();
  const load = () => versioned('v7', { epoch: 2, n: 7 });
  await cache.getOrSet('k', load);
  await environment.advance(HOUR + 1);
  expect(await cache.getOrSetEntry('k', load)).toMatchObject({ from: 'load' });
  await environment.advance(HOUR - 1000);
  expect(await thread().cache.get('k')).toBe('v7');
});

test('a stale value can be asked about at the source, and lives on unchanged', async () => {
  const { thread, environment } = await world();
  const { cache } = thread();
  await cache.getOrSet('k', () => 'first');
  await environment.advance(HOUR + 1);
  const entry = await cache.getOrSetEntry<string>('k', ({ stale }) => (stale?.value === 'first' ? UNCHANGED : 'other'));
  expect(entry).toMatchObject({ value: 'first', isStale: false });
  expect(await thread().cache.get('k')).toBe('first');
});

test('a loader that fails is replaced by the stale value, flagged, and is left alone for a while', async () => {
  const { thread, environment } = await world({ retryMs: 5000 });
  const { cache } = thread();
  await cache.getOrSet('k', () => 'old');
  await environment.advance(HOUR + 1);
  let calls = 0;
  const fails = () => {
    calls++;
    throw new Error('source down');
  };
  expect(await cache.getOrSetEntry('k', fails)).toMatchObject({ value: 'old', isStale: true });
  expect(await cache.getOrSetEntry('k', fails)).toMatchObject({ value: 'old', isStale: true });
  expect(calls).toBe(1);
  await environment.advance(5001);
  expect(await cache.getOrSetEntry('k', fails)).toMatchObject({ value: 'old', isStale: true });
  expect(calls).toBe(2);
  const { counts } = cache.stats();
  expect([counts['loadErrors'], counts['stale']]).toEqual([2, 3]);
  await environment.advance(HOUR);
  expect(await rejected(cache.getOrSet('k', fails))).toMatchObject({ message: 'source down' });
});

test("where a load fails and nothing is there, all who waited know: the loader's error, or CACHE_LOAD_FAILED", async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  const { load, fail, calls } = gate<string>();
  const first = rejected(a.cache.getOrSet('k', load));
  await environment.settle();
  const second = rejected(b.cache.getOrSet('k', load));
  await environment.settle();
  fail(Object.assign(new Error('no such row'), { class: 'poison' }));
  expect(await first).toMatchObject({ message: 'no such row' });
  expect(await second).toMatchObject({ code: 'CACHE_LOAD_FAILED', class: 'poison' });
  expect(calls()).toBe(1);
  expect(await b.cache.getOrSet('k', () => 'now')).toBe('now');
});

test('when another process fails to load, the next does not wait for the end of the lease', async () => {
  const one = await world();
  const [a, b] = [one.thread(), one.process().thread()];
  const { load, fail } = gate<string>();
  const first = rejected(a.cache.getOrSet('k', load));
  await one.environment.settle();
  const second = b.cache.getOrSet('k', () => 'mine');
  await one.environment.settle();
  fail(new Error('down'));
  await first;
  await one.environment.advance(1);
  expect(await state(second, one.environment)).toBe('mine');
});

test('after the soft time-out the stale value is given, and the load ends behind it', async () => {
  const { thread, environment } = await world({ softTimeoutMs: 100 });
  const { cache } = thread();
  await cache.getOrSet('k', () => 'old');
  await environment.advance(HOUR + 1);
  const { load, open } = gate<string>();
  const entry = cache.getOrSetEntry('k', load);
  await environment.advance(99);
  expect(await state(entry, environment)).toBe('pending');
  await environment.advance(2);
  expect(await entry).toMatchObject({ value: 'old', isStale: true });
  open('new');
  await environment.settle();
  expect(cache.peek('k')).toBe('new');
});

test('after the hard time-out a load is given up, its signal aborted, and another can begin', async () => {
  const { thread, environment } = await world({ hardTimeoutMs: 2000 });
  const { cache } = thread();
  let signal: AbortSignal | undefined;
  const never = (context: { signal: AbortSignal }) => {
    signal = context.signal;
    return new Promise<string>(() => {});
  };
  const first = rejected(cache.getOrSet('k', never));
  const other = rejected(thread().cache.getOrSet('k', never));
  await environment.advance(2001);
  expect(await first).toMatchObject({ code: 'CACHE_LOAD_TIMEOUT', class: 'transient' });
  expect(signal!.aborted).toBe(true);
  expect(['CACHE_LOAD_TIMEOUT', 'CACHE_LOAD_FAILED']).toContain((await other).code);
  const then = cache.getOrSet('k', () => 'then');
  await environment.advance(1);
  expect(await then).toBe('then');
});

test('what is asked for late in its life is loaded anew behind it, by one', async () => {
  const one = await world({ refresh: { fraction: 0.8, jitter: 0 } });
  const { environment } = one;
  const [a, b] = [one.thread(), one.process().thread()];
  await a.cache.getOrSet('k', () => 'old', { ttlMs: 20_000 });
  await environment.advance(1);
  await b.cache.get('k');
  await environment.advance(15_000);
  const { load, calls, open } = gate<string>();
  for (const { cache } of [a, b]) expect(await cache.getOrSet('k', load, { ttlMs: 20_000 })).toBe('old');
  await environment.settle();
  expect(calls()).toBe(0);
  await environment.advance(1500);
  for (let i = 0; i < 3; i++)
    for (const { cache } of [a, b]) expect(await cache.getOrSet('k', load, { ttlMs: 20_000 })).toBe('old');
  await environment.settle();
  expect(calls()).toBe(1);
  open('new');
  await environment.settle();
  expect(await a.cache.getOrSet('k', load)).toBe('new');
  expect(await b.cache.get('k')).toBe('new');
  expect(calls()).toBe(1);
});

test('that there is nothing is remembered for its own short time', async () => {
  const { thread, environment } = await world({ negativeTtlMs: 10_000 });
  const { cache } = thread();
  for (const nothing of [null, undefined]) {
    let calls = 0;
    const load = () => {
      calls++;
      return nothing;
    };
    const key = `k${String(nothing)}`;
    expect(await cache.getOrSet(key, load)).toBe(nothing);
    expect(await cache.getOrSet(key, load)).toBe(nothing);
    expect([calls, await cache.get(key), cache.peek(key)]).toEqual([1, undefined, undefined]);
    await environment.advance(10_001);
    expect(await cache.getOrSet(key, load)).toBe(nothing);
    expect(calls).toBe(2);
  }
});

test('many keys are one read, and one call of the loader for those that are missing', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  await a.cache.set('k1', 'set');
  await environment.settle();
  const calls: (readonly string[])[] = [];
  const load = async (keys: readonly string[]) => {
    calls.push(keys);
    return keys.map(key => (key === 'k3' ? null : `loaded ${key}`));
  };
  const before = b.asked['cache.read'] ?? 0;
  const all = b.cache.getOrSetMany(['k0', 'k1', 'k2', 'k3'], load);
  await environment.settle();
  expect(await all).toEqual(['loaded k0', 'set', 'loaded k2', null]);
  expect(calls).toEqual([['k0', 'k2', 'k3']]);
  expect(b.asked['cache.read']! - before).toBe(2); // at first, and under the leases
  const wrong = rejected(b.cache.getOrSetMany(['k5', 'k6'], async () => ['one']));
  await environment.settle();
  expect(await wrong).toMatchObject({ code: 'CACHE_VALUE_INVALID' });
});
