/** The token of the lease: it refuses the late store of a load where comparing what stands there would not. */
import { expect, test } from 'vitest';
import type { CacheEntry } from '../../actors/cache/index.ts';
import { type Gate, gate, type Seat, state, type World, world } from './support.ts';

interface Loading extends Omit<Gate<string>, 'load'> {
  readonly entry: Promise<CacheEntry<string>>;
}

/** Two processes load the same key: the first has stood still until its lease was over, and the second has it. */
async function overtaken(): Promise<{ one: World; a: Seat; late: Loading; next: Loading }> {
  const one = await world({ leaseMs: 3000 });
  const two = one.process();
  const [a, b] = [one.thread(), two.thread()];
  const late = loading(a);
  await one.environment.settle();
  a.outage = 'hangs';
  const next = loading(b);
  await one.environment.advance(6000);
  expect([late.calls(), next.calls()]).toEqual([1, 1]);
  a.outage = 'none';
  await one.environment.advance(1500); // the store is asked again
  return { one, a, late, next };
}

function loading({ cache }: Seat): Loading {
  const { load, ...rest } = gate<string>();
  const entry = cache.getOrSetEntry('k', load);
  entry.catch(() => {});
  return { ...rest, entry };
}

test('while the next holder still loads, the late store of the one before is refused', async () => {
  const { one, a, late, next } = await overtaken();
  late.open('too late');
  // Who asked it gets what it loaded; nobody else does.
  expect(await state(late.entry, one.environment)).toMatchObject({ value: 'too late', version: null });
  expect(a.cache.stats().counts['refusedStores']).toBe(1);
  expect(a.cache.peek('k')).toBe(undefined);
  expect(await one.thread().cache.get('k')).toBe(undefined);
  next.open('of the second');
  expect(await next.entry).toMatchObject({ value: 'of the second', version: { n: 1 } });
  await one.environment.settle();
  for (const { cache } of [a, one.thread()]) expect(await cache.get('k')).toBe('of the second');
});

test('when the next holder has failed to load, the late store is refused all the same', async () => {
  const { one, a, late, next } = await overtaken();
  next.fail(new Error('down'));
  expect(await state(next.entry, one.environment)).toMatchObject({ message: 'down' });
  late.open('too late');
  expect(await state(late.entry, one.environment)).toMatchObject({ value: 'too late', version: null });
  expect(a.cache.stats().counts['refusedStores']).toBe(1);
  expect(await one.thread().cache.get('k')).toBe(undefined);
});
