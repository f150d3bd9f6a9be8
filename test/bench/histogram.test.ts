/** Latency counts: as good as sorting, to within a bucket. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Histogram } from '../../bench/lib/histogram.ts';

const latencies = fc.array(
  fc.oneof(
    fc.integer({ min: 0, max: 300 }),
    fc.integer({ min: 0, max: 2 ** 31 }),
    fc.double({ min: 0, max: 2 ** 39, noNaN: true }),
  ),
  { minLength: 1, maxLength: 200 },
);

it('says each quantile to 1 %, whatever the values', () => {
  fc.assert(
    fc.property(latencies, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
      const histogram = new Histogram();
      for (const value of values) histogram.record(value);
      const sorted = values.map(Math.floor).sort((a, b) => a - b);
      const exact = sorted[Math.max(1, Math.ceil(share * values.length)) - 1]!;
      expect(Math.abs(histogram.quantile(share) - exact)).toBeLessThanOrEqual(Math.max(0.5, exact * 0.01));
    }),
  );
});

it('adds up what other threads and processes counted', () => {
  fc.assert(
    fc.property(latencies, latencies, (some, others) => {
      const counts = [some, others].map(values => {
        const histogram = new Histogram();
        for (const value of values) histogram.record(value);
        return histogram.counts();
      });
      const whole = new Histogram();
      for (const value of [...some, ...others]) whole.record(value);
      expect(Histogram.of(...counts).counts()).toEqual(whole.counts());
      expect(whole.count).toBe(some.length + others.length);
    }),
  );
});

it('keeps what is beyond its range in its last bucket, and says 0 of nothing', () => {
  const histogram = new Histogram();
  expect(histogram.quantile(0.99)).toBe(0);
  histogram.record(2 ** 50);
  histogram.record(-5);
  expect(histogram.quantile(1)).toBeGreaterThan(0.99 * 2 ** 40);
  expect(histogram.quantile(0.5)).toBe(0);
});
