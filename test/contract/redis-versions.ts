/** Part of the conformance suite: all that is known at a versioned key, and what is compared before a write. */
import { describe, expect, test } from 'vitest';
import type { Version } from '../../runtime/index.ts';
import { codeFrom, type RedisHarness, SHORT_MS, v } from './redis-harness.ts';

export function versionsContract(name: string, harness: RedisHarness): void {
  const open = async () => (await harness.open()).client;
  const NOTHING = { value: null, version: null, isRemoved: false, leftMs: 0 };

  describe(`${name}: entries`, () => {
    test('tell a version also where the value expired or was removed, and what is left of a life', async () => {
      const { client, pass } = await harness.open();
      expect(await client.getEntries(['a'])).toEqual([NOTHING]);
      await client.setVersioned('short', '1', v(5), { ttlMs: SHORT_MS });
      await client.setVersioned('long', '1', v(6), { ttlMs: 60_000 });
      await client.setVersioned('ever', '1', v(7), { ttlMs: 0 });
      await client.deleteVersioned('removed', v(8));
      await pass(SHORT_MS + 1);
      const [long, none, short, ever, removed] = await client.getEntries(['long', 'none', 'short', 'ever', 'removed']);
      expect(long).toMatchObject({ value: '1', version: v(6), isRemoved: false });
      expect(long!.leftMs).toBeGreaterThan(30_000);
      expect(long!.leftMs).toBeLessThan(60_000);
      expect(none).toEqual(NOTHING);
      expect(short).toEqual({ ...NOTHING, version: v(5) });
      expect(ever).toEqual({ value: '1', version: v(7), isRemoved: false, leftMs: Number.POSITIVE_INFINITY });
      expect(removed).toEqual({ ...NOTHING, version: v(8), isRemoved: true });
    });
  });

  describe(`${name}: compare and set`, () => {
    test('of anything raises the version over what stands there', async () => {
      const client = await open();
      const epoch = await client.epoch();
      const write = async (value: string | null) => (await client.compareAndSet('a', 'any', value)).version;
      expect(await write('1')).toEqual({ epoch, n: 1 });
      expect(await write('2')).toEqual({ epoch, n: 2 });
      expect(await write(null)).toEqual({ epoch, n: 3 });
      expect(await client.getVersioned('a')).toBe(null);
      expect(await client.setVersioned('a', 'late', { epoch, n: 3 })).toMatchObject({ outcome: 'same' });
      expect(await client.getEntries(['a'])).toEqual([{ ...NOTHING, version: { epoch, n: 3 }, isRemoved: true }]);
      expect(await write('4')).toEqual({ epoch, n: 4 });
      expect(await client.compareAndSet('never there', 'any', null)).toEqual({
        outcome: 'newer',
        version: { epoch, n: 1 },
      });
    });

    test('can expect the version that outlived the last value', async () => {
      const client = await open();
      const epoch = await client.epoch();
      expect((await client.compareAndSet('a', null, '1', { seen: { epoch, n: 1 } })).outcome).toBe('older');
      expect((await client.compareAndSet('a', null, '1', { seen: null })).outcome).toBe('newer');
      await client.compareAndSet('a', 'any', null);
      // A value was there and was removed since nothing was seen.
      expect(await client.compareAndSet('a', null, 'late', { seen: null })).toEqual({
        outcome: 'older',
        version: { epoch, n: 2 },
      });
      expect((await client.compareAndSet('a', null, 'late', { seen: { epoch, n: 1 } })).outcome).toBe('older');
      expect((await client.compareAndSet('a', null, '3', { seen: { epoch, n: 2 } })).version).toEqual({ epoch, n: 3 });
      expect((await client.compareAndSet('a', null, 'late', { seen: { epoch, n: 3 } })).outcome).toBe('older');
    });

    test('goes above what a reader was given before the store lost it', async () => {
      const client = await open();
      const epoch = await client.epoch();
      const write = async (above: Version) => (await client.compareAndSet('a', 'any', '1', { above })).version;
      expect(await write({ epoch, n: 7 })).toEqual({ epoch, n: 8 });
      expect(await write({ epoch, n: 3 })).toEqual({ epoch, n: 9 });
      expect(await write({ epoch: epoch + 1, n: 3 })).toEqual({ epoch: epoch + 1, n: 4 });
      await client.delete('a');
      expect(await write({ epoch: epoch - 1, n: 50 })).toEqual({ epoch, n: 1 });
    });

    test('and setting by a version are refused when the lease was taken over', async () => {
      const { client, pass } = await harness.open();
      const first = (await client.acquire('{a}load', 'one', SHORT_MS))!;
      const fence = ({ token }: { token: number }) => ({ fence: { lease: '{a}load', token } });
      await pass(SHORT_MS + 1);
      const second = (await client.acquire('{a}load', 'two', 60_000))!;
      expect(await codeFrom(client.compareAndSet('a', null, 'late', fence(first)))).toBe('REDIS_FENCED');
      expect(await codeFrom(client.setVersioned('a', 'late', v(9), fence(first)))).toBe('REDIS_FENCED');
      expect(await codeFrom(client.deleteVersioned('a', v(9), fence(first)))).toBe('REDIS_FENCED');
      expect(await client.getEntries(['a'])).toEqual([NOTHING]);
      expect((await client.compareAndSet('a', null, '1', fence(second))).outcome).toBe('newer');
      expect((await client.compareAndSet('a', 'any', '2', fence(second))).outcome).toBe('newer');
      expect(await client.release(second)).toBe(true);
    });

    test('as a step of many is done with them or not at all, and may be too late without harm', async () => {
      const client = await open();
      const epoch = await client.epoch();
      const step = (key: string, expected: 'any' | null, value: string) =>
        ({ do: 'compareAndSet', key, expected, value }) as const;
      const replies = await client.multi([
        step('a', null, '1'),
        step('a', null, 'late'),
        step('a', 'any', '2'),
        { do: 'publish', channel: 'c', message: 'a changed' },
      ]);
      expect(replies.slice(0, 3)).toEqual([
        { outcome: 'newer', version: { epoch, n: 1 } },
        { outcome: 'older', version: { epoch, n: 1 } },
        { outcome: 'newer', version: { epoch, n: 2 } },
      ]);
      await client.set('plain', '1');
      expect(await codeFrom(client.multi([step('a', 'any', '3'), step('plain', 'any', '3')]))).toBe('REDIS_WRONG_KIND');
      expect((await client.getVersioned('a'))!.value).toBe('2');
    });
  });
}
