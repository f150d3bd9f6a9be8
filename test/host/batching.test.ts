/** Which messages come in one batch, when, and why (B1 to B3, E6, E10). */
import { describe, expect, it } from 'vitest';
import type { BatchContext, Key } from '../../runtime/topology/define.ts';
import type { ActorOptionsInput } from '../../runtime/topology/options.ts';
import { type OneHost, oneHost } from '../support/one-host.ts';

interface Message {
  key: Key;
  n: number;
  pad?: string;
}

interface Seen {
  at: number;
  trigger: string;
  key: Key;
  ns: number[];
}

/** A host with a batch actor `sink` that notes what it gets, and holds each batch for `busyMs`. */
async function sink(
  options: ActorOptionsInput = {},
  busyMs = 0,
  runtime = {},
): Promise<{ on: OneHost; seen: Seen[]; push(key: Key, n: number, pad?: string): number }> {
  const seen: Seen[] = [];
  const on = await oneHost({
    runtime,
    actors: {
      sink: {
        key: (message: Message) => message.key,
        handleBatch: (batch: readonly Message[], ctx: BatchContext): Promise<void> | void => {
          seen.push({
            at: on.environment.clock.now(),
            trigger: ctx.trigger,
            key: ctx.key,
            ns: batch.map(message => message.n),
          });
          if (busyMs > 0) return new Promise(resolve => on.environment.clock.after(busyMs, resolve));
        },
        options,
      },
    },
  });
  return { on, seen, push: (key, n, pad) => on.push('sink', { key, n, ...(pad === undefined ? {} : { pad }) }) };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

describe('a shallow mailbox', () => {
  it('waits for more until its flush time, 200 ms for handleBatch, and says so', async () => {
    const { on, seen, push } = await sink();
    push('a', 1);
    await on.advance(150);
    push('a', 2);
    await on.advance(49);
    expect(seen).toEqual([]);
    await on.advance(1);
    expect(seen).toEqual([{ at: 200, trigger: 'time', key: 'a', ns: [1, 2] }]);
    expect(on.stats('sink').triggers).toEqual({ size: 0, depth: 0, time: 1, drain: 0, solo: 0 });
  });

  it('starts its time anew with the first message after a batch', async () => {
    const { on, seen, push } = await sink({ batch: { flushMs: 50 } });
    push('a', 1);
    await on.advance(100);
    push('a', 2);
    await on.advance(100);
    expect(seen.map(one => [one.at, one.ns])).toEqual([
      [50, [1]],
      [150, [2]],
    ]);
  });

  it('does not wait when its flush time is 0', async () => {
    const { on, seen, push } = await sink({ batch: { flushMs: 0 } });
    push('a', 1);
    push('a', 2);
    await on.settle();
    expect(seen).toEqual([{ at: 0, trigger: 'size', key: 'a', ns: [1, 2] }]);
  });

  it('does not wait when a batch would be full: by max', async () => {
    const { on, seen, push } = await sink({ batch: { max: 3 } });
    for (const n of range(0, 7)) push('a', n);
    await on.settle();
    expect(seen.map(one => [one.trigger, one.ns])).toEqual([
      ['size', [0, 1, 2]],
      ['size', [3, 4, 5]],
    ]);
    await on.advance(200);
    expect(seen[2]).toMatchObject({ trigger: 'time', ns: [6] });
  });

  it('does not wait when a batch would be full: by bytes', async () => {
    const { on, seen, push } = await sink({ batch: { maxBytes: 2048 } });
    for (const n of range(0, 3)) push('a', n, 'x'.repeat(900));
    await on.settle();
    expect(seen.map(one => one.ns)).toEqual([[0, 1]]);
  });

  it('does not wait during a drain', async () => {
    const { on, seen, push } = await sink();
    push('a', 1);
    await on.advance(10);
    on.command({ type: 'drain', draining: true });
    await on.settle();
    push('a', 2);
    await on.settle();
    expect(seen.map(one => [one.at, one.trigger, one.ns])).toEqual([
      [10, 'drain', [1]],
      [10, 'drain', [2]],
    ]);
  });
});

describe('the size of a batch', () => {
  it('follows the rule of the seed at every depth', async () => {
    const { on, seen, push } = await sink({ batch: { max: 100_000, flushMs: 10 } }, 1);
    for (const n of range(0, 5000)) push('a', n);
    await on.advance(1000);
    expect(seen.map(one => [one.trigger, one.ns.length])).toEqual([
      ['depth', 4000],
      ['depth', 800],
      ['time', 200],
    ]);
    expect(seen.flatMap(one => one.ns)).toEqual(range(0, 5000));
  });

  it('follows drainRatio and the other strategies', async () => {
    for (const [batch, sizes] of [
      [{ drainRatio: 0.5 }, [1000, 500, 500]],
      [{ strategy: 'fixed', max: 700 }, [700, 700, 600]],
      [{ strategy: 'doubling' }, [64, 128, 256, 512, 1024, 16]],
    ] as const) {
      const { on, seen, push } = await sink({ batch: { flushMs: 10, ...batch } }, 1);
      for (const n of range(0, 2000)) push('a', n);
      await on.advance(1000);
      expect(
        seen.map(one => one.ns.length),
        JSON.stringify(batch),
      ).toEqual(sizes);
    }
  });

  it('is one for a message larger than maxBytes', async () => {
    const { on, seen, push } = await sink({ batch: { maxBytes: 1024, flushMs: 0 } });
    push('a', 1);
    push('a', 2, 'x'.repeat(5000));
    push('a', 3);
    await on.settle();
    expect(seen.map(one => one.ns)).toEqual([[1], [2], [3]]);
  });

  it('for a handle actor is the quantum, of messages and of bytes', async () => {
    const turns: number[][] = [];
    let turn: number[] = [];
    const on = await oneHost({
      runtime: { quantum: { items: 3, bytes: 2048 } },
      actors: {
        one: { key: (message: Message) => message.key, handle: (message: Message) => void turn.push(message.n) },
      },
    });
    on.onProbe = transition => {
      if (!transition.startsWith('batch.')) return;
      turn = [];
      turns.push(turn);
    };
    for (const n of range(0, 5)) on.push('one', { key: 'a', n });
    for (const n of range(5, 8)) on.push('one', { key: 'a', n, pad: 'x'.repeat(1000) });
    await on.settle();
    // The first of a key at rest is handled as it comes; those behind it take turns.
    expect(turns).toEqual([[0], [1, 2, 3], [4, 5, 6], [7]]);
  });
});

describe('keys', () => {
  it('never mix in a batch', async () => {
    const { on, seen, push } = await sink();
    for (const n of range(0, 9)) push(['a', 'b', 'c'][n % 3]!, n);
    await on.advance(200);
    expect(seen.map(one => [one.key, one.ns])).toEqual([
      ['a', [0, 3, 6]],
      ['b', [1, 4, 7]],
      ['c', [2, 5, 8]],
    ]);
  });

  it('`1`, `1n` and `"1"` are three', async () => {
    const { on, seen, push } = await sink();
    [1, 1n, '1'].forEach((key, n) => void push(key, n));
    await on.advance(200);
    expect(seen.map(one => [one.key, one.ns])).toEqual([
      [1, [0]],
      [1n, [1]],
      ['1', [2]],
    ]);
  });

  it('have one batch in flight each, and run side by side', async () => {
    const { on, seen, push } = await sink({ batch: { flushMs: 0 } }, 100);
    push('a', 1);
    await on.settle();
    push('a', 2);
    push('b', 3);
    await on.advance(99);
    expect(seen.map(one => one.ns)).toEqual([[1], [3]]);
    expect(on.stats('sink').inFlightBatches).toBe(2);
    await on.advance(1);
    expect(seen.map(one => one.ns)).toEqual([[1], [3], [2]]);
  });

  it('mix across keys, where that is asked for, each in its order', async () => {
    const { on, seen, push } = await sink({ batch: { across: 'keys', max: 4 } });
    for (const n of range(0, 6)) push(['a', 'b', 'c'][n % 3]!, n);
    await on.advance(200);
    expect(seen.map(one => one.ns)).toEqual([
      [0, 1, 2, 3],
      [4, 5],
    ]);
  });

  it('tell a handler across keys whose each message is', async () => {
    const keys: Key[][] = [];
    const on = await oneHost({
      actors: {
        sink: {
          key: (message: Message) => message.key,
          handleBatch: (batch: readonly Message[], ctx: BatchContext) =>
            void keys.push(batch.map((_, i) => ctx.keyOf(i))),
          options: { batch: { across: 'keys' } },
        },
      },
    });
    for (const key of ['a', 7, 9n]) on.push('sink', { key, n: 0 });
    await on.advance(200);
    expect(keys).toEqual([['a', 7, 9n]]);
  });

  it('take turns: a hot key does not hold up a cold one', async () => {
    const order: string[] = [];
    const on = await oneHost({
      runtime: { quantum: { items: 10 } },
      actors: {
        one: {
          key: (message: Message) => message.key,
          handle: (message: Message) => void order.push(`${String(message.key)}${message.n}`),
        },
      },
    });
    for (const n of range(0, 100)) on.push('one', { key: 'hot', n });
    on.push('one', { key: 'cold', n: 0 });
    await on.settle();
    expect(order.indexOf('cold0')).toBeLessThanOrEqual(10);
    expect(order.filter(one => one !== 'cold0')).toEqual(range(0, 100).map(n => `hot${n}`));
  });
});

describe('priority', () => {
  it('orders the turns of keys, not the messages of one', async () => {
    const order: number[] = [];
    const on = await oneHost({
      actors: {
        one: {
          key: (message: Message) => message.key,
          handle: (message: Message) => void order.push(message.n),
          options: { priority: 4 },
        },
      },
    });
    on.push('one', { key: 'a', n: 1 });
    on.push('one', { key: 'b', n: 2 });
    on.push('one', { key: 'c', n: 3 }, { priority: 0 });
    on.push('one', { key: 'b', n: 4 }, { priority: 1 });
    await on.settle();
    expect(order).toEqual([3, 2, 4, 1]);
  });

  it('is that of the actor unless the message has its own', async () => {
    const order: string[] = [];
    const actor = (name: string, priority: number) => ({
      key: () => 'k',
      handle: () => void order.push(name),
      options: { priority },
    });
    const on = await oneHost({ actors: { late: actor('late', 7), early: actor('early', 1), mid: actor('mid', 4) } });
    for (const name of ['late', 'mid', 'early']) on.push(name, null);
    await on.settle();
    expect(order).toEqual(['early', 'mid', 'late']);
  });
});

describe('limits', () => {
  it('concurrency: no more batches of an actor at once, and every waiting key gets its turn', async () => {
    const { on, seen, push } = await sink({ concurrency: 2, batch: { flushMs: 0 } }, 100);
    for (const n of range(0, 6)) push(`k${n}`, n);
    await on.settle();
    expect(seen.map(one => one.at)).toEqual([0, 0]);
    await on.advance(300);
    expect(seen.map(one => one.at)).toEqual([0, 0, 100, 100, 200, 200]);
    expect(seen.flatMap(one => one.ns)).toEqual(range(0, 6));
  });

  it('rate: a key gets its burst, then one message per interval, and others are not held up', async () => {
    const { on, seen, push } = await sink({ rate: { messages: 4, perMs: 1000 }, batch: { flushMs: 0 } });
    for (const n of range(0, 8)) push('a', n);
    push('b', 100);
    await on.advance(1000);
    const a = seen.filter(one => one.key === 'a');
    expect(a.map(one => [one.at, one.ns])).toEqual([
      [0, [0, 1, 2, 3]],
      [250, [4]],
      [500, [5]],
      [750, [6]],
      [1000, [7]],
    ]);
    expect(seen.find(one => one.key === 'b')).toMatchObject({ at: 0 });
  });

  it('rate: unused tokens are kept up to one burst, no further', async () => {
    const { on, seen, push } = await sink({ rate: { messages: 2, perMs: 100 }, batch: { flushMs: 0 } });
    push('a', 0);
    await on.advance(10_000);
    for (const n of range(1, 5)) push('a', n);
    await on.settle();
    expect(seen.flatMap(one => one.ns)).toEqual([0, 1, 2]);
  });

  it('a full ledger: batches wait for a free record', async () => {
    const seen: number[] = [];
    const on = await oneHost({
      ledgerSlots: 2,
      actors: {
        slow: {
          key: (n: number) => n,
          handle: (n: number) =>
            new Promise<void>(resolve => on.environment.clock.after(10, () => resolve(void seen.push(n)))),
        },
      },
    });
    for (const n of range(0, 5)) on.push('slow', n);
    await on.settle();
    expect(on.stats('slow').inFlightBatches).toBe(2);
    await on.advance(100);
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    expect(Object.values(on.outcomes)).toEqual(Array(5).fill('done'));
  });
});
