/** What handlers send, ask and set timers for (D1, E8, E14; rules 2 and 8). */
import { describe, expect, it } from 'vitest';
import { KeymillError } from '../../runtime/errors.ts';
import { type BatchContext, type Context, defineActor } from '../../runtime/topology/define.ts';
import { LocalCounter } from '../support/local-counter.ts';
import { type OneHost, oneHost } from '../support/one-host.ts';

type Handler = (message: never, ctx: Context) => unknown;

/** A parent that does what `script` says call by call, and a child that notes what comes. */
async function family(
  script: Handler[],
  options: Record<string, unknown> = {},
  child: Record<string, unknown> = {},
): Promise<{ on: OneHost; got: { id: string; message: unknown }[] }> {
  const got: { id: string; message: unknown }[] = [];
  const on = await oneHost({
    actors: {
      parent: {
        key: () => 'p',
        handle: (message, ctx) => script.shift()?.(message as never, ctx),
        options: { retry: { delayMs: 100, jitter: 0, attempts: 3 }, ...options },
      },
      child: {
        key: (message: { key?: string }) => message.key ?? 'c',
        handle: (message, ctx) => void got.push({ id: ctx.id, message }),
        options: child,
      },
    },
  });
  return { on, got };
}

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return (error as KeymillError).code ?? String(error);
  }
  return 'nothing thrown';
}

describe('what a handler sends', () => {
  it('leaves when it resolves, and the message settles after its children', async () => {
    const gate = Promise.withResolvers<void>();
    const { on, got } = await family([
      async (_message, ctx) => {
        ctx.send('child', { n: 1 });
        ctx.send('child', { n: 2 });
        await gate.promise;
      },
    ]);
    on.push('parent', null);
    await on.settle();
    expect(got).toEqual([]);
    on.key('child', 'c', 'pause');
    gate.resolve();
    await on.settle();
    expect(on.outcomes).toEqual({});
    on.key('child', 'c', 'resume');
    await on.settle();
    expect(got.map(one => one.message)).toEqual([{ n: 1 }, { n: 2 }]);
    expect(on.outcomes).toEqual({ 0: 'done' });
  });

  it('frees the key of its parent at once: the next message need not wait for the children', async () => {
    const order: string[] = [];
    const { on } = await family([(_message, ctx) => ctx.send('child', {}), () => order.push('second')]);
    on.key('child', 'c', 'pause');
    on.push('parent', null);
    on.push('parent', null);
    await on.settle();
    expect(order).toEqual(['second']);
    expect(on.settledInOrder).toEqual([[1, 'done']]);
  });

  it('is forgotten when it fails', async () => {
    const { on, got } = await family([
      (_message, ctx) => {
        ctx.send('child', { n: 'never' });
        throw new Error('after all');
      },
      (_message, ctx) => ctx.send('child', { n: 'once' }),
    ]);
    on.push('parent', null);
    await on.advance(1000);
    expect(got.map(one => one.message)).toEqual([{ n: 'once' }]);
  });

  it('has the same ids at a rerun, by the order of the sends', async () => {
    const ids: string[] = [];
    const send = (fails: boolean) => (_message: never, ctx: Context) => {
      for (let i = 0; i < 3; i++) ctx.send('child', { i });
      ids.push(ctx.id);
      if (fails) throw new Error('again');
    };
    const { on, got } = await family([send(true), send(false), send(false)]);
    on.push('parent', null, { source: 'orders', position: 41 });
    on.push('parent', null, { source: 'orders', position: 42 });
    await on.advance(1000);
    expect(ids).toEqual(['orders/0/41', 'orders/0/41', 'orders/0/42']);
    expect(got.map(one => one.id)).toEqual([41, 42].flatMap(at => [0, 1, 2].map(i => `orders/0/${at}.${i}`)));
  });

  it('has ids that do not depend on what was asked between the sends', async () => {
    const counter = new LocalCounter();
    const got: string[] = [];
    let cached = false;
    const on = await oneHost({
      io: { counter: counter.spec },
      actors: {
        parent: {
          key: () => 'p',
          handle: async (_message, ctx: Context) => {
            ctx.send('child', 1);
            if (!cached) await ctx.io<{ add(n: number): Promise<number> }>('counter').add(1);
            cached = true;
            ctx.send('child', 2);
          },
        },
        child: { key: () => 'c', handle: (_message, ctx) => void got.push(ctx.id) },
      },
    });
    // The same message twice, as after a crash: the second run finds in a cache what the first had to ask for.
    for (let life = 0; life < 2; life++) {
      on.push('parent', null, { position: 7 });
      await on.settle();
    }
    expect(got).toEqual(['src/0/7.0', 'src/0/7.1', 'src/0/7.0', 'src/0/7.1']);
  });

  it('reaches grandchildren, and all of them settle before the message does', async () => {
    const seen: string[] = [];
    const on = await oneHost({
      actors: {
        a: { key: () => 1, handle: (_m, ctx) => [1, 2].forEach(n => void ctx.send('b', n)) },
        b: { key: (n: number) => n, handle: (n: number, ctx: Context) => ctx.send('c', n * 10) },
        c: { key: (n: number) => n, handle: (_n: number, ctx: Context) => void seen.push(ctx.id) },
      },
    });
    for (const key of [10, 20]) on.key('c', key, 'pause');
    on.push('a', null);
    await on.settle();
    on.key('c', 20, 'resume');
    await on.settle();
    expect(on.outcomes).toEqual({});
    on.key('c', 10, 'resume');
    await on.settle();
    expect(seen.sort()).toEqual(['src/0/0.0.0', 'src/0/0.1.0']);
    expect(on.outcomes).toEqual({ 0: 'done' });
  });

  it('settles its parent as done though it died itself: its own letter speaks for it', async () => {
    const on = await oneHost({
      actors: {
        parent: { key: () => 'p', handle: (_m, ctx) => ctx.send('child', 1) },
        child: {
          key: () => 'c',
          handle: () => {
            throw new Error('no');
          },
          options: { retry: { attempts: 1 } },
        },
      },
    });
    on.push('parent', null);
    await on.settle();
    expect(on.outcomes).toEqual({ 0: 'done' });
    expect(on.letters).toMatchObject([{ id: 'src/0/0.0', actor: 'child' }]);
  });

  it('is a copy of the moment of the call', async () => {
    const { on, got } = await family([
      (_message, ctx) => {
        const message = { list: [1] };
        ctx.send('child', message);
        message.list.push(2);
      },
    ]);
    on.push('parent', null);
    await on.settle();
    expect(got[0]!.message).toEqual({ list: [1] });
  });

  it('waits for room, holding its key meanwhile, and settles its parent in the end', async () => {
    const got: number[] = [];
    const handled: number[] = [];
    const on = await oneHost({
      runtime: { window: { messages: 8 } },
      actors: {
        parent: {
          key: () => 'p',
          handle: (n: number, ctx: Context) => {
            handled.push(n);
            for (let i = 0; i < 20; i++) ctx.send('child', n * 100 + i);
          },
        },
        child: {
          key: (n: number) => n,
          handle: (n: number) =>
            new Promise<void>(resolve => on.environment.clock.after(10, () => resolve(void got.push(n)))),
        },
      },
    });
    on.push('parent', 0);
    on.push('parent', 1);
    await on.advance(15);
    expect(handled).toEqual([0]);
    await on.advance(1000);
    expect(handled).toEqual([0, 1]);
    expect(got).toHaveLength(40);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done' });
    expect(on.host.sender.unsettled).toBe(0);
  });

  it('goes by name or by definition', async () => {
    const got: unknown[] = [];
    const child = defineActor<number>({ key: () => 'c', handle: message => void got.push(message) });
    const on = await oneHost({
      actors: {
        parent: {
          key: () => 'p',
          handle: (_m, ctx: Context) => {
            ctx.send('child', 1);
            ctx.send(child, 2);
          },
        },
        child,
      },
    });
    on.push('parent', null);
    await on.settle();
    expect(got).toEqual([1, 2]);
  });

  it('inherits the earlier deadline and the trace, and has the priority it is given', async () => {
    const seen: { deadline: number; priority: number | undefined }[] = [];
    const { on } = await family([
      (_message, ctx) => {
        ctx.send('child', { key: 'a' });
        ctx.send('child', { key: 'b' }, { deadlineMs: 100, priority: 1 });
        ctx.send('child', { key: 'd' }, { deadlineMs: 100_000 });
      },
    ]);
    for (const key of ['a', 'b', 'd']) on.key('child', key, 'pause');
    on.push('parent', null, { deadlineMs: 5000 });
    await on.settle();
    const wall = on.environment.clock.wall();
    for (const mailbox of on.host.cells[1]!.mailboxes())
      seen.push({ deadline: mailbox.head!.deadline - wall, priority: mailbox.head!.extras?.priority });
    expect(seen).toContainEqual({ deadline: 5000, priority: -1 });
    expect(seen).toContainEqual({ deadline: 100, priority: 1 });
    expect(seen.filter(one => one.deadline === 5000)).toHaveLength(2);
  });
});

describe('a send is refused', () => {
  const codes = async (
    call: (ctx: Context) => unknown,
    options: Record<string, unknown> = {},
    child: Record<string, unknown> = {},
  ): Promise<string> => {
    let code = 'not called';
    const { on } = await family([(_message, ctx) => (code = codeOf(() => call(ctx)))], options, child);
    on.push('parent', null);
    await on.settle();
    return code;
  };

  it('beyond maxSends', async () => {
    expect(await codes(ctx => [1, 2].forEach(() => void ctx.send('child', {})), { maxSends: 2 })).toBe(
      'nothing thrown',
    );
    expect(await codes(ctx => [1, 2, 3].forEach(() => void ctx.send('child', {})), { maxSends: 2 })).toBe(
      'SEND_TOO_MANY',
    );
  });

  it('to an actor that there is not, or that is not among `sends`', async () => {
    expect(await codes(ctx => ctx.send('nobody', {}))).toBe('ACTOR_UNKNOWN');
    expect(await codes(ctx => ctx.send(defineActor({ key: () => 1, handle() {} }), {}))).toBe('ACTOR_UNKNOWN');
    expect(await codes(ctx => ctx.send('child', {}), { sends: ['parent'] })).toBe('CONFIG_INVALID');
    expect(await codes(ctx => ctx.send('child', {}), { sends: ['child'] })).toBe('nothing thrown');
  });

  it('when the message cannot be carried, is too large, or has no key', async () => {
    expect(await codes(ctx => ctx.send('child', { f: () => 1 }))).toBe('MESSAGE_NOT_CARRIABLE');
    expect(await codes(ctx => ctx.send('child', { text: 'ä'.repeat(60) }), {}, { maxMessageBytes: 100 })).toBe(
      'MESSAGE_TOO_LARGE',
    );
    expect(await codes(ctx => ctx.send('child', { key: Number.NaN }))).toBe('KEY_INVALID');
    expect(await codes(ctx => ctx.send('child', { key: {} }))).toBe('KEY_INVALID');
  });

  it('after the handler has ended', async () => {
    let late: Context | undefined;
    const { on, got } = await family([
      (_message, ctx) => {
        late = ctx;
      },
    ]);
    on.push('parent', null);
    await on.settle();
    expect(codeOf(() => late!.send('child', {}))).toBe('SEND_TOO_LATE');
    expect(codeOf(() => late!.timer('t', 1))).toBe('SEND_TOO_LATE');
    await expect(late!.ask('child', {})).rejects.toMatchObject({ code: 'SEND_TOO_LATE' });
    await on.settle();
    expect(got).toEqual([]);
  });
});

describe('a batch handler', () => {
  it('names the parent of each child, and each parent settles by its own', async () => {
    const got: string[] = [];
    const on = await oneHost({
      actors: {
        parent: {
          key: () => 'p',
          handleBatch: (batch: readonly number[], ctx: BatchContext) => {
            for (const [i, n] of batch.entries()) if (n !== 1) ctx.send(i, 'child', n);
            ctx.send(2, 'child', 22);
          },
          options: { batch: { flushMs: 0 } },
        },
        child: { key: (n: number) => n, handle: (_n: number, ctx: Context) => void got.push(ctx.id) },
      },
    });
    on.key('child', 0, 'pause');
    for (const n of [0, 1, 2]) on.push('parent', n);
    await on.settle();
    expect(on.outcomes).toEqual({ 1: 'done', 2: 'done' });
    on.key('child', 0, 'resume');
    await on.settle();
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done', 2: 'done' });
    expect(got.sort()).toEqual(['src/0/0.0', 'src/0/2.0', 'src/0/2.1']);
  });

  it('sends nothing for the items that it marks as failed, nor for those behind', async () => {
    const got: number[] = [];
    let calls = 0;
    const on = await oneHost({
      actors: {
        parent: {
          key: () => 'p',
          handleBatch: (batch: readonly number[], ctx: BatchContext) => {
            for (const [i, n] of batch.entries()) ctx.send(i, 'child', n);
            if (calls++ === 0) ctx.fail(1, new Error('one'));
          },
          options: { batch: { flushMs: 0 }, retry: { delayMs: 100, jitter: 0 } },
        },
        child: { key: () => 'c', handle: (n: number) => void got.push(n) },
      },
    });
    for (const n of [0, 1, 2]) on.push('parent', n);
    await on.settle();
    expect(got).toEqual([0]);
    await on.advance(100);
    expect(got).toEqual([0, 1, 2]);
  });

  it('refuses a parent that it does not have', async () => {
    let code = '';
    const on = await oneHost({
      actors: {
        parent: {
          key: () => 'p',
          handleBatch: (_b: readonly unknown[], ctx: BatchContext) => {
            code = codeOf(() => ctx.send(1, 'parent', 1));
          },
          options: { batch: { flushMs: 0 } },
        },
      },
    });
    on.push('parent', null);
    await on.settle();
    expect(code).toBe('CONFIG_INVALID');
  });
});

describe('an ask', () => {
  it('resolves with what the handler returns, from a handler as from outside', async () => {
    const on = await oneHost({
      actors: {
        double: { key: (n: number) => n, handle: (n: number) => n * 2 },
        quadruple: {
          key: () => 'q',
          handle: async (n: number, ctx: Context) => 2 * (await ctx.ask<number, number>('double', n)),
        },
      },
    });
    const reply = on.ask('quadruple', 21);
    await on.settle();
    expect(await reply).toBe(84);
    expect(on.host.asks.size).toBe(0);
  });

  it('is done by a deadline or rejects with TIMEOUT, 30 s from handlers that set none', async () => {
    const errors: [number, string][] = [];
    const on = await oneHost({
      actors: {
        never: { key: () => 'n', handle: () => new Promise(() => {}), options: { timeoutMs: 0 } },
        asker: {
          key: (ms: number) => ms,
          handle: async (ms: number, ctx: Context) => {
            await ctx
              .ask('never', null, ms > 0 ? { deadlineMs: ms } : {})
              .catch((error: KeymillError) => errors.push([on.environment.clock.now(), error.code]));
          },
        },
      },
    });
    on.push('asker', 0);
    on.push('asker', 500);
    await on.advance(40_000);
    expect(errors).toEqual([
      [500, 'TIMEOUT'],
      [30_000, 'TIMEOUT'],
    ]);
  });

  it('that comes back to who waits for it fails at once with the way it took', async () => {
    const on = await oneHost({
      actors: {
        a: { key: (key: string) => key, handle: (key: string, ctx: Context) => ctx.ask('b', key) },
        b: { key: (key: string) => key, handle: (key: string, ctx: Context) => ctx.ask('a', key) },
      },
    });
    const reply = on.ask('a', 'k');
    reply.catch(() => undefined);
    await on.settle();
    await on.advance(1000);
    await expect(reply).rejects.toMatchObject({
      code: 'ASK_CYCLE',
      message: expect.stringContaining('a/string:k → b/string:k → a/string:k'),
    });
  });

  it('of the same actor with another key is no cycle, and `1` is another key than `"1"`', async () => {
    const on = await oneHost({
      actors: {
        count: {
          key: (n: number | string) => n,
          handle: async (n: number | string, ctx: Context): Promise<unknown> =>
            typeof n === 'number' && n > 1 ? [n, await ctx.ask('count', n - 1)] : n === 1 ? ctx.ask('count', '1') : n,
        },
      },
    });
    const reply = on.ask('count', 3);
    await on.settle();
    expect(await reply).toEqual([3, [2, '1']]);
  });

  it('into an actor across keys counts all its keys as one', async () => {
    const on = await oneHost({
      actors: {
        mixed: {
          key: (key: string) => key,
          handle: (key: string, ctx: Context) => (key === 'x' ? ctx.ask('other', 'y') : key),
          options: { batch: { across: 'keys' } },
        },
        other: { key: (key: string) => key, handle: (key: string, ctx: Context) => ctx.ask('mixed', key) },
      },
    });
    const reply = on.ask('mixed', 'x');
    reply.catch(() => undefined);
    await on.advance(100_000);
    await expect(reply).rejects.toMatchObject({ code: 'ASK_CYCLE' });
  });

  it('that cannot be carried, or goes nowhere, rejects', async () => {
    const errors: string[] = [];
    const { on } = await family([
      async (_message, ctx) => {
        for (const [to, message] of [
          ['child', { f: () => 1 }],
          ['nobody', 1],
        ] as const)
          await ctx.ask(to, message).catch((error: KeymillError) => errors.push(error.code));
      },
    ]);
    on.push('parent', null);
    await on.settle();
    expect(errors).toEqual(['MESSAGE_NOT_CARRIABLE', 'ACTOR_UNKNOWN']);
    expect(on.host.asks.size).toBe(0);
  });

  it('rejects with the error of the handler, its code and class intact', async () => {
    const on = await oneHost({
      actors: {
        one: {
          key: () => 'k',
          handle: () => {
            throw new KeymillError('IO_FAILED', 'down', { class: 'fatal', cause: new Error('socket') });
          },
        },
      },
    });
    const reply = on.ask('one', null);
    await on.settle();
    await expect(reply).rejects.toMatchObject({
      name: 'KeymillError',
      code: 'IO_FAILED',
      class: 'fatal',
      message: 'IO_FAILED: down',
      cause: { message: 'socket' },
    });
  });
});

describe('an I/O actor', () => {
  it('gets the asks of one drain as one batch, and answers each', async () => {
    const counter = new LocalCounter();
    const replies: number[] = [];
    const on = await oneHost({
      io: { counter: counter.spec },
      actors: {
        user: {
          key: (n: number) => n,
          handle: async (n: number, ctx: Context) => {
            replies.push(await ctx.io<{ add(n: number): Promise<number> }>('counter').add(n));
          },
        },
      },
    });
    for (const n of [1, 2, 3, 4]) on.push('user', n);
    await on.settle();
    expect(counter.batches).toEqual([[1, 2, 3, 4]]);
    expect(replies).toEqual([1, 3, 6, 10]);
  });

  it('fails the ask alone that it fails', async () => {
    const counter = new LocalCounter();
    const results: string[] = [];
    const on = await oneHost({
      io: { counter: counter.spec },
      actors: {
        user: {
          key: (n: number) => n,
          handle: async (n: number, ctx: Context) => {
            await ctx
              .io<{ add(n: number): Promise<number> }>('counter')
              .add(n)
              .then(
                sum => results.push(`${sum}`),
                (error: Error) => results.push(error.message),
              );
          },
        },
      },
    });
    for (const n of [1, -5, 2]) on.push('user', n);
    await on.settle();
    expect(results).toEqual(['1', 'negative', '3']);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done', 2: 'done' });
    expect(on.letters).toEqual([]);
  });

  it('that there is not is IO_UNKNOWN', async () => {
    let code = '';
    const { on } = await family([
      (_message, ctx) => {
        code = codeOf(() => ctx.io('nothing'));
      },
    ]);
    on.push('parent', null);
    await on.settle();
    expect(code).toBe('IO_UNKNOWN');
  });
});

describe('a timer', () => {
  it('calls onTimer of its key at its time, in turn with the messages, with state and sends', async () => {
    const log: string[] = [];
    const on = await oneHost({
      actors: {
        one: {
          key: (message: { key: string }) => message.key,
          state: key => ({ key, fired: 0 }),
          handle: (message: { key: string; ms: number }, ctx: Context) => {
            log.push(`${message.key} handled`);
            if (message.ms > 0) ctx.timer('wake', message.ms);
          },
          onTimer: (name, ctx) => {
            const state = ctx.state as { key: string; fired: number };
            state.fired++;
            log.push(`${name} ${state.key} ${String(ctx.key)} ${on.environment.clock.now()}`);
            ctx.send('two', { key: state.key });
          },
        },
        two: { key: () => 1, handle: (message: { key: string }) => void log.push(`two ${message.key}`) },
      },
    });
    on.push('one', { key: 'a', ms: 100 });
    on.push('one', { key: 'b', ms: 50 });
    await on.advance(99);
    expect(log).toEqual(['a handled', 'b handled', 'wake b b 50', 'two b']);
    on.key('one', 'a', 'pause');
    await on.advance(10);
    expect(log).toHaveLength(4);
    on.key('one', 'a', 'resume');
    await on.settle();
    expect(log.slice(4)).toEqual(['wake a a 109', 'two a']);
    expect(on.stats('one')).toMatchObject({ depth: 0, depthBytes: 0 });
  });

  it('of a batch handler comes to onTimer, alone, and never to handleBatch', async () => {
    const log: unknown[] = [];
    const on = await oneHost({
      actors: {
        sink: {
          key: () => 'k',
          handleBatch: (batch: readonly unknown[], ctx: BatchContext) => {
            log.push([...batch]);
            if (log.length === 1) ctx.timer('tick', 0);
          },
          onTimer: (name, ctx) => {
            log.push(name);
            ctx.send('other', name);
          },
          options: { batch: { flushMs: 10 } },
        },
        other: { key: () => 'o', handle: (message: string) => void log.push(`other ${message}`) },
      },
    });
    on.push('sink', 1);
    await on.advance(10);
    for (const n of [2, 3]) on.push('sink', n);
    await on.advance(100);
    expect(log).toEqual([[1], 'tick', 'other tick', [2, 3]]);
  });

  it('that fails is tried again, and leaves no dead letter in the end', async () => {
    let calls = 0;
    const on = await oneHost({
      actors: {
        one: {
          key: () => 'k',
          handle: (_message, ctx: Context) => ctx.timer('t', 10),
          onTimer: () => {
            calls++;
            throw new Error('no');
          },
          options: { retry: { attempts: 3, delayMs: 10, jitter: 0 } },
        },
      },
    });
    on.push('one', null);
    await on.advance(1000);
    expect(calls).toBe(3);
    expect(on.letters).toEqual([]);
    on.push('one', null);
    await on.advance(5);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done' });
  });

  it('of an actor across keys is its key’s', async () => {
    const keys: unknown[] = [];
    const on = await oneHost({
      actors: {
        one: {
          key: (key: string) => key,
          handle: (_key, ctx: Context) => ctx.timer('t', 10),
          onTimer: (_name, ctx) => void keys.push(ctx.key),
          options: { batch: { across: 'keys' } },
        },
      },
    });
    for (const key of ['a', 'b']) on.push('one', key);
    await on.advance(100);
    expect(keys).toEqual(['a', 'b']);
  });
});

describe('what the supervisor learns', () => {
  it('is each edge once: who was seen to send to, ask, or use whom', async () => {
    const counter = new LocalCounter();
    const on = await oneHost({
      io: { counter: counter.spec },
      actors: {
        a: {
          key: () => 1,
          handle: async (_m, ctx: Context) => {
            ctx.send('b', 1);
            await ctx.ask('b', 2);
            await ctx.io<{ add(n: number): Promise<number> }>('counter').add(1);
          },
        },
        b: { key: (n: number) => n, handle() {} },
      },
    });
    on.push('a', null);
    on.push('a', null);
    await on.settle();
    expect(on.report('edge')).toEqual([
      { type: 'edge', from: 'a', to: 'b' },
      { type: 'edge', from: 'a', to: 'io:counter' },
    ]);
  });
});
