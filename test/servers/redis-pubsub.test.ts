/** Subscriptions on a real Redis whose connections break: subscribers are told that some are lost, and hear on. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { QUICK, redisDriver, redisProxy } from '../support/redis-client.ts';
import { listen, published, SOON, toldOf } from '../support/redis-listening.ts';
import { redisGroup, redisServer } from '../support/redis-server.ts';
import { redisService, skipped } from '../support/services.ts';

describe.skipIf(skipped('redis'))('a subscription', () => {
  const service = redisService()!;

  test.for([
    ['is cut', 'cut'],
    ['is half-open, and nobody is told', 'halfOpen'],
    ['is in a black hole', 'blackhole'],
  ] as const)(
    'whose connection %s hears on, and is told that some are lost',
    { timeout: 30_000 },
    async ([, fault]) => {
      const proxy = await redisProxy(service.url);
      const channel = randomUUID();
      const { client, resource, logged } = await redisDriver({ url: proxy.url, ...QUICK }, { guarded: true });
      const { client: other } = await redisDriver({ url: service.url });
      const one = listen(client, { channel });
      const many = listen(client, { pattern: `${channel.slice(0, -1)}?` });
      await published(other, channel, one);
      await expect.poll(() => many.length, SOON).toBeGreaterThan(0);
      if (fault === 'cut') proxy.cut();
      else if (fault === 'halfOpen') proxy.halfOpen('toClient');
      else proxy.blackhole();
      const missed = other.publish(channel, 'missed');
      if (fault !== 'cut') {
        // What is silent is given up while it is: no more than a second after QUICK.heartbeatMs.
        await expect.poll(() => logged.some(({ level }) => level === 'warn'), SOON).toBe(true);
        await proxy.heal();
      }
      await missed;
      const [id] = await Promise.all([
        published(other, channel, one),
        expect.poll(() => many, SOON).toContain('lost unknown'),
      ]);
      toldOf(one, id);
      await expect.poll(() => many.some(text => text.startsWith(id)), SOON).toBe(true);
      toldOf(many, id);
      const lost = resource.metrics!().find(({ name }) => /subscri|pubsub/.test(name));
      expect(lost).toBeDefined();
    },
  );

  test('outlives its server, which comes back empty', { timeout: 30_000 }, async () => {
    const server = await redisServer();
    const { client } = await redisDriver({ url: server.url, ...QUICK }, { guarded: true });
    const { client: other } = await redisDriver({ url: server.url, ...QUICK }, { guarded: true });
    const heard = listen(client, { channel: 'c' });
    await published(other, 'c', heard);
    await server.kill();
    await server.start();
    toldOf(heard, await published(other, 'c', heard));
  });

  test('follows the master', { timeout: 60_000 }, async () => {
    const group = await redisGroup();
    const { client } = await redisDriver({ url: group.url, ...QUICK }, { guarded: true });
    const heard = listen(client, { channel: 'c' });
    await published(client, 'c', heard);
    await group.failover();
    toldOf(heard, await published(client, 'c', heard));
  });

  test('on a cluster hears what any node is told', { timeout: 30_000 }, async () => {
    const prefix = `${randomUUID()}:`;
    const { client } = await redisDriver({ url: service.cluster, prefix });
    const { client: other } = await redisDriver({ url: service.cluster, prefix });
    const channels = Array.from({ length: 20 }, (_, n) => `c${n}`);
    const heard = listen(client, { pattern: 'c*' });
    await published(other, 'c', heard);
    await Promise.all(channels.map(channel => other.publish(channel, channel)));
    await expect.poll(() => channels.filter(channel => !heard.includes(channel)), SOON).toEqual([]);
    expect(heard.filter(text => text.startsWith('lost'))).toEqual([]);
  });
});
