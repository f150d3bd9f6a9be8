/** The asks of the file I/O actor, over real files. */
import { existsSync } from 'node:fs';
import { chmod, mkdir, open, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { file } from '../../actors/file/index.ts';
import { type Environment, systemEnvironment } from '../../runtime/environment.ts';
import { boundByPermissions } from '../support/permissions.ts';
import { append, DONE, errorOf, opened, picture, readAll, tempFolder, thrownBy, write } from './support.ts';

const text = (...path: string[]) => readFile(join(...path), 'utf8');

/** Counts the writes and syncs of every open file from now to the end of the test. */
async function counted() {
  const any = await open('/dev/null');
  const handles = Object.getPrototypeOf(any);
  await any.close();
  const calls = { write: vi.spyOn(handles, 'write'), datasync: vi.spyOn(handles, 'datasync') };
  onTestFinished(() => {
    calls.write.mockRestore();
    calls.datasync.mockRestore();
  });
  return calls;
}

test('records become NDJSON lines, in the order of the asks', async () => {
  const folder = await tempFolder();
  const { ask, resource } = await opened({ url: folder });
  expect(await ask(append('a.ndjson', { n: 1 }, 'é'), append('a.ndjson'), append('a.ndjson', null))).toEqual([
    DONE,
    DONE,
    DONE,
  ]);
  expect(await ask(write('a.ndjson', '{"n":\t2}\n'), write('a.ndjson', Buffer.from('[3]\n')))).toEqual([DONE, DONE]);
  expect(await text(folder, 'a.ndjson')).toBe('{"n":1}\n"é"\nnull\n{"n":\t2}\n[3]\n');
  await resource.close();
});

test('the asks of a batch for one file become one write and one fsync', async () => {
  const folder = await tempFolder();
  const { ask, resource } = await opened({ url: folder });
  await ask(append('a.ndjson', 0));
  const calls = await counted();
  await ask(...Array.from({ length: 100 }, (_, n) => append(n % 2 ? 'a.ndjson' : './b/../a.ndjson', n)));
  expect(calls.write).toHaveBeenCalledTimes(1);
  expect(calls.datasync).toHaveBeenCalledTimes(1);
  await ask(append('a.ndjson', 1), append('b.ndjson', 1), write('a.ndjson', Buffer.from('2\n')));
  expect(calls.write).toHaveBeenCalledTimes(3);
  expect(calls.datasync).toHaveBeenCalledTimes(3);
  await resource.close();
});

test('asks of one path have one key, however it is spelt', () => {
  const { key } = file({ url: '-' });
  expect(key(append('a.ndjson'), 0)).toBe('a.ndjson');
  expect(key(write('./x/../a.ndjson', ''), 0)).toBe('a.ndjson');
  expect(key('nonsense', 0)).toBe('');
});

test('batches of two keys that are one file take turns', async () => {
  const folder = await tempFolder();
  const { ask } = await opened({ url: join(folder, 'a.csv') });
  const batches = Array.from({ length: 50 }, (_, n) => ask(append(n % 2 ? '' : 'a.csv', { n })));
  expect((await Promise.all(batches)).flat()).toEqual(batches.map(() => DONE));
  expect(await text(folder, 'a.csv')).toBe(`n\n${batches.map((_, n) => `${n}\n`).join('')}`);
});

test('fsync none never syncs; everyMs syncs when its time has come, and when closing', async () => {
  const folder = await tempFolder();
  const calls = await counted();
  const never = await opened({ url: folder, fsync: 'none' });
  await never.ask(append('a.ndjson', 1));
  await never.resource.close();
  expect(calls.datasync).toHaveBeenCalledTimes(0);

  const due: (() => void)[] = [];
  const asked: number[] = [];
  const real = systemEnvironment();
  const environment: Environment = {
    ...real,
    clock: {
      ...real.clock,
      after(ms, fn) {
        asked.push(ms);
        due.push(fn);
        return { cancel: () => {} };
      },
    },
  };
  const { ask, resource } = await opened({ url: folder, fsync: { everyMs: 500 } }, { environment });
  await ask(append('a.ndjson', 2), append('b.ndjson', 2));
  await ask(append('a.ndjson', 3));
  expect(asked).toEqual([500]);
  expect(calls.datasync).toHaveBeenCalledTimes(0);
  due.shift()!();
  expect(calls.datasync).toHaveBeenCalledTimes(2);
  await ask(append('a.ndjson', 4));
  expect(asked).toEqual([500, 500]);
  await resource.close();
  expect(calls.datasync).toHaveBeenCalledTimes(3);
});

test('append goes on after what is there; truncate empties a file once', async () => {
  const folder = await tempFolder();
  for (const name of ['a.ndjson', 'b.ndjson', 'c.ndjson']) await writeFile(join(folder, name), '"old"\n');
  const first = await opened({ url: folder });
  await first.ask(append('a.ndjson', 1));
  await first.resource.close();
  expect(await text(folder, 'a.ndjson')).toBe('"old"\n1\n');

  const truncating = await opened({ url: folder, mode: 'truncate', maxOpenFiles: 1 });
  // With one file open at a time each is closed and opened again; it is not emptied again.
  for (let n = 2; n < 5; n++) await truncating.ask(append('a.ndjson', n), append('b.ndjson', n));
  await truncating.resource.close();
  expect(await text(folder, 'a.ndjson')).toBe('2\n3\n4\n');
  expect(await text(folder, 'b.ndjson')).toBe('2\n3\n4\n');

  const replaced = await opened({ url: folder, mode: 'truncate' }, { first: false });
  await replaced.ask(append('a.ndjson', 5), append('c.ndjson', 5));
  await replaced.resource.close();
  expect(await text(folder, 'a.ndjson')).toBe('2\n3\n4\n5\n');
  expect(await text(folder, 'c.ndjson')).toBe('"old"\n5\n');
});

test('no more files than maxOpenFiles are open, with any number of them written at once', async () => {
  const folder = await tempFolder();
  const { ask, resource } = await opened({ url: folder, maxOpenFiles: 3, fsync: 'none' });
  const open = async () => (await readdir('/proc/self/fd')).length;
  const before = process.platform === 'linux' ? await open() : 0;
  const names = Array.from({ length: 20 }, (_, n) => `${n}.csv`);
  for (let round = 0; round < 3; round++) {
    const batches = names.map(name => ask(append(name, { name, round })));
    expect((await Promise.all(batches)).flat()).toEqual(names.map(() => DONE));
  }
  if (process.platform === 'linux') expect((await open()) - before).toBeLessThanOrEqual(3);
  await resource.close();
  for (const name of names) expect(await text(folder, name)).toBe(`name,round\n${name},0\n${name},1\n${name},2\n`);
});

test('a record that cannot be written fails its own ask only', async () => {
  const folder = await tempFolder();
  const { ask } = await opened({ url: folder });
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  const replies = await ask(
    append('a.ndjson', 1),
    append('a.ndjson', 2, undefined),
    append('a.ndjson', 3n),
    append('a.ndjson', cycle),
    { op: 'append', path: 'a.ndjson', records: 'none' },
    append('a.json', 4),
    append('a.ndjson', 5),
  );
  expect([replies[0], replies[6]]).toEqual([DONE, DONE]);
  for (const index of [1, 2, 3, 4])
    expect(errorOf(replies[index])).toMatchObject({ code: 'RECORD_BROKEN', class: 'fatal' });
  expect(errorOf(replies[5]).code).toBe('CONFIG_INVALID');
  expect(await text(folder, 'a.ndjson')).toBe('1\n5\n');
});

test('paths that leave the folder are refused and nothing is written', async () => {
  const folder = await tempFolder();
  const outside = await tempFolder();
  await symlink(outside, join(folder, 'link'));
  await symlink(join(outside, 'target.ndjson'), join(folder, 'direct.ndjson'));
  const { ask } = await opened({ url: folder });
  const bad = ['../x.ndjson', 'a/../../x.ndjson', join(outside, 'x.ndjson'), '..', '.', '', 'a\0b', 'link/x.ndjson'];
  for (const reply of await ask(...bad.map(path => append(path, 1))))
    expect(errorOf(reply)).toMatchObject({ code: 'OUTPUT_UNWRITABLE', class: 'fatal' });
  // This one the system refuses, and an operator may put a file in its place.
  const [link] = await ask(append('direct.ndjson', 1));
  expect(errorOf(link)).toMatchObject({ code: 'OUTPUT_UNWRITABLE', class: 'transient' });
  expect(await readdir(outside)).toEqual([]);
  expect((await readdir(folder)).sort()).toEqual(['direct.ndjson', 'link']);
  expect(await ask(append('..x.ndjson', 1))).toEqual([DONE]);
});

test('a url that names one file takes no other path', async () => {
  const folder = await tempFolder();
  const { ask } = await opened({ url: join(folder, 'only.ndjson') });
  const replies = await ask(append('', 1), append('only.ndjson', 2), append('other.ndjson', 3));
  expect(replies.slice(0, 2)).toEqual([DONE, DONE]);
  expect(errorOf(replies[2]).code).toBe('OUTPUT_UNWRITABLE');
  expect(await text(folder, 'only.ndjson')).toBe('1\n2\n');
});

test('a folder that is missing, and a folder in place of a file, are OUTPUT_UNWRITABLE until mended', async () => {
  const folder = await tempFolder();
  await mkdir(join(folder, 'a.ndjson'));
  const missing = await opened({ url: join(folder, 'missing') });
  const [absent] = await missing.ask(append('a.ndjson', 1));
  expect(errorOf(absent)).toMatchObject({ code: 'OUTPUT_UNWRITABLE', class: 'transient' });
  const { ask } = await opened({ url: folder });
  const replies = await ask(append('a.ndjson', 1), append('no/such/folder.ndjson', 2), append('b.ndjson', 3));
  for (const reply of replies.slice(0, 2))
    expect(errorOf(reply)).toMatchObject({ code: 'OUTPUT_UNWRITABLE', class: 'transient' });
  expect(replies[2]).toEqual(DONE);
  await mkdir(join(folder, 'missing'));
  expect(await missing.ask(append('a.ndjson', 1))).toEqual([DONE]);
});

test('a folder and a file that may not be written are OUTPUT_UNWRITABLE', async context => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'a.ndjson'), '1\n');
  await chmod(join(folder, 'a.ndjson'), 0o444);
  await chmod(folder, 0o555);
  boundByPermissions(context);
  const { ask } = await opened({ url: folder });
  for (const reply of await ask(append('a.ndjson', 2), append('b.ndjson', 2))) {
    expect(errorOf(reply)).toMatchObject({ code: 'OUTPUT_UNWRITABLE', class: 'transient' });
    expect(errorOf(reply).message).toContain('EACCES');
  }
});

test('an output makes its folder at opening, what is only read from does not', async () => {
  const folder = await tempFolder();
  await opened({ url: join(folder, 'in/deep') });
  expect(existsSync(join(folder, 'in'))).toBe(false);
  await opened({ url: join(folder, 'out/deep') }, { reads: false });
  await opened({ url: join(folder, 'logs/all.ndjson') }, { reads: false });
  expect(await readdir(join(folder, 'out/deep'))).toEqual([]);
  expect(await readdir(join(folder, 'logs'))).toEqual([]);
});

test('an output that cannot be written is refused at opening', async context => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'plain'), '');
  await mkdir(join(folder, 'closed'));
  await chmod(join(folder, 'closed'), 0o555);
  await chmod(folder, 0o555);
  // Of what is there already the system is asked as the real user, which stays root: disk.test.ts has that for root.
  const there = process.getuid?.() === 0 ? [] : ['closed', 'closed/a.ndjson'];
  boundByPermissions(context);
  for (const path of ['plain/below', 'new', ...there])
    expect(await thrownBy(() => opened({ url: join(folder, path) }, { reads: false })), path).toMatchObject({
      code: 'OUTPUT_UNWRITABLE',
      place: { at: expect.stringContaining(folder) },
    });
});

test('a failed sync answers with an error, and what was written is cut off again', async () => {
  const folder = await tempFolder();
  const { ask } = await opened({ url: folder });
  await ask(append('a.ndjson', 1));
  const calls = await counted();
  calls.datasync.mockRejectedValueOnce(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));
  const replies = await ask(append('a.ndjson', 2), append('a.ndjson', 3));
  for (const reply of replies) {
    expect(errorOf(reply)).toMatchObject({ code: 'IO_FAILED', class: 'transient' });
    expect(errorOf(reply).message).toContain('cut back to its last good length, 2 bytes');
  }
  expect((await stat(join(folder, 'a.ndjson'))).size).toBe(2);
  expect(await ask(append('a.ndjson', 2))).toEqual([DONE]);
  expect(await text(folder, 'a.ndjson')).toBe('1\n2\n');
});

test('CSV rows follow the header that is there, or make it', async () => {
  const folder = await tempFolder();
  const url = join(folder, 'a.csv');
  const first = await opened({ url });
  await first.ask(append('', { id: 1, text: 'a "b", c\nd', on: true, more: { x: [1] } }), append('', { id: 2 }));
  await first.resource.close();
  const second = await opened({ url });
  const replies = await second.ask(
    append('', { text: null, id: 3n }),
    append('', { id: 4, colour: 'red' }),
    append('', [5, '', false, '']),
    append('', [6]),
    append('', 7),
  );
  expect(replies.map(reply => 'error' in reply)).toEqual([false, true, false, true, true]);
  expect(errorOf(replies[1]).message).toContain('the header has no column "colour"');
  expect(errorOf(replies[3]).message).toContain('1 columns where there should be 4');
  await second.resource.close();
  expect(picture(await readAll({ url }))).toEqual([
    { id: '1', text: 'a "b", c\nd', on: 'true', more: '{"x":[1]}' },
    { id: '2', text: '', on: '', more: '' },
    { id: '3', text: '', on: '', more: '' },
    { id: '5', text: '', on: 'false', more: '' },
  ]);
});

test('CSV without a header takes arrays, and objects in the order of their keys', async () => {
  const folder = await tempFolder();
  const options = { url: join(folder, 'a.csv'), csv: { header: false, delimiter: ';' } };
  const { ask } = await opened(options);
  const replies = await ask(append('', ['a', 'b;c']), append('', { x: 1, y: 2 }), append('', ['only one']));
  expect(replies.map(reply => 'error' in reply)).toEqual([false, false, true]);
  expect(await text(folder, 'a.csv')).toBe('a;"b;c"\n1;2\n');
});

test('a header that was written by hand is the header, and a failed write leaves none behind', async () => {
  const folder = await tempFolder();
  const { ask } = await opened({ url: folder });
  await ask(write('a.csv', 'x,y\n'), append('a.csv', { y: 2, x: 1 }));
  expect(await text(folder, 'a.csv')).toBe('x,y\n1,2\n');
  const calls = await counted();
  calls.datasync.mockRejectedValueOnce(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));
  expect(errorOf((await ask(append('b.csv', { p: 1 })))[0]).code).toBe('IO_FAILED');
  await ask(append('b.csv', { q: 1 }));
  expect(await text(folder, 'b.csv')).toBe('q\n1\n');
});

test('an append after a write that ended without a newline starts a line of its own', async () => {
  const folder = await tempFolder();
  const { ask } = await opened({ url: folder });
  await ask(write('a.ndjson', '1'), write('a.ndjson', ''), append('a.ndjson', 2));
  expect(await text(folder, 'a.ndjson')).toBe('1\n2\n');
});
