/** A message that kills its host each time it is handled: it alone is quarantined, after three deaths alone (rule 10). */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { KeyedParams } from './fixtures/keyed.ts';
import { Run } from './support.ts';

const KEYS = 12;
const set = { quarantineAfter: 3, 'restart.maxDelayMs': 50 };

async function quarantines(more: Partial<KeyedParams>): Promise<void> {
  const poison = more.second ? 'second/k5' : 'k5';
  const run = await Run.start(
    { keys: KEYS, perKey: 60, mischief: [{ kind: 'exit', key: poison, from: 30, to: 30 }], ...more },
    { set },
  );
  await run.runtime.settled();
  const [letter, ...others] = await run.runtime.deadLetters.list();
  const summary = await run.runtime.summary();
  const deaths = run.lines().filter(line => line.what === 'fault:exit').length;
  const verdict = run.judge(1000, { excused: new Set([`${poison} 30`]) });
  console.log(
    `${more.actor ?? 'handle'}: quarantined after ${deaths} deaths and ${summary.seconds} s, ${verdict.repeats} repeats; longest recovery ${summary.longestRecoveryMs} ms`,
  );
  expect(others).toEqual([]);
  const position = 29 * KEYS + 5;
  expect(letter).toMatchObject({
    id: `numbers/0/${position}${more.second ? '.0' : ''}`,
    key: poison,
    message: { key: poison, n: 30 },
    error: { code: 'HOST_KILLED' },
  });
  // Once in the crowd, where nobody knows who it was, and three times alone.
  expect(deaths).toBe(4);
  expect(summary).toMatchObject({
    restarts: 4,
    messages: KEYS * 60,
    settled: { dead: more.second ? 0 : 1, dropped: 0 },
  });
  expect(verdict.faults).toEqual([]);
  expect(await run.stop()).toMatchObject({ ok: true });
}

it('quarantines a poison message of a handler, and no neighbour', () => quarantines({}));
it('quarantines a poison message of a batch handler, and none of its batch', () => quarantines({ actor: 'batch' }));
it('quarantines a poison message of a batch across keys, and none of its batch', () =>
  quarantines({ actor: 'across' }));
it('quarantines a poison message that a handler sent', () => quarantines({ second: true }));

it('quarantines a poison message of a batch handler that returns no promise', () =>
  quarantines({ actor: 'batch', sync: true }));
it('quarantines a poison message behind others that wait for their children', async () => {
  // The second actor fails for now, so that everything of the first stays unsettled, done or not.
  const mischief = [
    { kind: 'exit', key: 'k5', from: 230, to: 230 },
    { kind: 'fail', key: 'second/*', when: 'until-mended', class: 'transient' },
  ] as const;
  const run = await Run.start(
    { keys: KEYS, perKey: 400, actor: 'batch', second: true, mischief },
    { set: { ...set, 'actors.second.retry': { maxDelayMs: 200 } } },
  );
  await run.until(
    () =>
      existsSync(join(run.dir, 'data', 'dead-letters.ndjson')) &&
      statSync(join(run.dir, 'data', 'dead-letters.ndjson')).size > 0,
    'the dead letter',
  );
  run.touch('mended');
  await run.runtime.settled();
  const letters = await run.runtime.deadLetters.list();
  const { restarts } = await run.runtime.summary();
  console.log(`quarantined after ${restarts} deaths`);
  expect(letters.map(letter => letter.message)).toEqual([{ key: 'k5', n: 230 }]);
  expect(run.judge(100_000, { excused: new Set(['k5 230', 'second/k5 230']) }).faults).toEqual([]);
});

it('blames nobody for two poison messages but the two', async () => {
  const mischief = [
    { kind: 'exit', key: 'k5', from: 30, to: 30 },
    { kind: 'loop', key: 'k5', from: 31, to: 31 },
    { kind: 'exit', key: 'k6', from: 10, to: 10 },
  ] as const;
  const run = await Run.start({ keys: KEYS, perKey: 60, mischief, actor: 'batch' }, { set: { ...set, stuckMs: 400 } });
  await run.runtime.settled();
  const letters = await run.runtime.deadLetters.list();
  expect(letters.map(letter => letter.message)).toEqual(
    expect.arrayContaining([
      { key: 'k5', n: 30 },
      { key: 'k5', n: 31 },
      { key: 'k6', n: 10 },
    ]),
  );
  expect(letters).toHaveLength(3);
  expect(run.judge(2000, { excused: new Set(['k5 30', 'k5 31', 'k6 10']) }).faults).toEqual([]);
});
