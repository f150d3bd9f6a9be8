/** What is sent, and when. */
import { describe, expect, it } from 'vitest';
import { arrivals } from '../../bench/lib/arrivals.ts';
import { Messages } from '../../bench/lib/message.ts';

const many = (count: number, make: () => number): number[] => Array.from({ length: count }, make);

describe('arrivals', () => {
  it('are the same for the same seed, and others for another', () => {
    const times = (seed: number) => many(50, arrivals('steady', 1000, seed));
    expect(times(7)).toEqual(times(7));
    expect(times(7)).not.toEqual(times(8));
  });

  it.each(['steady', 'bursty'] as const)('that are %s come in order and keep the rate', pattern => {
    const times = many(100_000, arrivals(pattern, 20_000, 1));
    expect(times.every((time, i) => i === 0 || time >= times[i - 1]!)).toBe(true);
    expect(times.at(-1)! / 1e9).toBeCloseTo(5, 0);
  });

  it('that are steady are independent of each other: gaps spread as much as they last', () => {
    const next = arrivals('steady', 1000, 3);
    let last = 0;
    const gaps = many(50_000, () => {
      const time = next();
      const gap = time - last;
      last = time;
      return gap / 1e6;
    });
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
    expect(mean).toBeCloseTo(1, 1);
    expect(Math.sqrt(variance)).toBeCloseTo(1, 1);
  });

  it('that are bursty all come in the first fifth of each half second', () => {
    expect(many(10_000, arrivals('bursty', 10_000, 2)).every(time => time % 500e6 <= 100e6)).toBe(true);
  });
});

describe('messages', () => {
  it('go to each key once before any comes again', () => {
    const messages = new Messages({ keys: 100, bytes: 0 });
    expect(new Set(many(100, () => 0).map(() => messages.make(0).key)).size).toBe(100);
    messages.become({ keys: 50, bytes: 0 });
    expect(new Set(many(50, () => 0).map(() => messages.make(0).key)).size).toBe(50);
  });

  it('have growing numbers, and a key of their own where there are no keys', () => {
    const messages = new Messages({ keys: 0, bytes: 0 });
    const all = many(100, () => 0).map(() => messages.make(0));
    expect(new Set(all.map(({ key }) => key)).size).toBe(100);
    expect(all.map(({ n }) => n)).toEqual(all.map((_, i) => i + 1));
  });

  it('go to the hot key as often as they should', () => {
    const messages = new Messages({ keys: 16, bytes: 0, hot: 0.5 });
    const hot = many(10_000, () => 0).filter(() => messages.make(0).key === 'account-0').length;
    expect(hot / 10_000).toBeCloseTo(0.5 + 0.5 / 16, 1);
  });

  it('have as many bytes as was asked for', () => {
    const messages = new Messages({ keys: 1, bytes: 1024 });
    expect(messages.make(0).body).toHaveLength(1024);
  });
});
