/** The source half over real files. */
import { execFileSync } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { opened, picture, readAll, tempFolder, thrownBy } from './support.ts';

test('each format is told by its extension, or by the option', async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'a.ndjson'), '1\n2\n');
  await writeFile(join(folder, 'a.csv'), 'x,y\n1,2\n');
  await writeFile(join(folder, 'a.json'), '[1, 2]');
  await writeFile(join(folder, 'a.txt'), 'x;y\n1;2\n');
  expect(picture(await readAll({ url: join(folder, 'a.ndjson') }))).toEqual([1, 2]);
  expect(picture(await readAll({ url: `file:${folder}` }, { path: 'a.csv' }))).toEqual([{ x: '1', y: '2' }]);
  expect(picture(await readAll({ url: `file://${folder}` }, { path: 'a.json' }))).toEqual([1, 2]);
  const csv = { delimiter: ';', header: false };
  expect(picture(await readAll({ url: folder, format: 'csv', csv }, { path: 'a.txt' }))).toEqual([
    ['x', 'y'],
    ['1', '2'],
  ]);
});

test('a large file comes in chunks of at most 256 records, in order, from any position', async () => {
  const folder = await tempFolder();
  const path = join(folder, 'many.ndjson');
  const values = Array.from({ length: 30_000 }, (_, n) => ({ n, text: 'é'.repeat(n % 50) }));
  await writeFile(path, values.map(value => `${JSON.stringify(value)}\n`).join(''));
  const { resource } = await opened({ url: path });
  const half = resource.source!({});
  for (const from of [0, 1, 17_777, 29_999, 30_000]) {
    const got: unknown[] = [];
    let next = from;
    for await (const chunk of half.read(from, new AbortController().signal)) {
      expect(chunk.length).toBeLessThanOrEqual(256);
      for (const record of chunk) {
        expect(record.position).toBe(next++);
        got.push(record.value);
      }
    }
    expect(got).toEqual(values.slice(from));
  }
});

test('a broken line is named by the path as it was given', async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'x.ndjson'), '1\n2\nthree\n');
  const url = relative(process.cwd(), folder);
  const [, , broken] = await readAll({ url }, { path: 'x.ndjson' });
  expect(broken).toMatchObject({ position: 2, value: 'three' });
  expect(broken!.broken!.place.at).toBe(`${join(url, 'x.ndjson')}:3`);
});

test('a file is replayable, ordered and contiguous; a named pipe is not replayable', async () => {
  const folder = await tempFolder();
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  const { resource } = await opened({ url: folder });
  const traits = { ordered: true, contiguous: true };
  expect(resource.source!({ path: 'absent.ndjson' }).traits).toEqual({ replayable: true, ...traits });
  const pipe = resource.source!({ path: 'pipe' });
  expect(pipe.traits).toEqual({ replayable: false, ...traits });
  const got: unknown[] = [];
  const writer = writeFile(join(folder, 'pipe'), '"a"\n"b"\n');
  for await (const chunk of pipe.read(40, new AbortController().signal)) got.push(...chunk);
  await writer;
  expect(got).toEqual([
    { position: 40, value: 'a' },
    { position: 41, value: 'b' },
  ]);
});

test('what is missing, a folder, or out of reach behind a link is SOURCE_MISSING', async () => {
  const folder = await tempFolder();
  const outside = await tempFolder();
  await writeFile(join(outside, 'secret.ndjson'), '1\n');
  await mkdir(join(folder, 'sub.ndjson'));
  await symlink(outside, join(folder, 'link'));
  for (const path of ['absent.ndjson', 'sub.ndjson', 'link/secret.ndjson']) {
    const error = await thrownBy(() => readAll({ url: folder }, { path }));
    expect([path, error.code]).toEqual([path, 'SOURCE_MISSING']);
    expect(error.place.at).toBe(join(folder, path));
  }
});

test('a read that names no file of the folder is CONFIG_INVALID', async () => {
  const folder = await tempFolder();
  const { resource } = await opened({ url: folder });
  for (const read of [{}, { path: '../x.ndjson' }, { path: '/etc/passwd' }, { path: '' }, { path: 1 }, { file: 'x' }]) {
    const error = await thrownBy(() => resource.source!(read));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain('read of out');
  }
});

test('abort ends reading at once, without an error and without the rest', async () => {
  const folder = await tempFolder();
  const path = join(folder, 'many.ndjson');
  await writeFile(path, '1\n'.repeat(1_000_000));
  const { resource } = await opened({ url: path });
  const abort = new AbortController();
  let records = 0;
  for await (const chunk of resource.source!({}).read(0, abort.signal)) {
    records += chunk.length;
    abort.abort();
  }
  expect(records).toBe(256);
  for await (const chunk of resource.source!({}).read(0, abort.signal)) expect(chunk).toBe('nothing');
});

test('stdin feeds one source only', async () => {
  const { resource } = await opened({ url: '-' });
  expect(resource.source!({ path: 'any name' }).traits.replayable).toBe(false);
  expect((await thrownBy(() => resource.source!({}))).code).toBe('CONFIG_INVALID');
});
