/** What the driver of servers does beyond the contract: once is once, and what other programs see and leave there. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { redisDriver, redisProxy } from '../support/redis-client.ts';
import { redisServer } from '../support/redis-server.ts';
import { errorFrom } from '../support/runtimes.ts';
import { skipped } from '../support/services.ts';

const { signal } = new AbortController();

describe.skipIf(skipped('redis'))('the driver of servers', () => {
  test('does an ask once, though its reply was lost and it is made again', { timeout: 20_000 }, async () => {
    const server = await redisServer();
    const proxy = await redisProxy(server.url);
    const { resource, client } = await redisDriver({ url: proxy.url, commandTimeoutMs: 400 });
    const direct = await redisDriver({ url: server.url });
    await client.get('a');
    const heard = direct.client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
    onTestFinished(async () => void (await heard.return?.()));
    await direct.client.publish('c', 'first');
    const asks = Array.from({ length: 300 }, (_, n) => ({ op: 'publish' as const, channel: 'c', message: `${n}` }));
    proxy.halfOpen('toClient');
    for (const reply of await resource.handleBatch(asks, signal))
      expect(reply).toMatchObject({ error: { code: 'IO_FAILED', class: 'transient' } });
    await proxy.heal();
    for (const reply of await resource.handleBatch(asks, signal)) expect(reply).toEqual({ value: 1 });
    await direct.client.publish('c', 'last');
    const messages: unknown[] = [];
    while (messages.at(-1) !== 'last') {
      const { value } = await heard.next();
      messages.push((value as { message: string }).message);
    }
    expect(messages).toEqual(['first', ...asks.map(({ message }) => message), 'last']);
  });

  test('does an ask anew that waited in vain, and after the scripts were flushed', { timeout: 20_000 }, async () => {
    const server = await redisServer({ data: true });
    const { resource, client } = await redisDriver({ url: server.url, commandTimeoutMs: 400 });
    const ask = { op: 'set', key: 'a', value: '1', ttlMs: 0, id: null };
    await server.ask('SCRIPT', 'FLUSH');
    expect(await resource.handleBatch([ask], signal)).toEqual([{ value: true }]);
    await server.kill();
    const late = { ...ask, value: '2' };
    const attempt = async () => {
      const [reply] = await resource.handleBatch([late], signal);
      return 'error' in reply! ? (reply.error as { code: string }).code : reply!.value;
    };
    for (let n = 0; n < 6; n++) expect(await attempt()).toBe('IO_FAILED');
    await server.start();
    await expect.poll(attempt, { timeout: 5000 }).toBe(true);
    expect(await client.get('a')).toBe('2');
  });

  test('keeps values as others read and write them', async () => {
    const server = await redisServer();
    const { client } = await redisDriver({ url: server.url, prefix: 'p:' });
    await client.set('text', 'plain text', { ttlMs: 60_000 });
    expect(await server.ask('GET', 'p:text')).toBe('plain text');
    await server.ask('SET', 'p:theirs', 'plain');
    expect(await client.get('theirs')).toBe('plain');
    await client.setVersioned('v', '1', { epoch: 3, n: 7 });
    expect(await server.ask('GET', '{p:v}:version')).toBe('3 7 v');
    await client.merge({ key: 'f', version: { epoch: 1, n: 2 }, fields: { x: 'of x', y: null } });
    expect(await server.ask('HGETALL', 'p:f')).toEqual(['x', 'of x']);
    expect(await server.ask('HGET', '{p:f}:version', 'fy')).toBe('1 2');
    await server.ask('RPUSH', 'p:list', 'a');
    for (const call of [
      client.get('list'),
      client.set('list', '1'),
      client.setVersioned('list', '1', { epoch: 1, n: 1 }),
      client.getFields('list'),
      client.acquire('list', 'me', 1000),
      client.expire('list', 1000),
    ])
      expect(await errorFrom(call)).toMatchObject({
        code: 'REDIS_WRONG_KIND',
        message: expect.stringContaining('list'),
      });
    expect(await client.delete('list')).toBe(1);
  });

  test('leaves nothing of a server that is emptied: what is born then is above all before', async () => {
    const server = await redisServer();
    const { client } = await redisDriver({ url: server.url });
    const before = await client.compareAndSet('a', null, '1');
    const lease = (await client.acquire('l', 'me', 60_000))!;
    await server.ask('FLUSHALL');
    const after = await client.compareAndSet('a', null, '2');
    expect(after.version.epoch).toBeGreaterThan(before.version.epoch);
    expect((await client.acquire('l', 'you', 60_000))!.token).toBeGreaterThan(lease.token);
    expect(await client.epoch()).toBe(after.version.epoch);
  });
});
