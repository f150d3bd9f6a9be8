import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LatencyHistogram } from '../../runtime/observe/latency-histogram.ts';
import { micros as microsOf } from '../../runtime/observe/stats.ts';
import { histogramOf } from './snapshots.ts';

const DAY = 86_400_000_000;
const POWERS = Array.from({ length: 36 }, (_, power) => 2 ** (power + 1));

/** As many short values as long ones: evenly drawn, nearly all would lie in the last powers of two. */
const micros = fc
  .tuple(fc.integer({ min: 0, max: 36 }), fc.double({ min: 1, max: 2, maxExcluded: true, noNaN: true }))
  .map(([power, scale]) => Math.min(DAY, Math.floor(scale * 2 ** power)));
const many = fc.array(micros, { maxLength: 200 });

/** What the histogram makes of a value: the middle of its bucket, as long as the largest value is another. */
const kept = (value: number) => histogramOf(value, DAY, DAY).percentile(1);

const wordsOf = (histogram: LatencyHistogram) => [...histogram.words];

describe('a value', () => {
  test('up to 127 µs is kept as it is', () => {
    for (let value = 1; value < 128; value++) expect(kept(value)).toBe(value);
  });

  test('shares its bucket with those as near as 1/64, and with none beyond a power of two', () => {
    expect([128, 129, 130, 131].map(kept)).toEqual([128.5, 128.5, 130.5, 130.5]);
    expect([254, 255, 256, 259, 260].map(kept)).toEqual([254.5, 254.5, 257.5, 257.5, 261.5]);
    for (const power of POWERS) {
      expect(kept(power - 1)).toBeLessThan(power);
      expect(kept(power)).toBeGreaterThanOrEqual(power);
    }
  });

  test('is kept to 1 % on both sides of each power of two, to a day', () => {
    for (const value of [...POWERS.flatMap(power => [power - 1, power, power + 1]), DAY - 1, DAY])
      expect(Math.abs(kept(value) - value)).toBeLessThan(value / 128);
  });

  test('below 1 µs counts as 1, and above a day as a day', () => {
    const short = histogramOf(0, -0, 0.4, -5, Number.NEGATIVE_INFINITY, Number.NaN, microsOf(-3), microsOf(0.0001));
    expect(wordsOf(short)).toEqual(wordsOf(histogramOf(1, 1, 1, 1, 1, 1, 1, 1)));
    const long = histogramOf(DAY + 1, 2 ** 53, Number.POSITIVE_INFINITY);
    expect(wordsOf(long)).toEqual(wordsOf(histogramOf(DAY, DAY, DAY)));
  });
});

test('an empty histogram says 0 to everything', () => {
  const { count, sum, max, mean } = new LatencyHistogram();
  expect({ count, sum, max, mean }).toEqual({ count: 0, sum: 0, max: 0, mean: 0 });
  expect(new LatencyHistogram().percentile(50)).toBe(0);
});

test('no percentile is above the largest value', () => {
  expect(histogramOf(1000).percentile(100)).toBe(1000);
  expect(histogramOf(1000, 1_000_001).percentile(99)).toBe(1_000_001);
});

test('percentiles are within 1 % of those of the sorted values, and count, sum and maximum are exact', () => {
  fc.assert(
    fc.property(fc.array(micros, { minLength: 1, maxLength: 300 }), fc.integer({ min: 0, max: 100 }), (values, p) => {
      const histogram = histogramOf(...values);
      const sorted = values.toSorted((a, b) => a - b);
      const exact = sorted[Math.max(1, Math.ceil((p * values.length) / 100)) - 1]!;
      expect(Math.abs(histogram.percentile(p) - exact)).toBeLessThanOrEqual(exact / 100);
      expect(histogram.percentile(p)).toBeLessThanOrEqual(sorted.at(-1)!);
      const sum = values.reduce((all, value) => all + value, 0);
      const { count, max, mean } = histogram;
      expect({ count, sum: histogram.sum, max, mean }).toEqual({
        count: values.length,
        sum,
        max: sorted.at(-1),
        mean: sum / values.length,
      });
    }),
  );
});

test('adding histograms is recording all values in one', () => {
  fc.assert(
    fc.property(many, many, (some, others) => {
      const sum = histogramOf(...some);
      const other = histogramOf(...others);
      sum.add(other);
      expect(wordsOf(sum)).toEqual(wordsOf(histogramOf(...some, ...others)));
      expect(wordsOf(other)).toEqual(wordsOf(histogramOf(...others)));
    }),
  );
});

test('words that crossed a port show what is recorded later', () => {
  const { port1, port2 } = new MessageChannel();
  const original = histogramOf(1000);
  port1.postMessage({ words: original.words });
  const seen = new LatencyHistogram(receiveMessageOnPort(port2)?.message.words);
  port1.close();
  expect(seen.count).toBe(1);
  original.record(5000);
  expect(seen.count).toBe(2);
  expect(seen.max).toBe(5000);
  expect(wordsOf(seen)).toEqual(wordsOf(original));
});

test('a histogram takes less than 20 KB', () => {
  expect(new LatencyHistogram().words.byteLength).toBeLessThan(20_000);
});
