/** What becomes of a driver whose server dies, comes back empty, hangs, refuses or is slow: no call waits for ever, and versions only rise. */
import { describe, expect, test } from 'vitest';
import { later } from '../support/later.ts';
import type { FaultProxy } from '../support/proxy.ts';
import { QUICK, redisDriver, redisProxy } from '../support/redis-client.ts';
import { type RedisServer, redisCluster, redisGroup, redisServer } from '../support/redis-server.ts';
import { Traffic } from '../support/redis-traffic.ts';
import { skipped } from '../support/services.ts';

/** Of a server that is well again. */
const RECOVERY_MS = 5000;
/** Three tries of a second each, the pauses between them, and a machine that is busy. */
const LONGEST_MS = 3 * QUICK.commandTimeoutMs + 3000;
const CLOSE_MS = QUICK.commandTimeoutMs + 2000;

interface World {
  readonly server: RedisServer;
  readonly proxy: FaultProxy;
}

interface Fault {
  readonly name: string;
  begin(world: World): Promise<unknown> | void;
  heal(world: World): Promise<unknown> | void;
  /** How calls may fail meanwhile; the first must come. Empty: none may fail. */
  readonly codes: readonly string[];
  /** It lasts until the breaker is open, too. */
  readonly opens?: boolean;
  /** Of the fault, in ms, beyond that. */
  readonly forMs?: number;
}

const AWAY = ['IO_FAILED', 'BREAKER_OPEN'];

/** Those of one kind at once: they mostly wait. */
const FAULTS: Readonly<Record<string, readonly Fault[]>> = {
  'goes away': [
    {
      name: 'is killed and comes back with its data',
      begin: ({ server }) => server.kill(),
      heal: ({ server }) => server.start(),
      codes: AWAY,
      opens: true,
    },
    {
      name: 'is killed and comes back empty',
      begin: ({ server }) => server.kill(),
      heal: ({ server }) => server.start({ empty: true }),
      codes: AWAY,
    },
    {
      name: 'is emptied while it lives',
      begin: ({ server }) => server.ask('FLUSHALL'),
      heal: () => {},
      codes: [],
    },
    {
      name: 'refuses connections',
      begin: ({ proxy }) => {
        proxy.refuse();
        proxy.cut();
      },
      heal: ({ proxy }) => proxy.heal(),
      codes: AWAY,
    },
  ],
  'is silent': [
    {
      name: 'cannot be reached, and no connection ends',
      begin: ({ proxy }) => proxy.blackhole(),
      heal: ({ proxy }) => proxy.heal(),
      codes: AWAY,
    },
    {
      name: 'gets all and its replies get lost',
      begin: ({ proxy }) => proxy.halfOpen('toClient'),
      heal: ({ proxy }) => proxy.heal(),
      codes: AWAY,
    },
    {
      name: 'hangs',
      begin: ({ server }) => server.pause(),
      heal: ({ server }) => server.resume(),
      codes: AWAY,
    },
  ],
  'takes no writes, or takes its time': [
    {
      name: 'becomes read-only',
      begin: ({ server }) => server.ask('REPLICAOF', '127.0.0.1', 1),
      heal: ({ server }) => server.ask('REPLICAOF', 'NO', 'ONE'),
      codes: AWAY,
    },
    {
      name: 'has no memory left',
      begin: ({ server }) => server.config('maxmemory', 1_000_000),
      heal: ({ server }) => server.config('maxmemory', 0),
      codes: ['OUTPUT_FULL', ...AWAY],
    },
    {
      name: 'is slow',
      begin: ({ proxy }) => proxy.delay(200),
      heal: ({ proxy }) => proxy.heal(),
      codes: [],
      forMs: 1500,
    },
    {
      name: 'is busy with something else for half a second',
      begin: ({ server }) => server.ask('DEBUG', 'SLEEP', 0.5),
      heal: () => {},
      codes: [],
    },
  ],
};

describe.skipIf(skipped('redis'))('a server that', () => {
  test.for(Object.entries(FAULTS))('%s', { timeout: 60_000 }, async ([, faults]) => {
    await Promise.all(
      faults.map(fault =>
        outlives(fault).catch(cause => {
          throw new Error(`a server that ${fault.name}: ${cause.message}`, { cause });
        }),
      ),
    );
  });

  async function outlives({ begin, heal, codes, opens, forMs = 300 }: Fault): Promise<void> {
    const server = await redisServer({ data: true });
    const world = { server, proxy: await redisProxy(server.url) };
    const options = { url: world.proxy.url, ...QUICK };
    const { client } = await redisDriver(options, { guarded: true });
    const closing = await redisDriver(options);
    await closing.client.get('a');
    const traffic = new Traffic('k').by(client);
    await expect.poll(() => traffic.written, { timeout: 10_000 }).toBeGreaterThan(20);
    expect(traffic.seen.codes).toEqual([]);

    await begin(world);
    if (codes.length > 0) await expect.poll(() => traffic.seen.codes, { timeout: 20_000 }).toContain(codes[0]);
    if (opens) await expect.poll(() => traffic.seen.codes, { timeout: 20_000 }).toContain('BREAKER_OPEN');
    const closed = timed(closing.close());
    await later(forMs);
    const before = traffic.written;
    await heal(world);
    const healed = performance.now();
    await expect.poll(() => traffic.written, { timeout: 20_000, interval: 20 }).toBeGreaterThan(before);
    expect(performance.now() - healed).toBeLessThan(RECOVERY_MS);
    expect(await closed).toBeLessThan(CLOSE_MS);

    const more = traffic.written;
    await expect.poll(() => traffic.written, { timeout: 10_000 }).toBeGreaterThan(more + 20);
    const seen = await traffic.end();
    expect(seen.faults).toEqual([]);
    expect(seen.codes.filter(code => !codes.includes(code))).toEqual([]);
    expect(seen.longestMs).toBeLessThan(LONGEST_MS);
  }
});

describe.skipIf(skipped('redis'))('a group under sentinels', () => {
  test('fails over and loses writes: what is born afterwards is above all that was seen', {
    timeout: 60_000,
  }, async () => {
    const group = await redisGroup();
    const { client } = await redisDriver({ url: group.url, ...QUICK }, { guarded: true });
    const traffic = new Traffic('k').by(client);
    await expect.poll(() => traffic.written, { timeout: 10_000 }).toBeGreaterThan(20);
    await group.part();
    traffic.mayLose = true;
    const parted = traffic.written;
    await expect.poll(() => traffic.written, { timeout: 10_000 }).toBeGreaterThan(parted + 40);
    await group.kill('master');
    group.resume('replica');
    await group.promoted('master');
    const promoted = performance.now();
    const before = traffic.written;
    await expect.poll(() => traffic.written, { timeout: 20_000, interval: 20 }).toBeGreaterThan(before);
    expect(performance.now() - promoted).toBeLessThan(RECOVERY_MS);
    const more = traffic.written;
    await expect.poll(() => traffic.written, { timeout: 10_000 }).toBeGreaterThan(more + 40);
    const seen = await traffic.end();
    expect(seen.wentBack).toBeGreaterThan(0); // else nothing was lost
    expect(seen.faults).toEqual([]);
    expect(seen.longestMs).toBeLessThan(LONGEST_MS);
  });
});

describe.skipIf(skipped('redis'))('a cluster', () => {
  test('one of whose masters dies goes on by its replica; keys of others are served meanwhile', {
    timeout: 60_000,
  }, async () => {
    const cluster = await redisCluster();
    const { client } = await redisDriver({ url: cluster.url, ...QUICK });
    const traffic = new Traffic('k').by(client);
    await expect.poll(() => traffic.written, { timeout: 10_000 }).toBeGreaterThan(40);
    // What its replica did not get yet may be lost.
    traffic.mayLose = true;
    await cluster.failover();
    const served = performance.now();
    const { calls } = traffic.seen;
    const before = traffic.written;
    await expect.poll(() => traffic.written, { timeout: 20_000, interval: 20 }).toBeGreaterThan(before + 40);
    expect(performance.now() - served).toBeLessThan(RECOVERY_MS);
    const seen = await traffic.end();
    expect(seen.faults).toEqual([]);
    expect(seen.calls).toBeGreaterThan(calls);
    expect(seen.longestMs).toBeLessThan(LONGEST_MS);
  });
});

async function timed(promise: Promise<unknown>): Promise<number> {
  const began = performance.now();
  await promise;
  return performance.now() - began;
}
