/** What `check` finds out about files without opening the I/O actor. */
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type FileOptionsInput, file } from '../../actors/file/index.ts';
import { TOOLS } from '../support/tools.ts';
import { tempFolder, thrownBy } from './support.ts';

async function rehearsed(options: FileOptionsInput, read: Record<string, unknown> | null): Promise<void> {
  const spec = file(options);
  await spec.rehearse!(spec.options, read, 'x', '/', TOOLS);
}

it('a source can be read: a file, a file of a folder, a pipe, stdin', async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'a.ndjson'), '');
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  await rehearsed({ url: join(folder, 'a.ndjson') }, {});
  await rehearsed({ url: folder }, { path: 'a.ndjson' });
  await rehearsed({ url: folder }, { path: 'pipe' });
  await rehearsed({ url: '-' }, {});
});

it('a source cannot be read that is not there, is a folder, leads out of its folder, or is not named', async () => {
  const folder = await tempFolder();
  const outside = await tempFolder();
  await writeFile(join(outside, 'a.ndjson'), '');
  await mkdir(join(folder, 'sub'));
  await symlink(outside, join(folder, 'link'));
  for (const path of ['a.ndjson', 'sub', 'link/a.ndjson'])
    expect(await thrownBy(() => rehearsed({ url: folder }, { path }))).toMatchObject({
      code: 'SOURCE_MISSING',
      place: { at: join(folder, path) },
    });
  expect(await thrownBy(() => rehearsed({ url: folder }, {}))).toMatchObject({ code: 'CONFIG_INVALID' });
});

it('an output can be written where it is, or where it can be made; nothing is made', async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'a.ndjson'), '');
  for (const url of [folder, join(folder, 'a.ndjson'), join(folder, 'b.ndjson'), join(folder, 'new/deep/'), '-'])
    await rehearsed({ url }, null);
  expect(await readdir(folder)).toEqual(['a.ndjson']);
});

it('an output cannot be written below a file', async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'a'), '');
  for (const url of [join(folder, 'a/out'), join(folder, 'a/deep/b.ndjson')])
    expect(await thrownBy(() => rehearsed({ url }, null))).toMatchObject({ code: 'OUTPUT_UNWRITABLE' });
});
