/** Hosts that die or stand still (faults 1, 2, 3 and 5 of the matrix): nothing is lost, and the others go on. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type KeyedParams, messageAt } from './fixtures/keyed.ts';
import type { Kind } from './fixtures/mischief.ts';
import { ChildRun, Run, recovery, tempDir } from './support.ts';

/** Small enough to bound repeats, large enough to keep the other host busy while one is away. */
const WINDOW = 16_000;
const MAX_REPEATS = 1000;
const set = { stuckMs: 500, 'window.messages': WINDOW };

async function survives(kind: Kind, more: Partial<KeyedParams> = {}): Promise<void> {
  const run = await Run.start(
    { keys: 24, mischief: [{ kind, key: more.second ? 'second/k7' : 'k7', from: 20, when: 'once' }], ...more },
    { set },
  );
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
  // The dead host's part is in the sums: each message once, and again as often as the ledger saw it at most.
  for (const name of more.second ? ['first', 'second'] : ['first']) {
    const { handled } = summary.perActor[name]!;
    expect(handled).toBeGreaterThanOrEqual(summary.messages);
    expect(handled).toBeLessThanOrEqual(summary.messages + verdict.repeats);
  }
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
  // In a process of its own: V8 may abort all of it, and then this test must say so.
  const run = new ChildRun(
    { dir: tempDir(), keys: 24, perKey: 400, mischief: [{ kind: 'heap', key: 'k7', from: 20, when: 'once' }] },
    { set: { 'heap.maxMb': 48, 'window.messages': WINDOW } },
  );
  const { summary, report } = await run.over();
  const verdict = run.judge(MAX_REPEATS);
  const lines = run.lines();
  const { text } = recovery(lines, lines.find(line => line.what === 'fault:heap')!, summary);
  console.log(`heap: ${text}; ${verdict.lost} of ${summary.messages} messages lost, ${verdict.repeats} repeats`);
  expect(verdict.faults).toEqual([]);
  expect(report).toMatchObject({ ok: true });
  expect(summary).toMatchObject({ restarts: 1, settled: { done: 9600, dead: 0, dropped: 0 } });
});

it('settles every tell though a host dies under them', async () => {
  const run = await Run.start({
    keys: 20,
    tellsOnly: true,
    mischief: [{ kind: 'exit', key: 'k7', from: 10, when: 'once' }],
  });
  const tells = Array.from({ length: 1000 }, (_, i) =>
    run.runtime.tell('first', messageAt(i, 20), { until: 'settled' }),
  );
  await Promise.all(tells);
  expect(run.judge(MAX_REPEATS, { positions: 1000 }).faults).toEqual([]);
  expect(await run.runtime.summary()).toMatchObject({ restarts: 1, settled: { done: 1000, dead: 0, dropped: 0 } });
});

it('survives eight deaths in a row, and quarantines nobody', async () => {
  const mischief = Array.from(
    { length: 8 },
    (_, i) => ({ kind: 'exit', key: `second/k${i}`, from: 20 * i + 20, when: 'once' }) as const,
  );
  const window = 2000;
  const run = await Run.start(
    { keys: 24, second: true, mischief },
    { set: { ...set, 'sources.numbers.window.messages': window, 'restart.maxDelayMs': 20 } },
  );
  await run.until(() => run.lines().filter(line => line.what === 'fault:exit').length === 8, 'eight deaths');
  const last = run.lines().findLast(line => line.what === 'fault:exit')!;
  await run.progress(200, line => line.time > last.time && line.host === last.host && line.life !== last.life);
  const summary = await run.finish();
  const verdict = run.judge(8 * 2 * window); // at each death all that is unsettled, in both actors, at most
  console.log(
    `eight deaths: longest recovery ${summary.longestRecoveryMs} ms; ${verdict.lost} of ${summary.messages} messages lost, ${verdict.repeats} repeats`,
  );
  expect(verdict.faults).toEqual([]);
  expect(summary).toMatchObject({ ok: true, restarts: 8, settled: { done: summary.messages, dead: 0, dropped: 0 } });
});

it('tries again when the init hook of a replacement fails, until it does not', async () => {
  const run = await Run.start(
    { keys: 24, mischief: [{ kind: 'exit', key: 'k7', when: 'once', after: 'sick' }] },
    { set },
  );
  run.touch('sick');
  await run.appears('fault-exit');
  const health = await run.answers(
    () => run.runtime.health(),
    answer => answer.status !== 'ok' && answer.restarts > 2,
    'replacements that fail',
  );
  expect(health.reasons.join()).toMatch(/host [12] is/);
  rmSync(join(run.dir, 'sick'));
  const fault = run.lines().find(line => line.what === 'fault:exit')!;
  await run.progress(200, line => line.host === fault.host && line.life !== fault.life);
  await run.finish();
  expect(run.judge(MAX_REPEATS).faults).toEqual([]);
  expect(await run.stop()).toMatchObject({ ok: true });
});
