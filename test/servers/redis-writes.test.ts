/** Writers through a proxy that loses replies: each write counts once, none is lost, and nobody sees what cannot be. */
import { randomUUID } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { RedisClient } from '../../actors/redis/index.ts';
import { seededRandom } from '../../runtime/random.ts';
import type { FaultProxy } from '../support/proxy.ts';
import { redisDriver, redisProxy } from '../support/redis-client.ts';
import { redisService, skipped } from '../support/services.ts';
import type { Writing, Written } from './fixtures/redis-writer.ts';

/** More by hand: KEYMILL_REDIS_WRITES=800000. */
const WRITES = Number(process.env['KEYMILL_REDIS_WRITES'] ?? 8000);
const THREADS = 8;
const KEYS = 100;
const LOST_EACH = 50;
const MINUTES = 60_000;

/** Of replies, and with each the connection: without ids there is no going on. */
async function losing(each: number): Promise<FaultProxy & { readonly made: () => number }> {
  let number = 0;
  const proxy = await redisProxy(redisService()!.url, {
    watch: (_, __, connection) => {
      number = Math.max(number, connection);
    },
  });
  proxy.dropReply(each, { cuts: true });
  return Object.assign(proxy, { made: () => number });
}

describe.skipIf(skipped('redis'))('while replies are lost', () => {
  test(`${THREADS} threads make ${WRITES} versions of ${KEYS} keys: each write is one version, and a value has its own`, {
    timeout: 30 * MINUTES,
  }, async () => {
    const proxy = await losing(LOST_EACH);
    const keys = Array.from({ length: KEYS }, (_, n) => `${randomUUID()}:${n}`);
    const { client } = await redisDriver({ url: redisService()!.url });
    let isOver = false;
    const reading = read(client, keys, () => isOver);
    const began = performance.now();
    const all = await Promise.all(
      Array.from({ length: THREADS }, (_, seed) =>
        written({ url: proxy.url, seed: seed + 1, count: WRITES / THREADS, keys }),
      ),
    );
    const seconds = (performance.now() - began) / 1000;
    isOver = true;
    const { reads, faults } = await reading;
    expect([...all.flatMap(one => one.faults), ...faults]).toEqual([]);
    const found = await client.getManyVersioned(keys);
    const counted = keys.map((_, at) => all.reduce((sum, one) => sum + one.writes[at]!, 0));
    expect(found.map(one => one?.version.n ?? 0)).toEqual(counted);
    expect(found.map(one => Number(one?.value ?? 0))).toEqual(counted);
    expect(counted.reduce((sum, one) => sum + one)).toBe(WRITES);
    expect(proxy.made()).toBeGreaterThan(THREADS);
    const conflicts = all.reduce((sum, one) => sum + one.conflicts, 0);
    console.log(
      `${WRITES} writes by ${THREADS} threads in ${seconds.toFixed(1)} s, ${conflicts} conflicts, ${proxy.made()} connections, ${reads} readings of all`,
    );
  });

  test('fields of many writers: none is lost, none goes back, and what was removed stays so', async () => {
    const proxy = await losing(10);
    const writers = 6;
    const versions = 120;
    const key = randomUUID();
    const clients = await Promise.all(
      Array.from({ length: writers }, async () => (await redisDriver({ url: proxy.url }, { guarded: true })).client),
    );
    const version = (n: number) => ({ epoch: 1, n });
    const outcomes = new Set<string>();
    /** Every version once, in an order of its own, three under way. */
    const writeAll = async (client: RedisClient, by: number): Promise<void> => {
      const random = seededRandom(by + 1);
      const left = Array.from({ length: versions }, (_, n) => n + 1).toSorted(() => random() - 0.5);
      const loop = async (): Promise<void> => {
        for (let n = left.pop(); n !== undefined; n = left.pop()) {
          const fields = { [`own ${by}`]: `${by} ${n}`, shared: String(n) };
          outcomes.add((await client.merge({ key, version: version(n), fields })).outcome);
        }
      };
      await Promise.all([loop(), loop(), loop()]);
    };
    await Promise.all(clients.map(writeAll));
    const found = (await clients[0]!.getFields(key))!;
    const own = Array.from({ length: writers }, (_, by) => [`own ${by}`, `${by} ${versions}`]);
    expect(found.fields).toEqual({ ...Object.fromEntries(own), shared: String(versions) });
    expect(found.version).toEqual(version(versions));
    expect(new Set(Object.values(found.versions).map(({ n }) => n))).toEqual(new Set([versions]));
    expect([...outcomes].toSorted()).toEqual(expect.arrayContaining(['newer', 'older']));
    expect(proxy.made()).toBeGreaterThan(2 * writers);
    await staysGone(clients);
  });
});

/** Removed by version 50, while all others come before, meanwhile and after. */
async function staysGone(clients: readonly RedisClient[]): Promise<void> {
  const key = randomUUID();
  const merged = clients.flatMap((client, by) =>
    Array.from({ length: 50 }, (_, i) => {
      const n = ((i * 7 + by) % 49) + 1;
      const late = client.merge({ key, version: { epoch: 1, n }, fields: { [`f${n % 3}`]: String(n) } });
      if (by !== 0 || i !== 25) return [late];
      return [late, client.merge({ key, version: { epoch: 1, n: 50 }, isGone: true })];
    }).flat(),
  );
  await Promise.all(merged);
  expect(await clients[0]!.getFields(key)).toEqual({
    fields: {},
    versions: {},
    version: { epoch: 1, n: 50 },
    isGone: true,
  });
}

/** Looks at all keys again and again. */
async function read(client: RedisClient, keys: readonly string[], isOver: () => boolean) {
  const faults: string[] = [];
  const last = keys.map(() => 0);
  let reads = 0;
  for (; !isOver(); reads++)
    for (const [at, one] of (await client.getManyVersioned(keys)).entries()) {
      if (one === null) continue;
      const { n } = one.version;
      if (one.value !== String(n)) faults.push(`version ${n} with ${String(one.value)}`);
      if (n < last[at]!) faults.push(`${n} was read after ${last[at]}`);
      last[at] = n;
    }
  return { reads, faults };
}

function written(writing: Writing): Promise<Written> {
  const worker = new Worker(new URL('./fixtures/redis-writer.ts', import.meta.url), { workerData: writing });
  onTestFinished(async () => void (await worker.terminate()));
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', code => reject(new Error(`a writer ended with ${code}`)));
  });
}
