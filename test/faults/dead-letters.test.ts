/** A dead-letter store that cannot be written (rule 6): what belongs there stays unsettled, pushes back, and heals. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { Run, tempDir } from './support.ts';

const KEYS = 20;
const mounts: string[] = [];

afterEach(() => {
  for (const mount of mounts.splice(0)) execFileSync('umount', ['-l', mount]);
});

/** A folder on a small file system of its own, or undefined where that is not allowed. */
function smallDisk(dir: string): string | undefined {
  const disk = join(dir, 'disk');
  mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  mounts.push(disk);
  return disk;
}

function fill(disk: string): void {
  const file = openSync(join(disk, 'filler'), 'w');
  try {
    for (;;) writeSync(file, Buffer.alloc(4096));
  } catch {
    closeSync(file);
  }
}

it('a full disk holds messages back, loses none, and is no longer felt when there is room', async context => {
  const dir = tempDir();
  const disk = smallDisk(dir);
  if (disk === undefined) return context.skip('needs the right to mount a tmpfs');
  const mischief = [{ kind: 'fail', key: 'k3', from: 10, to: 14, class: 'fatal' }] as const;
  const set = { 'deadLetters.retryMs': 50, 'sources.numbers.maxAckGap.messages': 1000 };
  fill(disk);
  const run = await Run.start({ dir, keys: KEYS, perKey: 200, mischief }, { set, dataDir: disk });
  const first = 9 * KEYS + 3;
  // It pushes back: the source gives no more than the ack gap beyond the first message that cannot be buried.
  await run.answers(
    () => run.waitingFor('numbers'),
    reason => reason === 'ack gap (messages)',
    'a source that waits',
  );
  const stuck = await run.answers(
    () => run.runtime.summary(),
    ({ messages, settled }) => settled.done === messages - 5,
    'rest',
  );
  expect(stuck).toMatchObject({ messages: first + 1000, settled: { done: first + 1000 - 5, dead: 0, dropped: 0 } });
  expect(await run.runtime.deadLetters.list()).toEqual([]);
  // Not one ack went beyond it.
  expect(Math.max(...run.lines().map(line => (line.what === 'ack' ? line.n : 0)))).toBe(first);
  rmSync(join(disk, 'filler'));
  await run.runtime.settled();
  // Each letter is retried on its own: which one finds room first is chance.
  const letters = (await run.runtime.deadLetters.list()).map(letter => letter.message as { key: string; n: number });
  expect(letters.sort((a, b) => a.n - b.n)).toEqual([10, 11, 12, 13, 14].map(n => ({ key: 'k3', n })));
  expect(await run.runtime.summary()).toMatchObject({ settled: { done: KEYS * 200 - 5, dead: 5, dropped: 0 } });
  expect(run.judge(0, { excused: new Set([10, 11, 12, 13, 14].map(n => `k3 ${n}`)) }).faults).toEqual([]);
  expect(await run.stop()).toMatchObject({ ok: true });
});

it('a store that cannot even be opened fails the start, and says which file it is', async () => {
  const dir = tempDir();
  mkdirSync(join(dir, 'data', 'dead-letters.ndjson'), { recursive: true });
  await expect(Run.start({ dir, keys: 2, perKey: 1 })).rejects.toMatchObject({
    code: 'OUTPUT_UNWRITABLE',
    message: expect.stringContaining('dead-letters.ndjson'),
  });
  rmSync(dir, { recursive: true });
});
