/** Handlers that take too long (rule 9): their key stays held until they end, or the host is recycled. */
import { describe, expect, it } from 'vitest';
import type { Context } from '../../runtime/topology/define.ts';
import type { ActorOptionsInput } from '../../runtime/topology/options.ts';
import { type OneHost, oneHost } from '../support/one-host.ts';

interface Call {
  at: number;
  body: unknown;
  signal: AbortSignal;
  resolve(value?: unknown): void;
  reject(error: unknown): void;
}

/** An actor, one key per first letter of the message, whose every call ends when the test says so. */
async function manual(options: ActorOptionsInput = {}): Promise<{ on: OneHost; calls: Call[] }> {
  const calls: Call[] = [];
  const on = await oneHost({
    actors: {
      slow: {
        key: (body: string) => body[0]!,
        handle: (body: string, ctx: Context) => {
          const { promise, resolve, reject } = Promise.withResolvers<unknown>();
          calls.push({ at: on.environment.clock.now(), body, signal: ctx.signal, resolve, reject });
          return promise;
        },
        options: { timeoutMs: 1000, zombieMs: 5000, retry: { delayMs: 100, jitter: 0, attempts: 2 }, ...options },
      },
    },
  });
  return { on, calls };
}

describe('a handler that runs out of its time', () => {
  it('is told by its signal, with the reason', async () => {
    const { on, calls } = await manual();
    on.push('slow', 'a');
    await on.advance(999);
    expect(calls[0]!.signal.aborted).toBe(false);
    await on.advance(1);
    expect(calls[0]!.signal.aborted).toBe(true);
    expect(calls[0]!.signal.reason).toMatchObject({ code: 'HANDLER_TIMEOUT' });
    expect(on.stats('slow').timeouts).toBe(1);
  });

  it('is told also when it looks at the signal for the first time afterwards', async () => {
    let late: AbortSignal | undefined;
    const on = await oneHost({
      actors: {
        slow: {
          key: () => 'k',
          handle: (_body: null, ctx: Context) =>
            new Promise<void>(resolve =>
              on.environment.clock.after(1500, () => {
                late = ctx.signal;
                resolve();
              }),
            ),
          options: { timeoutMs: 1000 },
        },
      },
    });
    on.push('slow', null);
    await on.advance(1500);
    expect(late!.aborted).toBe(true);
  });

  it('is noticed also when all that began before it are late already', async () => {
    const { on, calls } = await manual();
    on.push('slow', 'a1');
    await on.advance(1500);
    on.push('slow', 'b1');
    await on.advance(999);
    expect(calls.map(call => call.signal.aborted)).toEqual([true, false]);
    await on.advance(1);
    expect(calls.map(call => call.signal.aborted)).toEqual([true, true]);
  });

  it('keeps its key until it has ended, and only then is the message tried again', async () => {
    const { on, calls } = await manual();
    on.push('slow', 'a1');
    on.push('slow', 'a2');
    on.push('slow', 'b1');
    await on.advance(3000);
    expect(calls.map(call => call.body)).toEqual(['a1', 'b1']);
    calls[0]!.reject(new Error('gave up'));
    await on.advance(99);
    expect(calls).toHaveLength(2);
    await on.advance(1);
    expect(calls[2]).toMatchObject({ at: 3100, body: 'a1' });
    calls[2]!.resolve();
    await on.settle();
    expect(calls[3]).toMatchObject({ at: 3100, body: 'a2' });
  });

  it('is charged an attempt, as HANDLER_TIMEOUT with what it threw as the cause, whatever the class of that', async () => {
    const { on, calls } = await manual();
    on.push('slow', 'a');
    for (let i = 0; i < 2; i++) {
      await on.advance(1100);
      calls[i]!.reject(Object.assign(new Error('aborted'), { class: 'transient' }));
      await on.settle();
    }
    await on.advance(1000);
    expect(on.outcomes).toEqual({ 0: 'dead' });
    expect(on.letters).toMatchObject([
      { attempts: 2, error: { code: 'HANDLER_TIMEOUT', cause: { message: 'aborted' } } },
    ]);
  });

  it('has its host recycled when it lingers beyond zombieMs', async () => {
    const { on } = await manual();
    on.push('slow', 'a');
    await on.advance(5999);
    expect(on.report('recycle')).toEqual([]);
    await on.advance(1);
    expect(on.report('recycle')).toMatchObject([{ reason: 'zombie', ledger: [expect.any(Number)] }]);
  });

  it('has not when it ended in time, nor when zombieMs is 0', async () => {
    const { on, calls } = await manual();
    on.push('slow', 'a');
    await on.advance(5000);
    calls[0]!.resolve();
    await on.advance(60_000);
    const patient = await manual({ zombieMs: 0 });
    patient.on.push('slow', 'a');
    await patient.on.advance(600_000);
    expect([...on.report('recycle'), ...patient.on.report('recycle')]).toEqual([]);
  });

  it('is never cut short when timeoutMs is 0', async () => {
    const { on, calls } = await manual({ timeoutMs: 0 });
    on.push('slow', 'a');
    await on.advance(10_000_000);
    expect(calls[0]!.signal.aborted).toBe(false);
  });
});

describe('the time of a handler', () => {
  it('starts anew with each message of a turn', async () => {
    const { on, calls } = await manual();
    for (const body of ['a1', 'a2', 'a3']) on.push('slow', body);
    for (let i = 0; i < 3; i++) {
      await on.advance(900);
      expect(calls).toHaveLength(i + 1);
      calls[i]!.resolve();
      await on.settle();
    }
    expect(on.stats('slow').timeouts).toBe(0);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done', 2: 'done' });
  });

  it('is its own, though many run: each times out at its own moment', async () => {
    const { on, calls } = await manual();
    for (const body of ['a', 'b', 'c']) {
      on.push('slow', body);
      await on.advance(300);
    }
    const aborted = () => calls.map(call => call.signal.aborted);
    await on.advance(100);
    expect(aborted()).toEqual([true, false, false]);
    calls[1]!.resolve();
    await on.advance(300);
    expect(aborted()).toEqual([true, false, false]);
    await on.advance(300);
    expect(aborted()).toEqual([true, false, true]);
    expect(on.stats('slow').timeouts).toBe(2);
  });

  it('leaves the message after a late one its whole time, and a signal of its own', async () => {
    const { on, calls } = await manual();
    on.push('slow', 'a1');
    on.push('slow', 'a2');
    await on.advance(1500);
    calls[0]!.resolve();
    await on.advance(999);
    expect(calls[1]!.signal.aborted).toBe(false);
    await on.advance(1);
    expect(calls[1]!.signal.aborted).toBe(true);
  });
});

it('a batch that ends late has still done what it says it did', async () => {
  const { on, calls } = await manual();
  on.push('slow', 'a');
  await on.advance(1500);
  calls[0]!.resolve();
  await on.advance(10_000);
  expect(calls).toHaveLength(1);
  expect(on.outcomes).toEqual({ 0: 'done' });
});
