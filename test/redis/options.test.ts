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

test('urls of servers are checked, without a word of what they hold', async () => {
  for (const scheme of ['redis', 'rediss', 'redis+sentinel', 'rediss+sentinel', 'redis+cluster', 'rediss+cluster']) {
    const url = `${scheme}://user:secret@host:99999/0`;
    const [problem] = spec.check({ url });
    expect(problem).toEqual({ path: 'url', message: expect.stringContaining(`expected ${scheme}://`) });
    expect(problem!.message).not.toContain('secret');
    expect(await errorFrom(opened({ url }))).toMatchObject({ code: 'CONFIG_INVALID' });
  }
});

test('what does not go together is refused, and what does is not', async () => {
  const tls = { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem', serverName: 'host' };
  const sentinel = { username: 'me', passwordFile: 'file' };
  const wrong = (url: string, options: Record<string, unknown>) => paths({ url, ...options });
  for (const [kind, path] of [
    ['', ''],
    ['+sentinel', '/master'],
    ['+cluster', ''],
  ]) {
    const [plain, safe] = [`redis${kind}://host${path}`, `rediss${kind}://host${path}`];
    const said = kind === '+sentinel' ? { sentinel } : {};
    expect(wrong(safe, { tls, username: 'me', password: 'secret', ...said })).toEqual([]);
    expect(wrong(plain, { tls: {}, passwordFile: 'file', sentinel: {} })).toEqual([]);
    for (const name of Object.keys(tls)) expect(wrong(plain, { tls: { [name]: 'x' } })).toContain('tls');
    expect(wrong(safe, { sentinel })).toEqual(kind === '+sentinel' ? [] : ['sentinel']);
    expect(wrong(safe, { tls: { cert: 'cert.pem' } })).toEqual(['tls.key']);
    expect(wrong(safe, { tls: { key: 'key.pem' } })).toEqual(['tls.cert']);
    expect(wrong(safe, { password: 'secret', passwordFile: 'file' })).toEqual(['passwordFile']);
  }
  const both = { sentinel: { password: 'secret', passwordFile: 'file' } };
  expect(wrong('redis+sentinel://host/master', both)).toEqual(['sentinel.passwordFile']);
  for (const url of ['memory:', 'file:./store.db']) expect(wrong(url, { tls, sentinel })).toEqual([]);
  expect(await errorFrom(opened({ url: 'redis://host', tls }))).toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('io.store.tls: expected a url with TLS'),
  });
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
  expect(await errorFrom(rehearse('redis://127.0.0.1:1'))).toMatchObject({ code: 'IO_FAILED' });
});
