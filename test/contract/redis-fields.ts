/** Part of the conformance suite: hashes whose fields have versions. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Merge, RedisClient } from '../../actors/redis/index.ts';
import { BYTES, heardBy, type RedisHarness, SHORT_MS, v } from './redis-harness.ts';

export function fieldsContract(name: string, harness: RedisHarness): void {
  const open = async () => (await harness.open()).client;

  describe(`${name}: fields with versions`, () => {
    const merge = (client: RedisClient, n: number, rest: Partial<Merge>) =>
      client.merge({ key: 'a', version: v(n), ...rest });

    test('are merged where they are newer, each for itself', async () => {
      const client = await open();
      expect(await client.getFields('a')).toBe(null);
      expect(await merge(client, 5, { fields: { x: '5', y: BYTES } })).toEqual({
        outcome: 'newer',
        version: v(5),
        applied: ['x', 'y'],
      });
      expect(await merge(client, 7, { fields: { x: '7' } })).toMatchObject({ outcome: 'newer', applied: ['x'] });
      const late = await merge(client, 6, { fields: { x: '6', y: '6', z: '6' } });
      expect({ ...late, applied: late.applied.toSorted() }).toEqual({
        outcome: 'newer',
        version: v(7),
        applied: ['y', 'z'],
      });
      expect(await merge(client, 3, { fields: { x: '3', y: '3' } })).toEqual({
        outcome: 'older',
        version: v(7),
        applied: [],
      });
      expect(await client.getFields('a')).toEqual({
        fields: { x: '7', y: '6', z: '6' },
        versions: { x: v(7), y: v(6), z: v(6) },
        version: v(7),
        isGone: false,
      });
      expect(await merge(client, 7, { fields: { x: '7' } })).toEqual({ outcome: 'same', version: v(7), applied: [] });
    });

    test('are removed by null, and their version stays', async () => {
      const client = await open();
      await merge(client, 5, { fields: { x: '5', y: '5' } });
      expect(await merge(client, 6, { fields: { x: null } })).toMatchObject({ outcome: 'newer', applied: ['x'] });
      expect(await merge(client, 5, { fields: { x: 'late' } })).toMatchObject({ applied: [] });
      expect(await client.getFields('a')).toEqual({
        fields: { y: '5' },
        versions: { x: v(6), y: v(5) },
        version: v(6),
        isGone: false,
      });
      expect(await merge(client, 7, { fields: { x: 'back' } })).toMatchObject({ applied: ['x'] });
      expect((await client.getFields('a'))!.fields).toEqual({ x: 'back', y: '5' });
    });

    test('of a merge that is whole are all there are, but for newer ones', async () => {
      const client = await open();
      await merge(client, 5, { fields: { x: '5', y: '5' } });
      await merge(client, 8, { fields: { new: '8' } });
      const whole = await merge(client, 6, { fields: { x: '6' }, isWhole: true });
      expect([whole.outcome, whole.applied.toSorted()]).toEqual(['newer', ['x', 'y']]);
      expect((await client.getFields('a'))!.fields).toEqual({ x: '6', new: '8' });
      // What it did not name stays out, though it was never seen before.
      expect(await merge(client, 5, { fields: { y: 'late', unseen: 'late' } })).toMatchObject({ applied: [] });
      expect(await merge(client, 7, { fields: { y: '7' } })).toMatchObject({ applied: ['y'] });
      expect((await client.getFields('a'))!.fields).toEqual({ x: '6', y: '7', new: '8' });
    });

    test('go as a whole, and leave a tombstone that keeps older ones out', async () => {
      const client = await open();
      await merge(client, 5, { fields: { x: '5' } });
      expect(await merge(client, 6, { isGone: true })).toEqual({ outcome: 'newer', version: v(6), applied: ['x'] });
      expect(await client.getFields('a')).toEqual({ fields: {}, versions: {}, version: v(6), isGone: true });
      expect(await merge(client, 6, { isGone: true })).toEqual({ outcome: 'same', version: v(6), applied: [] });
      expect(await merge(client, 5, { fields: { x: 'late', y: 'late' } })).toEqual({
        outcome: 'older',
        version: v(6),
        applied: [],
      });
      expect(await merge(client, 8, { fields: { y: '8' } })).toMatchObject({ outcome: 'newer', version: v(8) });
      expect(await merge(client, 5, { fields: { x: 'late' } })).toMatchObject({ outcome: 'older', applied: [] });
      expect(await merge(client, 7, { isGone: true })).toMatchObject({ outcome: 'older', version: v(8) });
      expect(await client.getFields('a')).toEqual({
        fields: { y: '8' },
        versions: { y: v(8) },
        version: v(8),
        isGone: false,
      });
      expect(await client.merge({ key: 'never there', version: v(3), isGone: true })).toMatchObject({
        outcome: 'newer',
      });
    });

    test('live as long as they say, tombstones twice as long, and versions longer', async () => {
      const { client, pass } = await harness.open();
      await merge(client, 5, { fields: { x: '5' }, ttlMs: SHORT_MS });
      await client.merge({ key: 'gone', version: v(5), isGone: true, ttlMs: SHORT_MS });
      await client.merge({ key: 'ever', version: v(5), fields: { x: '1' }, ttlMs: 0 });
      await pass(SHORT_MS + 1);
      expect(await client.getFields('a')).toBe(null);
      expect((await client.getFields('gone'))!.isGone).toBe(true);
      expect((await client.getFields('ever'))!.fields).toEqual({ x: '1' });
      expect(await merge(client, 4, { fields: { x: 'late' } })).toMatchObject({ outcome: 'older', version: v(5) });
      expect(await client.getFields('a')).toBe(null);
      expect(await merge(client, 5, { fields: { x: 'read again' } })).toMatchObject({ outcome: 'newer' });
      expect((await client.getFields('a'))!.fields).toEqual({ x: 'read again' });
      await pass(SHORT_MS);
      expect(await client.getFields('gone')).toBe(null);
      expect(await client.merge({ key: 'gone', version: v(4), fields: { x: 'late' } })).toMatchObject({
        outcome: 'older',
      });
      expect(await client.merge({ key: 'gone', version: v(6), fields: { x: '6' } })).toMatchObject({
        outcome: 'newer',
      });
    });

    test('may be called anything', async () => {
      const client = await open();
      const fields = Object.fromEntries(
        ['__proto__', 'constructor', 'toString', 'length', '', '0', 'ü\0'].map(name => [name, `of ${name}`]),
      );
      await merge(client, 1, { fields });
      const found = (await client.getFields('a'))!;
      expect(Object.entries(found.fields).toSorted()).toEqual(Object.entries(fields).toSorted());
      expect(Object.keys(found.versions).toSorted()).toEqual(Object.keys(fields).toSorted());
      await client.merge({ key: '__proto__', version: v(1), fields: { x: '1' } });
      expect((await client.getFields('__proto__'))!.fields['constructor']).toBe(undefined);
    });

    test('of many keys come in the order of the keys', async () => {
      const client = await open();
      await merge(client, 1, { fields: { x: '1' } });
      await client.merge({ key: 'b', version: v(2), fields: { x: '2' } });
      const found = await client.getManyFields(['b', 'none', 'a']);
      expect(found.map(one => one?.fields['x'])).toEqual(['2', undefined, '1']);
    });

    test('are published in the same step, and again when the merge is made again', async () => {
      const client = await open();
      const messages = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
      const publish = (message: string) => ({ channel: 'c', message });
      await merge(client, 5, { fields: { x: '5' }, publish: publish('five') });
      await merge(client, 5, { fields: { x: '5' }, publish: publish('five again') });
      await merge(client, 4, { fields: { x: '4' }, publish: publish('four') });
      await merge(client, 4, { fields: { y: '4' }, publish: publish('four, in part') });
      await merge(client, 6, { isGone: true, publish: publish('six') });
      for (const message of ['five', 'five again', 'four, in part', 'six'])
        expect(await heardBy(messages)).toEqual(['c', message]);
      await messages.return?.();
    });

    test('end in the same state in whatever order, and however often, the merges come', async () => {
      const { client } = await harness.open();
      let run = 0;
      const fields = fc.dictionary(fc.constantFrom('x', 'y', 'z'), fc.option(fc.constantFrom('1', '2')));
      const change = fc.oneof(
        { weight: 5, arbitrary: fc.record({ fields }) },
        { weight: 2, arbitrary: fc.record({ fields, isWhole: fc.constant(true) }) },
        { weight: 2, arbitrary: fc.record({ isGone: fc.constant(true) }) },
      );
      const changes = fc.array(change, { minLength: 1, maxLength: 6 });
      await fc.assert(
        fc.asyncProperty(changes, fc.array(fc.nat(), { minLength: 12, maxLength: 12 }), async (made, order) => {
          const key = `order ${run++}`;
          const apply = async (to: string, index: number) =>
            client.merge({ key: to, version: v(index + 1), ...made[index]! });
          for (const index of made.keys()) await apply(`${key} as made`, index);
          const some = order.map(n => n % made.length);
          for (const index of [...some, ...made.keys()]) await apply(key, index);
          const state = (await client.getFields(key))!;
          expect(state).toEqual(await client.getFields(`${key} as made`));
          expect(state.version).toEqual(v(made.length));
        }),
        { numRuns: 60 },
      );
    });
  });
}
