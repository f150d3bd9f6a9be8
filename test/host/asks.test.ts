/** Asks that wait for their reply, and for how long. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeymillError, toWire } from '../../runtime/errors.ts';
import { Asks } from '../../runtime/host/asks.ts';
import { DEAD, DONE, DROPPED } from '../../runtime/lanes/port.ts';
import { type VirtualEnvironment, virtualEnvironment } from '../support/virtual-clock.ts';

interface Asking {
  asks: Asks;
  on: VirtualEnvironment;
  /** What became of each ask and when, in order. */
  ended: [what: string, at: number, how: string][];
  /** Opens an ask and returns its token. */
  open(what: string, timeoutMs: number): number;
}

function asking(): Asking {
  const on = virtualEnvironment();
  const asks = new Asks(on);
  const ended: Asking['ended'] = [];
  return {
    asks,
    on,
    ended,
    open(what, timeoutMs) {
      const { token, reply } = asks.open(what, timeoutMs);
      reply.then(
        value => ended.push([what, on.clock.now(), String(value)]),
        (error: KeymillError) => ended.push([what, on.clock.now(), error.code]),
      );
      return token;
    },
  };
}

describe('an ask', () => {
  it('resolves with its reply, and rejects with the error of its handler', async () => {
    const { asks } = asking();
    const [a, b, c] = [asks.open('a', 0), asks.open('b', 50), asks.open('c', 50)];
    asks.replied(b.token, true, { n: 1 });
    asks.replied(a.token, false, toWire(new TypeError('no', { cause: new Error('why') })));
    asks.fail(c.token, new Error('no room'));
    await expect(b.reply).resolves.toEqual({ n: 1 });
    await expect(a.reply).rejects.toMatchObject({ name: 'TypeError', message: 'no', cause: { message: 'why' } });
    await expect(c.reply).rejects.toThrow('no room');
    expect(asks.size).toBe(0);
  });

  it.each([
    [DONE, 'settled without a reply'],
    [DEAD, 'is dead'],
    [DROPPED, 'was dropped for want of room'],
  ] as const)('whose message settled without a reply says how: %i', async (outcome, how) => {
    const { asks } = asking();
    const { token, reply } = asks.open('the stock', 0);
    asks.settled(token, outcome);
    await expect(reply).rejects.toMatchObject({
      code: 'ASK_REJECTED',
      message: `ASK_REJECTED: the ask of the stock ${how}`,
    });
  });

  it('ends once: what comes later is not heard, nor what nobody asked', async () => {
    const { asks, on, ended, open } = asking();
    const token = open('a', 10);
    asks.replied(token, true, 'yes');
    asks.replied(token, true, 'again');
    asks.settled(token, DONE);
    asks.fail(token, new Error('late'));
    asks.replied(999, true, 'nobody');
    await on.advance(100);
    expect(ended).toEqual([['a', 0, 'yes']]);
  });

  it('has a token of its own, also when others have ended', () => {
    const { asks } = asking();
    const first = asks.open('a', 0);
    asks.replied(first.token, true, 1);
    expect(asks.open('b', 0).token).not.toBe(first.token);
  });
});

describe('a time-out', () => {
  it('comes so long after the call, to each at its own time', async () => {
    const { on, ended, open } = asking();
    open('a', 100);
    await on.advance(30);
    open('b', 100);
    open('c', 50);
    await on.advance(30);
    open('d', 100);
    open('e', 10);
    await on.advance(39);
    expect(ended).toEqual([
      ['e', 70, 'TIMEOUT'],
      ['c', 80, 'TIMEOUT'],
    ]);
    await on.advance(1);
    expect(ended.slice(2)).toEqual([['a', 100, 'TIMEOUT']]);
    await on.advance(1000);
    expect(ended.slice(3)).toEqual([
      ['b', 130, 'TIMEOUT'],
      ['d', 160, 'TIMEOUT'],
    ]);
  });

  it('names who was asked, and how long', async () => {
    const { asks, on } = asking();
    const { reply } = asks.open('stock/7', 250);
    reply.catch(() => undefined);
    await on.advance(250);
    await expect(reply).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: 'TIMEOUT: no reply from stock/7 within 250 ms',
    });
  });

  it('takes one timer, for all asks of the same patience', async () => {
    const { on, ended, open } = asking();
    for (let i = 0; i < 50; i++) {
      open(`a${i}`, 100);
      open(`b${i}`, 200);
      await on.advance(1);
      expect(on.pendingTimers).toBe(2);
    }
    await on.advance(60);
    expect([ended.length, on.pendingTimers]).toEqual([11, 2]);
    await on.advance(1000);
    expect([ended.length, on.pendingTimers]).toEqual([100, 0]);
  });

  it('does not come to one that was answered, and comes in time to the one behind it', async () => {
    const { asks, on, ended, open } = asking();
    const a = open('a', 100);
    await on.advance(40);
    open('b', 100);
    const c = open('c', 100);
    asks.replied(a, true, 'yes');
    asks.replied(c, true, 'yes');
    await on.advance(1000);
    expect(ended).toEqual([
      ['a', 40, 'yes'],
      ['c', 40, 'yes'],
      ['b', 140, 'TIMEOUT'],
    ]);
    expect(on.pendingTimers).toBe(0);
  });

  it('comes in time to one that is opened while the timer of an answered one runs, or after it', async () => {
    const { asks, on, ended, open } = asking();
    asks.replied(open('a', 100), true, 'yes');
    await on.advance(90);
    open('b', 100);
    await on.advance(200);
    expect(on.pendingTimers).toBe(0);
    open('c', 100);
    await on.advance(200);
    expect(ended.slice(1)).toEqual([
      ['b', 190, 'TIMEOUT'],
      ['c', 390, 'TIMEOUT'],
    ]);
  });

  it('of 0 never comes, and takes no timer', async () => {
    const { asks, on, ended, open } = asking();
    const token = open('a', 0);
    expect(on.pendingTimers).toBe(0);
    await on.advance(1e9);
    expect([ended, asks.size]).toEqual([[], 1]);
    asks.replied(token, true, 'at last');
    await on.settle();
    expect(ended).toEqual([['a', 1e9, 'at last']]);
  });
});

it('whatever is asked and answered when, each ends once and in time, and no time-out has two timers', async () => {
  const PATIENCE = [0, 7, 20, 50];
  const step = fc.record({
    op: fc.constantFrom('open', 'open', 'open', 'reply', 'reject', 'settle', 'wait', 'wait'),
    a: fc.nat({ max: 31 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async steps => {
      const { asks, on, ended, open } = asking();
      const opened: { what: string; token: number; until: number }[] = [];
      const expected = new Map<string, [at: number, how: string]>();
      for (const { op, a } of steps) {
        const now = on.clock.now();
        if (op === 'open') {
          const ms = PATIENCE[a % PATIENCE.length]!;
          const what = `ask ${opened.length}`;
          const until = ms === 0 ? Number.POSITIVE_INFINITY : now + ms;
          opened.push({ what, token: open(what, ms), until });
          expected.set(what, [until, 'TIMEOUT']);
        } else if (op === 'wait') await on.advance(a);
        else if (opened.length > 0) {
          const { what, token, until } = opened[a % opened.length]!;
          const isOpen = expected.get(what)![0] === until && until > now;
          if (op === 'reply') asks.replied(token, true, 'yes');
          else if (op === 'reject') asks.replied(token, false, toWire(new KeymillError('MAILBOX_FULL', 'x')));
          else asks.settled(token, DEAD);
          if (isOpen)
            expected.set(what, [now, { reply: 'yes', reject: 'MAILBOX_FULL', settle: 'ASK_REJECTED' }[op as 'reply']]);
          await on.settle();
        }
        expect(on.pendingTimers).toBeLessThan(PATIENCE.length);
      }
      await on.advance(1000);
      const all = [...expected].filter(([, [at]]) => at < Number.POSITIVE_INFINITY);
      expect(ended.toSorted()).toEqual(all.map(([what, [at, how]]) => [what, at, how]).toSorted());
      expect([asks.size, on.pendingTimers]).toEqual([expected.size - all.length, 0]);
      asks.close();
    }),
    { numRuns: 100 },
  );
});

describe('the end of the thread', () => {
  it('rejects all that wait, whatever their patience, and leaves no timer', async () => {
    const { asks, on, ended, open } = asking();
    const answered = open('answered', 30);
    for (const ms of [0, 30, 30, 60]) open(`${ms}`, ms);
    asks.replied(answered, true, 'yes');
    await on.advance(10);
    asks.close();
    expect([asks.size, on.pendingTimers]).toEqual([0, 0]);
    await on.advance(1000);
    expect(ended.slice(1)).toEqual(['0', '30', '30', '60'].map(what => [what, 10, 'RUNTIME_STOPPED']));
    expect(ended).toHaveLength(5);
  });
});
