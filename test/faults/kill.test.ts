/** kill -9 of the whole process, with a checkpoint (faults 4 and 7 of the matrix). */
import { execFileSync } from 'node:child_process';
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type KeyedParams, messageAt } from './fixtures/keyed.ts';
import type { Victim } from './fixtures/victim.ts';
import { ChildRun, Follower, Run, tempDir } from './support.ts';

const KEYS = 24;
const WINDOW = 2000;
const LOOPS = 7;
const set = { 'sources.numbers.checkpoint': true, 'sources.numbers.window.messages': WINDOW };

function written(keys: number, perKey: number): KeyedParams {
  const dir = tempDir();
  const file = join(dir, 'in.ndjson');
  writeFileSync(
    file,
    Array.from({ length: keys * perKey }, (_, position) => `${JSON.stringify(messageAt(position, keys))}\n`).join(''),
  );
  return { dir, keys, perKey, file };
}

function checkpoint(dir: string): number {
  const path = join(dir, 'data', 'checkpoints', 'numbers.json');
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).low : 0;
}

it('loses nothing over kills of the whole process, and goes on where it stood', async () => {
  const perKey = 1500;
  const params = { ...written(KEYS, perKey), second: true };
  const ledger = new Follower(params);
  let handledLate = 0;
  for (let loop = 0; loop < LOOPS; loop++) {
    const run = new ChildRun(params, { set }, 'stay');
    const before = checkpoint(params.dir);
    await run.until(() => checkpoint(params.dir) >= before + 1000, 'a checkpoint');
    await run.kill();
    const lines = ledger.lines();
    const low = checkpoint(params.dir);
    expect(low).toBeLessThan(KEYS * perKey);
    // Nothing below the checkpoint that was not handled to the end, children included.
    const ended = new Set(lines.filter(line => line.what === 'end').map(({ key, n }) => `${key} ${n}`));
    for (let position = 0; position < low; position++) {
      const { key, n } = messageAt(position, KEYS);
      if (!ended.has(`second/${key} ${n}`))
        throw new Error(`${key} ${n} is below the checkpoint ${low} and was not handled`);
    }
    // A checkpoint may lag by 200 ms; a second allows for a slow disk.
    handledLate += lines.filter(
      line => line.what === 'begin' && line.time > lines.at(-1)!.time - 1_000_000_000n,
    ).length;
  }
  const last = new ChildRun(params, { set });
  const { summary, report } = await last.over();
  const verdict = ledger.judge(handledLate + 2 * LOOPS * WINDOW);
  console.log(
    `kill -9, ${LOOPS} times: ${verdict.lost} of ${2 * KEYS * perKey} lost, ${verdict.reordered} reordered, ${verdict.repeats} repeats; ${summary.messages} messages were left for the last run`,
  );
  expect(verdict.faults).toEqual([]);
  expect(report).toMatchObject({ ok: true });
  expect(checkpoint(params.dir)).toBe(KEYS * perKey);
  // All is done: the next run has nothing to do.
  const lines = ledger.lines().length;
  const idle = new ChildRun(params, { set });
  expect((await idle.over()).summary).toMatchObject({ messages: 0, restarts: 0 });
  expect(ledger.lines()).toHaveLength(lines);
});

it('a drained runtime leaves the very position it reached', async () => {
  const params = written(4, 2500);
  const run = await Run.start(params, { set });
  await run.progress(2000, () => true);
  expect(await run.stop()).toMatchObject({ ok: true });
  expect(checkpoint(params.dir)).toBe(run.runtime.finalSummary!.messages);
  const next = await Run.start(params, { set });
  await next.runtime.settled();
  expect(next.judge(0).faults).toEqual([]);
});

it('goes on with its checkpoint after the I/O thread was replaced', async () => {
  const params = written(4, 2500);
  const run = await Run.start(params, { set });
  await run.progress(2000, () => true);
  await run.runtime.io<Victim>('victim').harm('exit', 'once');
  await run.runtime.settled();
  expect(run.judge(2 * WINDOW).faults).toEqual([]);
  expect(await run.stop()).toMatchObject({ ok: true });
  expect(checkpoint(params.dir)).toBe(4 * 2500);
});

it('refuses a checkpoint for what cannot be read again', async () => {
  await expect(Run.start({ keys: 1, perKey: 1, once: true }, { set })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('sources.numbers.checkpoint'),
  });
  await expect(Run.start({ keys: 1, perKey: 1, file: '-' }, { set })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('sources.numbers.checkpoint'),
  });
  // That a path is a pipe is known only when it is looked at.
  const dir = tempDir();
  const pipe = join(dir, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const run = await Run.start({ dir, keys: 1, perKey: 1, file: pipe }, { set });
  await expect(run.runtime.settled()).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('sources.numbers.checkpoint'),
  });
});

it('reads on in a file that has grown, and nothing of it twice', async () => {
  const params = written(4, 500);
  const first = await Run.start(params, { set });
  await first.runtime.settled();
  expect(await first.stop()).toMatchObject({ ok: true });
  const more = Array.from({ length: 400 }, (_, i) => `${JSON.stringify(messageAt(2000 + i, 4))}\n`);
  appendFileSync(params.file!, more.join(''));
  const next = await Run.start({ ...params, perKey: 600 }, { set });
  await next.runtime.settled();
  expect(await next.stop()).toMatchObject({ ok: true });
  expect(next.runtime.finalSummary).toMatchObject({ messages: 400 });
  expect(next.judge(0).faults).toEqual([]);
  expect(checkpoint(params.dir)).toBe(2400);
});

it('does not read on in another file: refused with its code, and read from its start without the checkpoint', async () => {
  const params = written(4, 500);
  const first = await Run.start(params, { set });
  await first.runtime.settled();
  await first.stop();
  const { file } = written(3, 500);
  copyFileSync(file!, params.file!);
  const refused = await Run.start(params, { set });
  await expect(refused.runtime.settled()).rejects.toMatchObject({
    code: 'SOURCE_FAILED',
    cause: { code: 'CHECKPOINT_UNUSABLE', place: { at: params.file } },
  });
  expect(await refused.stop()).toMatchObject({ ok: false });
  expect(checkpoint(params.dir)).toBe(2000);
  rmSync(join(params.dir, 'data', 'checkpoints', 'numbers.json'));
  const again = await Run.start(params, { set });
  await again.runtime.settled();
  expect(await again.stop()).toMatchObject({ ok: true });
  expect(again.runtime.finalSummary).toMatchObject({ messages: 1500 });
});

it('refuses a checkpoint file that is none, and says which', async () => {
  const params = written(1, 1);
  mkdirSync(join(params.dir, 'data', 'checkpoints'), { recursive: true });
  writeFileSync(join(params.dir, 'data', 'checkpoints', 'numbers.json'), '{"low":');
  await expect(Run.start(params, { set })).rejects.toMatchObject({
    code: 'CHECKPOINT_UNUSABLE',
    message: expect.stringContaining('numbers.json'),
  });
});
