/** Hosts that die or stand still (faults 1, 2, 3 and 5 of the matrix): nothing is lost, and the others go on. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { StopReport, Summary } from '../../runtime/index.ts';
import { readLedgers } from '../support/ledger-judge.ts';
import type { KeyedParams } from './fixtures/keyed.ts';
import type { Kind } from './fixtures/mischief.ts';
import { judgeKeyed, Run, recovery, tempDir } from './support.ts';

/** Small enough to bound repeats, large enough to keep the other host busy while one is away. */
const WINDOW = 16_000;
const MAX_REPEATS = 1000;
const set = { stuckMs: 500, 'window.messages': WINDOW };

async function survives(kind: Kind, more: Partial<KeyedParams> = {}): Promise<void> {
  const run = await Run.start({ keys: 24, mischief: [{ kind, key: more.second ? 'second/k7' : 'k7', from: 20, when: 'once' }], ...more }, { set });
  await run.appears(`fault-${kind}`);
  await run.until(() => run.lines().some(line => line.what === `fault:${kind}`), 'the fault');
  const fault = run.lines().find(line => line.what === `fault:${kind}`)!;
  await run.progress(200, line => line.host === fault.host && line.life !== fault.life);
  const summary = await run.finish();
  const verdict = run.judge(MAX_REPEATS);
  const { text, othersMeanwhile } = recovery(run.lines(), fault, summary);
  console.log(`${kind}: ${text}; ${verdict.lost} of ${summary.messages} messages lost, ${verdict.repeats} repeats`);
  expect(verdict.faults).toEqual([]);
  expect(othersMeanwhile).toBeGreaterThan(0);
  expect(summary).toMatchObject({ ok: true, restarts: 1, settled: { dead: 0, dropped: 0, done: summary.messages } });
  expect(summary.longestRecoveryMs).toBeLessThan(5000);
  expect(await run.stop()).toMatchObject({ ok: true, unsettled: 0, lost: 0 });
}

it('survives process.exit in a handler', () => survives('exit'));
it('survives process.exit in a batch handler', () => survives('exit', { actor: 'batch' }));
it('survives process.exit in the second of two actors', () => survives('exit', { second: true }));
it('survives an error thrown outside of any handler', () => survives('throw-outside'));
it('survives an unhandled rejection', () => survives('reject-unhandled'));
it('replaces a host that loops', () => survives('loop'));
it('replaces a host that is blocked for a minute', () => survives('block'));

it('survives a host that runs out of heap', async () => {
  const dir = tempDir();
  const params: KeyedParams = { dir, keys: 24, perKey: 400, mischief: [{ kind: 'heap', key: 'k7', from: 20, when: 'once' }] };
  // In a process of its own: V8 may abort all of it, and then this test must say so.
  const options = { set: { 'heap.maxMb': 48, 'window.messages': WINDOW } };
  const child = spawn(process.execPath, [fileURLToPath(new URL('./fixtures/child.ts', import.meta.url)), JSON.stringify(params), JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.on('data', chunk => {
    printed += chunk;
  });
  const [code] = await once(child, 'close');
  expect(code).toBe(0);
  const { summary, report } = JSON.parse(printed) as { summary: Summary; report: StopReport };
  const lines = readLedgers(dir);
  const verdict = judgeKeyed(params, lines, MAX_REPEATS);
  const { text } = recovery(lines, lines.find(line => line.what === 'fault:heap')!, summary);
  console.log(`heap: ${text}; ${verdict.lost} of ${summary.messages} messages lost, ${verdict.repeats} repeats`);
  expect(verdict.faults).toEqual([]);
  expect(report).toMatchObject({ ok: true });
  expect(summary).toMatchObject({ restarts: 1, settled: { done: 9600, dead: 0, dropped: 0 } });
  rmSync(dir, { recursive: true });
});
