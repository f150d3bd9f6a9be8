/**
 * Latency histograms of many threads as one. A perf_hooks histogram that crosses threads is not a copy: both ends see
 * the same counts (measured on Node 22, 24 and 26). So the histogram last received from a thread that died holds all it
 * ever recorded, and is folded in as it is.
 */
import type { RecordableHistogram } from 'node:perf_hooks';
import { type Registry, Summary } from 'prom-client';
import { type MetricName, metricRow, QUANTILES } from './metric-names.ts';
import { latencyHistogram } from './stats.ts';

const MICROS_PER_MS = 1000;

type SummaryValues = Awaited<ReturnType<Summary<string>['get']>>['values'];

/** A histogram of µs in ms. All zero when it is empty. */
export interface Percentiles {
  count: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  meanMs: number;
  maxMs: number;
}

/** Converts a histogram of whole µs to figures in ms (exact to 1 %, as the histogram keeps them). */
export function percentiles(histogram: RecordableHistogram): Percentiles {
  if (histogram.count === 0) return { count: 0, p50Ms: 0, p95Ms: 0, p99Ms: 0, meanMs: 0, maxMs: 0 };
  return {
    count: histogram.count,
    p50Ms: histogram.percentile(50) / MICROS_PER_MS,
    p95Ms: histogram.percentile(95) / MICROS_PER_MS,
    p99Ms: histogram.percentile(99) / MICROS_PER_MS,
    meanMs: histogram.mean / MICROS_PER_MS,
    maxMs: histogram.max / MICROS_PER_MS,
  };
}

/**
 * Sum of all recorded µs. Node keeps no sum, but the mean is the sum of the buckets' whole middles over the count, so
 * this is that sum back, whole and therefore never smaller than before. Exact to the histogram's 1 %.
 */
export function sumMicros(histogram: RecordableHistogram): number {
  return histogram.count === 0 ? 0 : Math.round(histogram.mean * histogram.count);
}

/** All that the histograms recorded, in a new one. */
export function mergeHistograms(histograms: Iterable<RecordableHistogram>): RecordableHistogram {
  const merged = latencyHistogram();
  for (const histogram of histograms) merged.add(histogram);
  return merged;
}

interface Part {
  incarnation: number;
  histogram: RecordableHistogram;
}

/** One histogram over all threads, those that were replaced included. */
export class HistogramTotal {
  readonly #live = new Map<number, Part>();
  #retired: RecordableHistogram | undefined;
  #merged: RecordableHistogram | undefined;
  /** Count at the last merge; it only grows, so an equal one means that nothing was recorded since. */
  #mergedCount = -1;

  /** Takes what a thread has recorded since it started. A snapshot of an incarnation already replaced is ignored. */
  take(thread: number, incarnation: number, histogram: RecordableHistogram): void {
    const part = this.#live.get(thread);
    if (part && part.incarnation > incarnation) return;
    if (part && part.incarnation < incarnation && part.histogram.count > 0) {
      this.#retired ??= latencyHistogram();
      this.#retired.add(part.histogram);
    }
    this.#live.set(thread, { incarnation, histogram });
  }

  /** The merged histogram, valid until the next call. One `add` costs about 70 µs, so nothing is added without need. */
  merged(): RecordableHistogram {
    let count = this.#retired?.count ?? 0;
    for (const { histogram } of this.#live.values()) count += histogram.count;
    if (this.#merged && count === this.#mergedCount) return this.#merged;
    const parts = [...this.#live.values()].map(part => part.histogram).filter(histogram => histogram.count > 0);
    this.#merged = mergeHistograms(this.#retired ? [this.#retired, ...parts] : parts);
    this.#mergedCount = count;
    return this.#merged;
  }
}

/** A summary whose quantiles come from merged histograms instead of prom-client's own digest. */
export class HistogramSummary extends Summary<string> {
  readonly #series: { labels: Record<string, string>; total: HistogramTotal }[] = [];
  readonly #metric: { name: MetricName; microsPerUnit: number };

  constructor(name: MetricName, registry: Registry) {
    const { help, labels, unit } = metricRow(name);
    super({ name, help, labelNames: labels, registers: [registry] });
    this.#metric = { name, microsPerUnit: unit === 'ms' ? MICROS_PER_MS : 1e6 };
  }

  /** Adds a series; once for each set of labels. */
  show(labels: Record<string, string>, total: HistogramTotal): void {
    this.#series.push({ labels, total });
  }

  /** Merging happens here, at a scrape, not at each update. Without any observation there are no quantiles to show. */
  override async get(): ReturnType<Summary<string>['get']> {
    const { name, microsPerUnit } = this.#metric;
    const values: SummaryValues = [];
    for (const { labels, total } of this.#series) {
      const merged = total.merged();
      if (merged.count > 0)
        for (const quantile of QUANTILES)
          values.push({
            labels: { ...labels, quantile },
            value: merged.percentile(Number(quantile) * 100) / microsPerUnit,
          });
      values.push({ metricName: `${name}_sum`, labels, value: sumMicros(merged) / microsPerUnit });
      values.push({ metricName: `${name}_count`, labels, value: merged.count });
    }
    return { ...(await super.get()), values };
  }
}
