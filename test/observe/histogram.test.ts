import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HistogramTotal, mergeHistograms, percentiles, sumMicros } from '../../runtime/observe/histogram.ts';
import { latencyHistogram } from '../../runtime/observe/stats.ts';
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
      meanMs: expect.closeTo(0.505, 2),
      maxMs: expect.closeTo(1, 2),
    });
  });

  test('are zero for a histogram without values', () => {
    expect(percentiles(latencyHistogram())).toEqual({ count: 0, p50Ms: 0, p95Ms: 0, p99Ms: 0, meanMs: 0, maxMs: 0 });
    expect(sumMicros(latencyHistogram())).toBe(0);
  });

  test('of merged histograms equal those of one histogram with all values', () => {
    fc.assert(
      fc.property(fc.array(micros, { maxLength: 5 }), threads => {
        const merged = mergeHistograms(threads.map(values => histogramOf(...values)));
        const whole = histogramOf(...threads.flat());
        expect(percentiles(merged)).toEqual(percentiles(whole));
        expect(sumMicros(merged)).toBe(sumMicros(whole));
      }),
      { numRuns: 50 },
    );
  });
});

test('the sum is that of the values to 1 %', () => {
  fc.assert(
    fc.property(micros, values => {
      const exact = values.reduce((sum, value) => sum + value, 0);
      expect(Math.abs(sumMicros(histogramOf(...values)) - exact)).toBeLessThanOrEqual(exact / 100);
    }),
    { numRuns: 50 },
  );
});

describe('the total over threads', () => {
  test('keeps what a replaced thread had recorded', () => {
    const total = new HistogramTotal();
    total.take(1, 1, histogramOf(1000, 2000));
    total.take(2, 1, histogramOf(3000));
    total.take(1, 2, histogramOf(4000));
    expect(percentiles(total.merged())).toEqual(percentiles(histogramOf(1000, 2000, 3000, 4000)));
    total.take(1, 3, latencyHistogram());
    expect(total.merged().count).toBe(4);
  });

  test('counts each thread once, however often it is taken', () => {
    const total = new HistogramTotal();
    const histogram = histogramOf(1000);
    total.take(1, 1, histogram);
    total.take(1, 1, histogram);
    expect(total.merged().count).toBe(1);
  });

  test('ignores a late snapshot of a thread already replaced', () => {
    const total = new HistogramTotal();
    total.take(1, 1, histogramOf(1000));
    total.take(1, 2, histogramOf(2000));
    total.take(1, 1, histogramOf(1000));
    total.take(1, 2, histogramOf(2000));
    expect(total.merged().count).toBe(2);
  });

  test('sees what is recorded after the histogram crossed threads, since a clone shares its counts', () => {
    const { port1, port2 } = new MessageChannel();
    const original = histogramOf(1000);
    port1.postMessage(original);
    const total = new HistogramTotal();
    total.take(1, 1, receiveMessageOnPort(port2)?.message);
    port1.close();
    expect(total.merged().count).toBe(1);
    original.record(2000);
    expect(total.merged().count).toBe(2);
    total.take(1, 2, latencyHistogram());
    expect(total.merged().count).toBe(2);
  });
});
