/** A Redis that goes away: what needs it waits and goes on, what does not goes on, and nothing is lost. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { RedisClient } from '../../actors/redis/index.ts';
import { start } from '../../runtime/index.ts';
import { QUICK } from '../support/redis-client.ts';
import { redisServer } from '../support/redis-server.ts';
import { skipped } from '../support/services.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { KEYS, needy } from './fixtures/redis-needy.ts';

const PAUSED = 'breaker of io:redis is open';
const quick = Object.fromEntries(Object.entries(QUICK).map(([name, value]) => [`io.redis.${name}`, value]));
const keys = Array.from({ length: KEYS }, (_, k) => `k${k}`);

describe.skipIf(skipped('redis'))('while a Redis is away', () => {
  test('the source that needs it is paused, and no other; both go on', { timeout: 60_000 }, async () => {
    const server = await redisServer({ data: true });
    const dir = await tempFolder('redis-pause');
    const module = `${new URL('./fixtures/redis-needy.ts', import.meta.url).href}?${encodeURIComponent(dir)}`;
    const runtime = await start(needy(dir), {
      module,
      threads: 2,
      dataDir: join(dir, 'data'),
      logLevel: 'silent',
      set: { 'io.redis.url': server.url, ...quick },
    });
    onTestFinished(async () => void (await runtime.stop({ graceMs: 0 })));
    const waiting = async (source: string): Promise<string | undefined> =>
      new RegExp(`^keymill_source_waiting\\{source="${source}",reason="(.*)"\\} 1$`, 'm').exec(
        await runtime.metrics(),
      )?.[1];
    const handled = async (actor: string): Promise<number> => (await runtime.summary()).perActor[actor]?.handled ?? 0;
    const more = async (actor: string): Promise<void> => {
      const before = await handled(actor);
      await expect.poll(() => handled(actor), { timeout: 20_000, interval: 50 }).toBeGreaterThan(before + 2000);
    };
    const client = runtime.io<RedisClient>('redis');

    await more('needy');
    await server.kill();
    await expect.poll(() => waiting('toNeedy'), { timeout: 20_000, interval: 50 }).toBe(PAUSED);
    await more('free');
    expect(await waiting('toNeedy')).toBe(PAUSED);
    expect(await waiting('toFree')).not.toBe(PAUSED);
    await server.start();
    const back = Date.now();
    await expect.poll(() => waiting('toNeedy'), { timeout: 20_000, interval: 50 }).not.toBe(PAUSED);
    expect(Date.now() - back).toBeLessThan(5000);
    await more('needy');

    writeFileSync(join(dir, 'enough'), '');
    await runtime.settled();
    const { settled, messages } = await runtime.summary();
    expect(settled).toMatchObject({ dead: 0, dropped: 0, done: messages });
    const found = await client.getManyVersioned(keys);
    const last = found.map(one => one!.version.n);
    expect(found.map(one => one!.value)).toEqual(last.map(String));
    expect(new Set(last).size).toBe(1);
  });
});
