import { describe, expect, it } from 'vitest';
import { createPolicy } from '../../runtime/policies/policy.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';
import { failing, gate, hanging, outcomeOf } from './helpers.ts';

describe('the bulkhead', () => {
  it('runs no more than maxCalls at once, and the rest in order of arrival', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { bulkhead: { maxCalls: 2, maxQueued: 10 } }, environment);
    const started: number[] = [];
    const gates = Array.from({ length: 5 }, () => gate());
    gates.forEach((each, i) => {
      void policy.execute(() => {
        started.push(i);
        return each.promise;
      });
    });
    await environment.settle();
    expect(started).toEqual([0, 1]);
    gates[1]!.open();
    await environment.settle();
    expect(started).toEqual([0, 1, 2]);
    for (const each of gates) each.open();
    await environment.settle();
    expect(started).toEqual([0, 1, 2, 3, 4]);
  });

  it('refuses what finds the queue full with BULKHEAD_FULL', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy(
      'sql',
      { bulkhead: { maxCalls: 1, maxQueued: 1 }, breaker: { failures: 1 } },
      environment,
    );
    void policy.execute(hanging);
    const queued = outcomeOf(policy.execute(() => 'later'));
    await expect(policy.execute(() => 'no')).rejects.toMatchObject({ code: 'BULKHEAD_FULL', class: 'throttled' });
    expect(queued.status).toBe('pending');
    expect(policy.snapshot()).toMatchObject({ rejected: 1, failures: 0, breaker: 'closed' });
  });

  it('refused calls are tried again like throttled ones', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { retry: { jitter: 0 }, bulkhead: { maxCalls: 1, maxQueued: 0 } }, environment);
    const first = gate();
    void policy.execute(() => first.promise);
    const second = outcomeOf(policy.execute(({ attempt }) => attempt));
    await environment.advance(150);
    first.open();
    await environment.advance(150);
    expect(second).toEqual({ status: 'resolved', value: 3 });
  });

  it('no newcomer steps in front of the queue, however soon it comes after a slot falls free', async () => {
    for (let ticks = 0; ticks < 12; ticks++) {
      const environment = virtualEnvironment();
      const policy = createPolicy('p', { bulkhead: { maxCalls: 1, maxQueued: 1 } }, environment);
      const order: string[] = [];
      const first = gate();
      void policy.execute(() => first.promise);
      const queued = outcomeOf(policy.execute(() => order.push('queued')));
      await environment.settle();
      first.open();
      for (let i = 0; i < ticks; i++) await null;
      void policy.execute(() => order.push('newcomer')).catch(() => order.push('newcomer refused'));
      await environment.settle();
      expect(queued.status).toBe('resolved');
      expect(order.filter(name => name !== 'newcomer refused')[0]).toBe('queued');
    }
  });

  it('lets an aborted call out of the queue at once, and its place go to the next', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { bulkhead: { maxCalls: 1, maxQueued: 1 } }, environment);
    const first = gate();
    const caller = new AbortController();
    void policy.execute(() => first.promise);
    const aborted = outcomeOf(policy.execute(() => 'no', { signal: caller.signal }));
    caller.abort(new Error('gone'));
    await environment.settle();
    expect(aborted).toMatchObject({ status: 'rejected', error: { message: 'gone' } });
    const next = outcomeOf(policy.execute(() => 'next'));
    first.open();
    await environment.settle();
    expect(next).toEqual({ status: 'resolved', value: 'next' });
  });

  it('gives the slot back after failures, time-outs and deadlines alike', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { timeoutMs: 10, bulkhead: { maxCalls: 1, maxQueued: 0 } }, environment);
    outcomeOf(policy.execute(hanging, { deadlineMs: 5 }));
    await environment.advance(5);
    outcomeOf(policy.execute(hanging));
    await environment.advance(10);
    outcomeOf(policy.execute(failing()));
    await environment.settle();
    expect(await policy.execute(() => 'free')).toBe('free');
  });

  it('holds no slot between two tries', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { retry: {}, bulkhead: { maxCalls: 1, maxQueued: 0 } }, environment);
    const call = policy.execute(({ attempt }) => (attempt === 1 ? failing()() : 'done'));
    await environment.settle();
    expect(await policy.execute(() => 'meanwhile')).toBe('meanwhile');
    await environment.advance(100);
    expect(await call).toBe('done');
  });

  it('queues nobody for a dependency whose breaker is open', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: {}, bulkhead: { maxCalls: 1 } }, environment);
    outcomeOf(policy.execute(hanging));
    await environment.settle();
    policy.force('open');
    await expect(policy.execute(() => 'no')).rejects.toMatchObject({ code: 'BREAKER_OPEN' });
  });

  it('does not let queued calls through to a dependency whose breaker opened meanwhile', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: { failures: 1 }, bulkhead: { maxCalls: 1 } }, environment);
    const first = gate();
    outcomeOf(policy.execute(() => first.promise));
    const queued = outcomeOf(policy.execute(() => 'called'));
    first.fail(new Error('down'));
    await environment.settle();
    expect(queued.error).toMatchObject({ code: 'BREAKER_OPEN', cause: { message: 'down' } });
  });
});
