/**
 * What every thread counts about itself: plain fields on plain objects, because they sit on the hot path. A thread
 * sends a `ThreadSnapshot` when asked; the supervisor merges snapshots into the metrics registry, `health` and the
 * summary.
 */
import type { BatchTrigger } from '../topology/define.ts';
import { ACTOR_WORDS, DROP_REASONS, WORD } from './counts.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import type { MetricName } from './metric-names.ts';

/** Milliseconds as whole µs, as a latency histogram takes them. */
export function micros(ms: number): number {
  return Math.round(ms * 1000);
}

/** Names of its own that an actor's handlers may measure times under. */
const MAX_OBSERVED = 16;

/** KeyFull: an ask to a key whose messages are parked. */
export type DropReason = 'DropOldest' | 'DropNewest' | 'DropWrite' | 'KeyFull';

/** Counters of one actor in one thread, since the thread started. The kept ones (counts.ts) outlive it. */
export class ActorStats {
  #words: Float64Array = new Float64Array(ACTOR_WORDS);
  /** Messages that entered a mailbox, repeats included. */
  enqueued = 0;
  /** Messages that left a mailbox for a handler, repeats included. */
  dequeued = 0;
  /** Sum of the sizes of all batches; over `batches` it is batch_size_avg. */
  batchItems = 0;
  triggers: Record<BatchTrigger, number> = { size: 0, depth: 0, time: 0, drain: 0, solo: 0 };
  restarts = 0;
  parked = 0;
  passivated = 0;
  /** Gauges, kept current. */
  depth = 0;
  depthBytes = 0;
  residentKeys = 0;
  inFlightBatches = 0;
  #queueing: LatencyHistogram | null = null;
  #processing: LatencyHistogram | null = null;
  #endToEnd: LatencyHistogram | null = null;
  readonly #observed = new Map<string, LatencyHistogram>();

  readonly dropped: Record<DropReason, number> = dropsIn(() => this.#words);

  /** Counts in these words from now on. */
  keepIn(words: Float64Array): void {
    words.set(this.#words);
    this.#words = words;
  }

  /** Messages settled as done. */
  get done(): number {
    return this.#words[WORD.done]!;
  }
  set done(count: number) {
    this.#words[WORD.done] = count;
  }

  get dead(): number {
    return this.#words[WORD.dead]!;
  }
  set dead(count: number) {
    this.#words[WORD.dead] = count;
  }

  get batches(): number {
    return this.#words[WORD.batches]!;
  }
  set batches(count: number) {
    this.#words[WORD.batches] = count;
  }

  get retries(): number {
    return this.#words[WORD.retries]!;
  }
  set retries(count: number) {
    this.#words[WORD.retries] = count;
  }

  get timeouts(): number {
    return this.#words[WORD.timeouts]!;
  }
  set timeouts(count: number) {
    this.#words[WORD.timeouts] = count;
  }

  /** Messages given to a handler again, for whatever reason. */
  get repeats(): number {
    return this.#words[WORD.repeats]!;
  }
  set repeats(count: number) {
    this.#words[WORD.repeats] = count;
  }

  /** All counters and gauges as plain data. */
  figures(): ActorFigures {
    const { done, dead, batches, retries, timeouts, repeats, dropped, triggers, ...fields } = this;
    return {
      ...fields,
      done,
      dead,
      batches,
      retries,
      timeouts,
      repeats,
      dropped: { ...dropped },
      triggers: { ...triggers },
    };
  }

  // Made when they are first needed: most actors of a large topology are idle on most threads.
  get queueing(): LatencyHistogram {
    return (this.#queueing ??= new LatencyHistogram());
  }

  get processing(): LatencyHistogram {
    return (this.#processing ??= new LatencyHistogram());
  }

  get endToEnd(): LatencyHistogram {
    return (this.#endToEnd ??= new LatencyHistogram());
  }

  /** A time that a handler measured. Names beyond MAX_OBSERVED are counted as `other`. */
  observe(name: string, ms: number): void {
    let histogram = this.#observed.get(name);
    if (!histogram) {
      if (this.#observed.size >= MAX_OBSERVED && name !== 'other') return this.observe('other', ms);
      this.#observed.set(name, (histogram = new LatencyHistogram()));
    }
    histogram.record(micros(ms));
  }

  observedWords(): Record<string, Float64Array> {
    return Object.fromEntries([...this.#observed].map(([name, { words }]) => [name, words]));
  }
}

export type ActorFigures = Omit<
  ActorStats,
  'queueing' | 'processing' | 'endToEnd' | 'observe' | 'observedWords' | 'keepIn' | 'figures'
>;

/** An object whose fields are words. */
function dropsIn(words: () => Float64Array): Record<DropReason, number> {
  const drops = {} as Record<DropReason, number>;
  for (const reason of DROP_REASONS)
    Object.defineProperty(drops, reason, {
      enumerable: true,
      get: () => words()[WORD[reason]],
      set: (count: number) => {
        words()[WORD[reason]] = count;
      },
    });
  return drops;
}

/** What a snapshot says of one actor: the counters, and what had to be looked up when it was taken. */
export interface ActorSnapshot extends ActorFigures {
  /** Capacity of one mailbox in messages, for queue_utilization. */
  capacity: number;
  /** Depth of the deepest mailbox. */
  deepest: number;
  /** Age in ms of the oldest message that arrived here and is not settled; 0 when there is none (O8). */
  oldestUnsettledMs: number;
  /** Keys with the deepest mailboxes, at most ten. */
  hotKeys: { key: string; depth: number; ageMs: number; failures: number; state: string }[];
  /** Words of the latency histograms: shared memory, so what is recorded after the snapshot shows in them too. */
  queueing: Float64Array;
  processing: Float64Array;
  endToEnd: Float64Array;
  /** Of the times that handlers measured, by name. */
  observed: Record<string, Float64Array>;
  stopped: boolean;
}

/** Messages in the mailboxes of a thread, by actor. */
export type Depths = Readonly<Record<string, number>>;

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
  /** Versions of its input that are not settled, where it knows them. */
  lag: number | undefined;
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

/** What an I/O actor measures of itself: a metric of the table (metric-names.ts), whose label `io` is added. */
export interface IoMetric {
  readonly name: MetricName;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** A counter since the opening, a gauge, or for a summary the words of a LatencyHistogram of µs. */
  readonly value: number | Float64Array;
}

export interface IoSnapshot {
  readonly name: string;
  readonly metrics: readonly IoMetric[];
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
  ios: IoSnapshot[];
  /** Bytes of heap used and its limit, share of time the loop was busy since the last snapshot, CPU seconds. */
  /** Messages, and bytes, of frames that came and wait packed. */
  backlogMessages: number;
  backlogBytes: number;
  heapUsed: number;
  heapLimit: number;
  loopUtilization: number;
  cpuSeconds: number;
  gcScavenges: number;
  gcMarkSweeps: number;
}
