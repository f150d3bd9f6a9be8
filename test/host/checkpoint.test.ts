/** The file of a checkpoint: when it is written, what it holds, and what is done about one that cannot be read. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Checkpoint } from '../../runtime/host/checkpoint.ts';
import { inFile } from '../../runtime/host/checkpoint-place.ts';
import type { Log } from '../../runtime/topology/define.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

async function opened(folder?: string) {
  const dir = folder ?? (await tempFolder('checkpoint'));
  const environment = virtualEnvironment();
  const errors: string[] = [];
  const log = { ...SILENT, error: (_: object, text: string) => void errors.push(text) };
  const checkpoint = await Checkpoint.open(inFile(dir, 'in/put'), 'in/put', environment, log);
  const path = join(dir, 'checkpoints', 'in%2Fput.json');
  const read = async () => JSON.parse(await readFile(path, 'utf8'));
  return { dir, path, environment, errors, checkpoint, read };
}

it('is at the start where there is none', async () => {
  const { checkpoint, dir } = await opened();
  expect([checkpoint.low, checkpoint.mark]).toEqual([0, undefined]);
  await checkpoint.save();
  expect(await readdir(join(dir, 'checkpoints'))).toEqual([]);
});

it('is written 200 ms after something settled, once for all that settled meanwhile, and not again for nothing', async () => {
  const { checkpoint, environment, read, path, dir } = await opened();
  checkpoint.note(3);
  await environment.advance(199);
  await expect(read()).rejects.toThrow('ENOENT');
  checkpoint.note(7);
  await environment.advance(1);
  await checkpoint.save();
  expect(await read()).toEqual({ v: 1, source: 'in/put', low: 7, at: '2026-01-01T00:00:00.200Z' });
  expect(environment.pendingTimers).toBe(0);
  expect(await readdir(join(dir, 'checkpoints'))).toEqual(['in%2Fput.json']);
  await rm(path);
  await checkpoint.save();
  await expect(read()).rejects.toThrow('ENOENT');
  checkpoint.note(8);
  await checkpoint.save(); // at close it does not wait
  expect(await read()).toMatchObject({ low: 8 });
});

it('keeps what the source says of its input, and gives it to the next process', async () => {
  const { checkpoint, dir, read } = await opened();
  let mark: unknown;
  checkpoint.follow({ mark: () => mark });
  checkpoint.note(1);
  await checkpoint.save();
  expect(await read()).not.toHaveProperty('mark');
  mark = { bytes: 5 };
  checkpoint.note(2);
  await checkpoint.save();
  const next = await opened(dir);
  expect([next.checkpoint.low, next.checkpoint.mark]).toEqual([2, { bytes: 5 }]);
  next.checkpoint.note(3); // before anything was read anew
  await next.checkpoint.save();
  expect(await read()).toMatchObject({ low: 3, mark: { bytes: 5 } });
});

it('that cannot be written is written later, and the log says so', async () => {
  const { checkpoint, environment, dir, errors, read } = await opened();
  await rm(join(dir, 'checkpoints'), { recursive: true });
  checkpoint.note(5);
  await checkpoint.save();
  expect(errors).toEqual(['checkpoint not written; tried again']);
  await mkdir(join(dir, 'checkpoints'));
  await environment.advance(1000);
  await checkpoint.save();
  expect(await read()).toMatchObject({ low: 5 });
  expect(errors).toHaveLength(1);
});

it.each([
  ['nothing', ''],
  ['half of one', '{"v":1,"source":"in/put","lo'],
  ['null', 'null'],
  ['another version', '{"v":2,"source":"in/put","low":5}'],
  ['no position', '{"v":1,"source":"in/put","low":"5"}'],
  ['a position that is none', '{"v":1,"source":"in/put","low":-5}'],
  ['the checkpoint of another source', '{"v":1,"source":"other","low":5}'],
])('that holds %s is CHECKPOINT_UNUSABLE, with its path', async (_what, text) => {
  const { path, dir } = await opened();
  await writeFile(path, text);
  await expect(opened(dir)).rejects.toMatchObject({
    code: 'CHECKPOINT_UNUSABLE',
    place: { source: 'in/put', at: path },
    message: expect.stringContaining(path),
    todo: expect.stringContaining('delete the checkpoint file'),
  });
});

it('that is no file is CHECKPOINT_UNUSABLE, and a folder that cannot be made OUTPUT_UNWRITABLE', async () => {
  const { path, dir } = await opened();
  await mkdir(path);
  await expect(opened(dir)).rejects.toMatchObject({ code: 'CHECKPOINT_UNUSABLE' });
  const other = await tempFolder('checkpoint');
  await writeFile(join(other, 'checkpoints'), '');
  await expect(opened(other)).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE' });
});
