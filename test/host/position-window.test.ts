/** What a source has given and not seen settled, against a plain list. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PositionWindow } from '../../runtime/host/position-window.ts';
import { DEAD, DONE, DROPPED, type Outcome } from '../../runtime/lanes/port.ts';

interface Given {
  position: number;
  at: number;
  left: number;
  bytes: number;
}

describe('a window of positions', () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        give: fc.integer({ min: 1, max: 4 }),
        targets: fc.integer({ min: 1, max: 3 }),
        bytes: fc.nat({ max: 100 }),
      }),
    },
    { weight: 6, arbitrary: fc.record({ settle: fc.nat({ max: 1_000_000 }) }) },
  );

  it('knows what is unsettled, its bytes, its span, its age and how far all settled', () => {
    fc.assert(
      fc.property(fc.nat({ max: 1000 }), fc.array(step, { maxLength: 200, size: 'max' }), (from, steps) => {
        const window = new PositionWindow(from);
        const model: Given[] = [];
        const outcomes = new Map<number, Outcome>();
        let next = from;
        let now = 0;
        for (const one of steps) {
          now++;
          if ('give' in one) {
            next += one.give - 1; // holes, as a source with filters has
            window.give(next, now, one.targets);
            window.addBytes(next, one.bytes);
            model.push({ position: next, at: now, left: one.targets, bytes: one.bytes });
            next++;
          } else {
            // Any position: unsettled, settled before, never given.
            const position = from + (one.settle % (next - from + 3));
            const given = model.find(each => each.position === position);
            const isLast = given !== undefined && given.left > 0 && --given.left === 0;
            const outcome = (one.settle % 3) as Outcome;
            if (given && (isLast || given.left > 0) && outcome !== DONE) outcomes.set(position, outcome);
            expect(window.settle(position, outcome)).toBe(isLast ? (outcomes.get(position) ?? DONE) : null);
          }
          const open = model.filter(each => each.left > 0);
          expect(window.unsettled).toBe(open.length);
          expect(window.bytes).toBe(open.reduce((sum, each) => sum + each.bytes, 0));
          expect(window.low).toBe(open[0]?.position ?? next);
          expect(window.next).toBe(next);
          expect(window.oldestGivenAt).toBe(open[0]?.at);
          const passed = model.filter(each => each.position < window.low);
          expect(window.below).toEqual(
            [DONE, DEAD, DROPPED].map(
              outcome => passed.filter(each => (outcomes.get(each.position) ?? DONE) === outcome).length,
            ),
          );
          expect(window.span).toBe(open.length === 0 ? 0 : model.length - model.indexOf(open[0]!));
        }
      }),
      { numRuns: 200 },
    );
  });

  it('keeps its sums over many thousands, settled in any order', () => {
    const window = new PositionWindow(0);
    for (let i = 0; i < 20_000; i++) window.give(i, i, 1);
    for (let i = 0; i < 20_000; i += 2) window.settle(i, DONE);
    expect([window.low, window.unsettled, window.span]).toEqual([1, 10_000, 19_999]);
    for (let i = 1; i < 20_000; i += 2) {
      expect(window.settle(i, DROPPED)).toBe(DROPPED);
      expect(window.low).toBe(i + 1 === 20_000 ? 20_000 : i + 2);
    }
    expect(window.span).toBe(0);
    expect(window.below).toEqual([10_000, 0, 10_000]);
  });

  it('takes bytes for what is unsettled only: a late figure must not stay in the sum', () => {
    const window = new PositionWindow(5);
    window.give(5, 0, 1);
    window.settle(5, DONE);
    window.addBytes(5, 100);
    window.addBytes(99, 100);
    expect(window.bytes).toBe(0);
  });

  it('adds up the bytes of several targets', () => {
    const window = new PositionWindow(0);
    window.give(0, 0, 2);
    window.addBytes(0, 10);
    window.addBytes(0, 20);
    window.settle(0, DONE);
    expect(window.bytes).toBe(30);
    window.settle(0, DONE);
    expect(window.bytes).toBe(0);
  });
});
