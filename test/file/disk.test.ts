/** File systems that are full or read-only, for real: small ones are mounted, which only root may. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, type TestContext, test } from 'vitest';
import { file } from '../../actors/file/index.ts';
import { TOOLS } from '../support/tools.ts';
import { append, DONE, errorOf, opened, tempFolder, thrownBy, write } from './support.ts';

/** Mounts a tmpfs on a folder of its own for this test, or skips the test and says why. */
async function mounted(context: TestContext, options: string): Promise<string> {
  const folder = await tempFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { stdio: 'pipe' });
  } catch (error) {
    console.log(`skipped: no tmpfs could be mounted (${error instanceof Error ? error.message.trim() : error})`);
    context.skip('no tmpfs could be mounted; this needs root');
  }
  onTestFinished(() => {
    execFileSync('umount', ['-l', folder]);
  });
  return folder;
}

const record = (n: number, bytes: number) => ({ n, text: 'x'.repeat(bytes) });

test('on a full disk nothing half-written stays, and the same asks succeed once there is room', async context => {
  const folder = await mounted(context, 'size=64k');
  await writeFile(join(folder, 'ballast'), Buffer.alloc(40_000));
  const path = join(folder, 'a.ndjson');
  const { ask } = await opened({ url: folder });
  expect(await ask(append('a.ndjson', record(1, 10_000)))).toEqual([DONE]);
  const { size } = await stat(path);

  const asks = [append('a.ndjson', record(2, 15_000)), write('a.ndjson', `"${'y'.repeat(15_000)}"\n`)];
  for (let round = 0; round < 3; round++)
    for (const reply of await ask(...asks)) {
      expect(errorOf(reply)).toMatchObject({ code: 'OUTPUT_FULL', class: 'transient', place: { at: path } });
      expect(errorOf(reply).message).toContain(`cut back to its last good length, ${size} bytes`);
      expect((await stat(path)).size).toBe(size);
    }

  await unlink(join(folder, 'ballast'));
  expect(await ask(...asks)).toEqual([DONE, DONE]);
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  expect(lines.map(line => JSON.parse(line))).toEqual([record(1, 10_000), record(2, 15_000), 'y'.repeat(15_000)]);
});

test('a probe says when there is room for what failed, and leaves nothing', async context => {
  const folder = await mounted(context, 'size=64k');
  const { ask, resource } = await opened({ url: folder });
  await resource.probe!(); // nothing has failed
  await writeFile(join(folder, 'ballast'), Buffer.alloc(40_000));
  const large = append('a.ndjson', record(1, 30_000));
  expect(errorOf((await ask(large))[0]).code).toBe('OUTPUT_FULL');
  for (let round = 0; round < 3; round++)
    expect(await thrownBy(() => resource.probe!())).toMatchObject({ code: 'OUTPUT_FULL', class: 'transient' });
  // There is room, but not enough for that write.
  expect(await ask(append('b.ndjson', 1))).toEqual([DONE]);
  expect(await thrownBy(() => resource.probe!())).toMatchObject({ code: 'OUTPUT_FULL' });
  await unlink(join(folder, 'ballast'));
  await resource.probe!();
  expect((await readdir(folder)).sort()).toEqual(['a.ndjson', 'b.ndjson']);
  expect(await ask(large)).toEqual([DONE]);
});

test('a probe says when a file system can be written again', async context => {
  const folder = await mounted(context, 'size=64k,ro');
  const { ask, resource } = await opened({ url: folder });
  expect(errorOf((await ask(append('a.ndjson', 1)))[0]).code).toBe('OUTPUT_UNWRITABLE');
  expect(await thrownBy(() => resource.probe!())).toMatchObject({ code: 'OUTPUT_UNWRITABLE', class: 'transient' });
  execFileSync('mount', ['-o', 'remount,rw', folder]);
  await resource.probe!();
  expect(await readdir(folder)).toEqual([]);
});

test('a torn end that finds no room aside stays where it is', async context => {
  const folder = await mounted(context, 'size=64k');
  const torn = `1\n${'x'.repeat(40_000)}`;
  await writeFile(join(folder, 'a.ndjson'), torn);
  const { ask } = await opened({ url: folder });
  expect(errorOf((await ask(append('a.ndjson', 2)))[0]).code).toBe('OUTPUT_FULL');
  expect(await readFile(join(folder, 'a.ndjson'), 'utf8')).toBe(torn);
  expect(existsSync(join(folder, 'a.ndjson.torn-1'))).toBe(false);
});

test('a read-only file system is OUTPUT_UNWRITABLE and may heal', async context => {
  const folder = await mounted(context, 'size=64k,ro');
  const { ask } = await opened({ url: folder });
  const [refused] = await ask(append('a.ndjson', 1));
  expect(errorOf(refused)).toMatchObject({ code: 'OUTPUT_UNWRITABLE', class: 'transient' });
  execFileSync('mount', ['-o', 'remount,rw', folder]);
  expect(await ask(append('a.ndjson', 1))).toEqual([DONE]);
});

test('an output on a read-only file system is refused at opening', async context => {
  const folder = await mounted(context, 'size=64k,ro');
  for (const url of [folder, join(folder, 'a.ndjson'), join(folder, 'new/folder')]) {
    expect(await thrownBy(() => opened({ url }, { reads: false }))).toMatchObject({ code: 'OUTPUT_UNWRITABLE' });
    const spec = file({ url });
    expect(await thrownBy(() => spec.rehearse!(spec.options, null, 'out', '/', TOOLS))).toMatchObject({
      code: 'OUTPUT_UNWRITABLE',
    });
  }
});

test('a device that is full is OUTPUT_FULL and cannot be cut back', async context => {
  if (!existsSync('/dev/full')) {
    console.log('skipped: there is no /dev/full here');
    context.skip('no /dev/full');
  }
  const { ask } = await opened({ url: '/dev/full', format: 'ndjson' });
  const error = errorOf((await ask(append('', 1)))[0]);
  expect(error.code).toBe('OUTPUT_FULL');
  expect(error.message).toContain('not a regular file');
});
