/** The I/O thread dies or stands still: its sources go on from what was settled last, and its stores work again. */
import { mkdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Mischief } from './fixtures/mischief.ts';
import type { Victim } from './fixtures/victim.ts';
import { Run } from './support.ts';

/** What may be given again after one death: all behind the oldest unsettled one, settled or not. */
const GAP = 5000;
const set = {
  stuckMs: 500,
  'sources.numbers.window.messages': 2000,
  'sources.numbers.maxAckGap.messages': GAP,
};
/** One message dies after the thread was replaced, to see that the dead-letter store works. */
const later = (file: string): Mischief[] => [{ kind: 'fail', key: 'k3', when: 'once', after: file, class: 'fatal' }];

async function survives(how: 'exit' | 'block', run: Run, restarts = 1): Promise<void> {
  await run.progress(3000, () => true);
  await run.runtime.io<Victim>('victim').harm(how, 'once');
  const settledBefore = run.lines().findLast(line => line.what === 'ack')!.n;
  await run.appears('fault-fail');
  const [letter] = await run.answers(
    () => run.runtime.deadLetters.list(),
    list => list.length > 0,
    'the dead letter',
  );
  const { key, n } = letter!.message as { key: string; n: number };
  const dead = `${key} ${n}`;
  await run.progress(6000, () => true);
  const summary = await run.finish();
  const verdict = run.judge(GAP * restarts, { excused: new Set([dead]) });
  console.log(
    `I/O thread, ${how}: gone for ${summary.longestRecoveryMs} ms; ${verdict.lost} lost, ${verdict.repeats} repeats; settled up to ${settledBefore} before`,
  );
  expect(verdict.faults).toEqual([]);
  expect(letter).toMatchObject({ id: expect.stringMatching(/^numbers\/0\/\d+$/), key: 'k3' });
  expect(summary).toMatchObject({ ok: true, restarts });
  // Each message of the source counts once, whichever life of the thread gave it.
  const messages = Number(readFileSync(join(run.dir, 'given'), 'utf8'));
  const { done, dead: died, dropped } = summary.settled;
  expect([summary.messages, done + died, dropped]).toEqual([messages, messages, 0]); // given again, it may not die again
  // Never behind what was settled: acks only grow.
  const acks = run
    .lines()
    .filter(line => line.what === 'ack')
    .map(line => line.n);
  expect(acks).toEqual(acks.toSorted((a, b) => a - b));
  expect(await run.stop()).toMatchObject({ ok: true });
}

it('goes on after process.exit in an I/O actor', async () => {
  await survives('exit', await Run.start({ keys: 24, mischief: later('io-exit') }, { set }));
});

it('goes on after an I/O actor blocked its thread', async () => {
  await survives('block', await Run.start({ keys: 24, mischief: later('io-block') }, { set }));
});

it('gives again what settled behind one that did not, and never more than the ack gap', async () => {
  const run = await Run.start({ keys: 24, gated: ['k5'] }, { set });
  await run.answers(
    () => run.waitingFor('numbers'),
    reason => reason === 'ack gap (messages)',
    'the source to wait',
  );
  await run.progress(GAP * 0.9, () => true);
  await run.runtime.io<Victim>('victim').harm('exit', 'once');
  run.touch('open');
  await run.finish();
  const verdict = run.judge(GAP);
  expect(verdict.faults).toEqual([]);
  expect(verdict.repeats).toBeGreaterThan(GAP * 0.9);
});

it('goes on when a host dies right after it', async () => {
  const mischief: Mischief[] = [
    { kind: 'exit', key: 'second/k7', when: 'once', after: 'io-exit' },
    ...later('io-exit'),
  ];
  const run = await Run.start({ keys: 24, second: true, mischief }, { set });
  await survives('exit', run, 2);
});

it('quarantines an ask that takes the thread down each time; whoever asked is told', async () => {
  const run = await Run.start({ keys: 24 }, { set });
  await expect(run.runtime.io<Victim>('victim').harm('exit', 'always')).rejects.toMatchObject({ code: 'HOST_KILLED' });
  await run.progress(3000, () => true);
  const summary = await run.finish();
  expect(summary).toMatchObject({ ok: true, restarts: 4 });
  expect(run.judge(4 * GAP).faults).toEqual([]);
});

it('tries again when its replacement cannot start, until it can', async () => {
  const run = await Run.start({ keys: 24 }, { set });
  const store = join(run.dir, 'data', 'dead-letters.ndjson');
  await run.progress(2000, () => true);
  rmSync(store);
  mkdirSync(store);
  const asked = run.runtime.io<Victim>('victim').harm('exit', 'once');
  const health = await run.answers(
    () => run.runtime.health(),
    answer => answer.status !== 'ok' && answer.restarts > 2,
    'replacements that fail',
  );
  expect(health.reasons.join()).toContain('io 3 is');
  rmdirSync(store);
  await asked;
  await run.progress(8000, () => true);
  await run.finish();
  expect(run.judge(2 * GAP).faults).toEqual([]);
  expect(await run.stop()).toMatchObject({ ok: true });
});
