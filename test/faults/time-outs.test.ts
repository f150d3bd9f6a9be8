/** Handlers that take too long (rule 9): the key is held until the old call ended, or its host was recycled. */
import { expect, it } from 'vitest';
import type { Line } from '../support/ledger-judge.ts';
import type { Mischief } from './fixtures/mischief.ts';
import { Run } from './support.ts';

const KEYS = 20;
const well = ({ key }: Line): boolean => key !== 'k3';

it('a call that times out holds its key, and no other, until it ends', async () => {
  const mischief: Mischief[] = [{ kind: 'linger', key: 'k3', from: 5, to: 5, when: 'until-mended' }];
  const run = await Run.start({ keys: KEYS, perKey: 100, mischief }, { set: { 'actors.first.timeoutMs': 50 } });
  await run.progress((KEYS - 1) * 100, well);
  await run.answers(
    () => run.runtime.summary(),
    ({ perActor }) => perActor['first']!.timeouts > 0,
    'the time-out',
  );
  expect(run.handled(line => !well(line))).toBe(4);
  run.touch('mended');
  await run.runtime.settled();
  expect(run.judge(0).faults).toEqual([]); // it ended well, though late
  expect(await run.runtime.summary()).toMatchObject({
    restarts: 0,
    settled: { done: KEYS * 100, dead: 0, dropped: 0 },
  });
});

it('a call that lingers has its host recycled; only it is suspected', async () => {
  const mischief: Mischief[] = [{ kind: 'hang', key: 'k3', from: 5, to: 5, when: 'once' }];
  const run = await Run.start(
    { keys: KEYS, mischief },
    { set: { 'actors.first.timeoutMs': 50, 'actors.first.zombieMs': 100, 'sources.numbers.window.messages': 4000 } },
  );
  await run.progress(50, line => !well(line));
  const summary = await run.finish();
  console.log(`zombie: host down ${summary.longestRecoveryMs} ms`);
  expect(summary).toMatchObject({ restarts: 1, settled: { done: summary.messages, dead: 0, dropped: 0 } });
  expect(await run.runtime.metrics()).toContain('keymill_host_restarts_total{cause="zombie"} 1\n');
  expect(run.judge(1000).faults).toEqual([]);
});

it('a call that hangs each time is quarantined; nobody else is blamed', async () => {
  const mischief: Mischief[] = [
    { kind: 'hang', key: 'k3', from: 5, to: 5 },
    // In flight on both hosts all the time, and innocent.
    { kind: 'linger', key: 'k4', from: 5, to: 5, when: 'until-mended' },
    { kind: 'linger', key: 'k5', from: 5, to: 5, when: 'until-mended' },
    { kind: 'linger', key: 'k6', from: 5, to: 5, when: 'until-mended' },
  ];
  const run = await Run.start(
    { keys: KEYS, perKey: 30, mischief },
    { set: { 'actors.first.timeoutMs': 300, 'actors.first.zombieMs': 100 } },
  );
  await run.appears('fault-hang');
  run.touch('mended');
  await run.runtime.settled();
  const letters = await run.runtime.deadLetters.list();
  const { restarts } = await run.runtime.summary();
  console.log(`hang: quarantined after ${restarts} recycled hosts`);
  expect(letters.map(({ message, error }) => [message, error.code])).toEqual([[{ key: 'k3', n: 5 }, 'HOST_KILLED']]);
  expect(run.judge(1000, { excused: new Set(['k3 5']) }).faults).toEqual([]);
});
