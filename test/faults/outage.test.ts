/** A dependency that is down (D9, rule 5): its breaker pauses just the sources that feed it, and costs no attempts. */
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type Runtime, start } from '../../runtime/index.ts';
import { judge, type Line } from '../support/ledger-judge.ts';
import { KEYS, outage } from './fixtures/outage.ts';
import type { Victim } from './fixtures/victim.ts';
import { Follower, tempDir } from './support.ts';

const PAUSED = 'breaker of io:service is open';

let runtime: Runtime | undefined;
let files: Follower;
afterEach(() => runtime?.stop({ graceMs: 0 }));

async function begin(): Promise<Runtime> {
  const dir = tempDir();
  files = new Follower({ dir, keys: KEYS });
  const module = `${new URL('./fixtures/outage.ts', import.meta.url).href}?${encodeURIComponent(dir)}`;
  runtime = await start(outage(dir), {
    module,
    threads: 2,
    dataDir: join(dir, 'data'),
    logLevel: (process.env['KEYMILL_LOG_LEVEL'] ?? 'silent') as 'silent',
  });
  return runtime;
}

const needy = ({ key }: Line): boolean => key.startsWith('needy/');
const free = ({ key }: Line): boolean => key.startsWith('free/');
/** Why a source does not read. */
async function waiting(source: string): Promise<string | undefined> {
  return new RegExp(`^keymill_source_waiting\\{source="${source}",reason="(.*)"\\} 1$`, 'm').exec(
    await runtime!.metrics(),
  )?.[1];
}

async function paused(): Promise<void> {
  while ((await waiting('toNeedy')) !== PAUSED);
}

/** Ends both sources and judges the whole run. */
async function soundly(maxRepeats: number): Promise<void> {
  files.touch('enough');
  await runtime!.settled();
  const { settled } = await runtime!.summary();
  expect(settled).toMatchObject({ dead: 0, dropped: 0 });
  const lines = files.lines();
  const given = new Map<string, number>();
  for (const { key, n, what } of lines) if (what === 'begin') given.set(key, Math.max(n, given.get(key) ?? 0));
  expect(
    judge(
      lines.filter(line => line.what !== 'ack'),
      { given, maxRepeats },
    ).faults,
  ).toEqual([]);
}

it('pauses the source that feeds it, and no other, until a probe succeeds', async () => {
  await begin();
  await paused();
  const before = files.handled(free);
  await files.progress(before + 10_000, free); // much longer than two attempts with 10 ms between them
  await files.appears('probed');
  // The probe hangs: nothing says yet that the service is well.
  for (let i = 0; i < 20; i++) expect(await waiting('toNeedy')).toBe(PAUSED);
  expect(files.handled(needy)).toBe(0);
  expect(await waiting('toFree')).not.toBe(PAUSED);
  const unsettled = /^keymill_source_unsettled\{source="toNeedy"\} (\d+)$/m.exec(await runtime!.metrics())![1];
  expect(Number(unsettled)).toBeLessThanOrEqual(200);
  files.touch('up');
  await files.progress(2000, needy);
  await soundly(files.lines().filter(line => line.what === 'fail').length);
});

it('forgets an open breaker with the I/O thread that had it', async () => {
  await begin();
  await paused();
  // When the new thread comes up, the service is well: its breaker never opens, so nothing says that it closed.
  await runtime!.io<Victim>('victim').harm('exit', 'once');
  await files.progress(2000, needy);
  await soundly(files.lines().filter(line => line.what === 'fail').length + 1000);
});
