/** Part of the conformance suite: leases, fences, and many steps as one. */
import { describe, expect, test } from 'vitest';
import type { Lease, Merge, RedisValue } from '../../actors/redis/index.ts';
import { errorFrom } from '../support/runtimes.ts';
import { codeFrom, heardBy, type RedisHarness, SHORT_MS, v } from './redis-harness.ts';

export function stepsContract(name: string, harness: RedisHarness): void {
  const open = async () => (await harness.open()).client;

  describe(`${name}: leases`, () => {
    test('are held by one, until they are released or over; tokens rise', async () => {
      const { client, another, pass } = await harness.open();
      const other = another();
      const first = (await client.acquire('l', 'me', SHORT_MS))!;
      expect(first).toEqual({ name: 'l', token: expect.any(Number), ttlMs: SHORT_MS });
      expect(await other.acquire('l', 'you', SHORT_MS)).toBe(null);
      expect(await client.release(first)).toBe(true);
      const second = (await other.acquire('l', 'you', SHORT_MS))!;
      expect(second.token).toBeGreaterThan(first.token);
      expect(await client.release(first)).toBe(false);
      expect(await client.renew(first)).toBe(false);
      expect(await client.acquire('l', 'me', SHORT_MS)).toBe(null);
      await pass(SHORT_MS + 1);
      const third = (await client.acquire('l', 'me', SHORT_MS))!;
      expect(third.token).toBeGreaterThan(second.token);
      expect(await other.release(second)).toBe(false);
      expect(await other.acquire('m', 'you', SHORT_MS)).toMatchObject({ name: 'm' });
    });

    test('asked for again by their holder are the same, with a new life', async () => {
      const { client, pass } = await harness.open();
      const lease = (await client.acquire('l', 'me', SHORT_MS))!;
      await pass(SHORT_MS / 2);
      expect((await client.acquire('l', 'me', 2 * SHORT_MS))!.token).toBe(lease.token);
      await pass(SHORT_MS);
      expect(await client.acquire('l', 'you', SHORT_MS)).toBe(null);
      expect(await client.renew(lease)).toBe(true);
      await pass(SHORT_MS + 1);
      expect(await client.renew(lease)).toBe(false);
      expect((await client.acquire('l', 'me', SHORT_MS))!.token).toBeGreaterThan(lease.token);
    });

    test('fence writes: a late holder is refused, and its write is not done', async () => {
      const { client, pass } = await harness.open();
      const fenced = (lease: Lease, n: number): Merge => ({
        key: 'a',
        version: v(n),
        fields: { by: String(n) },
        fence: { lease: 'l', token: lease.token },
      });
      const old = (await client.acquire('l', 'me', SHORT_MS))!;
      expect(await client.merge(fenced(old, 1))).toMatchObject({ outcome: 'newer' });
      await pass(SHORT_MS + 1);
      // Over, but nobody has taken over.
      expect(await client.merge(fenced(old, 2))).toMatchObject({ outcome: 'newer' });
      const fresh = (await client.acquire('l', 'you', SHORT_MS))!;
      const refused = await errorFrom(client.merge(fenced(old, 3)));
      expect(refused).toMatchObject({ code: 'REDIS_FENCED', class: 'fatal' });
      const steps = [{ do: 'set', key: 'b', value: '1' } as const, { do: 'merge', ...fenced(old, 4) } as const];
      expect(await codeFrom(client.multi(steps))).toBe('REDIS_FENCED');
      expect(await client.get('b')).toBe(null);
      expect(await client.merge(fenced(fresh, 5))).toMatchObject({ outcome: 'newer', version: v(5) });
      expect((await client.getFields('a'))!.fields).toEqual({ by: '5' });
    });

    test('of a store that was lost are fenced by the tokens that writes bring', async () => {
      const client = await open();
      const token = (await client.acquire('other', 'me', 1000))!.token + 1000;
      const write = (n: number, with_: number) =>
        client.merge({ key: 'a', version: v(n), fields: {}, fence: { lease: 'l', token: with_ } });
      await write(1, token);
      expect(await codeFrom(write(2, token - 1))).toBe('REDIS_FENCED');
      await write(3, token);
      expect((await client.acquire('l', 'you', 1000))!.token).toBeGreaterThan(token);
      expect(await codeFrom(write(4, token))).toBe('REDIS_FENCED');
    });
  });

  describe(`${name}: multi`, () => {
    test('does all steps in order and says what each did', async () => {
      const client = await open();
      const messages = client.subscribe({ pattern: 'c*' })[Symbol.asyncIterator]();
      expect(
        await client.multi([
          { do: 'set', key: 'a', value: '1' },
          { do: 'set', key: 'a', value: '2', options: { ifAbsent: true } },
          { do: 'delete', key: 'none' },
          { do: 'setVersioned', key: 'v', value: '1', version: v(3) },
          { do: 'setVersioned', key: 'v', value: '0', version: v(2) },
          { do: 'merge', key: 'f', version: v(1), fields: { x: '1' } },
          { do: 'delete', key: 'a' },
          { do: 'set', key: 'a', value: '3' },
          { do: 'publish', channel: 'c1', message: 'done' },
        ]),
      ).toEqual([
        true,
        false,
        0,
        { outcome: 'newer', version: v(3) },
        { outcome: 'older', version: v(3) },
        { outcome: 'newer', version: v(1), applied: ['x'] },
        1,
        true,
        expect.any(Number),
      ]);
      expect(await client.get('a')).toBe('3');
      expect(await heardBy(messages)).toEqual(['c1', 'done']);
      expect(await client.multi([])).toEqual([]);
      await messages.return?.();
    });

    test('does nothing where one step cannot be done, and nobody hears of it', async () => {
      const client = await open();
      const messages = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
      await client.set('a', 'before');
      await client.merge({ key: 'f', version: v(1), fields: { x: '1', y: '1' } });
      await client.setVersioned('v', '1', v(1));
      const refused = client.multi([
        { do: 'set', key: 'a', value: 'after' },
        { do: 'set', key: 'new', value: '1' },
        { do: 'merge', key: 'f', version: v(2), fields: { x: '2', z: '2' }, isWhole: true },
        { do: 'merge', key: 'f', version: v(3), isGone: true },
        { do: 'setVersioned', key: 'v', value: '2', version: v(2) },
        { do: 'delete', key: 'v' },
        { do: 'publish', channel: 'c', message: 'never' },
        { do: 'set', key: 'f', value: 'wrong kind' },
      ]);
      expect(await codeFrom(refused)).toBe('REDIS_WRONG_KIND');
      expect(await client.getMany(['a', 'new'])).toEqual(['before', null]);
      expect(await client.getFields('f')).toEqual({
        fields: { x: '1', y: '1' },
        versions: { x: v(1), y: v(1) },
        version: v(1),
        isGone: false,
      });
      expect(await client.getVersioned('v')).toEqual({ value: '1', version: v(1) });
      await client.publish('c', 'the next');
      expect(await heardBy(messages)).toEqual(['c', 'the next']);
      await messages.return?.();
    });

    test('tells of the version that a step left', async () => {
      const client = await open();
      const epoch = await client.epoch();
      const messages = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
      const told = { do: 'publish', channel: 'c', message: '{"v":"$version","w":"$version"}', isFilled: true } as const;
      const [replies] = await Promise.all([
        client.multi([
          { do: 'compareAndSet', key: 'a', expected: 'any', value: '1' },
          told,
          { do: 'compareAndSet', key: 'a', expected: null, value: 'late' },
          told,
          { do: 'setVersioned', key: 'b', value: '1', version: v(Number.MAX_SAFE_INTEGER) },
          told,
          { do: 'setVersioned', key: 'b', value: null, version: v(2, 2) },
          told,
          { do: 'merge', key: 'f', version: v(7), fields: { x: '1' } },
          told,
          { do: 'set', key: 's', value: '1' },
          told,
          { ...told, isFilled: false },
        ]),
        client.getEntries(['b']),
      ]);
      expect(replies).toHaveLength(13);
      const first = { epoch, n: 1 };
      for (const version of [first, first, v(Number.MAX_SAFE_INTEGER), v(2, 2), v(7), null, '$version'])
        expect(await heardBy(messages)).toEqual(['c', `{"v":${JSON.stringify(version)},"w":"$version"}`]);
      await messages.return?.();
    });

    test('is seen whole or not at all', async () => {
      const { client, another } = await harness.open();
      const reader = another();
      const writes: Promise<unknown>[] = [];
      const reads: Promise<(RedisValue | null)[]>[] = [];
      for (let n = 0; n < 40; n++) {
        const value = String(n);
        writes.push(client.multi(['a', 'b', 'c'].map(key => ({ do: 'set', key, value }) as const)));
        reads.push(reader.getMany(['a', 'b', 'c']));
        if (n % 10 === 0) await writes.at(-1);
      }
      for (const [a, b, c] of await Promise.all(reads)) expect([b, c]).toEqual([a, a]);
      await Promise.all(writes);
    });
  });
}
