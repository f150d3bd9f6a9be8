/**
 * Invalidations that do not come while values change, for KEYMILL_CACHE_CUT_S seconds. Until it is healed a value may be as old
 * as l1.ttlMs; afterwards none is given that was not confirmed, and it is told how many were.
 */
import { describe, expect, test } from 'vitest';
import type { Cache } from '../../actors/cache/index.ts';
import { type CacheThread, cacheDriver } from '../support/cache-driver.ts';
import { Staleness } from '../support/cache-staleness.ts';
import { later } from '../support/later.ts';
import { QUICK, redisProxy } from '../support/redis-client.ts';
import { redisServer } from '../support/redis-server.ts';
import { skipped } from '../support/services.ts';

const CUT_MS = 1000 * Number(process.env['KEYMILL_CACHE_CUT_S'] ?? 2);
const L1_MS = 30_000;
/** The word of a change takes some milliseconds, and more where the machine is busy. */
const WORD_MS = 1500;
const KEYS = Array.from({ length: 200 }, (_, i) => `k${i}`);
const PATIENT = { timeout: 20_000, interval: 10 };

interface Cut {
  readonly url: string;
  begin(): Promise<unknown> | void;
  heal(): Promise<unknown> | void;
}

const isWord = (frame: Buffer): boolean =>
  /^[*>]3\r\n\$7\r\nmessage\r\n/.test(frame.subarray(0, 20).toString('latin1'));

/** All but the words come through, so nobody can know. */
async function silent(url: string): Promise<Cut> {
  const proxy = await redisProxy(url);
  return {
    url: proxy.url,
    begin: () => proxy.dropReply(1, { of: isWord }),
    heal: () => proxy.heal(),
  };
}

/** The subscription is ended, and no other is to be had. */
async function noticed(url: string, ask: (...command: string[]) => Promise<unknown>): Promise<Cut> {
  await ask('ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '&*', '+@all');
  return {
    url: url.replace('redis://', 'redis://reader:secret@'),
    async begin() {
      await ask('ACL', 'SETUSER', 'reader', '-subscribe');
      await ask('CLIENT', 'KILL', 'USER', 'reader', 'TYPE', 'pubsub');
    },
    heal: () => ask('ACL', 'SETUSER', 'reader', '+subscribe'),
  };
}

describe.skipIf(skipped('redis'))('pub/sub cut while values change', () => {
  test.each(['silent', 'noticed'] as const)('%s', { timeout: CUT_MS + 60_000 }, async kind => {
    const server = await redisServer();
    const cut = await (kind === 'silent' ? silent(server.url) : noticed(server.url, (...all) => server.ask(...all)));
    const writer = await opened(server.url);
    const reader = await opened(cut.url);
    const { cache } = reader;
    const staleness = new Staleness(KEYS);
    await staleness.fill(writer.cache);
    staleness.change(writer.cache);
    staleness.read(cache);
    await expect.poll(() => staleness.reads, PATIENT).toBeGreaterThan(10 * KEYS.length);
    expect(staleness.take().worstMs).toBeLessThan(WORD_MS);

    await cut.begin();
    await later(CUT_MS);
    const during = staleness.take();
    expect(during.worstMs).toBeLessThan(L1_MS + WORD_MS);
    expect(during.worstMs).toBeGreaterThan(CUT_MS / 4); // else nothing was cut
    expect(cache.stats().isDegraded).toBe(false);

    const before = gapsOf(cache);
    await cut.heal();
    await expect.poll(() => gapsOf(cache), PATIENT).toBeGreaterThan(before);
    staleness.take();
    const told = reader.logged.length;
    await expect.poll(() => revalidated(reader, told), PATIENT).toBeGreaterThanOrEqual(KEYS.length);
    const after = staleness.take();
    expect(after.reads).toBeGreaterThan(KEYS.length);
    expect(after.worstMs).toBeLessThan(WORD_MS);
    expect(cache.stats().suspects).toBe(0);
    await staleness.end();
    if (process.env['KEYMILL_SHOW'])
      process.stdout.write(`${JSON.stringify({ kind, during, after, revalidated: revalidated(reader, told) })}\n`);
  });
});

const opened = async (url: string): Promise<CacheThread> =>
  (await cacheDriver({ ...QUICK, commandTimeoutMs: 3000, namespace: 'cut', l1: { ttlMs: L1_MS }, url })).thread();

const gapsOf = (cache: Cache): number => cache.stats().counts['gaps']!;

/** As it was logged since. */
function revalidated({ logged }: CacheThread, since: number): number {
  const reports = logged.slice(since).filter(({ text }) => text === 'entries of L1 were revalidated');
  return Math.max(0, ...reports.map(({ fields }) => Number(fields['revalidated'])));
}
