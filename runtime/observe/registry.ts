/**
 * Merges the snapshots of all threads into Prometheus metrics. Threads die and start again at zero; what is published
 * here must not go down for that, or every rate over it shows a dip that never was. prom-client formats the text.
 */
import { Counter, Gauge, Registry } from 'prom-client';
import { HistogramSummary, HistogramTotal } from './histogram.ts';
import { METRIC_NAMES, type MetricName, metricRow } from './metric-names.ts';
import type {
  ActorSnapshot,
  IoSnapshot,
  LaneSnapshot,
  PolicySnapshot,
  SourceSnapshot,
  ThreadSnapshot,
} from './stats.ts';

type Labels = Record<string, string>;
type GaugeValue = { name: MetricName; labels: Labels; value: number };

/** What the supervisor knows beside the snapshots. */
export interface MetricsExtra {
  ready: boolean;
  /** Hosts replaced since the process started, by cause. */
  hostRestarts: Readonly<Record<string, number>>;
  version: string;
}

/** Times in ms that handlers of an actor measured under a name. */
export interface Observed {
  readonly actor: string;
  readonly name: string;
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Counters that are not published themselves but as a rate or a ratio. */
type HiddenTotal = 'enqueued' | 'dequeued' | 'batch_items' | 'cpu_seconds';

/** Rates are taken over at least this long, so that two readers close to each other do not see noise. */
const MIN_RATE_MS = 500;

/** Reasons why a source waits that get a series of their own; further ones are counted as `other`. */
const MAX_REASONS = 8;

/** The histograms of an actor and the summaries that show them. */
const LATENCIES = [
  ['queueing', 'batch_queueing_latency_ms'],
  ['processing', 'batch_processing_latency_ms'],
  ['endToEnd', 'item_end_to_end_latency_ms'],
] as const;

const BREAKER_STATES: readonly PolicySnapshot['breaker'][] = [
  'closed',
  'open',
  'halfOpen',
  'forcedOpen',
  'forcedClosed',
];

/** One counter over all threads: what replaced threads had counted, and the last value of each living part. */
class Total {
  readonly name: MetricName | HiddenTotal;
  readonly labels: Labels;
  readonly #parts = new Map<string, { incarnation: number; value: number }>();
  #base = 0;
  #sum = 0;
  /** The sum when the current rate interval began. */
  mark = 0;

  constructor(name: MetricName | HiddenTotal, labels: Labels) {
    this.name = name;
    this.labels = labels;
  }

  get value(): number {
    return this.#base + this.#sum;
  }

  /**
   * Takes the value of one part (a thread, or a lane of it). A new incarnation, or a smaller value, means that the part
   * started again at zero: its last value moves to the base. A part that is not heard of keeps its last value.
   */
  take(part: string, incarnation: number, value: number): void {
    const last = this.#parts.get(part);
    if (!last) {
      this.#parts.set(part, { incarnation, value });
      this.#sum += value;
      return;
    }
    if (incarnation < last.incarnation) return;
    if (incarnation > last.incarnation || value < last.value) this.#base += last.value;
    this.#sum += value - last.value;
    last.incarnation = incarnation;
    last.value = value;
  }
}

/**
 * The metrics of one runtime. `update` with the latest snapshot of each thread, then `text`.
 *
 * Counters are whole-process totals since it started. Summaries cover the same time: use the rates of `_sum` and
 * `_count` for a window. Gauges come from the snapshots of the last update alone.
 */
export class MetricsRegistry {
  readonly #registry = new Registry();
  readonly #scalars = new Map<MetricName, Counter | Gauge>();
  readonly #summaries = new Map<MetricName, HistogramSummary>();
  readonly #totals = new Map<string, Total>();
  readonly #histograms = new Map<string, HistogramTotal>();
  readonly #reasons = new Map<string, Set<string>>();
  /** Gauges that keep their value between rate intervals. */
  readonly #rates = new Map<string, GaugeValue>();
  #gauges = new Map<string, GaugeValue>();
  #markedAtMs: number | undefined;

  readonly #observed: { readonly actor: string; readonly name: string; readonly total: HistogramTotal }[] = [];

  constructor() {
    for (const name of METRIC_NAMES) {
      const { type, help, labels } = metricRow(name);
      if (type === 'summary') this.#summaries.set(name, new HistogramSummary(name, this.#registry));
      else {
        const Metric = type === 'counter' ? Counter : Gauge;
        this.#scalars.set(name, new Metric({ name, help, labelNames: labels, registers: [this.#registry] }));
      }
    }
  }

  /** The value of the Content-Type header for `text`. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The metrics in the text format of Prometheus, version 0.0.4. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** The times that handlers measured, merged over threads. */
  observed(): Observed[] {
    return this.#observed.map(({ actor, name, total }) => {
      const merged = total.merged();
      const ms = (micros: number): number => micros / 1000;
      return {
        actor,
        name,
        count: merged.count,
        p50: ms(merged.percentile(50)),
        p99: ms(merged.percentile(99)),
        max: ms(merged.max),
      };
    });
  }

  /**
   * Takes the latest snapshot of each thread; one that is missing keeps its share of the counters. `nowMs` is a
   * monotonic time. Rates cover the time since an earlier update, 500 ms ago or more, and are 0 until there is one.
   */
  update(snapshots: readonly ThreadSnapshot[], extra: MetricsExtra, nowMs: number): void {
    this.#gauges = new Map();
    for (const snapshot of snapshots) this.#takeThread(snapshot);
    for (const [cause, restarts] of Object.entries(extra.hostRestarts))
      this.#count('keymill_host_restarts_total', { cause }, 'supervisor', 0, restarts);
    this.#gauge('keymill_ready', {}, extra.ready ? 1 : 0);
    this.#gauge('keymill_info', { version: extra.version, node: process.version }, 1);
    this.#takeRates(nowMs);
    this.#publish();
  }

  #takeThread(snapshot: ThreadSnapshot): void {
    const labels = { thread: String(snapshot.thread), kind: snapshot.kind };
    const count = (name: MetricName | HiddenTotal, value: number) =>
      this.#count(name, labels, labels.thread, snapshot.incarnation, value);
    count('batch_worker_gc_gen0_count', snapshot.gcScavenges);
    count('batch_worker_gc_gen2_count', snapshot.gcMarkSweeps);
    count('cpu_seconds', snapshot.cpuSeconds);
    this.#gauge('batch_worker_memory_mb', labels, snapshot.heapUsed / 2 ** 20);
    this.#gauge('keymill_host_heap_used_bytes', labels, snapshot.heapUsed);
    this.#gauge('keymill_backlog_messages', labels, snapshot.backlogMessages);
    this.#gauge('keymill_backlog_bytes', labels, snapshot.backlogBytes);
    this.#gauge('keymill_host_heap_limit_bytes', labels, snapshot.heapLimit);
    this.#gauge('keymill_host_loop_utilization', labels, snapshot.loopUtilization);
    for (const [actor, stats] of Object.entries(snapshot.actors)) this.#takeActor(snapshot, actor, stats);
    for (const source of snapshot.sources) this.#takeSource(snapshot, source);
    for (const lane of snapshot.lanes) this.#takeLane(snapshot, lane);
    for (const policy of snapshot.policies) this.#takePolicy(snapshot, policy);
    for (const io of snapshot.ios) this.#takeIo(snapshot, io);
  }

  #takeActor({ thread, incarnation }: ThreadSnapshot, actor: string, stats: ActorSnapshot): void {
    const count = (name: MetricName | HiddenTotal, value: number, more?: Labels) =>
      this.#count(name, { actor, ...more }, String(thread), incarnation, value);
    count('items_processed_total', stats.done);
    count('batches_processed_total', stats.batches);
    count('batch_items', stats.batchItems);
    count('enqueued', stats.enqueued);
    count('dequeued', stats.dequeued);
    this.#count('messaging_client_consumed_messages_total', otel(actor), String(thread), incarnation, stats.dequeued);
    for (const outcome of ['done', 'dead'] as const)
      count('keymill_messages_settled_total', stats[outcome], { outcome });
    let dropped = 0;
    for (const [reason, drops] of Object.entries(stats.dropped)) {
      count('keymill_dropped_total', drops, { reason });
      dropped += drops;
    }
    count('keymill_messages_settled_total', dropped, { outcome: 'dropped' });
    for (const [trigger, batches] of Object.entries(stats.triggers))
      count('keymill_batch_trigger_total', batches, { trigger });
    for (const what of ['retries', 'repeats', 'timeouts', 'passivated', 'parked'] as const)
      count(`keymill_${what}_total`, stats[what]);
    count('keymill_actor_restarts_total', stats.restarts);

    this.#gauge('queue_depth', { actor }, stats.depth, add);
    this.#gauge('keymill_resident_keys', { actor }, stats.residentKeys, add);
    const utilization = stats.capacity > 0 ? (100 * stats.deepest) / stats.capacity : 0;
    this.#gauge('queue_utilization', { actor }, utilization, Math.max);
    const age = stats.oldestUnsettledMs / 1000;
    this.#gauge('keymill_oldest_unsettled_age_seconds', { kind: 'actor', name: actor }, age, Math.max);

    for (const [part, summary] of LATENCIES) {
      const total = getOr(this.#histograms, seriesId(part, { actor }), () => {
        const made = new HistogramTotal();
        this.#summaries.get(summary)!.show({ actor }, made);
        if (part === 'processing') this.#summaries.get('messaging_process_duration_seconds')!.show(otel(actor), made);
        return made;
      });
      total.take(thread, incarnation, stats[part]);
    }
    for (const [name, words] of Object.entries(stats.observed)) {
      const id = seriesId('observed', { actor, name });
      const total = getOr(this.#histograms, id, () => {
        const made = new HistogramTotal();
        this.#summaries.get('keymill_observed_seconds')!.show({ actor, name }, made);
        this.#observed.push({ actor, name, total: made });
        return made;
      });
      total.take(thread, incarnation, words);
    }
  }

  #takeSource({ thread, incarnation }: ThreadSnapshot, snapshot: SourceSnapshot): void {
    const source = snapshot.name;
    this.#count('keymill_source_given_total', { source }, String(thread), incarnation, snapshot.given);
    for (const outcome of ['done', 'dead', 'dropped'] as const)
      this.#count('keymill_source_settled_total', { source, outcome }, String(thread), incarnation, snapshot[outcome]);
    this.#gauge('keymill_source_unsettled', { source }, snapshot.unsettled, add);
    if (snapshot.lag !== undefined) this.#gauge('cdc_version_lag', { source }, snapshot.lag, Math.max);
    this.#gauge('keymill_source_position', { source }, snapshot.position, Math.max);
    const age = snapshot.oldestUnsettledMs / 1000;
    this.#gauge('keymill_oldest_unsettled_age_seconds', { kind: 'source', name: source }, age, Math.max);

    // A reason seen once stays, as 0: a series that vanishes leaves an alert on its last value for five minutes.
    const reasons = getOr(this.#reasons, source, () => new Set<string>());
    let waiting = snapshot.waiting;
    if (waiting !== undefined && !reasons.has(waiting)) {
      if (reasons.size >= MAX_REASONS) waiting = 'other';
      reasons.add(waiting);
    }
    for (const reason of reasons)
      this.#gauge('keymill_source_waiting', { source, reason }, reason === waiting ? 1 : 0, Math.max);
  }

  #takeLane({ thread, incarnation }: ThreadSnapshot, lane: LaneSnapshot): void {
    const from = String(lane.from);
    const to = String(lane.to);
    // Counted per lane, though published per sender: one lane may start again at zero while its neighbours go on.
    const part = `${thread}>${to}`;
    for (const what of ['frames', 'messages', 'bytes', 'replayed'] as const)
      this.#count(`keymill_lane_${what}_total`, { from }, part, incarnation, lane[what]);
    this.#gauge('keymill_outbox_messages', { from, to }, lane.outboxMessages, add);
    this.#gauge('keymill_outbox_bytes', { from, to }, lane.outboxBytes, add);
  }

  #takePolicy({ thread, incarnation }: ThreadSnapshot, snapshot: PolicySnapshot): void {
    const policy = snapshot.name;
    for (const what of ['calls', 'failures', 'retries', 'timeouts', 'rejected'] as const)
      this.#count(`keymill_policy_${what}_total`, { policy }, String(thread), incarnation, snapshot[what]);
    for (const state of BREAKER_STATES)
      this.#gauge('keymill_breaker_state', { policy, state }, snapshot.breaker === state ? 1 : 0, Math.max);
  }

  #takeIo({ thread, incarnation }: ThreadSnapshot, { name: io, metrics }: IoSnapshot): void {
    for (const { name, labels, value } of metrics) {
      const all = { io, ...labels };
      if (typeof value !== 'number') {
        const total = getOr(this.#histograms, seriesId(name, all), () => {
          const made = new HistogramTotal();
          this.#summaries.get(name)!.show(all, made);
          return made;
        });
        total.take(thread, incarnation, value);
      } else if (metricRow(name).type === 'counter') this.#count(name, all, String(thread), incarnation, value);
      else this.#gauge(name, all, value, add);
    }
  }

  #count(name: MetricName | HiddenTotal, labels: Labels, part: string, incarnation: number, value: number): void {
    getOr(this.#totals, seriesId(name, labels), () => new Total(name, labels)).take(part, incarnation, value);
  }

  #gauge(name: MetricName, labels: Labels, value: number, join?: (a: number, b: number) => number): void {
    const id = seriesId(name, labels);
    const held = this.#gauges.get(id);
    this.#gauges.set(id, { name, labels, value: held && join ? join(held.value, value) : value });
  }

  #takeRates(nowMs: number): void {
    const elapsedMs = this.#markedAtMs === undefined ? undefined : nowMs - this.#markedAtMs;
    if (elapsedMs !== undefined && elapsedMs >= 0 && elapsedMs < MIN_RATE_MS) return;
    // A clock that went back starts a new interval and leaves the rates as they are.
    if (elapsedMs === undefined || elapsedMs > 0) {
      for (const total of this.#totals.values()) this.#takeRate(total, elapsedMs);
    }
    for (const total of this.#totals.values()) total.mark = total.value;
    this.#markedAtMs = nowMs;
  }

  #takeRate(total: Total, elapsedMs: number | undefined): void {
    const { name, labels } = total;
    const grown = total.value - total.mark;
    const perSecond = elapsedMs === undefined ? 0 : (grown * 1000) / elapsedMs;
    if (name === 'items_processed_total') this.#rate('items_processed_per_second', labels, perSecond);
    else if (name === 'enqueued') this.#rate('queue_enqueue_rate', labels, perSecond);
    else if (name === 'dequeued') this.#rate('queue_dequeue_rate', labels, perSecond);
    else if (name === 'cpu_seconds') this.#rate('batch_worker_cpu_percent', labels, perSecond * 100);
    else if (name === 'batch_items') {
      const batches = this.#totals.get(seriesId('batches_processed_total', labels))!;
      const cut = batches.value - batches.mark;
      const held = this.#rates.get(seriesId('batch_size_avg', labels))?.value ?? 0;
      this.#rate('batch_size_avg', labels, cut > 0 ? grown / cut : held);
    }
  }

  #rate(name: MetricName, labels: Labels, value: number): void {
    this.#rates.set(seriesId(name, labels), { name, labels, value });
  }

  #publish(): void {
    for (const metric of this.#scalars.values()) metric.reset();
    for (const total of this.#totals.values())
      this.#scalars.get(total.name as MetricName)?.inc(total.labels, total.value);
    for (const gauges of [this.#gauges, this.#rates])
      for (const { name, labels, value } of gauges.values()) (this.#scalars.get(name) as Gauge).set(labels, value);
  }
}

function otel(actor: string): Labels {
  return { messaging_system: 'keymill', messaging_operation_name: 'process', messaging_destination_name: actor };
}

/** Identifies a series; the values of labels may hold any character. */
const seriesId = (name: string, labels: Labels) => JSON.stringify([name, ...Object.values(labels)]);

const add = (a: number, b: number) => a + b;

function getOr<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
