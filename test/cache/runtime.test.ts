/** The cache in a real runtime: hosts share loads and hear of changes, readiness waits for the warm-up, and all is measured. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { announce, type Cache, INVALIDATION_TOPIC } from '../../actors/cache/index.ts';
import { type StartOptions, start } from '../../runtime/index.ts';
import { tempFolder } from '../support/temp-folder.ts';
import shop from './fixtures/shop.ts';

async function opened(options: StartOptions = {}) {
  const runtime = await start(shop, {
    threads: 3,
    dataDir: join(await tempFolder('cache'), 'data'),
    logLevel: 'silent',
    ...options,
  });
  onTestFinished(async () => void (await runtime.stop({ graceMs: 0 })));
  return { runtime, cache: runtime.io<Cache>('cache') };
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

test('hosts share loads, hear of changes, and tell what they count', async () => {
  const { runtime, cache } = await opened({ port: 0, set: { 'io.cache.l1.ttlMs': 20_000 } });
  const found = await Promise.all(range(60).map(by => runtime.ask('read', { key: 'ada', by })));
  expect(new Set(found.map(({ value }) => value))).toEqual(new Set(['ADA']));
  expect(found.filter(({ from }) => from === 'load').length).toBeGreaterThan(0);
  const counts = new Set(await Promise.all(range(60).map(by => runtime.ask('count', by))));
  expect([...counts].toSorted()).toEqual([0, 1]); // one thread loaded, once
  await cache.set('ada', 'Lovelace');
  await expect
    .poll(
      async () =>
        new Set(
          (await Promise.all(range(60).map(by => runtime.ask('read', { key: 'ada', by })))).map(one => one.value),
        ),
    )
    .toEqual(new Set(['Lovelace']));
  for (const by of range(20)) await runtime.ask('read', { key: 'ada', by }); // one after the other: by now from L1
  await runtime.tell('invalidations', { key: 'ada', version: null, timestamp: 0 }, { until: 'settled' });
  await expect.poll(() => cache.peek('ada')).toBe(undefined);
  await expect
    .poll(
      async () => {
        const text = await (await fetch(`${runtime.url}/metrics`)).text();
        return (
          /^cache_hits_total\{io="cache",level="l1"\} ([1-9]\d*)$/m.test(text) &&
          /^cache_loads_total\{io="cache"\} [12]$/m.test(text)
        );
      },
      { timeout: 5000 },
    )
    .toBe(true);
  expect(await runtime.stop()).toMatchObject({ ok: true });
});

test('readiness waits for the warm-up, which is tried until its source is there', async () => {
  const folder = await tempFolder('cache');
  const file = join(folder, 'source');
  const port = 20_000 + Math.floor(process.pid % 20_000);
  const starting = opened({ port, set: { 'warm.file': file } });
  const ready = async () => (await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => null))?.status ?? 0;
  await expect.poll(ready).toBe(503);
  writeFileSync(file, 'here');
  const { runtime, cache } = await starting;
  expect(await ready()).toBe(200);
  expect(await cache.get('warm')).toBe('warmed');
  expect(await Promise.all(range(9).map(by => runtime.ask('peek', { key: 'warm', by })))).toEqual(
    Array(9).fill('warmed'),
  );
  await runtime.stop();
});

test('an invalidation is announced on its topic by key', async () => {
  const published: unknown[] = [];
  await announce(
    { publish: async (...all) => void published.push(all) },
    { key: 'k', version: { epoch: 1, n: 2 }, timestamp: 3 },
  );
  expect(published).toEqual([
    [INVALIDATION_TOPIC, { key: 'k', payload: '{"key":"k","version":{"epoch":1,"n":2},"timestamp":3}' }],
  ]);
});
