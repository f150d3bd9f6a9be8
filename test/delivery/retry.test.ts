/** How long a key waits after a failure (D2). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { retryDelay } from '../../runtime/delivery/retry.ts';
import { retrySchema } from '../../runtime/topology/options.ts';

const options = (over: object = {}) => ({ ...retrySchema.parse({}), jitter: 0, ...over });
const delays = (over: object, count = 8) =>
  Array.from({ length: count }, (_, i) => retryDelay(options(over), i + 1, () => 0.5));

describe('the delay after a failure', () => {
  it('doubles from 100 ms to 30 s by default, half of it by chance', () => {
    expect(delays({}, 11)).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
    expect(retryDelay(retrySchema.parse({}), 1, () => 0)).toBe(100);
    expect(retryDelay(retrySchema.parse({}), 1, () => 0.999999)).toBeCloseTo(50, 3);
  });

  it('grows by the factor and up to the bound that are given, or not at all', () => {
    expect(delays({ delayMs: 10, factor: 3, maxDelayMs: 100 }, 5)).toEqual([10, 30, 90, 100, 100]);
    expect(delays({ kind: 'fixed', delayMs: 70 }, 3)).toEqual([70, 70, 70]);
    expect(delays({ factor: 1 }, 3)).toEqual([100, 100, 100]);
    expect(retryDelay(options({ delayMs: 0, factor: 10 }), 5000, () => 0)).toBe(0);
  });

  it('stays within its bounds, whatever the options and however many failures', () => {
    const given = fc.record({
      kind: fc.constantFrom('exponential', 'fixed'),
      delayMs: fc.integer({ min: 0, max: 1e6 }),
      factor: fc.double({ min: 1, max: 10, noNaN: true }),
      maxDelayMs: fc.integer({ min: 0, max: 8e7 }),
      jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(
        given,
        fc.integer({ min: 1, max: 100_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (part, failures, chance) => {
          const its = options(part);
          const delay = retryDelay(its, failures, () => chance);
          const full = its.kind === 'fixed' ? its.delayMs : its.maxDelayMs;
          expect(delay).toBeGreaterThanOrEqual(0);
          expect(delay).toBeLessThanOrEqual(full);
          expect(Number.isFinite(delay)).toBe(true);
          const without = retryDelay({ ...its, jitter: 0 }, failures, () => 0);
          expect(delay).toBeGreaterThanOrEqual(without * (1 - its.jitter) - 1e-6);
        },
      ),
    );
  });
});
