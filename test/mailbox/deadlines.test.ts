/** Things due at a time, against a sorted list, under the virtual clock. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Deadlines } from '../../runtime/mailbox/deadlines.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';

describe('deadlines', () => {
  it('fire once each, at their time, in order of time and then of making, whenever they were set', async () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ at: fc.integer({ min: -20, max: 200 }) }) },
      { weight: 2, arbitrary: fc.record({ wait: fc.nat({ max: 60 }) }) },
      { weight: 1, arbitrary: fc.record({ at: fc.integer({ min: 0, max: 100 }), again: fc.nat({ max: 40 }) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
        const environment = virtualEnvironment();
        const deadlines = new Deadlines(environment.clock);
        const expected: { due: number; n: number }[] = [];
        const fired: { at: number; n: number }[] = [];
        let n = 0;
        const set = (at: number, again?: number): void => {
          const me = n++;
          expected.push({ due: Math.max(at, environment.clock.now()), n: me });
          deadlines.at(at, () => {
            fired.push({ at: environment.clock.now(), n: me });
            if (again !== undefined) set(environment.clock.now() + again);
          });
        };
        for (const one of steps) {
          if ('wait' in one) await environment.advance(one.wait);
          else set(environment.clock.now() + one.at, 'again' in one ? one.again : undefined);
        }
        await environment.advance(1000);
        expect(deadlines.size).toBe(0);
        expect(environment.pendingTimers).toBe(0);
        expect(fired.map(one => one.n).sort((a, b) => a - b)).toEqual(expected.map(one => one.n));
        for (const { n, at } of fired) expect(at).toBe(expected[n]!.due);
        // What fell due together fired in the order it was set, unless it was set while that time was running.
        expect(fired.map(one => one.at)).toEqual(fired.map(one => one.at).toSorted((a, b) => a - b));
      }),
      { numRuns: 60 },
    );
  });

  it('with one time fire in the order they were set', async () => {
    const environment = virtualEnvironment();
    const deadlines = new Deadlines(environment.clock);
    const order: number[] = [];
    for (let i = 0; i < 50; i++) deadlines.at(i % 2 === 0 ? 10 : 5, () => order.push(i));
    await environment.advance(10);
    const all = Array.from({ length: 50 }, (_, i) => i);
    expect(order).toEqual([...all.filter(i => i % 2 === 1), ...all.filter(i => i % 2 === 0)]);
  });

  it('keep one timer of the clock, for the earliest', async () => {
    const environment = virtualEnvironment();
    const deadlines = new Deadlines(environment.clock);
    for (const at of [50, 70, 20, 60, 10]) deadlines.at(at, () => {});
    expect(environment.pendingTimers).toBe(1);
    await environment.advance(10);
    expect([environment.pendingTimers, deadlines.size]).toEqual([1, 4]);
  });

  it('do not fire after close, and leave no timer behind', async () => {
    const environment = virtualEnvironment();
    const deadlines = new Deadlines(environment.clock);
    let fired = 0;
    deadlines.at(10, () => fired++);
    deadlines.close();
    expect(environment.pendingTimers).toBe(0);
    await environment.advance(100);
    expect(fired).toBe(0);
  });

  it('wait on when a timer of the clock comes early, as timers of the system do by a fraction', async () => {
    const environment = virtualEnvironment();
    let fired = 0;
    let fraction = 0.5;
    const after = (ms: number, fn: () => void) => {
      const timer = environment.clock.after(ms - fraction, fn);
      fraction = 0;
      return timer;
    };
    new Deadlines({ ...environment.clock, after }).at(10, () => fired++);
    await environment.advance(9.6);
    expect(fired).toBe(0);
    await environment.advance(1);
    expect(fired).toBe(1);
  });
});
