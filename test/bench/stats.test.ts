/** The statistics of the tables. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isEnough, median, mirrored, ratioOf, slope, spread } from '../../bench/lib/stats.ts';

const positive = fc.double({ min: 0.001, max: 1e9, noNaN: true });

describe('the median', () => {
  it.each([
    [[3], 3],
    [[1, 9], 5],
    [[9, 1, 5], 5],
    [[4, 1, 3, 2], 2.5],
    [[10, 9, 100, 1], 9.5], // as numbers, not as text
  ])('of %j is %d', (values, expected) => {
    expect(median(values)).toBe(expected);
  });

  it('of nothing is not a number', () => {
    expect(median([])).toBeNaN();
  });

  it('has as many values below it as above, and leaves the array as it was', () => {
    fc.assert(
      fc.property(fc.array(positive, { minLength: 1 }), values => {
        const before = [...values];
        const middle = median(values);
        expect(values).toEqual(before);
        expect(values.filter(value => value < middle).length).toBeLessThanOrEqual(values.length / 2);
        expect(values.filter(value => value > middle).length).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });
});

it('the spread is the smallest and the largest', () => {
  expect(spread([3, -1, 7])).toEqual([-1, 7]);
});

describe('the order of turns', () => {
  it('goes there and back again', () => {
    expect(mirrored(3, 4)).toEqual([
      [0, 1, 2],
      [2, 1, 0],
      [0, 1, 2],
      [2, 1, 0],
    ]);
    expect(mirrored(2, 2).flat()).toEqual([0, 1, 1, 0]); // A B B A
  });
});

describe('a ratio', () => {
  it('is the median of the mirrored pairs; its spread is that of the single ones', () => {
    const ratio = ratioOf([2, 8, 3, 3, 10, 10], [1, 2, 1, 1, 1, 1]);
    expect(ratio.value).toBeCloseTo(3, 12); // of √8, 3 and 10
    expect(ratio.spread).toEqual([2, 10]);
  });

  it('takes a pass left over by itself', () => {
    expect(ratioOf([6], [2])).toEqual({ value: 3, spread: [3, 3] });
    expect(ratioOf([4, 4, 8], [2, 2, 2]).value).toBe(3);
  });

  it('is that of the contestants when the machine slows down steadily', () => {
    fc.assert(
      fc.property(positive, positive, fc.double({ min: 0.5, max: 2, noNaN: true }), (a, b, drift) => {
        // A B B A at times 0, 1, 2, 3, each slower by the same factor.
        const ours = [a, a * drift ** 3];
        const theirs = [b * drift, b * drift ** 2];
        expect(ratioOf(ours, theirs).value / (a / b)).toBeCloseTo(1, 9);
      }),
    );
  });

  it('turned round is its inverse', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(positive, positive), { minLength: 2, maxLength: 2 }), pairs => {
        const ours = pairs.map(([our]) => our);
        const theirs = pairs.map(([, their]) => their);
        expect(ratioOf(ours, theirs).value * ratioOf(theirs, ours).value).toBeCloseTo(1, 9);
      }),
    );
  });

  it('needs as many figures on both sides', () => {
    expect(() => ratioOf([1, 2], [1])).toThrow(RangeError);
    expect(() => ratioOf([], [])).toThrow(RangeError);
  });
});

describe('the slope', () => {
  it('is that of a line, whatever one outlier says', () => {
    const line = Array.from({ length: 21 }, (_, x): [number, number] => [x, 5 + 0.25 * x]);
    expect(slope(line)).toBeCloseTo(0.25, 12);
    line[10] = [10, 1e6];
    expect(slope(line)).toBeCloseTo(0.25, 12);
  });
});

it('a percentile needs ten values beyond it', () => {
  expect([isEnough(20, 0.5), isEnough(999, 0.99), isEnough(1000, 0.99), isEnough(10_000, 0.999)]).toEqual([
    true,
    false,
    true,
    true,
  ]);
});
