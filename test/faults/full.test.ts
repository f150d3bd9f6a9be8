/** Full mailboxes (E5): each mode, with exact counts. */
import { expect, it } from 'vitest';
import type { Line } from '../support/ledger-judge.ts';
import { Run } from './support.ts';

const ROOM = 10;
const TOLD = 51;
const last = (count: number): number[] => Array.from({ length: count }, (_, i) => TOLD - count + 1 + i);

/** The gate holds message 1 in the handler; then 50 more come for ten places. */
async function overfill(full: string): Promise<Run> {
  const run = await Run.start(
    { keys: 2, tellsOnly: true, gated: ['k0'] },
    { set: { 'actors.first.mailbox': { full, maxMessages: ROOM } } },
  );
  await run.runtime.tell('first', { key: 'k0', n: 1 });
  await run.until(() => run.lines().length > 0, 'the first message');
  for (let n = 2; n <= TOLD; n++) await run.runtime.tell('first', { key: 'k0', n });
  return run;
}

async function handled(run: Run): Promise<number[]> {
  run.touch('open');
  await run.progress(1 + ROOM, ({ key }) => key === 'k0');
  expect(await run.stop()).toMatchObject({ ok: true });
  return run
    .lines()
    .filter(line => line.what === 'end')
    .map(line => line.n);
}

it.each([
  ['DropOldest', [1, ...last(ROOM)]],
  ['DropNewest', [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, TOLD]],
  ['DropWrite', [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]],
])('%s drops what it says, and counts it', async (full, kept) => {
  const run = await overfill(full);
  const dropped = TOLD - 1 - ROOM;
  await run.answers(
    () => run.runtime.summary(),
    ({ settled }) => settled.dropped === dropped,
    'the drops',
  );
  expect(await run.runtime.metrics()).toContain(`keymill_dropped_total{actor="first",reason="${full}"} ${dropped}\n`);
  expect(await handled(run)).toEqual(kept);
  expect(run.runtime.finalSummary).toMatchObject({
    messages: TOLD,
    settled: { done: 1 + ROOM, dead: 0, dropped },
    perActor: { first: { dropped } },
  });
});

it('an ask, and a tell until settled, learn that they were dropped', async () => {
  const run = await overfill('DropWrite');
  await expect(run.runtime.ask('first', { key: 'k0', n: 52 })).rejects.toMatchObject({ code: 'MAILBOX_FULL' });
  await expect(run.runtime.tell('first', { key: 'k0', n: 53 }, { until: 'settled' })).rejects.toMatchObject({
    code: 'MAILBOX_FULL',
  });
  expect(await handled(run)).toHaveLength(1 + ROOM);
});

it('Wait makes tells wait, then fails them with MAILBOX_FULL; other keys go on', async () => {
  const set = { 'window.messages': 80, 'actors.first.mailbox': { full: 'Wait', waitMs: 50 } };
  const run = await Run.start({ keys: 2, tellsOnly: true, gated: ['k0'] }, { set });
  let told = 0;
  let refused: unknown;
  while (refused === undefined) {
    await run.runtime.tell('first', { key: 'k0', n: told + 1 }).then(
      () => told++,
      error => {
        refused = error;
      },
    );
    await run.runtime.key('first', 'k0').inspect(); // a turn of the host, or the whole window would be told in one of ours
  }
  expect(refused).toMatchObject({ code: 'MAILBOX_FULL' });
  expect(told).toBeGreaterThanOrEqual(80 / 8);
  expect(told).toBeLessThan(80);
  expect(run.runtime.tryTell('first', { key: 'k0', n: told + 1 })).toBe(false);
  await run.runtime.tell('first', { key: 'k1', n: 1 }, { until: 'settled' });
  const waiting = run.runtime.tell('first', { key: 'k0', n: told + 1 }, { waitMs: 20_000 });
  run.touch('open');
  await waiting;
  await run.progress(told + 2, () => true);
  expect(await run.stop()).toMatchObject({ ok: true });
  expect(
    run
      .lines()
      .filter(({ what, key }) => what === 'end' && key === 'k0')
      .map(line => line.n),
  ).toEqual(Array.from({ length: told + 1 }, (_, i) => i + 1));
});

const sick = { kind: 'fail', key: 'k3', when: 'until-mended', class: 'transient' } as const;
const well = ({ key }: Line): boolean => key !== 'k3';

it('a source is never dropped from without allowLoss', async () => {
  const run = await Run.start(
    { keys: 20, perKey: 500, mischief: [sick] },
    {
      set: {
        'actors.first.mailbox': { full: 'DropWrite', maxMessages: ROOM },
        'actors.first.retry': { delayMs: 10, maxDelayMs: 50 },
        // A fast source has given all before it is told to hold; its window makes it wait in any case.
        'sources.numbers.window': { messages: 200 },
      },
    },
  );
  await run.answers(
    () => run.waitingFor('numbers'),
    reason => reason !== undefined,
    'a source that waits',
  );
  run.touch('mended');
  await run.runtime.settled();
  expect(await run.runtime.summary()).toMatchObject({ settled: { done: 10_000, dead: 0, dropped: 0 } });
  expect(run.judge(100_000).faults).toEqual([]);
});

it('a source is dropped from with allowLoss, and every drop is counted', async () => {
  const run = await Run.start(
    { keys: 20, perKey: 60, mischief: [sick] },
    {
      set: {
        'actors.first.mailbox': { full: 'DropOldest', maxMessages: ROOM, allowLoss: true },
        'actors.first.retry': { delayMs: 10, maxDelayMs: 50 },
      },
    },
  );
  await run.answers(
    () => run.runtime.summary(),
    ({ settled, messages }) => messages === 1200 && settled.done + settled.dropped >= 1200 - 2 * ROOM,
    'the others',
  );
  expect(run.handled(well)).toBeGreaterThan(0);
  run.touch('mended');
  await run.runtime.settled();
  const { settled } = await run.runtime.summary();
  const distinct = new Set(
    run
      .lines()
      .filter(line => line.what === 'end')
      .map(({ key, n }) => `${key} ${n}`),
  );
  expect(settled.dropped).toBeGreaterThan(0);
  expect(settled).toEqual({ done: distinct.size, dead: 0, dropped: 1200 - distinct.size });
  expect(await run.runtime.metrics()).toContain(
    `keymill_dropped_total{actor="first",reason="DropOldest"} ${settled.dropped}\n`,
  );
  const missing = new Set(
    Array.from({ length: 1200 }, (_, i) => `k${i % 20} ${Math.floor(i / 20) + 1}`).filter(name => !distinct.has(name)),
  );
  expect(run.judge(10_000, { excused: missing }).faults).toEqual([]);
});
