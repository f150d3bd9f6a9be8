import { describe, expect, it } from 'vitest';
import { createPolicy } from '../../runtime/policies/policy.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';
import { failing, hanging, outcomeOf } from './helpers.ts';

describe('the time-out of a try', () => {
  it('rejects with TIMEOUT, aborts the signal of the try, and is tried again', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('redis', { timeoutMs: 5000, retry: { attempts: 3, delayMs: 0 } }, environment);
    const signals: AbortSignal[] = [];
    const outcome = outcomeOf(
      policy.execute(({ signal }) => {
        signals.push(signal);
        return hanging();
      }),
    );
    await environment.advance(14_999);
    expect(outcome.status).toBe('pending');
    await environment.advance(1);
    expect(outcome.error).toMatchObject({ code: 'TIMEOUT', class: 'transient', place: { at: 'policy redis' } });
    expect(signals.map(signal => signal.reason.code)).toEqual(['TIMEOUT', 'TIMEOUT', 'TIMEOUT']);
    expect(policy.snapshot()).toMatchObject({ timeouts: 3, failures: 3, retries: 2 });
    expect(environment.pendingTimers).toBe(0);
  });

  it('leaves a call alone that is done in time, and its signal too', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { timeoutMs: 100 }, environment);
    let signal: AbortSignal | undefined;
    const outcome = outcomeOf(
      policy.execute(ctx => {
        signal = ctx.signal;
        return new Promise(resolve => environment.clock.after(99, () => resolve('done')));
      }),
    );
    await environment.advance(1000);
    expect(outcome).toEqual({ status: 'resolved', value: 'done' });
    expect(signal?.aborted).toBe(false);
  });
});

describe('the deadline', () => {
  it('ends a call across its tries, and cuts the time-out of the last one shorter', async () => {
    const environment = virtualEnvironment();
    const retry = { kind: 'fixed', delayMs: 100, jitter: 0 } as const;
    const policy = createPolicy('p', { deadlineMs: 1200, timeoutMs: 400, retry }, environment);
    const left: (number | undefined)[] = [];
    let last: AbortSignal | undefined;
    const outcome = outcomeOf(
      policy.execute(({ signal, deadlineMs }) => {
        left.push(deadlineMs);
        last = signal;
        return hanging();
      }),
    );
    await environment.advance(1199);
    expect(outcome.status).toBe('pending');
    await environment.advance(1);
    expect(left).toEqual([400, 400, 200]);
    expect(outcome.error).toMatchObject({ code: 'DEADLINE', cause: { code: 'TIMEOUT' } });
    expect(last?.reason).toBe(outcome.error);
    expect(policy.snapshot()).toMatchObject({ failures: 2, timeouts: 3 });
    expect(environment.pendingTimers).toBe(0);
  });

  it('does not wait for a try that it would not allow any more', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { deadlineMs: 300, retry: { jitter: 0 } }, environment); // the next: 100 to 300
    const outcome = outcomeOf(policy.execute(failing()));
    await environment.advance(100);
    expect(environment.clock.now()).toBe(100);
    expect(outcome.error).toMatchObject({ code: 'DEADLINE', cause: { message: 'down' } });
  });

  it("is the shorter one of the policy's and the call's", async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { deadlineMs: 500 }, environment);
    const left: (number | undefined)[] = [];
    for (const deadlineMs of [undefined, 200, 900])
      await policy.execute(ctx => left.push(ctx.deadlineMs), { deadlineMs });
    expect(left).toEqual([500, 200, 500]);
  });

  it('that has passed already ends the call before its first try', async () => {
    const policy = createPolicy('p', {}, virtualEnvironment());
    const called: number[] = [];
    const call = policy.execute(({ attempt }) => called.push(attempt), { deadlineMs: 0 });
    await expect(call).rejects.toMatchObject({ code: 'DEADLINE' });
    expect(called).toEqual([]);
  });

  it('is absent when nothing bounds the call, and bears what no timer can', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', {}, environment);
    expect(await policy.execute(ctx => ctx.deadlineMs)).toBe(undefined);
    expect(await policy.execute(ctx => ctx.deadlineMs, { deadlineMs: Number.POSITIVE_INFINITY })).toBe(undefined);
    const look = (ctx: { deadlineMs: number | undefined }) => [ctx.deadlineMs, environment.pendingTimers];
    expect(await policy.execute(look, { deadlineMs: 2 ** 40 })).toEqual([2 ** 40, 0]);
  });

  it('shrinks inward through nested policies, read when it is handed on', async () => {
    const environment = virtualEnvironment();
    const outer = createPolicy('outer', { deadlineMs: 1000 }, environment);
    const inner = createPolicy('inner', { deadlineMs: 5000, timeoutMs: 300 }, environment);
    const left: (number | undefined)[] = [];
    const outcome = outcomeOf(
      outer.execute(async ctx => {
        await new Promise<void>(resolve => environment.clock.after(800, resolve));
        return inner.execute(({ deadlineMs }) => {
          left.push(deadlineMs);
          return hanging();
        }, ctx);
      }),
    );
    await environment.advance(1000);
    expect(left).toEqual([200]);
    expect(outcome.error).toMatchObject({ code: 'DEADLINE' });
    await environment.settle();
    expect(environment.pendingTimers).toBe(0);
  });

  it('counts the time in the queue of the bulkhead', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { bulkhead: { maxCalls: 1 } }, environment);
    void policy.execute(hanging);
    const queued = outcomeOf(policy.execute(() => 'never', { deadlineMs: 100 }));
    await environment.advance(100);
    expect(queued.error).toMatchObject({ code: 'DEADLINE' });
  });
});
