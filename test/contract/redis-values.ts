/** Part of the conformance suite: values, their kinds, and values with a version. */
import { describe, expect, test } from 'vitest';
import type { RedisClient, RedisValue } from '../../actors/redis/index.ts';
import type { Version } from '../../runtime/index.ts';
import { BYTES, codeFrom, LIMITS, picture, type RedisHarness, SHORT_MS, v } from './redis-harness.ts';

export function valuesContract(name: string, harness: RedisHarness): void {
  const open = async () => (await harness.open()).client;

  describe(`${name}: values`, () => {
    test('come back as what they were: text, bytes, empty, long', async () => {
      const client = await open();
      const values: RedisValue[] = ['', 'text', 'ümläut €😀\0\n', new Uint8Array(0), BYTES, 'x'.repeat(4096)];
      for (const [i, value] of values.entries()) expect(await client.set(`k${i}`, value)).toBe(true);
      for (const [i, value] of values.entries()) {
        const found = await client.get(`k${i}`);
        expect(picture(found)).toEqual(picture(value));
        expect(typeof found).toBe(typeof value);
      }
      expect(await client.get('none')).toBe(null);
    });

    test('of many keys come in the order of the keys', async () => {
      const client = await open();
      await client.set('a', '1');
      await client.set('b', BYTES);
      expect((await client.getMany(['b', 'none', 'a', 'b'])).map(picture)).toEqual([[...BYTES], null, '1', [...BYTES]]);
      expect(await client.getMany([])).toEqual([]);
    });

    test('are replaced, or set only where there is none', async () => {
      const client = await open();
      expect(await client.set('a', '1', { ifAbsent: true })).toBe(true);
      expect(await client.set('a', '2', { ifAbsent: true })).toBe(false);
      expect(await client.get('a')).toBe('1');
      await client.set('a', '3');
      expect(await client.get('a')).toBe('3');
    });

    test('of any kind are deleted, and counted', async () => {
      const client = await open();
      await client.set('a', '1');
      await client.setVersioned('b', '1', v(1));
      await client.merge({ key: 'c', version: v(1), fields: { x: '1' } });
      await client.acquire('d', 'me', 60_000);
      expect(await client.delete('a', 'b', 'none', 'c', 'd', 'a')).toBe(4);
      expect(await client.delete('a')).toBe(0);
      expect(await client.delete()).toBe(0);
      for (const key of ['a', 'b', 'c', 'd']) expect(await client.set(key, 'free for any kind')).toBe(true);
    });

    test('expire, and expire later when their life is renewed', async () => {
      const { client, pass } = await harness.open();
      await client.set('short', '1', { ttlMs: SHORT_MS });
      await client.set('renewed', '1', { ttlMs: SHORT_MS });
      await client.set('kept', '1', { ttlMs: SHORT_MS });
      await client.set('for ever', '1', { ttlMs: 0 });
      await client.set('shortened', '1', { ttlMs: 0 });
      await client.set('set anew', '1', { ttlMs: SHORT_MS });
      expect(await client.expire('renewed', 60_000)).toBe(true);
      expect(await client.expire('kept', 0)).toBe(true);
      expect(await client.expire('shortened', SHORT_MS)).toBe(true);
      await client.set('set anew', '2', { ttlMs: 60_000 });
      const keys = ['short', 'renewed', 'kept', 'for ever', 'shortened', 'set anew'];
      expect(await client.getMany(keys)).toEqual(['1', '1', '1', '1', '1', '2']);
      await pass(SHORT_MS + 1);
      expect(await client.getMany(keys)).toEqual([null, '1', '1', '1', null, '2']);
      expect(await client.expire('short', 1000)).toBe(false);
      expect(await client.expire('none', 1000)).toBe(false);
      expect(await client.set('short', '2', { ifAbsent: true })).toBe(true);
      expect(await client.delete('shortened')).toBe(0);
    });

    test('are asked for in order, though nobody waits for the replies', async () => {
      const client = await open();
      const asked: Promise<unknown>[] = [];
      for (let n = 0; n < 50; n++) {
        asked.push(client.set('a', String(n)), client.get('a'));
        asked.push(client.multi([{ do: 'set', key: 'b', value: `${n}` }]), client.getMany(['a', 'b']));
      }
      const replies = await Promise.all(asked);
      for (let n = 0; n < 50; n++)
        expect(replies.slice(4 * n, 4 * n + 4)).toEqual([true, `${n}`, [true], [`${n}`, `${n}`]]);
    });

    test('larger than maxValueBytes are refused, wherever they come', async () => {
      const client = await open();
      const large = 'é'.repeat(LIMITS.maxValueBytes / 2 + 1);
      const bytes = new Uint8Array(LIMITS.maxValueBytes + 1);
      const refused = [
        client.set('a', large),
        client.set('a', bytes),
        client.setVersioned('a', large, v(1)),
        client.compareAndSet('a', null, bytes),
        client.merge({ key: 'a', version: v(1), fields: { x: '1', y: large } }),
        client.publish('c', bytes),
        client.multi([
          { do: 'set', key: 'a', value: '1' },
          { do: 'set', key: 'b', value: large },
        ]),
      ];
      for (const one of refused) expect(await codeFrom(one)).toBe('REDIS_VALUE_TOO_LARGE');
      expect(await client.getMany(['a', 'b'])).toEqual([null, null]);
    });
  });

  test(`${name}: a key holds one kind of thing`, async () => {
    const client = await open();
    await client.set('value', '1');
    await client.setVersioned('versioned', '1', v(1));
    await client.merge({ key: 'fields', version: v(1), fields: { x: '1' } });
    await client.acquire('lease', 'me', 60_000);
    const uses: Record<string, (key: string) => Promise<unknown>> = {
      value: key => client.get(key),
      'value, among many': key => client.getMany(['none', key]),
      'value, written': key => client.set(key, '2'),
      versioned: key => client.getVersioned(key),
      'versioned, written': key => client.setVersioned(key, '2', v(9)),
      'versioned, removed': key => client.deleteVersioned(key, v(9)),
      'versioned, compared': key => client.compareAndSet(key, null, '2'),
      fields: key => client.getFields(key),
      'fields, written': key => client.merge({ key, version: v(9), fields: { x: '2' } }),
      lease: key => client.acquire(key, 'other', 1000),
    };
    for (const [use, call] of Object.entries(uses))
      for (const key of ['value', 'versioned', 'fields', 'lease'])
        if (!use.startsWith(key)) expect([use, key, await codeFrom(call(key))]).toEqual([use, key, 'REDIS_WRONG_KIND']);
    expect(await client.get('value')).toBe('1');
    expect(await client.getVersioned('versioned')).toEqual({ value: '1', version: v(1) });
    expect((await client.getFields('fields'))!.fields).toEqual({ x: '1' });
  });

  describe(`${name}: values with a version`, () => {
    test('are written when they are newer, by epoch and then number', async () => {
      const client = await open();
      const write = (value: string, version: Version) => client.setVersioned('a', value, version);
      expect(await client.getVersioned('a')).toBe(null);
      expect(await write('five', v(5))).toEqual({ outcome: 'newer', version: v(5) });
      expect(await write('four', v(4))).toEqual({ outcome: 'older', version: v(5) });
      expect(await write('again', v(5))).toEqual({ outcome: 'same', version: v(5) });
      expect(await client.getVersioned('a')).toEqual({ value: 'five', version: v(5) });
      expect(await write('next life', v(1, 2))).toEqual({ outcome: 'newer', version: v(1, 2) });
      expect(await write('former life', v(900, 1))).toEqual({ outcome: 'older', version: v(1, 2) });
      const large = { epoch: 1_800_000_000_000, n: Number.MAX_SAFE_INTEGER };
      expect(await write('large', large)).toEqual({ outcome: 'newer', version: large });
      expect(await write('less', { ...large, n: large.n - 1 })).toEqual({ outcome: 'older', version: large });
      expect(await client.getVersioned('a')).toEqual({ value: 'large', version: large });
    });

    test('of many keys come in the order of the keys', async () => {
      const client = await open();
      await client.setVersioned('a', '1', v(1));
      await client.setVersioned('b', BYTES, v(2));
      const [b, none, a] = await client.getManyVersioned(['b', 'none', 'a']);
      expect([picture(b!.value), b!.version, none, a]).toEqual([[...BYTES], v(2), null, { value: '1', version: v(1) }]);
    });

    test('are removed by a newer change, whose version stays', async () => {
      const client = await open();
      await client.setVersioned('a', '1', v(5));
      expect(await client.deleteVersioned('a', v(4))).toEqual({ outcome: 'older', version: v(5) });
      expect(await client.deleteVersioned('a', v(6))).toEqual({ outcome: 'newer', version: v(6) });
      expect(await client.getVersioned('a')).toBe(null);
      expect(await client.deleteVersioned('a', v(6))).toEqual({ outcome: 'same', version: v(6) });
      expect(await client.setVersioned('a', 'late', v(5))).toEqual({ outcome: 'older', version: v(6) });
      expect(await client.setVersioned('a', 'that change', v(6))).toEqual({ outcome: 'same', version: v(6) });
      expect(await client.getVersioned('a')).toBe(null);
      expect(await client.setVersioned('a', 'new', v(7))).toEqual({ outcome: 'newer', version: v(7) });
      expect(await client.deleteVersioned('never there', v(3))).toEqual({ outcome: 'newer', version: v(3) });
      expect((await client.setVersioned('never there', 'late', v(2))).outcome).toBe('older');
    });

    test('leave their version behind when they expire: older ones stay out, the same may be written again', async () => {
      const { client, pass } = await harness.open();
      await client.setVersioned('a', '1', v(5), { ttlMs: SHORT_MS });
      await client.setVersioned('b', '1', v(5), { ttlMs: SHORT_MS });
      await pass(SHORT_MS + 1);
      expect(await client.getManyVersioned(['a', 'b'])).toEqual([null, null]);
      expect(await client.setVersioned('a', 'late', v(4))).toEqual({ outcome: 'older', version: v(5) });
      expect(await client.setVersioned('a', 'read again', v(5))).toEqual({ outcome: 'newer', version: v(5) });
      expect(await client.getVersioned('a')).toEqual({ value: 'read again', version: v(5) });
      expect(await client.expire('b', 60_000)).toBe(false);
    });

    test('are compared and set: one of those who expect the same wins', async () => {
      const client = await open();
      const epoch = await client.epoch();
      expect(await client.compareAndSet('a', v(3), 'x')).toEqual({ outcome: 'older', version: { epoch, n: 0 } });
      const first = await Promise.all(['x', 'x', 'y'].map(value => client.compareAndSet('a', null, value)));
      expect(first.filter(reply => reply.outcome === 'newer')).toEqual([
        { outcome: 'newer', version: { epoch, n: 1 } },
      ]);
      expect(first.filter(reply => reply.outcome === 'older')).toHaveLength(2);
      const { version } = (await client.getVersioned('a'))!;
      expect(version).toEqual({ epoch, n: 1 });
      expect(await client.compareAndSet('a', version, 'z')).toEqual({ outcome: 'newer', version: { epoch, n: 2 } });
      expect(await client.compareAndSet('a', version, 'z')).toEqual({ outcome: 'older', version: { epoch, n: 2 } });
      expect(await client.compareAndSet('a', null, 'z')).toEqual({ outcome: 'older', version: { epoch, n: 2 } });
      await client.setVersioned('b', 'from elsewhere', v(7, 3));
      expect((await client.compareAndSet('b', v(7, 3), 'x')).version).toEqual(v(8, 3));
    });

    test('that were compared and set rise though the value goes', async () => {
      const { client, pass } = await harness.open();
      const epoch = await client.epoch();
      await client.compareAndSet('a', null, '1', { ttlMs: SHORT_MS });
      await client.compareAndSet('a', { epoch, n: 1 }, '2', { ttlMs: SHORT_MS });
      await pass(SHORT_MS + 1);
      expect(await client.getVersioned('a')).toBe(null);
      expect(await client.compareAndSet('a', null, '3')).toEqual({ outcome: 'newer', version: { epoch, n: 3 } });
      await client.deleteVersioned('a', { epoch, n: 4 });
      expect((await client.compareAndSet('a', { epoch, n: 4 }, '5')).outcome).toBe('older');
      expect(await client.compareAndSet('a', null, '5')).toEqual({ outcome: 'newer', version: { epoch, n: 5 } });
    });

    test('count without losing one, whoever counts', async () => {
      const { client, another } = await harness.open();
      const count = async (by: RedisClient): Promise<void> => {
        for (;;) {
          const found = await by.getVersioned('n');
          const next = String(Number(found?.value ?? 0) + 1);
          if ((await by.compareAndSet('n', found?.version ?? null, next)).outcome === 'newer') return;
        }
      };
      await Promise.all(Array.from({ length: 30 }, (_, i) => count(i % 2 === 0 ? client : another())));
      expect((await client.getVersioned('n'))!.value).toBe('30');
    });
  });
}
