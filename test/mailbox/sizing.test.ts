/** How much one batch takes (B1, B6). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSizing, type Sizing, type SizingOptions } from '../../runtime/mailbox/sizing.ts';

function sizing(options: Partial<SizingOptions> = {}): Sizing {
  return createSizing({ strategy: 'eightyPercent', drainRatio: 0.8, max: 100_000, ...options });
}

describe('the rule of the seed (G9.2)', () => {
  it.each([
    [1, 1],
    [2, 2],
    [500, 500],
    [799, 799],
    [800, 800],
    [801, 800],
    [999, 800],
    [1000, 800],
    [1001, 800],
    [1249, 999],
    [1250, 1000],
    [2000, 1600],
    [5000, 4000],
    [10_000, 8000],
  ])('takes of a depth of %i: %i', (depth, taken) => {
    expect(sizing().take(depth, 0)).toBe(taken);
  });

  it('names the rule that decided: size when shallow, depth from 1000 on', () => {
    expect([1, 999, 1000, 50_000].map(depth => sizing().trigger(depth))).toEqual(['size', 'size', 'depth', 'depth']);
  });

  it('takes the given share of a deep mailbox, and up to 800 of a shallow one whatever the share', () => {
    const share = fc.double({ min: 0.5, max: 0.95, noNaN: true });
    fc.assert(
      fc.property(share, fc.integer({ min: 1, max: 200_000 }), (drainRatio, depth) => {
        const taken = sizing({ drainRatio, max: 1_000_000 }).take(depth, 0);
        if (depth < 1000) expect(taken).toBe(Math.min(depth, 800));
        else {
          expect(taken).toBeLessThanOrEqual(drainRatio * depth);
          expect(taken).toBeGreaterThan(drainRatio * depth - 1);
        }
      }),
    );
  });

  it('lets a batch go at once when it would be full, be it by the rule or by max', () => {
    expect(sizing().enough(0)).toBe(800);
    expect(sizing({ max: 50 }).enough(0)).toBe(50);
  });
});

describe('any strategy', () => {
  it('takes at least one, at most what there is, and at most max', () => {
    const strategy = fc.constantFrom('eightyPercent', 'fixed', 'doubling');
    fc.assert(
      fc.property(
        strategy,
        fc.double({ min: 0.5, max: 0.95, noNaN: true }),
        fc.integer({ min: 1, max: 20_000 }),
        fc.integer({ min: 1, max: 50_000 }),
        fc.nat({ max: 9000 }),
        (strategy, drainRatio, max, depth, last) => {
          const one = sizing({ strategy, drainRatio, max });
          const taken = one.take(depth, last);
          expect(taken).toBeGreaterThanOrEqual(1);
          expect(taken).toBeLessThanOrEqual(Math.min(depth, max));
          expect(one.enough(last)).toBeLessThanOrEqual(max);
        },
      ),
    );
  });
});

describe('fixed', () => {
  it('takes max, or what there is', () => {
    const fixed = sizing({ strategy: 'fixed', max: 100 });
    expect([1, 99, 100, 101, 10_000].map(depth => fixed.take(depth, 0))).toEqual([1, 99, 100, 100, 100]);
    expect(fixed.enough(7)).toBe(100);
    expect(fixed.trigger(5000)).toBe('size');
  });
});

describe('doubling, as gen_batch_server does', () => {
  const take = (depth: number, last: number): number => sizing({ strategy: 'doubling' }).take(depth, last);

  it('doubles while batches are full, from 32 to 8192', () => {
    const sizes = [0];
    for (let i = 0; i < 11; i++) sizes.push(take(100_000, sizes.at(-1)!));
    expect(sizes).toEqual([0, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 8192, 8192, 8192]);
  });

  it('halves when the mailbox runs dry, to 32 at least', () => {
    expect(take(1023, 1024)).toBe(512);
    expect(take(100, 64)).toBe(100);
    expect(take(40, 64)).toBe(32);
    expect(take(20, 32)).toBe(20);
  });
});
