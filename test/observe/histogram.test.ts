import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HistogramTotal, mergeHistograms, percentiles } from '../../runtime/observe/histogram.ts';
import { LatencyHistogram } from '../../runtime/observe/latency-histogram.ts';
import { histogramOf } from './snapshots.ts';

const micros = fc.array(fc.integer({ min: 1, max: 100_000_000 }), { maxLength: 200 });

describe('percentiles', () => {
  test('come in milliseconds from a histogram of microseconds', () => {
    const values = Array.from({ length: 100 }, (_, i) => (i + 1) * 10);
    expect(percentiles(histogramOf(...values))).toEqual({
      count: 100,
      p50Ms: expect.closeTo(0.5, 2),
      p95Ms: expect.closeTo(0.95, 2),
      p99Ms: expect.closeTo(0.99, 2),
      meanMs: 0.505,
      maxMs: 1,
    });
  });

  test('are zero for a histogram without values', () => {
    expect(percentiles(new LatencyHistogram())).toEqual({
      count: 0,
      p50Ms: 0,
      p95Ms: 0,
      p99Ms: 0,
      meanMs: 0,
      maxMs: 0,
    });
  });

  test('of merged histograms equal those of one histogram with all values', () => {
    fc.assert(
      fc.property(fc.array(micros, { maxLength: 5 }), threads => {
        const merged = mergeHistograms(threads.map(values => histogramOf(...values)));
        const whole = histogramOf(...threads.flat());
        expect(percentiles(merged)).toEqual(percentiles(whole));
        expect(merged.sum).toBe(whole.sum);
      }),
      { numRuns: 50 },
    );
  });
});

describe('the total over threads', () => {
  test('keeps what a replaced thread had recorded', () => {
    const total = new HistogramTotal();
    total.take(1, 1, histogramOf(1000, 2000).words);
    total.take(2, 1, histogramOf(3000).words);
    total.take(1, 2, histogramOf(4000).words);
    expect(percentiles(total.merged())).toEqual(percentiles(histogramOf(1000, 2000, 3000, 4000)));
    total.take(1, 3, new LatencyHistogram().words);
    expect(total.merged().count).toBe(4);
  });

  test('counts each thread once, however often it is taken', () => {
    const total = new HistogramTotal();
    const histogram = histogramOf(1000);
    total.take(1, 1, histogram.words);
    total.take(1, 1, histogram.words);
    expect(total.merged().count).toBe(1);
  });

  test('ignores a late snapshot of a thread already replaced', () => {
    const total = new HistogramTotal();
    total.take(1, 1, histogramOf(1000).words);
    total.take(1, 2, histogramOf(2000).words);
    total.take(1, 1, histogramOf(1000).words);
    total.take(1, 2, histogramOf(2000).words);
    expect(total.merged().count).toBe(2);
  });

  test('sees what is recorded after the words crossed threads, since both ends share them', () => {
    const { port1, port2 } = new MessageChannel();
    const original = histogramOf(1000);
    port1.postMessage(original.words);
    const total = new HistogramTotal();
    total.take(1, 1, receiveMessageOnPort(port2)?.message);
    port1.close();
    expect(total.merged().count).toBe(1);
    original.record(2000);
    expect(total.merged().count).toBe(2);
    total.take(1, 2, new LatencyHistogram().words);
    expect(total.merged().count).toBe(2);
  });
});
