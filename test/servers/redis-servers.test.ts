/** The Redis servers themselves: what other tests rest on. No driver between. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { askRedis, lineOf, RedisAsking } from '../../scripts/services/redis-asking.ts';
import { redisServer } from '../support/redis-server.ts';
import { killRedis, redisMaster, redisService, skipped, startRedis } from '../support/services.ts';

describe.skipIf(skipped('redis'))('the service', () => {
  const service = redisService()!;

  test('has a user who may not all', async () => {
    const port = Number(new URL(service.url).port);
    const asking = new RedisAsking(port);
    const [user, password] = service.user.split(':') as [string, string];
    expect(await asking.ask('AUTH', user, password)).toBe('OK');
    expect(String(await asking.ask('EVAL', "return redis.call('INFO', 'server')", 0))).toContain('run_id:');
    expect(await asking.ask('CONFIG', 'GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
    await expect(asking.ask('FLUSHALL')).rejects.toThrow('NOPERM');
    asking.close();
    await expect(askRedis(port, 'AUTH', user, `${password}x`)).rejects.toThrow('WRONGPASS');
  });

  test.skipIf(service?.tls === '')('speaks TLS, with and without a certificate of the client', async () => {
    const url = new URL(service.tls);
    const its = [{}, { cert: readFileSync(service.certificate), key: readFileSync(service.key) }];
    for (const proof of its) {
      const to = { port: Number(url.port), host: url.hostname, servername: url.hostname };
      const socket = connect({ ...to, ca: readFileSync(service.ca), ...proof });
      socket.write('PING\r\n');
      for await (const reply of socket) {
        expect(String(reply)).toBe('+PONG\r\n');
        break;
      }
    }
  });

  test('has a cluster whose slots are all served, by three', async () => {
    const port = Number(service.cluster.split(':').at(-1));
    expect(lineOf(await askRedis(port, 'CLUSTER', 'INFO'), 'cluster_size')).toBe('3');
    const slots = (await askRedis(port, 'CLUSTER', 'SLOTS')) as [number, number][];
    expect(slots.map(([from, to]) => to - from + 1).reduce((sum, count) => sum + count)).toBe(16_384);
  });

  test('has sentinels who know a master', async () => {
    const port = Number(/:(\d+)\/keymill$/.exec(service.sentinel)![1]);
    const [, master] = (await askRedis(port, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'keymill')) as [string, string];
    expect(lineOf(await askRedis(Number(master), 'INFO', 'replication'), 'role')).toBe('master');
  });

  test('starts again what was killed, with the ports it had', async () => {
    const before = redisService()!;
    await Promise.all([killRedis('sentinel-3'), killRedis('node-4')]);
    expect(await startRedis()).toEqual(before);
    expect(await redisMaster()).toBeOneOf(['master', 'replica']);
  });
});

describe.skipIf(skipped('redis'))('a server of a test', () => {
  test('comes again with what it had, or empty', async () => {
    const server = await redisServer({ data: true, args: [['maxmemory', '64mb']] });
    await server.ask('SET', 'a', Buffer.from([0, 255, 13, 10]));
    await server.kill();
    await expect(server.ask('PING')).rejects.toThrow('broke');
    await server.start();
    expect(await server.ask('GET', 'a')).toBe('\0\xff\r\n');
    expect(await server.ask('CONFIG', 'GET', 'maxmemory')).toEqual(['maxmemory', String(64 << 20)]);
    await server.kill();
    await server.start({ empty: true });
    expect(await server.ask('GET', 'a')).toBe(null);
    expect(await server.calls('get')).toBe(1);
  });

  test('answers nothing while it is paused, and then all', async () => {
    const server = await redisServer();
    const asking = new RedisAsking(server.port);
    await asking.ask('PING');
    server.pause();
    let isThere = false;
    const asked = asking.ask('PING').then(() => {
      isThere = true;
    });
    await new Promise(resolve => setImmediate(resolve));
    expect(isThere).toBe(false);
    server.resume();
    await asked;
    asking.close();
  });
});
