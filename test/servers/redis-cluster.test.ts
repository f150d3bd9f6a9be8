/** What is different on a cluster: keys lie in many slots, on several nodes, and one step is one slot's. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { askRedis } from '../../scripts/services/redis-asking.ts';
import { codeFrom } from '../contract/redis-harness.ts';
import { redisDriver } from '../support/redis-client.ts';
import { redisService, skipped } from '../support/services.ts';

const COUNT = 300;

describe.skipIf(skipped('redis'))('on a cluster', () => {
  const service = redisService()!;

  async function open() {
    const prefix = `${randomUUID()}:`;
    const { client } = await redisDriver({ url: service.cluster, prefix });
    const keys = Array.from({ length: COUNT }, (_, n) => `k${n}`);
    return { client, prefix, keys };
  }

  test('keys of all slots are written, read and deleted by one call', async () => {
    const { client, keys } = await open();
    await Promise.all(keys.map(key => client.set(key, `of ${key}`)));
    expect(await client.getMany([...keys, 'none'])).toEqual([...keys.map(key => `of ${key}`), null]);
    expect(await client.delete(...keys, 'none')).toBe(COUNT);
    expect(await client.getMany(keys)).toEqual(keys.map(() => null));
  });

  test('versions and fields lie beside their key, and a scan goes over all nodes', async () => {
    const { client, prefix, keys } = await open();
    const version = { epoch: 1, n: 3 };
    await Promise.all(
      keys.map((key, n) =>
        n % 2 ? client.setVersioned(key, '1', version) : client.merge({ key, version, fields: { x: '1' } }),
      ),
    );
    const odd = keys.filter((_, n) => n % 2);
    expect(await client.getManyVersioned(odd)).toEqual(odd.map(() => ({ value: '1', version })));
    const found: string[] = [];
    for await (const key of client.scan('')) found.push(key);
    expect(found.toSorted()).toEqual(keys.toSorted());
    const ports = [...service.cluster.matchAll(/:(\d+)/g)].map(([, port]) => Number(port));
    const held = await Promise.all(ports.map(port => askRedis(port, 'KEYS', `${prefix}*`)));
    for (const its of held) expect((its as string[]).length).toBeGreaterThan(COUNT / 6);
    const reply = await client.compareAndSet('k1', version, '2');
    expect(reply).toMatchObject({ outcome: 'newer', version: { n: expect.any(Number) } });
  });

  test('steps of one multi and a fence must lie in one slot; hash tags see to it', async () => {
    const { client } = await open();
    const multi = (...keys: string[]) => client.multi(keys.map(key => ({ do: 'set', key, value: '1' }) as const));
    expect(await codeFrom(multi('a', 'b'))).toBe('REDIS_CROSS_SLOT');
    expect(await client.getMany(['a', 'b'])).toEqual([null, null]);
    expect(await multi('{order}:a', '{order}:b')).toEqual([true, true]);
    const fenced = (lease: string) =>
      client.merge({ key: '{order}:c', version: { epoch: 1, n: 1 }, fields: { x: '1' }, fence: { lease, token: 1 } });
    expect(await codeFrom(fenced('elsewhere'))).toBe('REDIS_CROSS_SLOT');
    expect(await fenced('{order}:lease')).toMatchObject({ outcome: 'newer' });
  });

  test('calls of one caller for one key keep their order, among those for others', async () => {
    const { client, keys } = await open();
    const asked: Promise<unknown>[] = [];
    for (let round = 0; round < 5; round++)
      for (const key of keys.slice(0, 60)) asked.push(client.set(key, `${round}`), client.get(key));
    const replies = await Promise.all(asked);
    for (let i = 1; i < replies.length; i += 2) expect(replies[i]).toBe(String(Math.floor(i / 120)));
  });
});
