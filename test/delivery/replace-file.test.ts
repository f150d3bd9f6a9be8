/** Files that are replaced as a whole: the old one or the new one stands, never a part. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { replaceFile } from '../../runtime/delivery/replace-file.ts';
import { tempFolder } from '../support/temp-folder.ts';

it('puts the new lines in the place of the old ones, and leaves nothing beside', async () => {
  const folder = await tempFolder('replace');
  const path = join(folder, 'a');
  await replaceFile(path, ['one', 'zwölf']);
  expect(await readFile(path, 'utf8')).toBe('one\nzwölf\n');
  await writeFile(`${path}.new`, 'left by a crash');
  await replaceFile(path, ['two']);
  expect(await readFile(path, 'utf8')).toBe('two\n');
  expect(await readdir(folder)).toEqual(['a']);
});

it('leaves the old one where the new one cannot be made', async () => {
  const folder = await tempFolder('replace');
  const path = join(folder, 'a');
  await replaceFile(path, ['one']);
  const broken = (function* () {
    yield 'two';
    throw new Error('no more');
  })();
  await expect(replaceFile(path, broken)).rejects.toThrow('no more');
  expect(await readdir(folder)).toEqual(['a']);
  await mkdir(`${path}.new`);
  await expect(replaceFile(path, ['three'])).rejects.toMatchObject({ code: 'EISDIR' });
  expect(await readFile(path, 'utf8')).toBe('one\n');
});
