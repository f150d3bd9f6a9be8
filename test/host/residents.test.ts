/** The state of keys and when it leaves memory (E7, E14; rule 16). */
import { describe, expect, it } from 'vitest';
import type { ActorDefinition, Context, Key } from '../../runtime/topology/define.ts';
import type { ActorOptionsInput } from '../../runtime/topology/options.ts';
import { type OneHost, oneHost } from '../support/one-host.ts';

interface State {
  key: Key;
  count: number;
}

interface Message {
  key: string;
  timerMs?: number;
}

/** An actor that counts its messages per key, and notes what was passivated. */
async function counting(
  options: ActorOptionsInput = {},
  more: Partial<ActorDefinition<Message, unknown, State>> = {},
): Promise<{
  on: OneHost;
  seen: string[];
  left: [key: Key, count: number, at: number][];
  push(key: string, timerMs?: number): void;
}> {
  const seen: string[] = [];
  const left: [Key, number, number][] = [];
  const on = await oneHost({
    actors: {
      one: {
        key: (message: Message) => message.key,
        state: (key: Key): State => ({ key, count: 0 }),
        handle: (message: Message, ctx: Context<State>) => {
          ctx.state.count++;
          seen.push(`${message.key}${ctx.state.count}`);
          if (message.timerMs) ctx.timer('t', message.timerMs);
        },
        onPassivate: (state: State, key: Key) => void left.push([key, state.count, on.environment.clock.now()]),
        onTimer() {},
        options: { passivateMs: 10_000, ...options },
        ...more,
      },
    },
  });
  return { on, seen, left, push: (key, timerMs) => void on.push('one', { key, ...(timerMs ? { timerMs } : {}) }) };
}

describe('state', () => {
  it('is made once per key, on its first use, and kept from message to message', async () => {
    const { on, seen, push } = await counting();
    for (const key of ['a', 'b', 'a', 'a']) push(key);
    await on.settle();
    expect(seen.sort()).toEqual(['a1', 'a2', 'a3', 'b1']);
    expect(on.stats('one').residentKeys).toBe(2);
  });

  it('may be replaced by the handler', async () => {
    const { on, seen, push } = await counting(
      {},
      {
        handle: (message: Message, ctx: Context<State>) => {
          ctx.state = { key: message.key, count: ctx.state.count + 10 };
          seen.push(`${ctx.state.count}`);
        },
      },
    );
    for (let i = 0; i < 2; i++) push('a');
    await on.settle();
    expect(seen).toEqual(['10', '20']);
  });

  it('is not made for keys that never look at it, and then nothing is passivated', async () => {
    let made = 0;
    const { on, left, push } = await counting({}, { state: key => ({ key, count: made++ }), handle() {} });
    push('a');
    await on.advance(60_000);
    expect([made, left]).toEqual([0, []]);
    expect(on.stats('one').residentKeys).toBe(0);
  });
});

describe('a key that is idle too long', () => {
  it('leaves memory by way of onPassivate, and starts anew when it comes back', async () => {
    const { on, seen, left, push } = await counting();
    push('a');
    push('a');
    await on.advance(9000);
    expect(left).toEqual([]);
    await on.advance(4000);
    expect(left.map(([key, count]) => [key, count])).toEqual([['a', 2]]);
    expect(on.stats('one')).toMatchObject({ residentKeys: 0, passivated: 1 });
    push('a');
    await on.settle();
    expect(seen).toEqual(['a1', 'a2', 'a1']);
  });

  it('leaves once, however much time passes', async () => {
    const { on, left, push } = await counting();
    push('a');
    await on.advance(200_000);
    expect(left).toHaveLength(1);
    expect(on.stats('one').passivated).toBe(1);
  });

  it('stays while messages come', async () => {
    const { on, left, push } = await counting();
    for (let i = 0; i < 10; i++) {
      push('a');
      await on.advance(5000);
    }
    expect(left).toEqual([]);
  });

  it('is one mailbox still when it is in use again: no two batches of it run side by side', async () => {
    let running = 0;
    let most = 0;
    const { on, push } = await counting(
      {},
      {
        handle: async () => {
          most = Math.max(most, ++running);
          await new Promise<void>(resolve => on.environment.clock.after(30_000, resolve));
          running--;
        },
      },
    );
    for (let round = 0; round < 4; round++) {
      push('a');
      await on.advance(60_000);
      push('a');
      await on.advance(12_500); // the first life of the key was idle long enough by now
      push('a');
      await on.advance(100_000);
    }
    expect(most).toBe(1);
  });

  it('holds its messages back while onPassivate runs, and gives them a new state', async () => {
    const gate = Promise.withResolvers<void>();
    const { on, seen, push } = await counting({}, { onPassivate: () => gate.promise });
    push('a');
    await on.advance(13_000);
    push('a');
    await on.advance(1000);
    expect(seen).toEqual(['a1']);
    gate.resolve();
    await on.settle();
    expect(seen).toEqual(['a1', 'a1']);
    await on.advance(1000);
    push('a');
    await on.settle();
    expect(seen.at(-1)).toBe('a2');
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('no');
      },
    ],
    ['rejects', async () => Promise.reject(new Error('no'))],
  ])('leaves all the same when onPassivate %s, and that is logged', async (_how, onPassivate) => {
    const { on, seen, push } = await counting({}, { onPassivate });
    push('a');
    await on.advance(20_000);
    expect(on.stats('one').residentKeys).toBe(0);
    expect(on.report('log')).toMatchObject([{ level: 'error', text: expect.stringContaining('onPassivate failed') }]);
    push('a');
    await on.settle();
    expect(seen).toEqual(['a1', 'a1']);
  });
});

describe('a key that is pinned stays, however long it is idle', () => {
  it('by a timer', async () => {
    const { on, left, push } = await counting();
    push('a', 50_000);
    await on.advance(49_000);
    expect(left).toEqual([]);
    await on.advance(20_000);
    expect(left).toHaveLength(1);
  });

  it('by a pause', async () => {
    const { on, left, push } = await counting();
    push('a');
    await on.settle();
    on.key('one', 'a', 'pause');
    await on.advance(100_000);
    expect(left).toEqual([]);
    on.key('one', 'a', 'resume');
    await on.advance(20_000);
    expect(left).toHaveLength(1);
  });

  it('by a back-off', async () => {
    const { on, left, push } = await counting(
      { retry: { delayMs: 60_000, maxDelayMs: 60_000, jitter: 0 } },
      {
        handle: (_message, ctx: Context<State>) => {
          if (ctx.state.count++ === 0) throw new Error('first');
        },
      },
    );
    push('a');
    await on.advance(59_000);
    expect(left).toEqual([]);
    await on.advance(20_000);
    expect(left.map(([key, count]) => [key, count])).toEqual([['a', 2]]);
  });

  it('also when keys may not be idle at all', async () => {
    const { on, left, push } = await counting({ passivateMs: 0 });
    push('a');
    await on.settle();
    on.key('one', 'a', 'pause');
    push('b');
    await on.advance(5000);
    expect(left.map(([key]) => key)).toEqual(['b']);
  });
});

describe('maxResident', () => {
  it('makes the key idle longest leave for each one too many', async () => {
    const { on, left, push } = await counting({ maxResident: 3 });
    for (const key of ['a', 'b', 'c', 'a', 'd', 'e']) {
      push(key);
      await on.advance(10);
    }
    expect(left.map(([key]) => key)).toEqual(['b', 'c']);
    expect(on.stats('one').residentKeys).toBe(3);
  });

  it('lets no key go that is at work', async () => {
    const { on, left, push } = await counting(
      { maxResident: 2 },
      { handle: () => new Promise<void>(resolve => on.environment.clock.after(100, resolve)) },
    );
    for (const key of ['a', 'b', 'c', 'd']) push(key);
    await on.settle();
    expect(left).toEqual([]);
    expect(on.stats('one').residentKeys).toBe(4);
  });
});

describe('hooks', () => {
  it('init runs before the first message, which waits for it; close after every onPassivate', async () => {
    const log: string[] = [];
    const gate = Promise.withResolvers<void>();
    const { OneHost: Class } = await import('../support/one-host.ts');
    const on = new Class({
      actors: {
        one: {
          key: (key: string) => key,
          state: key => key,
          init: async ctx => {
            log.push(`init ${ctx.actor}`);
            await gate.promise;
          },
          handle: (key: string, ctx: Context) => void log.push(`handle ${key} ${String(ctx.state)}`),
          onPassivate: (_state, key) => void log.push(`passivate ${String(key)}`),
          close: () => void log.push('close'),
        },
      },
    });
    const opened = on.open();
    for (const key of ['a', 'b']) on.push('one', key);
    await on.settle();
    expect(log).toEqual(['init one']);
    gate.resolve();
    await opened;
    await on.settle();
    expect(log.slice(1)).toEqual(['handle a a', 'handle b b']);
    const closed = on.host.close();
    await on.settle();
    await closed;
    expect(log.slice(3)).toEqual(['passivate a', 'passivate b', 'close']);
    on.host.dispose();
    expect(on.environment.pendingTimers).toBe(0);
  });

  it('init that fails fails the start', async () => {
    await expect(
      oneHost({ actors: { one: { key: () => 1, handle() {}, init: () => Promise.reject(new Error('no database')) } } }),
    ).rejects.toThrow('no database');
  });

  it('close that fails is logged, and the others are called all the same', async () => {
    const log: string[] = [];
    const close = (name: string) => () => {
      log.push(name);
      throw new Error('no');
    };
    const on = await oneHost({
      actors: {
        one: { key: () => 1, handle() {}, close: close('one') },
        two: { key: () => 1, handle() {}, close: close('two') },
      },
    });
    await on.host.close();
    expect(log).toEqual(['one', 'two']);
    expect(on.report('log').filter(one => one.text === 'close failed')).toHaveLength(2);
  });
});
