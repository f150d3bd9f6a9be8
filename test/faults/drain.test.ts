/** The drain (D7): stop() while busy, and with handlers that will not end. */
import { expect, it } from 'vitest';
import type { Mischief } from './fixtures/mischief.ts';
import { Run } from './support.ts';

it('stop() while busy settles all that was given', async () => {
  const run = await Run.start({ keys: 24, second: true }, { set: { 'sources.numbers.window.messages': 4000 } });
  await run.progress(4000, () => true);
  const report = await run.stop();
  expect(report).toEqual({ ok: true, unsettled: 0, spooled: 0, lost: 0 });
  const { messages, settled } = run.runtime.finalSummary!;
  expect(settled).toEqual({ done: messages, dead: 0, dropped: 0 });
  expect(run.judge(0, { positions: messages }).faults).toEqual([]);
});

/** Ends within grace, closing and taking down, and leaves nothing that keeps the process. */
async function bounded(run: Run, graceMs: number): ReturnType<Run['stop']> {
  const began = performance.now();
  const report = await run.stop(graceMs);
  const ms = performance.now() - began;
  console.log(`stop with ${graceMs} ms of grace took ${Math.round(ms)} ms`);
  expect(ms).toBeLessThan(graceMs + 8000);
  return report;
}

it('a handler that never ends: the report says what was left, tells are spooled and told at the next start', async () => {
  const mischief: Mischief[] = [{ kind: 'hang', key: 'k3', from: 5, when: 'until-mended' }];
  const run = await Run.start({ keys: 20, perKey: 30, mischief });
  await run.progress(19 * 30, ({ key }) => key !== 'k3');
  for (let n = 31; n <= 33; n++) await run.runtime.tell('first', { key: 'k3', n });
  const report = await bounded(run, 300);
  expect(report).toMatchObject({ ok: false, unsettled: 26, spooled: 3, lost: 0, error: { code: 'DRAIN_ABANDONED' } });
  // Nothing was acked that was not settled: the first that is not is k3 5.
  expect(Math.max(...run.lines().map(line => (line.what === 'ack' ? line.n : 0)))).toBe(4 * 20 + 3);
  run.touch('mended');
  const next = await Run.start({ ...run.params, tellsOnly: true });
  await next.progress(4 + 3, ({ key }) => key === 'k3');
  expect(
    next
      .lines()
      .filter(({ what, key }) => what === 'end' && key === 'k3')
      .map(line => line.n),
  ).toEqual([1, 2, 3, 4, 31, 32, 33]);
  expect(await next.stop()).toMatchObject({ ok: true });
});

it('without a spool abandoned tells are reported as lost', async () => {
  const run = await Run.start(
    { keys: 1, tellsOnly: true, mischief: [{ kind: 'hang', key: 'k0' }] },
    { set: { spool: false } },
  );
  await run.runtime.tell('first', { key: 'k0', n: 1 });
  await run.runtime.tell('first', { key: 'k0', n: 2 });
  await run.appears('fault-hang');
  expect(await bounded(run, 100)).toMatchObject({ ok: false, spooled: 0, lost: 2 });
});

it('a host that loops cannot hold up the end', async () => {
  const run = await Run.start(
    { keys: 2, tellsOnly: true, mischief: [{ kind: 'loop', key: 'k0' }] },
    { set: { stuckMs: 60_000 } },
  );
  await run.runtime.tell('first', { key: 'k0', n: 1 });
  await run.appears('fault-loop');
  expect(await bounded(run, 100)).toMatchObject({ ok: false, spooled: 1 });
});

it('a host that dies while draining is replaced, and the drain goes on', async () => {
  const run = await Run.start({
    keys: 24,
    gated: ['k5'],
    mischief: [{ kind: 'exit', key: 'k5', from: 20, when: 'once', after: 'open' }],
  });
  await run.progress(2000, ({ key }) => key !== 'k5');
  const stopping = run.stop();
  run.touch('open');
  expect(await stopping).toEqual({ ok: true, unsettled: 0, spooled: 0, lost: 0 });
  const { messages, restarts } = run.runtime.finalSummary!;
  expect(restarts).toBe(1);
  expect(run.judge(1000, { positions: messages }).faults).toEqual([]);
});
