import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { systemEnvironment } from '../../runtime/environment.ts';
import { createPolicy, type Policy } from '../../runtime/policies/policy.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';
import { failing, gate, hanging, type Outcome, outcomeOf } from './helpers.ts';

describe('a policy', () => {
  it('without any part only passes the call on', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('bare', {}, environment);
    expect(await policy.execute(({ attempt }) => attempt)).toBe(1);
    await expect(policy.execute(failing('poison', 'as it was'))).rejects.toThrow('as it was');
    expect(policy.snapshot()).toMatchObject({ name: 'bare', breaker: 'closed', calls: 2, failures: 1, rejected: 0 });
  });

  it('does not call at all for a caller who gave up before', async () => {
    const policy = createPolicy('p', { retry: {}, bulkhead: {} }, virtualEnvironment());
    const called: number[] = [];
    const signal = AbortSignal.abort(new Error('gone'));
    const call = policy.execute(({ attempt }) => called.push(attempt), { signal });
    await expect(call).rejects.toThrow('gone');
    policy.force('open');
    await expect(policy.execute(() => 'no', { signal })).rejects.toThrow('gone');
    expect(called).toEqual([]);
  });

  it("hands the caller's reason on to the try that is running", async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { timeoutMs: 1000 }, environment);
    const caller = new AbortController();
    let seen: unknown;
    const call = (ctx: { signal: AbortSignal }) => {
      ctx.signal.addEventListener('abort', () => {
        seen = ctx.signal.reason;
      });
      return hanging();
    };
    const outcome = outcomeOf(policy.execute(call, { signal: caller.signal }));
    await environment.settle();
    caller.abort('enough');
    await environment.settle();
    expect([seen, outcome.error]).toEqual(['enough', 'enough']);
  });

  it('runs on the real clock', async () => {
    const options = { deadlineMs: 60_000, timeoutMs: 60_000, retry: { delayMs: 1 }, breaker: {}, bulkhead: {} };
    const policy = createPolicy('real', options, systemEnvironment());
    expect(await policy.execute(({ attempt }) => (attempt < 3 ? failing()() : attempt))).toBe(3);
    policy.close();
  });
});

describe('one signal shared by 10,000 calls', () => {
  const parts = {
    deadlineMs: 10_000,
    timeoutMs: 50,
    retry: { attempts: 2, delayMs: 1 },
    breaker: { failures: 1_000_000 },
    bulkhead: { maxCalls: 10, maxQueued: 10 },
  };

  /** Every way a call can go: done, failed, retried, timed out, past its deadline, queued, refused. */
  const ways = [() => 'done', failing(), failing('poison'), hanging, () => Promise.resolve('later')];

  async function run(
    policy: Policy,
    signal: AbortSignal,
    advance: (ms: number) => Promise<void>,
  ): Promise<Outcome<unknown>[]> {
    const outcomes: Outcome<unknown>[] = [];
    for (let round = 0; round < 100; round++) {
      for (let i = 0; i < 100; i++)
        outcomes.push(
          outcomeOf(policy.execute(ways[i % ways.length]!, { signal, deadlineMs: i % 7 === 0 ? 20 : 1000 })),
        );
      expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(200); // one a call, one a place in the queue
      await advance(2000);
    }
    return outcomes;
  }

  it('keeps no listener and no timer, and warns of no leak', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', parts, environment);
    const caller = new AbortController();
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    const outcomes = await run(policy, caller.signal, ms => environment.advance(ms));
    process.off('warning', onWarning);
    expect(outcomes.length).toBe(10_000);
    expect(outcomes.filter(outcome => outcome.status === 'pending')).toEqual([]);
    expect(new Set(outcomes.map(outcome => outcome.error?.code ?? outcome.status))).toEqual(
      new Set(['resolved', 'rejected', 'TIMEOUT', 'DEADLINE', 'BULKHEAD_FULL']),
    );
    expect(getEventListeners(caller.signal, 'abort').length).toBe(0);
    expect(environment.pendingTimers).toBe(0);
    expect(warnings).toEqual([]);
  });

  it('keeps no listener of those that wait for the breaker', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: {} }, environment);
    const { signal } = new AbortController();
    policy.force('open');
    const waiting = Array.from({ length: 10_000 }, () => policy.waitUntilClosed(signal));
    policy.force('auto');
    await Promise.all(waiting);
    expect(getEventListeners(signal, 'abort').length).toBe(0);
  });

  it('rejects all of them at once when it is aborted', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { ...parts, bulkhead: { maxCalls: 20, maxQueued: 10_000 } }, environment);
    const caller = new AbortController();
    const calls = Array.from({ length: 10_000 }, () => outcomeOf(policy.execute(hanging, { signal: caller.signal })));
    await environment.settle();
    caller.abort(new Error('all of you'));
    await environment.settle();
    expect(new Set(calls.map(call => call.error?.message))).toEqual(new Set(['all of you']));
    expect(environment.pendingTimers).toBe(0);
    expect(policy.state).toBe('closed');
  });
});

describe('close', () => {
  it('rejects what waits for a slot, for its next try and for the breaker, and takes no more calls', async () => {
    const environment = virtualEnvironment();
    const options = { retry: {}, breaker: { failures: 2 }, bulkhead: { maxCalls: 1 } };
    const policy = createPolicy('p', options, environment);
    const retrying = outcomeOf(policy.execute(failing()));
    await environment.settle();
    const running = gate<string>();
    const first = outcomeOf(policy.execute(() => running.promise));
    const queued = outcomeOf(policy.execute(() => 'never'));
    await environment.settle();
    policy.force('open');
    const waiting = outcomeOf(policy.waitUntilClosed());
    await environment.settle();
    policy.close();
    policy.close();
    await environment.settle();
    for (const outcome of [retrying, queued, waiting])
      expect(outcome).toMatchObject({ status: 'rejected', error: { code: 'RUNTIME_STOPPED' } });
    expect(first.status).toBe('pending');
    running.open('finished');
    await environment.settle();
    expect(first).toEqual({ status: 'resolved', value: 'finished' });
    await expect(policy.execute(() => 'no')).rejects.toMatchObject({ code: 'RUNTIME_STOPPED' });
    await expect(policy.waitUntilClosed()).rejects.toMatchObject({ code: 'RUNTIME_STOPPED' });
    expect(environment.pendingTimers).toBe(0);
  });

  it("cancels the breaker's timer", async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: { failures: 1 } }, environment);
    await policy.execute(failing()).catch(() => {});
    expect(environment.pendingTimers).toBe(1);
    policy.close();
    expect(environment.pendingTimers).toBe(0);
  });

  it('cancels the probe', async () => {
    const environment = virtualEnvironment();
    let signal: AbortSignal | undefined;
    const probe = (given: AbortSignal) => {
      signal = given;
      return hanging();
    };
    const policy = createPolicy('p', { breaker: { failures: 1, openMs: 100 }, probe }, environment);
    await policy.execute(failing()).catch(() => {});
    await environment.advance(100);
    policy.close();
    await environment.settle();
    expect(signal?.reason.code).toBe('RUNTIME_STOPPED');
    expect(environment.pendingTimers).toBe(0);
    expect(policy.state).toBe('halfOpen');
  });

  it('lets a running try end within its time, but not be tried again or open the breaker', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { timeoutMs: 50, retry: {}, breaker: { failures: 1 } }, environment);
    const outcome = outcomeOf(policy.execute(hanging));
    await environment.settle();
    policy.close();
    await environment.advance(50);
    expect(outcome.error).toMatchObject({ code: 'TIMEOUT' });
    expect(policy.state).toBe('closed');
    expect(environment.pendingTimers).toBe(0);
  });
});
