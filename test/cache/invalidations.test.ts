/** Invalidations by a topic: from an embedded bus through a source to the cache, and from there to all threads. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { announce, type Cache, INVALIDATION_TOPIC } from '../../actors/cache/index.ts';
import type { PulsarClient } from '../../actors/pulsar/index.ts';
import { start } from '../../runtime/index.ts';
import { tempFolder } from '../support/temp-folder.ts';
import topology from './fixtures/announced.ts';

const PATIENT = { timeout: 15_000 };
/** So many keys that every host has some. */
const ASKERS = Array.from({ length: 24 }, (_, by) => by);

async function opened() {
  const folder = await tempFolder('cache');
  const runtime = await start(topology, { threads: 3, dataDir: join(folder, 'data'), logLevel: 'silent' });
  onTestFinished(async () => void (await runtime.stop({ graceMs: 0 })));
  const ofAll = (actor: 'peek' | 'read', key: string) =>
    Promise.all(ASKERS.map(by => runtime.ask(actor, { key, by }))).then(values => [...new Set(values)]);
  return {
    runtime,
    cache: runtime.io<Cache>('cache'),
    bus: runtime.io<PulsarClient>('bus'),
    /** What the hosts hold in L1, and what they read. */
    held: (key: string) => ofAll('peek', key),
    read: (key: string) => ofAll('read', key),
    handled: async () => (await runtime.summary()).settled,
    deadLetters: async () => {
      const text = await readFile(join(folder, 'data/dead-letters.ndjson'), 'utf8').catch(() => '');
      return text
        .split('\n')
        .filter(Boolean)
        .map(line => JSON.parse(line) as Record<string, unknown>);
    },
  };
}

test('what is announced is dropped by all threads, and the version announced may be stored', async () => {
  const { cache, bus, held, read } = await opened();
  await cache.set('k', 'seven', { version: { epoch: 1, n: 7 } });
  await expect.poll(() => read('k'), PATIENT).toEqual(['seven']);
  await expect.poll(() => held('k'), PATIENT).toEqual(['seven']);
  await announce(bus, { key: 'k', version: { epoch: 1, n: 8 }, timestamp: Date.now() });
  await expect.poll(() => held('k'), PATIENT).toEqual([null]);
  expect(await read('k')).toEqual([null]);
  expect(await cache.set('k', 'late', { version: { epoch: 1, n: 7 } })).toMatchObject({ isStored: false });
  expect(await cache.set('k', 'eight', { version: { epoch: 1, n: 8 } })).toMatchObject({ isStored: true });
  await expect.poll(() => read('k'), PATIENT).toEqual(['eight']);
});

test('an older invalidation that comes late does nothing, nor does one that comes twice', async () => {
  const { cache, bus, held, read, handled } = await opened();
  await cache.set('k', 'nine', { version: { epoch: 1, n: 9 } });
  await expect.poll(() => read('k'), PATIENT).toEqual(['nine']);
  await expect.poll(() => held('k'), PATIENT).toEqual(['nine']);
  for (const n of [8, 3, 9, 9]) await announce(bus, { key: 'k', version: { epoch: 1, n }, timestamp: Date.now() });
  await announce(bus, { key: 'other', version: null, timestamp: Date.now() });
  await expect.poll(async () => (await handled()).done, PATIENT).toBe(5);
  expect(await held('k')).toEqual(['nine']);
  expect(await read('k')).toEqual(['nine']);
});

test('a broken message is dead-lettered, and those after it are applied', async () => {
  const { cache, bus, held, read, handled, deadLetters } = await opened();
  await cache.set('k', 'v');
  await expect.poll(() => read('k'), PATIENT).toEqual(['v']);
  for (const payload of ['{', '{"key":7}', '{"key":"k","version":{"epoch":"1"}}', ''])
    await bus.publish(INVALIDATION_TOPIC, { payload });
  await announce(bus, { key: 'k', version: null, timestamp: 0 });
  await expect.poll(() => held('k'), PATIENT).toEqual([null]);
  await expect.poll(handled, PATIENT).toMatchObject({ done: 1, dead: 4 });
  await expect
    .poll(async () => (await deadLetters()).map(({ error }) => (error as { code: string }).code), PATIENT)
    .toEqual(Array(4).fill('RECORD_BROKEN'));
  await expect.poll(async () => (await bus.stats(INVALIDATION_TOPIC)).subscriptions['cache']!.backlog, PATIENT).toBe(0);
});
