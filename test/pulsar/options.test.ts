/** The options of `pulsar({ … })`, and what `check` finds out without opening a bus. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type PulsarOptionsInput, pulsar } from '../../actors/pulsar/index.ts';
import { maxBytesOf, parseOptions, parseRead } from '../../actors/pulsar/options.ts';
import { wireOptionsOf } from '../../actors/pulsar/server-options.ts';
import { errorFrom } from '../support/runtimes.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { TOOLS } from '../support/tools.ts';
import { busAt, opened } from './support.ts';

const faults = (options: Record<string, unknown>): string[] =>
  pulsar(options as PulsarOptionsInput)
    .check(options)
    .map(({ path, message }) => `${path}: ${message}`);

test('little need be said', () => {
  expect(faults({ url: 'memory:' })).toEqual([]);
  expect(parseOptions({ url: 'file:bus' }, 'io.bus')).toEqual({
    url: 'file:bus',
    fsync: 'batch',
    maxMessageBytes: 5 * 1024 * 1024,
    autoCreate: true,
    deduplication: false,
    retention: { ms: 86_400_000, bytes: 256 * 1024 * 1024 },
    producerIdleMs: 300_000,
    consumerIdleMs: 60_000,
    tls: { checkHost: true },
    topics: {},
    driver: 'wire',
    profile: 'default',
    batch: { by: 'key' },
    memoryBytes: 64 * 1024 * 1024,
    chunking: false,
    compressFrom: 1024,
    sendTimeoutMs: 30_000,
    connectMs: 10_000,
    operationMs: 30_000,
    optimize: 'balanced',
    keepAliveMs: 30_000,
    discoveryMs: 60_000,
  });
  expect(parseRead({ topic: 't', subscription: 's' }, 'read of bus')).toEqual({
    topic: 't',
    subscription: 's',
    type: 'Key_Shared',
    initialPosition: 'Latest',
    prefetch: 1000,
    as: 'message',
    untilEnd: false,
    idleMs: 1000,
  });
  expect(maxBytesOf(parseOptions({ url: 'memory:' }, ''))).toBe(2 ** 30);
  expect(maxBytesOf(parseOptions({ url: 'file:bus' }, ''))).toBe(0);
  expect(maxBytesOf(parseOptions({ url: 'memory:', maxBytes: 0 }, ''))).toBe(0);
});

test('what is wrong is said with its path', async () => {
  expect(faults({})).toEqual([expect.stringMatching(/^url: /)]);
  expect(faults({ url: 'redis://x' })).toEqual([
    'url: expected memory:, file:PATH, pulsar://HOST:PORT or pulsar+ssl://HOST:PORT',
  ]);
  expect(faults({ url: 'memory:', fsync: 'often', retention: { ms: -1 }, maxMessageBytes: 5, x: 1 })).toHaveLength(4);
  expect(await errorFrom(opened({ url: 'bus' }))).toMatchObject({
    code: 'CONFIG_INVALID',
    message: 'CONFIG_INVALID: io.bus.url: expected memory:, file:PATH, pulsar://HOST:PORT or pulsar+ssl://HOST:PORT',
    place: { at: 'io.bus' },
  });
});

test('a server: batches, codec and bound are of the profile, unless they are said', async () => {
  const wire = (options: Record<string, unknown>) =>
    wireOptionsOf(parseOptions({ url: 'pulsar://localhost', ...options }, 'io.bus'), 'io.bus');
  expect(wire({})).toMatchObject({
    batching: { messages: 100, bytes: 131_072, delayMs: 100, by: 'key' },
    maxPending: 500,
    codec: 'none',
  });
  expect(wire({ profile: 'high-throughput', batch: { delayMs: 5 } })).toMatchObject({
    batching: { messages: 1000, bytes: 1_048_576, delayMs: 5, by: 'key' },
    maxPending: 5000,
    codec: 'lz4',
  });
  expect(wire({ compression: 'zstd', maxPending: 7 })).toMatchObject({ codec: 'zstd', maxPending: 7 });
  expect(wire({ compression: 'auto' })).toMatchObject({ codec: 'snappy', compressFrom: 1024 });
  expect(wire({ compression: 'auto', optimize: 'latency' })).toMatchObject({ codec: 'lz4' });
  expect(wire({ compression: 'auto', optimize: 'bandwidth' })).toMatchObject({ codec: 'zstd' });
  expect(faults({ url: 'pulsar://a:6650,b', adminUrl: 'http://a:8080', auth: { token: 'env:TOKEN' } })).toEqual([]);
  expect(faults({ url: 'pulsar://a', adminUrl: 'a:8080', auth: { user: 'x' }, compression: 'rar' })).toHaveLength(3);
  expect(() => wire({ tls: { ca: '/not/there.pem' } })).toThrow(/io\.bus\.tls\.ca: ENOENT/);
});

test('a rehearsal says what the start would, and leaves nothing behind', async () => {
  const folder = await tempFolder('pulsar');
  const rehearse = async (url: string, read: Record<string, unknown> | null = null): Promise<void> => {
    const spec = pulsar({ url });
    await spec.rehearse!(spec.options, read, 'bus', '/data', TOOLS);
  };
  await rehearse('memory:');
  await rehearse(`file:${folder}/a/b`);
  expect(existsSync(join(folder, 'a'))).toBe(false);
  expect((await errorFrom(rehearse('memory:', {}))).message).toContain('read of bus.topic');
  await busAt(join(folder, 'bus.db')).close();
  await rehearse(`file:${folder}`, { topic: 't', subscription: 's' });
  const garbage = join(folder, 'garbage.db');
  writeFileSync(garbage, 'this is no database, but it is long enough');
  expect(await errorFrom(rehearse(`file:${garbage}`))).toMatchObject({ code: 'STORE_CORRUPT', place: { at: garbage } });
  writeFileSync(garbage, '');
  await rehearse(`file:${garbage}`);
});

test('a rehearsal finds a path that leads nowhere', async () => {
  const folder = await tempFolder('pulsar');
  writeFileSync(join(folder, 'file'), '');
  const spec = pulsar({ url: `file:${join(folder, 'file', 'bus.db')}` });
  expect((await errorFrom(Promise.resolve(spec.rehearse!(spec.options, null, 'bus', '/data', TOOLS)))).code).toBe(
    'STORE_READ_ONLY',
  );
});
