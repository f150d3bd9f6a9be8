import { join } from 'node:path';
import { expect, test } from 'vitest';
import { redis } from '../../actors/redis/index.ts';
import { errorFrom } from '../support/runtimes.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { TOOLS } from '../support/tools.ts';
import { opened } from './support.ts';

const spec = redis({ url: 'memory:' });
const paths = (options: Record<string, unknown>) => spec.check(options).map(problem => problem.path);

test('wrong options are reported with their paths, and refused by open', async () => {
  expect(spec.check(spec.options)).toEqual([]);
  expect(spec.check({ url: 'file:./store.db', fsync: 'none', subscriber: { maxMessages: 5 } })).toEqual([]);
  expect(paths({})).toEqual(['url']);
  for (const url of ['', 'memory', 'memory:x', 'file:', 'file://host/x', 'file:a\0b', './store.db', 'http://x'])
    expect(paths({ url })).toEqual(['url']);
  expect(paths({ url: 'memory:', ttlMs: -1, fieldsTtlMs: '1', versionsMs: 10 })).toEqual([
    'ttlMs',
    'fieldsTtlMs',
    'versionsMs',
  ]);
  expect(paths({ url: 'memory:', maxValueBytes: 0, maxMemoryBytes: 4 * 2 ** 30 })).toEqual([
    'maxValueBytes',
    'maxMemoryBytes',
  ]);
  expect(paths({ url: 'memory:', fsync: 'always', subscriber: { maxBytes: 1 } })).toEqual([
    'fsync',
    'subscriber.maxBytes',
  ]);
  const error = await errorFrom(opened({ url: 'nonsense' }));
  expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('io.store.url: expected') });
});

test('servers are known, and refused until their driver is there, without a word of what their urls hold', async () => {
  for (const scheme of ['redis', 'rediss', 'redis+sentinel', 'redis+cluster']) {
    const url = `${scheme}://user:secret@host:6379/0`;
    const [problem] = spec.check({ url });
    expect(problem).toEqual({
      path: 'url',
      message: expect.stringContaining(`the driver for ${scheme}: comes with a later version`),
    });
    expect(problem!.message).not.toContain('secret');
    expect(await errorFrom(opened({ url }))).toMatchObject({ code: 'CONFIG_INVALID' });
  }
});

test('a source says a channel or a pattern', async () => {
  const { resource } = await opened({ url: 'memory:' });
  expect(resource.source!({ channel: 'c' }).traits).toEqual(spec.traits!(spec.options));
  expect(spec.traits!(spec.options)).toMatchObject({ replayable: false });
  for (const read of [{}, { channel: 1 }, { channel: 'c', pattern: 'p' }, { topic: 'c' }])
    expect(() => resource.source!(read)).toThrow('CONFIG_INVALID: read of store');
  expect(() => resource.source!({})).toThrow('expected one of channel and pattern');
});

test('check says what the start would, and leaves nothing', async () => {
  const folder = await tempFolder('redis');
  const rehearse = (url: string, read: Record<string, unknown> | null = null) =>
    Promise.resolve().then(() => spec.rehearse!({ url }, read, 'store', '/', TOOLS));
  await rehearse('memory:');
  await rehearse(`file:${join(folder, 'new/store.db')}`, { pattern: '*' });
  expect(await errorFrom(rehearse('memory:', {}))).toMatchObject({ code: 'CONFIG_INVALID' });
  expect(await errorFrom(rehearse(`file:${folder}`))).toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('is a folder'),
  });
  expect(await errorFrom(rehearse('redis://host'))).toMatchObject({ code: 'CONFIG_INVALID' });
});
