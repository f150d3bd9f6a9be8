/** The heap watermark (rule 18): above it a host takes nothing in; if that does not help it is recycled, once. */
import { expect, it } from 'vitest';
import type { Mischief } from './fixtures/mischief.ts';
import { Run } from './support.ts';

const hoards = (when?: 'once'): Mischief[] => [{ kind: 'hoard', key: 'k7', from: 20, ...(when ? { when } : {}) }];
const set = { stuckMs: 1000, 'heap.maxMb': 64, 'heap.pauseAt': 0.6, 'sources.numbers.window.messages': 2000 };

it('pauses the intake of a host whose heap is above the watermark', async () => {
  const run = await Run.start({ keys: 24, mischief: hoards('once') }, { set });
  await run.appears('fault-hoard');
  await run.answers(
    () => run.waitingFor('numbers'),
    reason => reason?.startsWith('room for key') === true,
    'a source that waits',
  );
  const { messages } = await run.answers(
    () => run.runtime.summary(),
    summary => summary.messages - summary.settled.done <= 1,
    'rest',
  );
  for (let i = 0; i < 20; i++) expect(await run.runtime.summary()).toMatchObject({ messages, restarts: 0 });
});

it('recycles it when it stays above', async () => {
  const run = await Run.start({ keys: 24, mischief: hoards('once') }, { set: { ...set, 'heap.recycleAfterMs': 300 } });
  await run.appears('fault-hoard');
  const { host, life } = run.lines().find(line => line.what === 'fault:hoard')!;
  await run.progress(500, line => line.host === host && line.life !== life);
  const summary = await run.finish();
  console.log(`heap: host down ${summary.longestRecoveryMs} ms`);
  expect(summary).toMatchObject({ ok: true, restarts: 1, settled: { done: summary.messages, dead: 0, dropped: 0 } });
  expect(await run.runtime.metrics()).toContain('keymill_host_restarts_total{cause="heap"} 1\n');
  expect(run.judge(2000).faults).toEqual([]);
});

it('gives up when it fills again', async () => {
  const run = await Run.start({ keys: 24, mischief: hoards() }, { set: { ...set, 'heap.recycleAfterMs': 300 } });
  await expect(run.runtime.settled()).rejects.toMatchObject({
    code: 'HOST_LOST',
    message: expect.stringContaining('heap'),
  });
  expect(await run.stop(100)).toMatchObject({ ok: false, error: { code: 'HOST_LOST' } });
});
