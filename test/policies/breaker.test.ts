import { describe, expect, it } from 'vitest';
import type { BreakerState } from '../../runtime/policies/breaker.ts';
import { createPolicy, type Policy } from '../../runtime/policies/policy.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';
import { failing, gate, hanging, outcomeOf } from './helpers.ts';

const MINUTE = 60_000;

async function fail(policy: Policy, times: number, errorClass?: Parameters<typeof failing>[0]): Promise<void> {
  for (let i = 0; i < times; i++) await policy.execute(failing(errorClass)).catch(() => {});
}

function statesOf(policy: Policy): BreakerState[] {
  const states: BreakerState[] = [];
  policy.onState(state => states.push(state));
  return states;
}

describe('the breaker', () => {
  it('opens after 5 failures in a row, tries again after a minute, closes after 2 successes', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('redis', { breaker: {} }, environment);
    const states = statesOf(policy);
    await fail(policy, 4);
    await policy.execute(() => 'a success in between');
    await fail(policy, 4);
    expect(policy.state).toBe('closed');
    await fail(policy, 1);
    expect(policy.state).toBe('open');
    await environment.advance(MINUTE - 1);
    expect(policy.state).toBe('open');
    await environment.advance(1);
    expect(policy.state).toBe('halfOpen');
    await policy.execute(() => 'first');
    expect(policy.state).toBe('halfOpen');
    await policy.execute(() => 'second');
    expect(states).toEqual(['open', 'halfOpen', 'closed']);
  });

  it('refuses calls at once while it is open, saying why and until when', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('redis', { breaker: {}, retry: {} }, environment);
    const first = outcomeOf(policy.execute(failing()));
    await environment.advance(10_000);
    expect(first.error.message).toBe('down'); // the fifth failure opened it, and no sixth try was made
    const second = outcomeOf(policy.execute(() => 'never'));
    await environment.settle();
    expect(second.error).toMatchObject({ code: 'BREAKER_OPEN', class: 'transient', cause: { message: 'down' } });
    expect(second.error.message).toMatch(/policy redis: open because 5 calls in a row failed; tried again in \d+ ms/);
    expect(policy.snapshot()).toEqual({
      name: 'redis',
      breaker: 'open',
      calls: 2,
      failures: 5,
      retries: 4,
      timeouts: 0,
      rejected: 1,
    });
  });

  it('counts no poison and no fatal error, nor calls that their callers gave up', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: { failures: 2 } }, environment);
    await fail(policy, 1);
    await fail(policy, 10, 'poison');
    await fail(policy, 10, 'fatal');
    for (let i = 0; i < 10; i++) {
      const caller = new AbortController();
      outcomeOf(policy.execute(hanging, { signal: caller.signal }));
      await environment.settle();
      caller.abort();
      outcomeOf(policy.execute(hanging, { deadlineMs: 10 }));
      await environment.advance(10);
    }
    expect(policy.state).toBe('closed');
    await fail(policy, 1); // the second in a row: what proves nothing did not end the row either
    expect(policy.state).toBe('open');
  });

  it('counts time-outs as failures', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { timeoutMs: 10, breaker: { failures: 1 } }, environment);
    outcomeOf(policy.execute(hanging));
    await environment.advance(10);
    expect(policy.state).toBe('open');
  });

  it('opens again when a trial call fails, each time for longer, up to the maximum', async () => {
    const environment = virtualEnvironment();
    const breaker = { failures: 1, openMs: 100, openFactor: 3, maxOpenMs: 500 };
    const policy = createPolicy('p', { breaker }, environment);
    for (const openMs of [100, 300, 500, 500]) {
      await fail(policy, 1);
      await environment.advance(openMs - 1);
      expect(policy.state).toBe('open');
      await environment.advance(1);
      expect(policy.state).toBe('halfOpen');
    }
    await policy.execute(() => 'good');
    await policy.execute(() => 'good');
    await fail(policy, 1);
    await environment.advance(100); // closing reset the growth
    expect(policy.state).toBe('halfOpen');
  });

  it('lets no more trial calls through than it needs, and frees the place of one that proved nothing', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: { failures: 1, openMs: 100 } }, environment);
    await fail(policy, 1);
    await environment.advance(100);
    const trials = [gate(), gate()];
    const running = trials.map(trial => outcomeOf(policy.execute(() => trial.promise)));
    await expect(policy.execute(() => 'third')).rejects.toMatchObject({ code: 'BREAKER_OPEN' });
    trials[0]!.fail(Object.assign(new Error('bad row'), { class: 'poison' }));
    await environment.settle();
    expect(policy.state).toBe('halfOpen');
    await policy.execute(() => 'in its place');
    trials[1]!.open();
    await environment.settle();
    expect(policy.state).toBe('closed');
    expect(running.map(outcome => outcome.status)).toEqual(['rejected', 'resolved']);
  });

  it('starts its trials anew each time it is half open', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: { failures: 1, openMs: 100, successes: 3 } }, environment);
    await fail(policy, 1);
    await environment.advance(100);
    await policy.execute(() => 'good');
    outcomeOf(policy.execute(hanging));
    await fail(policy, 1);
    expect(policy.state).toBe('open');
    await environment.advance(100);
    for (const left of [2, 1, 0]) {
      expect(policy.state).toBe('halfOpen');
      expect(await policy.execute(() => left)).toBe(left);
    }
    expect(policy.state).toBe('closed');
  });

  it('ignores what calls of an earlier state come back with', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: { failures: 1, openMs: 100 } }, environment);
    const early = [gate(), gate(), gate()];
    for (const each of early) outcomeOf(policy.execute(() => each.promise));
    await fail(policy, 1);
    await environment.advance(100);
    early[0]!.open();
    early[1]!.fail(new Error('late'));
    await environment.settle();
    expect(policy.state).toBe('halfOpen');
    await policy.execute(() => 'good');
    await policy.execute(() => 'good');
    early[2]!.fail(new Error('later'));
    await environment.settle();
    expect(policy.state).toBe('closed');
  });

  it('opens by a share of failures when sampling, once there were enough calls', async () => {
    const sampling = { failureRatio: 0.5, calls: 10, minCalls: 6 };
    const policy = createPolicy('p', { breaker: { sampling } }, virtualEnvironment());
    await fail(policy, 5);
    expect(policy.state).toBe('closed'); // too few calls to say
    for (let i = 0; i < 5; i++) await policy.execute(() => 'good');
    expect(policy.state).toBe('closed'); // exactly half
    await fail(policy, 5); // push the five old failures out of the window of ten
    expect(policy.state).toBe('closed');
    await fail(policy, 1);
    expect(policy.state).toBe('open');
  });

  it('opens by slow calls, though they succeed', async () => {
    const environment = virtualEnvironment();
    const slow = { slowMs: 100, slowRatio: 0.5, calls: 4, minCalls: 4 };
    const policy = createPolicy('p', { breaker: { slow, openMs: 1000 }, bulkhead: { maxCalls: 1 } }, environment);
    const call = async (ms: number) => {
      const done = policy.execute(() => new Promise<void>(resolve => environment.clock.after(ms, resolve)));
      await environment.advance(ms);
      await done;
    };
    for (const ms of [100, 99, 99, 100]) await call(ms);
    expect(policy.state).toBe('closed'); // exactly half
    await call(100); // pushes a slow one out, so still half
    await call(100);
    expect(policy.state).toBe('open');
    await environment.advance(1000);
    await call(100); // a slow trial call is not a good one
    expect(policy.state).toBe('open');
    const refused = outcomeOf(policy.execute(() => 'no'));
    await environment.settle();
    expect(refused.error.message).toContain('a trial call took 100 ms');
  });

  it('takes a fast call with poison neither for a slow nor for a fast one', async () => {
    const environment = virtualEnvironment();
    const slow = { slowMs: 100, slowRatio: 0.5, calls: 3, minCalls: 3 };
    const policy = createPolicy('p', { breaker: { slow } }, environment);
    for (let i = 0; i < 3; i++) {
      expect(policy.state).toBe('closed');
      const done = policy.execute(() => new Promise<void>(resolve => environment.clock.after(100, resolve)));
      await environment.advance(100);
      await done;
      await fail(policy, 2, 'poison');
    }
    expect(policy.state).toBe('open');
  });

  it('does not take time in the queue of the bulkhead for a slow call', async () => {
    const environment = virtualEnvironment();
    const slow = { slowMs: 100, calls: 2, minCalls: 1, slowRatio: 0.01 };
    const policy = createPolicy('p', { breaker: { slow }, bulkhead: { maxCalls: 1 } }, environment);
    const calls = Array.from({ length: 20 }, () =>
      policy.execute(() => new Promise<void>(resolve => environment.clock.after(90, resolve))),
    );
    await environment.advance(20 * 90);
    await Promise.all(calls);
    expect(policy.state).toBe('closed');
  });
});

describe('the probe', () => {
  it('closes the breaker without any traffic, and calls wait for it meanwhile', async () => {
    const environment = virtualEnvironment();
    let up = false;
    const probed: number[] = [];
    const probe = async () => {
      probed.push(environment.clock.now());
      if (!up) throw new Error('still down');
    };
    const policy = createPolicy('p', { breaker: { failures: 1, openMs: 100, openFactor: 2 }, probe }, environment);
    const states = statesOf(policy);
    await fail(policy, 1);
    await environment.advance(300);
    up = true;
    await environment.advance(400);
    expect(probed).toEqual([100, 300, 700, 700]);
    expect(states).toEqual(['open', 'halfOpen', 'open', 'halfOpen', 'open', 'halfOpen', 'closed']);
  });

  it('alone decides: calls are refused while it runs', async () => {
    const environment = virtualEnvironment();
    const probing = gate();
    const options = { breaker: { failures: 1, openMs: 100, successes: 1 }, probe: () => probing.promise };
    const policy = createPolicy('p', options, environment);
    await fail(policy, 1);
    await environment.advance(100);
    expect(policy.state).toBe('halfOpen');
    await expect(policy.execute(() => 'no')).rejects.toMatchObject({ code: 'BREAKER_OPEN' });
    probing.open();
    await environment.settle();
    expect(policy.state).toBe('closed');
  });

  it('that hangs counts as failed after probeTimeoutMs and is told so by its signal', async () => {
    const environment = virtualEnvironment();
    let signal: AbortSignal | undefined;
    const probe = (given: AbortSignal) => {
      signal = given;
      return hanging();
    };
    const policy = createPolicy('p', { breaker: { failures: 1, openMs: 100, probeTimeoutMs: 50 }, probe }, environment);
    await fail(policy, 1);
    await environment.advance(149);
    expect(policy.state).toBe('halfOpen');
    await environment.advance(1);
    expect(policy.state).toBe('open');
    expect(signal?.reason.code).toBe('TIMEOUT');
  });

  it('that is slow counts as failed where slow calls count', async () => {
    const environment = virtualEnvironment();
    const probe = () => new Promise<void>(resolve => environment.clock.after(40, resolve));
    const options = { breaker: { failures: 1, openMs: 100, slow: { slowMs: 40 } }, probe };
    const policy = createPolicy('p', options, environment);
    await fail(policy, 1);
    await environment.advance(140);
    expect(policy.state).toBe('open');
  });

  it('is abandoned when the breaker is forced meanwhile', async () => {
    const environment = virtualEnvironment();
    const probing = gate();
    let signal: AbortSignal | undefined;
    const probe = (given: AbortSignal) => {
      signal = given;
      return probing.promise;
    };
    const policy = createPolicy('p', { breaker: { failures: 1, openMs: 100 }, probe }, environment);
    await fail(policy, 1);
    await environment.advance(100);
    policy.force('open');
    expect(signal?.aborted).toBe(true);
    probing.open();
    await environment.advance(MINUTE);
    expect(policy.state).toBe('forcedOpen');
    expect(environment.pendingTimers).toBe(0);
  });
});

describe('forcing', () => {
  it('open refuses all calls until it is back to automatic', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: {} }, environment);
    policy.force('open');
    await environment.advance(100 * MINUTE);
    await expect(policy.execute(() => 'no')).rejects.toThrow('forced open by an operator');
    policy.force('auto');
    expect(await policy.execute(() => 'yes')).toBe('yes');
  });

  it('closed lets all calls through whatever they come back with', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: { failures: 1 } }, environment);
    await fail(policy, 1);
    policy.force('closed');
    await fail(policy, 10);
    expect(policy.state).toBe('forcedClosed');
    policy.force('auto');
    expect(policy.state).toBe('closed');
    await fail(policy, 1);
    expect(policy.state).toBe('open');
  });

  it("back to automatic leaves the breaker's own states alone", async () => {
    const policy = createPolicy('p', { breaker: { failures: 1 } }, virtualEnvironment());
    await fail(policy, 1);
    policy.force('auto');
    expect(policy.state).toBe('open');
  });

  it('works on a policy without a breaker too', async () => {
    const policy = createPolicy('p', {}, virtualEnvironment());
    await fail(policy, 100);
    expect(policy.state).toBe('closed');
    policy.force('open');
    expect(policy.snapshot().breaker).toBe('forcedOpen');
    await expect(policy.execute(() => 'no')).rejects.toMatchObject({ code: 'BREAKER_OPEN' });
  });
});

describe('listeners', () => {
  it('hear each change once, until they stop listening', () => {
    const policy = createPolicy('p', { breaker: {} }, virtualEnvironment());
    const states: BreakerState[] = [];
    const stop = policy.onState(state => states.push(state));
    policy.force('open');
    policy.force('open');
    policy.force('closed');
    stop();
    policy.force('auto');
    expect(states).toEqual(['forcedOpen', 'forcedClosed']);
  });

  it('may force another state, of which the others then hear only', () => {
    const policy = createPolicy('p', { breaker: {} }, virtualEnvironment());
    policy.onState(state => {
      if (state === 'forcedOpen') policy.force('auto');
    });
    const states = statesOf(policy);
    policy.force('open');
    expect(policy.state).toBe('closed');
    expect(states).toEqual(['closed']);
  });
});

describe('a listener that throws', () => {
  it('goes uncaught, and leaves the call and the other listeners alone', async () => {
    const usual = process.rawListeners('uncaughtException') as NodeJS.UncaughtExceptionListener[];
    process.removeAllListeners('uncaughtException');
    const uncaught: string[] = [];
    process.on('uncaughtException', error => uncaught.push(error.message));
    try {
      const environment = virtualEnvironment();
      const policy = createPolicy('p', { breaker: { failures: 1 } }, environment);
      policy.onState(() => {
        throw new Error('in the listener');
      });
      const states = statesOf(policy);
      await expect(policy.execute(failing())).rejects.toThrow('down');
      await environment.settle();
      expect(states).toEqual(['open']);
      expect(uncaught).toEqual(['in the listener']);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of usual) process.on('uncaughtException', listener);
    }
  });
});

describe('waitUntilClosed', () => {
  it('resolves at once while calls go through, else when the probe closed the breaker', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: { failures: 1, openMs: 100 }, probe: async () => {} }, environment);
    await policy.waitUntilClosed();
    await fail(policy, 1);
    const waiting = outcomeOf(policy.waitUntilClosed());
    await environment.advance(99);
    expect(waiting.status).toBe('pending');
    await environment.advance(1);
    expect(waiting.status).toBe('resolved');
  });

  it('resolves when there is room for a trial call, again when one proved nothing', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: { failures: 1, openMs: 100, successes: 1 } }, environment);
    await fail(policy, 1);
    const first = outcomeOf(policy.waitUntilClosed());
    await environment.advance(100);
    expect(first.status).toBe('resolved');
    const caller = new AbortController();
    outcomeOf(policy.execute(hanging, { signal: caller.signal }));
    const second = outcomeOf(policy.waitUntilClosed());
    await environment.settle();
    expect(second.status).toBe('pending');
    caller.abort();
    await environment.settle();
    expect(second.status).toBe('resolved');
  });

  it('rejects when its signal is aborted', async () => {
    const environment = virtualEnvironment();
    const policy = createPolicy('p', { breaker: {} }, environment);
    policy.force('open');
    const caller = new AbortController();
    const waiting = outcomeOf(policy.waitUntilClosed(caller.signal));
    caller.abort(new Error('enough'));
    await environment.settle();
    expect(waiting.error.message).toBe('enough');
    await expect(policy.waitUntilClosed(caller.signal)).rejects.toThrow('enough');
  });
});
