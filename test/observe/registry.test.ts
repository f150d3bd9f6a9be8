import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MetricsRegistry } from '../../runtime/observe/registry.ts';
import type { ThreadSnapshot } from '../../runtime/observe/stats.ts';
import { parsePrometheus, sampleValue } from './prometheus-text.ts';
import { actorSnapshot, EXTRA, fullSnapshot, histogramOf, threadSnapshot } from './snapshots.ts';

const ORDERS = { actor: 'orders' };

function orders(thread: number, incarnation: number, done: number): ThreadSnapshot {
  return threadSnapshot({ thread, incarnation, actors: { orders: actorSnapshot({ done }) } });
}

async function textAfter(snapshots: ThreadSnapshot[], registry = new MetricsRegistry(), nowMs = 0): Promise<string> {
  registry.update(snapshots, EXTRA, nowMs);
  return registry.text();
}

describe('counters', () => {
  test('are summed over threads', async () => {
    expect(sampleValue(await textAfter([orders(1, 1, 5), orders(2, 1, 7)]), 'items_processed_total', ORDERS)).toBe(12);
  });

  test('go on from where they were when a thread is replaced', async () => {
    const registry = new MetricsRegistry();
    const done = async (...snapshots: ThreadSnapshot[]) =>
      sampleValue(await textAfter(snapshots, registry), 'items_processed_total', ORDERS);
    expect(await done(orders(1, 1, 100), orders(2, 1, 10))).toBe(110);
    expect(await done(orders(1, 2, 0), orders(2, 1, 10))).toBe(110);
    expect(await done(orders(1, 2, 3), orders(2, 1, 11))).toBe(114);
    expect(await done(orders(1, 3, 4), orders(2, 1, 11))).toBe(118);
  });

  test('ignore a late snapshot of a thread already replaced', async () => {
    const registry = new MetricsRegistry();
    for (const [incarnation, done] of [
      [1, 100],
      [2, 3],
      [1, 100],
      [2, 4],
    ] as const)
      await textAfter([orders(1, incarnation, done)], registry);
    expect(sampleValue(await registry.text(), 'items_processed_total', ORDERS)).toBe(104);
  });

  test('keep the share of a thread that is not heard of', async () => {
    const registry = new MetricsRegistry();
    await textAfter([orders(1, 1, 100), orders(2, 1, 10)], registry);
    expect(sampleValue(await textAfter([orders(2, 1, 11)], registry), 'items_processed_total', ORDERS)).toBe(111);
    expect(sampleValue(await textAfter([], registry), 'items_processed_total', ORDERS)).toBe(111);
  });

  test('never go down, whichever threads are replaced or missing, and miss nothing that was seen', async () => {
    const step = fc.record({
      thread: fc.integer({ min: 1, max: 3 }),
      replaced: fc.boolean(),
      more: fc.integer({ min: 0, max: 50 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async steps => {
        const registry = new MetricsRegistry();
        const threads = new Map<number, { incarnation: number; done: number }>();
        let all = 0;
        for (const { thread, replaced, more } of steps) {
          const state = threads.get(thread) ?? { incarnation: 1, done: 0 };
          if (replaced) Object.assign(state, { incarnation: state.incarnation + 1, done: 0 });
          state.done += more;
          all += more;
          threads.set(thread, state);
          const text = await textAfter([orders(thread, state.incarnation, state.done)], registry);
          expect(sampleValue(text, 'items_processed_total', ORDERS)).toBe(all);
        }
      }),
      { numRuns: 20 },
    );
  });

  test('of a lane that starts again do not touch those of its neighbours', async () => {
    const lane = {
      from: 1,
      to: 2,
      frames: 1,
      messages: 10,
      bytes: 100,
      outboxMessages: 1,
      outboxBytes: 10,
      replayed: 0,
    };
    const registry = new MetricsRegistry();
    await textAfter([threadSnapshot({ lanes: [lane, { ...lane, to: 3, messages: 50 }] })], registry);
    const text = await textAfter(
      [
        threadSnapshot({
          lanes: [
            { ...lane, messages: 2 },
            { ...lane, to: 3, messages: 51 },
          ],
        }),
      ],
      registry,
    );
    expect(sampleValue(text, 'keymill_lane_messages_total', { from: '1' })).toBe(63);
    expect(sampleValue(text, 'keymill_outbox_messages', { from: '1', to: '3' })).toBe(1);
  });

  test('split what was dropped by reason and count it as one outcome', async () => {
    const text = await textAfter([fullSnapshot()]);
    expect(sampleValue(text, 'keymill_dropped_total', { reason: 'DropOldest' })).toBe(3);
    expect(sampleValue(text, 'keymill_messages_settled_total', { outcome: 'dropped' })).toBe(4);
    expect(sampleValue(text, 'keymill_messages_settled_total', { outcome: 'dead' })).toBe(1);
  });
});

describe('gauges', () => {
  test('are summed, or the worst of all threads where a sum says nothing', async () => {
    const one = actorSnapshot({ depth: 4, deepest: 4, capacity: 10, oldestUnsettledMs: 1500, residentKeys: 2 });
    const other = actorSnapshot({ depth: 8, deepest: 8, capacity: 10, oldestUnsettledMs: 250, residentKeys: 3 });
    const text = await textAfter([
      threadSnapshot({ thread: 1, actors: { orders: one } }),
      threadSnapshot({ thread: 2, actors: { orders: other } }),
    ]);
    expect(sampleValue(text, 'queue_depth', ORDERS)).toBe(12);
    expect(sampleValue(text, 'keymill_resident_keys', ORDERS)).toBe(5);
    expect(sampleValue(text, 'queue_utilization', ORDERS)).toBe(80);
    expect(sampleValue(text, 'keymill_oldest_unsettled_age_seconds', { kind: 'actor', name: 'orders' })).toBe(1.5);
  });

  test('of a thread that is gone are gone', async () => {
    const registry = new MetricsRegistry();
    await textAfter([threadSnapshot({ thread: 1 }), threadSnapshot({ thread: 2 })], registry);
    const text = await textAfter([threadSnapshot({ thread: 2 })], registry);
    expect(sampleValue(text, 'batch_worker_memory_mb')).toBe(32);
    expect(sampleValue(text, 'keymill_host_heap_limit_bytes', { thread: '2', kind: 'host' })).toBe(128 * 2 ** 20);
  });

  test('tell one breaker state from the others, and that threads differ', async () => {
    const policy = { name: 'bank', calls: 0, failures: 0, retries: 0, timeouts: 0, rejected: 0 };
    const text = await textAfter([
      threadSnapshot({ thread: 1, policies: [{ ...policy, breaker: 'open' }] }),
      threadSnapshot({ thread: 2, policies: [{ ...policy, breaker: 'closed' }] }),
    ]);
    const state = (name: string) => sampleValue(text, 'keymill_breaker_state', { policy: 'bank', state: name });
    expect([state('open'), state('closed'), state('halfOpen')]).toEqual([1, 1, 0]);
  });

  test('keep a reason for waiting at 0 once it is over, and lump together what comes after eight', async () => {
    const registry = new MetricsRegistry();
    const source = fullSnapshot().sources[0]!;
    const waiting = (reason: string | undefined) =>
      textAfter([threadSnapshot({ sources: [{ ...source, waiting: reason }] })], registry);
    for (let i = 0; i < 12; i += 1) await waiting(`reason ${i}`);
    const text = await waiting('reason 12');
    expect(sampleValue(text, 'keymill_source_waiting', { reason: 'other' })).toBe(1);
    expect(sampleValue(text, 'keymill_source_waiting', { reason: 'reason 0' })).toBe(0);
    expect(parsePrometheus(text).get('keymill_source_waiting')?.samples).toHaveLength(9);
    expect(sampleValue(await waiting(undefined), 'keymill_source_waiting', { reason: 'other' })).toBe(0);
  });

  test('say whether the runtime is ready and which versions run', async () => {
    const registry = new MetricsRegistry();
    registry.update([], { ...EXTRA, ready: false }, 0);
    const text = await registry.text();
    expect(sampleValue(text, 'keymill_ready')).toBe(0);
    expect(sampleValue(text, 'keymill_info', { version: '0.1.0', node: process.version })).toBe(1);
    expect(sampleValue(text, 'keymill_host_restarts_total', { cause: 'crashed' })).toBe(2);
  });
});

describe('rates', () => {
  const at = (done: number, cpuSeconds = 0, incarnation = 1) =>
    threadSnapshot({
      incarnation,
      cpuSeconds,
      actors: {
        orders: actorSnapshot({ done, enqueued: done * 3, dequeued: done * 2, batches: done / 10, batchItems: done }),
      },
    });

  test('are 0 at first, then per second since the update before', async () => {
    const registry = new MetricsRegistry();
    expect(sampleValue(await textAfter([at(100, 1)], registry, 1000), 'items_processed_per_second', ORDERS)).toBe(0);
    const text = await textAfter([at(300, 2)], registry, 3000);
    expect(sampleValue(text, 'items_processed_per_second', ORDERS)).toBe(100);
    expect(sampleValue(text, 'queue_enqueue_rate', ORDERS)).toBe(300);
    expect(sampleValue(text, 'queue_dequeue_rate', ORDERS)).toBe(200);
    expect(sampleValue(text, 'batch_worker_cpu_percent', { thread: '1' })).toBe(50);
  });

  test('count a replaced thread from zero', async () => {
    const registry = new MetricsRegistry();
    await textAfter([at(100)], registry, 0);
    const text = await textAfter([at(50, 0, 2)], registry, 1000);
    expect(sampleValue(text, 'items_processed_per_second', ORDERS)).toBe(50);
  });

  test('do not change for a second reader right after the first, nor for a clock that goes back', async () => {
    const registry = new MetricsRegistry();
    await textAfter([at(0)], registry, 0);
    await textAfter([at(100)], registry, 1000);
    const rate = async (done: number, nowMs: number) =>
      sampleValue(await textAfter([at(done)], registry, nowMs), 'items_processed_per_second', ORDERS);
    expect(await rate(150, 1001)).toBe(100);
    expect(await rate(200, 2000)).toBe(100);
    expect(await rate(300, 500)).toBe(100);
    expect(await rate(330, 1500)).toBe(30);
  });

  test('leave the average batch size as it was while there are no batches', async () => {
    const registry = new MetricsRegistry();
    const size = async (batches: number, batchItems: number, nowMs: number) => {
      const snapshot = threadSnapshot({ actors: { orders: actorSnapshot({ batches, batchItems }) } });
      return sampleValue(await textAfter([snapshot], registry, nowMs), 'batch_size_avg', ORDERS);
    };
    expect(await size(0, 0, 0)).toBe(0);
    expect(await size(2, 10, 1000)).toBe(5);
    expect(await size(3, 50, 2000)).toBe(40);
    expect(await size(3, 50, 3000)).toBe(40);
  });
});

describe('summaries', () => {
  test('hold the quantiles, sum and count of all threads, the replaced ones included', async () => {
    const registry = new MetricsRegistry();
    const thread = (incarnation: number, ...micros: number[]) =>
      threadSnapshot({ incarnation, actors: { orders: actorSnapshot({ processing: histogramOf(...micros).words }) } });
    await textAfter([thread(1, 100, 200, 300)], registry);
    const text = await textAfter([thread(2, 400)], registry);
    const name = 'batch_processing_latency_ms';
    expect(sampleValue(text, name, { ...ORDERS, quantile: '0.5' })).toBeCloseTo(0.2, 2);
    expect(sampleValue(text, name, { ...ORDERS, quantile: '0.99' })).toBeCloseTo(0.4, 2);
    expect(sampleValue(text, `${name}_sum`, ORDERS)).toBe(1);
    expect(sampleValue(text, `${name}_count`, ORDERS)).toBe(4);
    const otel = { messaging_system: 'keymill', messaging_destination_name: 'orders' };
    expect(sampleValue(text, 'messaging_process_duration_seconds_sum', otel)).toBeCloseTo(0.001, 4);
  });

  test('without values have a count and a sum of 0 and no quantiles', async () => {
    const text = await textAfter([threadSnapshot({ actors: { orders: actorSnapshot() } })]);
    expect(
      parsePrometheus(text)
        .get('batch_queueing_latency_ms')
        ?.samples.map(sample => [sample.name, sample.value]),
    ).toEqual([
      ['batch_queueing_latency_ms_sum', 0],
      ['batch_queueing_latency_ms_count', 0],
    ]);
  });
});

test('two registries do not share anything', async () => {
  await textAfter([orders(1, 1, 5)]);
  expect(sampleValue(await textAfter([orders(1, 1, 7)]), 'items_processed_total', ORDERS)).toBe(7);
});
