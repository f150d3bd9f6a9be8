/** Part of the conformance suite: messages, scans, and what is left when a process came and went. */
import { describe, expect, test } from 'vitest';
import type { VersionedReply } from '../../actors/redis/index.ts';
import { all, BYTES, heardBy, picture, type RedisHarness, v } from './redis-harness.ts';

export function messagesContract(name: string, harness: RedisHarness): void {
  const open = async () => (await harness.open()).client;

  describe(`${name}: messages`, () => {
    test('are heard by those who subscribe, in order, from then on', async () => {
      const { client, another } = await harness.open();
      const other = another();
      // In a cluster an answer to PUBLISH is none for the other nodes: each message is heard before the next.
      const witness = client.subscribe({ pattern: '[c]' })[Symbol.asyncIterator]();
      await client.publish('c', 'before');
      expect(await heardBy(witness)).toEqual(['c', 'before']);
      const one = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
      const two = client.subscribe({ pattern: 'c*' })[Symbol.asyncIterator]();
      await client.publish('c', 'first');
      expect(await heardBy(one)).toEqual(['c', 'first']);
      await client.publish('other', 'not heard');
      await other.publish('c', BYTES);
      await other.publish('c2', '');
      expect(await heardBy(one)).toEqual(['c', [...BYTES]]);
      for (const heard of [
        ['c', 'first'],
        ['c', [...BYTES]],
        ['c2', ''],
      ])
        expect(await heardBy(two)).toEqual(heard);
      const third = heardBy(one);
      await other.publish('c', 'while it waits');
      expect(await third).toEqual(['c', 'while it waits']);
      for (const each of [witness, one, two]) await each.return?.();
    });

    test('of channels by a glob', async () => {
      const client = await open();
      const heard: Record<string, string[]> = {};
      const patterns = ['__data:{orders}:*', 'a?c', '[ab]x', '[^ab]x', 'l\\*t', '*'];
      const channels = ['__data:{orders}:7', 'abc', 'ac', 'ax', 'cx', 'l*t', 'lost', ''];
      const subscriptions = patterns.map(pattern => ({ pattern, heard: client.subscribe({ pattern }) }));
      for (const channel of channels) await client.publish(channel, '');
      await client.publish('__data:{orders}:end', 'end');
      for (const end of ['aec', 'bx', 'zx', 'l*t']) await client.publish(end, 'end');
      for (const subscription of subscriptions) {
        const list: string[] = [];
        heard[subscription.pattern] = list;
        for await (const one of subscription.heard) {
          if ('lost' in one) throw new Error('nothing can be lost');
          if (one.message === 'end') break;
          list.push(one.channel);
        }
      }
      expect(heard).toEqual({
        '__data:{orders}:*': ['__data:{orders}:7'],
        'a?c': ['abc'],
        '[ab]x': ['ax'],
        '[^ab]x': ['cx'],
        'l\\*t': ['l*t'],
        '*': channels,
      });
    });

    test('are no longer heard when the loop is left, or the signal aborted', async () => {
      const { client } = await harness.open();
      const loop = (async () => {
        for await (const one of client.subscribe({ channel: 'c' })) return one;
        return 'none';
      })();
      await client.publish('c', '1');
      expect(await loop).toEqual({ channel: 'c', message: '1' });
      const abort = new AbortController();
      const aborted = all(client.subscribe({ channel: 'c' }, { signal: abort.signal }));
      abort.abort();
      expect(await aborted).toEqual([]);
      expect(await all(client.subscribe({ channel: 'c' }, { signal: abort.signal }))).toEqual([]);
      await expect.poll(() => client.publish('c', 'nobody')).toBe(0);
      const left = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
      const waiting = left.next();
      await left.return?.();
      expect(await waiting).toEqual({ done: true, value: undefined });
    });
  });

  test(`${name}: a scan gives each key once, though others come and go`, async () => {
    const client = await open();
    const keys = Array.from({ length: 1500 }, (_, n) => `k:${n}`);
    await Promise.all(keys.map((key, n) => (n % 2 ? client.set(key, '1') : client.setVersioned(key, '1', v(1)))));
    await client.merge({ key: 'k:fields', version: v(1), fields: { x: '1' } });
    await client.set('other', '1');
    const found: string[] = [];
    for await (const key of client.scan('k:')) {
      found.push(key);
      if (found.length === 10) for (let n = 0; n < 100; n++) await client.set(`k:new:${n}`, '1');
      if (found.length === 11) await client.set('k:1', 'changed');
    }
    const stayed = found.filter(key => !key.startsWith('k:new:'));
    expect(stayed.toSorted()).toEqual([...keys, 'k:fields'].toSorted());
    expect(await all(client.scan('k:1499'))).toEqual(['k:1499']);
    expect(await all(client.scan('none'))).toEqual([]);
    expect((await all(client.scan(''))).length).toBe(1500 + 100 + 2);
  });

  test(`${name}: after its process came and went it has what it had, or a higher epoch and higher tokens`, async () => {
    const opened = await harness.open();
    const { client } = opened;
    const epoch = await client.epoch();
    expect(epoch).toBeGreaterThan(0);
    expect(await opened.another().epoch()).toBe(epoch);
    await client.set('a', BYTES, { ttlMs: 0 });
    await client.setVersioned('v', '1', v(5));
    await client.deleteVersioned('w', v(5));
    await client.merge({ key: 'f', version: v(5), fields: { x: '1', y: BYTES, z: null }, ttlMs: 60_000 });
    await client.merge({ key: 'g', version: v(5), isGone: true });
    const born = (await client.compareAndSet('n', null, '1')).version;
    const lease = (await client.acquire('l', 'me', 60_000))!;
    const again = await opened.reopen();
    if (harness.keeps) {
      expect(await again.epoch()).toBe(epoch);
      expect(picture(await again.get('a'))).toEqual([...BYTES]);
      expect(await again.getVersioned('v')).toEqual({ value: '1', version: v(5) });
      expect((await again.setVersioned('w', 'late', v(4))).outcome).toBe('older');
      const fields = (await again.getFields('f'))!;
      expect(fields.versions).toEqual({ x: v(5), y: v(5), z: v(5) });
      expect(Object.entries(fields.fields).map(([name, value]) => [name, picture(value)])).toEqual([
        ['x', '1'],
        ['y', [...BYTES]],
      ]);
      expect((await again.merge({ key: 'g', version: v(4), fields: { x: 'late' } })).outcome).toBe('older');
      expect(await again.acquire('l', 'you', 1000)).toBe(null);
      expect(await again.renew(lease)).toBe(true);
      expect(await again.release(lease)).toBe(true);
    } else {
      expect(await again.epoch()).toBeGreaterThan(epoch);
      expect(await again.get('a')).toBe(null);
    }
    const reply: VersionedReply = await again.compareAndSet('n', harness.keeps ? born : null, '2');
    expect(reply.outcome).toBe('newer');
    expect([reply.version.epoch - born.epoch, reply.version.n - born.n].find(step => step !== 0)).toBeGreaterThan(0);
    expect((await again.acquire('l', 'you', 1000))!.token).toBeGreaterThan(lease.token);
  });
}
