/** A file whose last line was torn by a crash. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { append, DONE, errorOf, opened, picture, readAll, tempFolder, write } from './support.ts';

const text = (...path: string[]) => readFile(join(...path), 'utf8');

test('the torn end is set aside with a warning, and no line is half a record', async () => {
  const folder = await tempFolder();
  const path = join(folder, 'a.ndjson');
  await writeFile(path, '{"n":1}\n{"n":');
  for (const [round, tail] of ['{"n":', 'x'.repeat(200_000)].entries()) {
    await writeFile(path, `{"n":1}\n${tail}`);
    const { ask, logged, resource } = await opened({ url: folder });
    expect(await ask(append('a.ndjson', { n: 2 }))).toEqual([DONE]);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatchObject({
      level: 'warn',
      fields: { file: path, aside: `${path}.torn-${round + 1}`, bytes: tail.length },
    });
    await resource.close();
    expect(await text(path)).toBe('{"n":1}\n{"n":2}\n');
    expect(await text(`${path}.torn-${round + 1}`)).toBe(tail);
  }
});

test('a file with nothing but a torn line is empty afterwards', async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'a.ndjson'), '{"n"');
  const { ask } = await opened({ url: join(folder, 'a.ndjson') });
  await ask(write('', '1\n'));
  expect(await text(folder, 'a.ndjson')).toBe('1\n');
  expect(await text(folder, 'a.ndjson.torn-1')).toBe('{"n"');
});

test('a torn CSV row is found though a newline stands in its quotes', async () => {
  const folder = await tempFolder();
  const url = join(folder, 'a.csv');
  await writeFile(url, 'id,text\n1,"a\nb"\n2,"c\nd\n');
  const { ask, resource } = await opened({ url });
  await ask(append('', { text: 'e\nf', id: 3 }));
  await resource.close();
  expect(await text(`${url}.torn-1`)).toBe('2,"c\nd\n');
  expect(picture(await readAll({ url }))).toEqual([
    { id: '1', text: 'a\nb' },
    { id: '3', text: 'e\nf' },
  ]);
});

test('a CSV file whose last row is open for more than maxLineBytes is refused, not cut', async () => {
  const folder = await tempFolder();
  const url = join(folder, 'a.csv');
  const before = `id\n1\n"open\n${'2\n'.repeat(100)}`;
  await writeFile(url, before);
  const { ask } = await opened({ url, maxLineBytes: 100 });
  expect(errorOf((await ask(append('', { id: 3 })))[0])).toMatchObject({ code: 'OUTPUT_UNWRITABLE' });
  expect(await text(url)).toBe(before);
});

test('a file that is not one of lines keeps its end', async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'a.bin'), 'abc');
  await writeFile(join(folder, 'a.txt'), 'abc');
  const { ask } = await opened({ url: folder });
  await ask(write('a.bin', new Uint8Array([100, 101])));
  expect(await text(folder, 'a.bin')).toBe('abcde');
  await ask(write('a.txt', 'd'), append('a.txt', 1));
  expect(await text(folder, 'a.txt')).toBe('d\n1\n');
  expect((await readdir(folder)).sort()).toEqual(['a.bin', 'a.txt', 'a.txt.torn-1']);
});
