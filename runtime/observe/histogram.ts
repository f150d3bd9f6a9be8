/**
 * Latency histograms of many threads as one. A thread sends the words of a histogram, which both ends share. So the words
 * last received from a thread that died hold all it ever recorded, and are folded in as they are.
 */
import { type Registry, Summary } from 'prom-client';
import { LatencyHistogram } from './latency-histogram.ts';
import { type MetricName, metricRow, QUANTILES } from './metric-names.ts';

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

/** Converts a histogram of whole µs to figures in ms (percentiles to 1 %, mean and maximum exact). */
export function percentiles(histogram: LatencyHistogram): Percentiles {
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

/** All that the histograms recorded, in a new one. */
export function mergeHistograms(histograms: Iterable<LatencyHistogram>): LatencyHistogram {
  const merged = new LatencyHistogram();
  for (const histogram of histograms) merged.add(histogram);
  return merged;
}

interface Part {
  incarnation: number;
  histogram: LatencyHistogram;
}

/** One histogram over all threads, those that were replaced included. */
export class HistogramTotal {
  readonly #live = new Map<number, Part>();
  #retired: LatencyHistogram | undefined;
  #merged: LatencyHistogram | undefined;
  /** Count at the last merge; it only grows, so an equal one means that nothing was recorded since. */
  #mergedCount = -1;

  /** Takes what a thread has recorded since it started. A snapshot of an incarnation already replaced is ignored. */
  take(thread: number, incarnation: number, words: Float64Array): void {
    const part = this.#live.get(thread);
    if (part && part.incarnation > incarnation) return;
    if (part && part.incarnation < incarnation && part.histogram.count > 0) {
      this.#retired ??= new LatencyHistogram();
      this.#retired.add(part.histogram);
    }
    this.#live.set(thread, { incarnation, histogram: new LatencyHistogram(words) });
  }

  /** The merged histogram, valid until the next call. One `add` costs about 5 µs, so nothing is added without need. */
  merged(): LatencyHistogram {
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
      values.push({ metricName: `${name}_sum`, labels, value: merged.sum / microsPerUnit });
      values.push({ metricName: `${name}_count`, labels, value: merged.count });
    }
    return { ...(await super.get()), values };
  }
}
