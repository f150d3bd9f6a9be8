/** Durable states (E12): what is counted is counted once, over crashes, redeliveries and failures (rules 2 and 3). */
import { describe, expect, it } from 'vitest';
import { KeymillError } from '../../runtime/errors.ts';
import { REPLAYABLE } from '../../runtime/lanes/envelope.ts';
import { unpackValue } from '../../runtime/lanes/value.ts';
import type { ActorDefinition, BatchContext, Context } from '../../runtime/topology/define.ts';
import { MemoryStates } from '../simulation/memory-states.ts';
import { type OneHost, type OneHostOptions, oneHost } from '../support/one-host.ts';

interface Sum {
  total: number;
  seen: number[];
}

interface Given {
  readonly states?: MemoryStates;
  readonly options?: Record<string, unknown>;
  readonly definition?: Partial<ActorDefinition<number, unknown, Sum>>;
  readonly sources?: OneHostOptions['sources'];
  readonly more?: OneHostOptions['actors'];
}

/** An actor that sums what it is given, in one key. */
async function summing({ states = new MemoryStates(), options, definition, sources, more }: Given = {}) {
  const on = await oneHost({
    actors: {
      sum: {
        key: () => 'k',
        state: () => ({ total: 0, seen: [] }),
        handle: (n: number, ctx: Context<Sum>) => add(ctx.state, n),
        ...definition,
        options: { persist: { in: 'states' }, retry: { delayMs: 100, jitter: 0, attempts: 3 }, ...options },
      } as ActorDefinition<number, unknown, Sum>,
      ...more,
    },
    io: { states: states.spec() },
    ...(sources ? { sources } : {}),
  });
  return { on, states };
}

function add(state: Sum, n: number): number {
  state.total += n;
  state.seen.push(n);
  return state.total;
}

function kept(states: MemoryStates, name = 'state:sum:sk'): Sum {
  const [, , state] = unpackValue(states.states.get(name)!.bytes) as [number, number, Uint8Array];
  return unpackValue(state) as Sum;
}

const ordered = { lowOf: () => 0, isOrdered: () => true };

describe('a durable state', () => {
  it('is written before its messages settle, and read by the next life', async () => {
    const { on, states } = await summing();
    const gate = Promise.withResolvers<void>();
    on.push('sum', 1);
    await on.settle();
    expect(on.outcomes).toEqual({ 0: 'done' });
    states.gate = gate.promise;
    on.push('sum', 2);
    await on.settle();
    expect(on.outcomes).toEqual({ 0: 'done' });
    states.gate = null;
    gate.resolve();
    await on.settle();
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done' });
    const { on: next } = await summing({ states });
    next.push('sum', 10, { position: 2 });
    await next.settle();
    expect(kept(states)).toEqual({ total: 13, seen: [1, 2, 10] });
  });

  it.each([
    ['by position', ordered],
    ['by id', undefined],
  ])('counts what comes again once (%s)', async (_how, sources) => {
    const { on, states } = await summing({ ...(sources ? { sources } : {}) });
    for (const n of [1, 2, 3]) on.push('sum', n);
    await on.settle();
    const { on: next } = await summing({ states, ...(sources ? { sources } : {}) });
    for (const n of [1, 2, 3, 4]) next.push('sum', n, { position: n - 1 });
    await next.settle();
    expect(Object.values(next.outcomes)).toEqual(['done', 'done', 'done', 'done']);
    expect(kept(states)).toEqual({ total: 10, seen: [1, 2, 3, 4] });
  });

  it('keeps the ids of several sources apart, and those of children', async () => {
    const { on, states } = await summing({
      more: { parent: { key: () => 'p', handle: (n: number, ctx) => ctx.send('sum', n * 100) } },
    });
    const push = (host: OneHost): void => {
      host.push('sum', 1, { source: 'a', position: 5 });
      host.push('sum', 2, { source: 'b', position: 5 });
      host.push('parent', 3, { source: 'a', position: 6 });
    };
    push(on);
    await on.settle();
    const { on: next } = await summing({
      states,
      more: { parent: { key: () => 'p', handle: (n: number, ctx) => ctx.send('sum', n * 100) } },
    });
    push(next);
    await next.settle();
    expect(kept(states).total).toBe(303);
  });

  it('forgets ids below what its source has settled', async () => {
    let low = 0;
    const { on, states } = await summing({ sources: { lowOf: () => low, isOrdered: () => false } });
    for (let n = 0; n < 50; n++) on.push('sum', n);
    await on.settle();
    low = 48;
    on.push('sum', 50);
    await on.settle();
    const [, , , [counted]] = unpackValue(states.states.get('state:sum:sk')!.bytes) as [
      0,
      0,
      0,
      [[0, 0, 0, [string][]]],
    ];
    expect(counted[3]).toEqual([['48'], ['49'], ['50']]);
  });

  it('is as it was when a handler fails', async () => {
    let fails = 2;
    const { on, states } = await summing({
      definition: {
        handle: (n, ctx) => {
          add(ctx.state, n);
          if (n === 2 && fails-- > 0) throw new Error('no');
        },
      },
    });
    for (const n of [1, 2, 3]) on.push('sum', n);
    await on.settle();
    expect(kept(states)).toEqual({ total: 1, seen: [1] });
    expect(on.outcomes).toEqual({ 0: 'done' });
    await on.advance(1000);
    expect(kept(states)).toEqual({ total: 6, seen: [1, 2, 3] });
    expect(Object.values(on.outcomes)).toEqual(['done', 'done', 'done']);
  });

  it('of a batch that throws is as it was; of one that marks its failures it is as the handler left it', async () => {
    let fails = true;
    const batch = (mark: boolean): Record<string, unknown> => ({
      handle: undefined,
      handleBatch: (batch: readonly number[], ctx: BatchContext<number, Sum>) => {
        batch.forEach((n, i) => {
          if (n === 3 && fails) {
            if (mark) ctx.fail(i, new KeymillError('IO_FAILED', 'later'));
            else if (i >= 0) {
              fails = false;
              throw new KeymillError('IO_FAILED', 'later');
            }
          } else if (!(mark && fails && n > 3)) add(ctx.state, n);
        });
        fails = false;
      },
    });
    for (const mark of [false, true]) {
      fails = true;
      const { on, states } = await summing({ definition: batch(mark) as never, options: { batch: { flushMs: 0 } } });
      for (const n of [1, 2, 3, 4]) on.push('sum', n);
      await on.advance(2000);
      expect(kept(states)).toEqual({ total: 10, seen: [1, 2, 3, 4] });
      expect(Object.values(on.outcomes)).toEqual(['done', 'done', 'done', 'done']);
    }
  });

  it('is written when the children have settled, and the next batch waits for that', async () => {
    const { on, states } = await summing({
      definition: {
        handle: (n, ctx) => {
          add(ctx.state, n);
          ctx.send('child', n);
        },
      },
      more: { child: { key: () => 'c', handle: () => {} } },
    });
    on.key('child', 'c', 'pause');
    on.push('child', 0, { source: 'x' });
    await on.settle();
    on.key('child', 'c', 'pause');
    on.push('sum', 1);
    await on.settle();
    on.push('sum', 2);
    await on.settle();
    expect(states.saves).toBe(0);
    expect(on.stats('sum').depth).toBe(1);
    on.key('child', 'c', 'resume');
    await on.settle();
    expect(kept(states)).toEqual({ total: 3, seen: [1, 2] });
  });

  it('waits for a store that is down, as long as it takes', async () => {
    const { on, states } = await summing();
    on.push('sum', 1);
    await on.settle();
    states.down = new KeymillError('IO_FAILED', 'gone');
    on.push('sum', 2);
    await on.advance(30_000);
    expect(on.outcomes).toEqual({ 0: 'done' });
    states.down = null;
    await on.advance(10_000);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done' });
    expect(kept(states).total).toBe(3);
  });

  it('that cannot be read yet keeps its messages', async () => {
    const { on, states } = await summing();
    states.down = new KeymillError('IO_FAILED', 'gone');
    for (const n of [1, 2]) on.push('sum', n);
    await on.advance(5000);
    expect(on.outcomes).toEqual({});
    states.down = null;
    await on.advance(60_000);
    expect(kept(states)).toEqual({ total: 3, seen: [1, 2] });
  });

  it('of a sender that died is void; it sends again, and it is counted once', async () => {
    const { on, states } = await summing({ options: { persist: { in: 'states' } } });
    const gate = Promise.withResolvers<void>();
    on.push('sum', 1, { flags: REPLAYABLE });
    await on.settle();
    states.gate = gate.promise;
    on.push('sum', 2, { flags: REPLAYABLE });
    await on.settle();
    expect(kept(states).total).toBe(1);
    gate.resolve();
    states.gate = null;
    await on.settle();
    expect(kept(states).total).toBe(3);
  });

  it('moves to another version of its shape', async () => {
    const { on, states } = await summing();
    on.push('sum', 5);
    await on.settle();
    const renamed = {
      stateVersion: 2,
      migrate: (old: unknown, from: number) => ({ ...(old as Sum), total: (old as Sum).total * 100 + from }),
    };
    const { on: next } = await summing({ states, definition: renamed });
    next.push('sum', 1, { position: 1 });
    await next.settle();
    expect(kept(states)).toEqual({ total: 502, seen: [5, 1] });
    const { on: older } = await summing({ states });
    older.push('sum', 1, { position: 2 });
    await older.settle();
    expect(older.letters).toMatchObject([{ error: { code: 'STATE_UNREADABLE' } }]);
    expect(kept(states).total).toBe(502);
  });

  it('that another process wrote stops the actor, and nothing settles', async () => {
    const { on, states } = await summing();
    on.push('sum', 1);
    await on.settle();
    const { rev, bytes } = states.states.get('state:sum:sk')!;
    states.states.set('state:sum:sk', { rev: rev + 5, bytes });
    on.push('sum', 2);
    await on.settle();
    expect(on.outcomes).toEqual({ 0: 'done' });
    expect(on.report('actor-stopped')).toMatchObject([{ error: { code: 'STATE_TAKEN' } }]);
  });

  it('is read again after its key left memory', async () => {
    const { on, states } = await summing({ options: { passivateMs: 1000 } });
    on.push('sum', 1);
    await on.advance(10_000);
    expect(on.stats('sum').residentKeys).toBe(0);
    on.push('sum', 2);
    await on.settle();
    expect(states.loads).toBe(2);
    expect(kept(states).total).toBe(3);
  });

  it('restored eagerly is there before any message', async () => {
    const { on, states } = await summing();
    on.push('sum', 7);
    await on.settle();
    const left: unknown[] = [];
    const { on: next } = await summing({
      states,
      options: { persist: { in: 'states', restore: 'eager' } },
      definition: { onPassivate: (state, key) => void left.push([key, state]) },
    });
    expect(next.stats('sum').residentKeys).toBe(1);
    await next.host.close();
    expect(left).toEqual([['k', { total: 7, seen: [7] }]]);
  });

  it('answers an ask when it is written', async () => {
    const { on, states } = await summing({
      definition: { handle: (n, ctx) => add(ctx.state, n) },
    });
    const gate = Promise.withResolvers<void>();
    on.push('sum', 1);
    await on.settle();
    states.gate = gate.promise;
    let answer: unknown = 'none';
    void on.ask('sum', 4).then(value => {
      answer = value;
    });
    await on.settle();
    expect(answer).toBe('none');
    gate.resolve();
    states.gate = null;
    await on.settle();
    expect(answer).toBe(5);
  });

  it('that cannot be packed fails its handler', async () => {
    const { on, states } = await summing({
      definition: {
        handle: (n, ctx) => {
          (ctx.state as unknown as Record<string, unknown>)['fn'] = () => n;
        },
      },
      options: { retry: { attempts: 1 } },
    });
    on.push('sum', 1);
    await on.settle();
    expect(on.outcomes).toEqual({ 0: 'dead' });
    expect(on.letters).toMatchObject([{ error: { code: 'MESSAGE_NOT_CARRIABLE' } }]);
    expect(states.saves).toBe(0);
  });
});
