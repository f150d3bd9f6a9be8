/**
 * What every thread counts about itself: plain fields on plain objects, because they sit on the hot path. A thread
 * sends a `ThreadSnapshot` when asked; the supervisor merges snapshots into the metrics registry, `health` and the
 * summary. Histograms are node:perf_hooks histograms of whole microseconds (38 ns a record; they clone across threads).
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { BatchTrigger } from '../topology/define.ts';

/** Longest time that a latency histogram tells apart from longer ones: a day, in µs. */
const LONGEST_MICROS = 86_400_000_000;

/**
 * A histogram of whole µs, exact to 1 % (two figures), 33 KB. The default of Node, three figures up to 2^53, takes 360 KB
 * and 0.2 ms to make: too much for three an actor and thread.
 */
export function latencyHistogram(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: LONGEST_MICROS, figures: 2 });
}

/** Milliseconds as whole µs, as a latency histogram takes them. */
export function micros(ms: number): number {
  return ms > 0 ? Math.min(LONGEST_MICROS, Math.max(1, Math.round(ms * 1000))) : 1;
}

/** KeyFull: an ask to a key whose messages are parked. */
export type DropReason = 'DropOldest' | 'DropNewest' | 'DropWrite' | 'KeyFull';

/** Counters of one actor in one thread, since the thread started. */
export class ActorStats {
  /** Messages that entered a mailbox, repeats included. */
  enqueued = 0;
  /** Messages that left a mailbox for a handler, repeats included. */
  dequeued = 0;
  /** Messages settled as done. */
  done = 0;
  dead = 0;
  dropped: Record<DropReason, number> = { DropOldest: 0, DropNewest: 0, DropWrite: 0, KeyFull: 0 };
  batches = 0;
  /** Sum of the sizes of all batches; over `batches` it is batch_size_avg. */
  batchItems = 0;
  triggers: Record<BatchTrigger, number> = { size: 0, depth: 0, time: 0, drain: 0, solo: 0 };
  retries = 0;
  timeouts = 0;
  restarts = 0;
  parked = 0;
  /** Messages given to a handler again, for whatever reason. */
  repeats = 0;
  passivated = 0;
  /** Gauges, kept current. */
  depth = 0;
  depthBytes = 0;
  residentKeys = 0;
  inFlightBatches = 0;
  #queueing: RecordableHistogram | null = null;
  #processing: RecordableHistogram | null = null;
  #endToEnd: RecordableHistogram | null = null;

  // Made when they are first needed: most actors of a large topology are idle on most threads.
  get queueing(): RecordableHistogram {
    return (this.#queueing ??= latencyHistogram());
  }

  get processing(): RecordableHistogram {
    return (this.#processing ??= latencyHistogram());
  }

  get endToEnd(): RecordableHistogram {
    return (this.#endToEnd ??= latencyHistogram());
  }
}

/** What a snapshot says of one actor: the counters, and what had to be looked up when it was taken. */
export interface ActorSnapshot extends Omit<ActorStats, 'queueing' | 'processing' | 'endToEnd'> {
  /** Capacity of one mailbox in messages, for queue_utilization. */
  capacity: number;
  /** Depth of the deepest mailbox. */
  deepest: number;
  /** Age in ms of the oldest message that arrived here and is not settled; 0 when there is none (O8). */
  oldestUnsettledMs: number;
  /** Keys with the deepest mailboxes, at most ten. */
  hotKeys: { key: string; depth: number; ageMs: number; failures: number; state: string }[];
  /** perf_hooks histograms in µs; they arrive as clones. */
  queueing: RecordableHistogram;
  processing: RecordableHistogram;
  endToEnd: RecordableHistogram;
  stopped: boolean;
}

export interface SourceSnapshot {
  name: string;
  given: number;
  done: number;
  dead: number;
  dropped: number;
  unsettled: number;
  unsettledBytes: number;
  oldestUnsettledMs: number;
  position: number;
  /** Why it is not reading right now, or undefined. */
  waiting: string | undefined;
  ended: boolean;
}

export interface LaneSnapshot {
  from: number;
  to: number;
  frames: number;
  messages: number;
  bytes: number;
  outboxMessages: number;
  outboxBytes: number;
  replayed: number;
}

export interface PolicySnapshot {
  name: string;
  breaker: 'closed' | 'open' | 'halfOpen' | 'forcedOpen' | 'forcedClosed';
  calls: number;
  failures: number;
  retries: number;
  timeouts: number;
  rejected: number;
}

export interface ThreadSnapshot {
  /** Index of the thread: 0 is the supervisor's. */
  thread: number;
  kind: 'main' | 'host' | 'io';
  incarnation: number;
  actors: Record<string, ActorSnapshot>;
  sources: SourceSnapshot[];
  lanes: LaneSnapshot[];
  policies: PolicySnapshot[];
  /** Bytes of heap used and its limit, share of time the loop was busy since the last snapshot, CPU seconds. */
  heapUsed: number;
  heapLimit: number;
  loopUtilization: number;
  cpuSeconds: number;
  gcScavenges: number;
  gcMarkSweeps: number;
}
