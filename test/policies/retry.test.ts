import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClassifiedError, type ErrorClass, KeymillError } from '../../runtime/errors.ts';
import type { PolicyOptionsInput } from '../../runtime/policies/options.ts';
import { createPolicy, type PolicyHooks } from '../../runtime/policies/policy.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';
import { failing, hanging, outcomeOf } from './helpers.ts';

/** Runs one call that always fails and tells when each of its tries began. */
async function tries(options: PolicyOptionsInput & PolicyHooks, seed = 1, fail: () => Promise<never> = failing()) {
  const environment = virtualEnvironment(seed);
  const policy = createPolicy('p', options, environment);
  const at: number[] = [];
  const attempts: number[] = [];
  const outcome = outcomeOf(
    policy.execute(({ attempt }) => {
      at.push(environment.clock.now());
      attempts.push(attempt);
      return fail();
    }),
  );
  await environment.advance(1000 * 86_400_000);
  const gaps = at.slice(1).map((time, i) => time - at[i]!);
  return { attempts, gaps, outcome, policy, environment };
}

describe('retry', () => {
  it('waits 100 ms and doubles it, for six tries in all', async () => {
    const { attempts, gaps, outcome, policy } = await tries({ retry: { jitter: 0 } });
    expect(attempts).toEqual([1, 2, 3, 4, 5, 6]);
    expect(gaps).toEqual([100, 200, 400, 800, 1600]);
    expect(outcome).toMatchObject({ status: 'rejected', error: { message: 'down' } });
    expect(policy.snapshot()).toMatchObject({ calls: 1, failures: 6, retries: 5 });
  });

  it('never waits longer than 30 s by default', async () => {
    const { gaps } = await tries({ retry: { jitter: 0, attempts: 12 } });
    expect(gaps.slice(-3)).toEqual([25_600, 30_000, 30_000]);
  });

  it('waits the same each time when it is fixed', async () => {
    const { gaps } = await tries({ retry: { kind: 'fixed', delayMs: 45_000, jitter: 0, attempts: 4 } });
    expect(gaps).toEqual([45_000, 45_000, 45_000]);
  });

  it('keeps each delay between (1 - jitter) and 1 times its length, whatever the shape', async () => {
    const shape = fc.record({
      kind: fc.constantFrom('exponential' as const, 'fixed' as const),
      attempts: fc.integer({ min: 1, max: 40 }),
      delayMs: fc.integer({ min: 0, max: 60_000 }),
      factor: fc.double({ min: 1, max: 10, noNaN: true }),
      maxDelayMs: fc.integer({ min: 0, max: 600_000 }),
      jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    await fc.assert(
      fc.asyncProperty(shape, fc.integer(), async (retry, seed) => {
        const { attempts, gaps } = await tries({ retry }, seed);
        expect(attempts.length).toBe(retry.attempts);
        gaps.forEach((gap, n) => {
          const grown = Math.min(retry.maxDelayMs, retry.delayMs * retry.factor ** n);
          const length = retry.kind === 'fixed' ? retry.delayMs : grown;
          const rounding = 1e-6 * (length + 1);
          expect(gap).toBeGreaterThanOrEqual(length * (1 - retry.jitter) - rounding);
          expect(gap).toBeLessThanOrEqual(length + rounding);
        });
      }),
      { numRuns: 200 },
    );
  });

  it('gives the same delays for the same seed and others for another', async () => {
    const gaps = async (seed: number) => (await tries({ retry: {} }, seed)).gaps;
    expect(await gaps(3)).toEqual(await gaps(3));
    expect(await gaps(3)).not.toEqual(await gaps(4));
  });

  it.each([
    ['transient', 3],
    ['throttled', 3],
    ['unknown', 3],
    ['poison', 1],
    ['fatal', 1],
  ] as [ErrorClass, number][])('of a %s error makes %i tries out of 3', async (errorClass, expected) => {
    const { attempts } = await tries({ retry: { attempts: 3 } }, 1, failing(errorClass));
    expect(attempts.length).toBe(expected);
  });

  it('asks classify first, and the error itself when classify has no opinion', async () => {
    const classify = (error: unknown): ErrorClass | undefined =>
      error instanceof ClassifiedError && error.message === 'bad row' ? 'poison' : undefined;
    const options = { retry: { attempts: 3 }, classify };
    expect((await tries(options, 1, failing('transient', 'bad row'))).attempts.length).toBe(1);
    expect((await tries(options, 1, failing('transient', 'down'))).attempts.length).toBe(3);
  });

  it('is off when it is left out', async () => {
    const { attempts } = await tries({});
    expect(attempts).toEqual([1]);
  });

  it('returns what a later try returns, and tries again what throws without a promise', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { retry: {} }, environment);
    const outcome = outcomeOf(
      policy.execute(({ attempt }) => {
        if (attempt < 3) throw new KeymillError('IO_FAILED', 'not yet');
        return `on try ${attempt}`;
      }),
    );
    await environment.advance(1000);
    expect(outcome).toEqual({ status: 'resolved', value: 'on try 3' });
    expect(environment.pendingTimers).toBe(0);
  });

  it("rejects with the caller's reason, even where the next delay would not fit in the deadline", async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { deadlineMs: 50, retry: { jitter: 0 } }, environment);
    const caller = new AbortController();
    const outcome = outcomeOf(policy.execute(hanging, { signal: caller.signal }));
    await environment.settle();
    caller.abort(new Error('gone'));
    await environment.settle();
    expect(outcome.error.message).toBe('gone');
  });

  it('leaves no listener of earlier tries on the signal that the tries share', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { retry: { delayMs: 0 } }, environment);
    const listeners: number[] = [];
    const outcome = outcomeOf(
      policy.execute(({ signal }) => {
        listeners.push(getEventListeners(signal, 'abort').length);
        return failing()();
      }),
    );
    await environment.advance(0);
    expect(outcome.status).toBe('rejected');
    expect(listeners).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('stops waiting when the caller gives up', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { retry: { jitter: 0 } }, environment);
    const caller = new AbortController();
    const outcome = outcomeOf(policy.execute(failing(), { signal: caller.signal }));
    await environment.advance(50);
    caller.abort(new Error('not interested'));
    await environment.settle();
    expect(outcome).toMatchObject({ status: 'rejected', error: { message: 'not interested' } });
    expect(environment.pendingTimers).toBe(0);
    expect(policy.snapshot()).toMatchObject({ failures: 1, retries: 0 });
  });
});
