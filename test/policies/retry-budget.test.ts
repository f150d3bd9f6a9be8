import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPolicy } from '../../runtime/policies/policy.ts';
import { RetryBudget } from '../../runtime/policies/retry-budget.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';
import { failing } from './helpers.ts';

describe('the retry budget', () => {
  it('bounds the retries of all calls to a share of the calls', async () => {
    const environment = virtualEnvironment();
    const retry = { attempts: 6, budget: { ratio: 0.2, minRetries: 0 } };
    const policy = createPolicy('p', { retry }, environment);
    const calls = Array.from({ length: 100 }, () => policy.execute(failing()).catch(() => {}));
    await environment.advance(9000);
    await Promise.all(calls);
    expect(policy.snapshot()).toMatchObject({ calls: 100, retries: 20, failures: 120 });
  });

  it('rejects with the last error of the dependency when it is spent', async () => {
    const policy = createPolicy('p', { retry: { budget: { ratio: 0, minRetries: 0 } } }, virtualEnvironment());
    await expect(policy.execute(failing())).rejects.toThrow('down');
  });

  it('allows a few retries where there are few calls', () => {
    const { clock } = virtualEnvironment();
    const budget = new RetryBudget({ ratio: 0.1, windowMs: 1000, minRetries: 3 }, clock);
    budget.call();
    expect([1, 2, 3, 4].map(() => budget.take())).toEqual([true, true, true, false]);
  });

  it('agrees with a list of everything that happened, whenever it happened', async () => {
    const step = fc.record({ gapMs: fc.integer({ min: 0, max: 1500 }), what: fc.constantFrom('call', 'take') });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 200, size: 'max' }),
        fc.double({ min: 0, max: 2, noNaN: true }),
        async (steps, ratio) => {
          const environment = virtualEnvironment();
          const budget = new RetryBudget({ ratio, windowMs: 1000, minRetries: 2 }, environment.clock);
          const tenth = () => Math.floor(environment.clock.now() / 100);
          const calls: number[] = [];
          const retries: number[] = [];
          const inWindow = (times: number[]) => times.filter(time => time > tenth() - 10).length;
          for (const { gapMs, what } of steps) {
            await environment.advance(gapMs);
            if (what === 'call') {
              budget.call();
              calls.push(tenth());
            } else {
              const expected = inWindow(retries) + 1 <= Math.max(2, ratio * inWindow(calls));
              expect(budget.take()).toBe(expected);
              if (expected) retries.push(tenth());
            }
          }
        },
      ),
    );
  });
});
