/** Snapshots for the tests of runtime/observe: every figure is there, and a test sets the ones it looks at. */
import { LatencyHistogram } from '../../runtime/observe/latency-histogram.ts';
import { METRIC_NAMES, metricRow } from '../../runtime/observe/metric-names.ts';
import type { MetricsExtra } from '../../runtime/observe/registry.ts';
import type { ActorSnapshot, ThreadSnapshot } from '../../runtime/observe/stats.ts';

export const EXTRA: MetricsExtra = { ready: true, hostRestarts: { crashed: 2, stuck: 0 }, version: '0.1.0' };

export function histogramOf(...micros: number[]): LatencyHistogram {
  const histogram = new LatencyHistogram();
  for (const value of micros) histogram.record(value);
  return histogram;
}

export function actorSnapshot(some: Partial<ActorSnapshot> = {}): ActorSnapshot {
  return {
    enqueued: 0,
    dequeued: 0,
    done: 0,
    dead: 0,
    dropped: { DropOldest: 0, DropNewest: 0, DropWrite: 0, KeyFull: 0 },
    batches: 0,
    batchItems: 0,
    triggers: { size: 0, depth: 0, time: 0, drain: 0, solo: 0 },
    retries: 0,
    timeouts: 0,
    restarts: 0,
    parked: 0,
    repeats: 0,
    passivated: 0,
    depth: 0,
    depthBytes: 0,
    residentKeys: 0,
    inFlightBatches: 0,
    capacity: 10_000,
    deepest: 0,
    oldestUnsettledMs: 0,
    hotKeys: [],
    observed: {},
    queueing: new LatencyHistogram().words,
    processing: new LatencyHistogram().words,
    endToEnd: new LatencyHistogram().words,
    stopped: false,
    ...some,
  };
}

export function threadSnapshot(some: Partial<ThreadSnapshot> = {}): ThreadSnapshot {
  return {
    thread: 1,
    kind: 'host',
    incarnation: 1,
    actors: {},
    sources: [],
    lanes: [],
    policies: [],
    ios: [],
    backlogMessages: 0,
    backlogBytes: 0,
    heapUsed: 32 * 2 ** 20,
    heapLimit: 128 * 2 ** 20,
    loopUtilization: 0.25,
    cpuSeconds: 0,
    gcScavenges: 0,
    gcMarkSweeps: 0,
    ...some,
  };
}

/** A snapshot in which every metric has something to say. */
export function fullSnapshot(): ThreadSnapshot {
  return threadSnapshot({
    actors: {
      orders: actorSnapshot({
        done: 90,
        dead: 1,
        dropped: { DropOldest: 3, DropNewest: 0, DropWrite: 0, KeyFull: 1 },
        observed: { lag: histogramOf(4000, 8000).words },
        queueing: histogramOf(1000, 2000).words,
        processing: histogramOf(3000).words,
        endToEnd: histogramOf(4000, 9000).words,
      }),
    },
    sources: [
      {
        name: 'events',
        given: 100,
        done: 90,
        dead: 1,
        dropped: 4,
        unsettled: 5,
        unsettledBytes: 500,
        oldestUnsettledMs: 1500,
        position: 100,
        lag: 7,
        waiting: 'window',
        ended: false,
      },
    ],
    lanes: [
      { from: 1, to: 2, frames: 3, messages: 100, bytes: 4096, outboxMessages: 5, outboxBytes: 500, replayed: 0 },
    ],
    ios: [
      {
        name: 'pulsar',
        metrics: METRIC_NAMES.filter(name => name.startsWith('pulsar_')).map(name => ({
          name,
          labels: name === 'pulsar_attachments' ? { kind: 'producer', state: 'ready' } : {},
          value: metricRow(name).type === 'summary' ? histogramOf(3000).words : 3,
        })),
      },
      {
        name: 'redis',
        metrics: METRIC_NAMES.filter(name => name.startsWith('redis_')).map(name => ({
          name,
          labels: name === 'redis_operations_total' ? { op: 'get' } : {},
          value: metricRow(name).type === 'summary' ? histogramOf(3000).words : 3,
        })),
      },
      {
        name: 'sql',
        metrics: METRIC_NAMES.filter(name => name.startsWith('sql_')).map(name => ({
          name,
          labels: Object.fromEntries(metricRow(name).labels.flatMap(label => (label === 'io' ? [] : [[label, 'x']]))),
          value: metricRow(name).type === 'summary' ? histogramOf(3000).words : 3,
        })),
      },
      {
        name: 'cache',
        metrics: METRIC_NAMES.filter(name => name.startsWith('cache_')).map(name => ({
          name,
          labels: Object.fromEntries(metricRow(name).labels.flatMap(label => (label === 'io' ? [] : [[label, 'x']]))),
          value: 3,
        })),
      },
    ],
    policies: [{ name: 'bank', breaker: 'open', calls: 9, failures: 5, retries: 4, timeouts: 1, rejected: 2 }],
  });
}
