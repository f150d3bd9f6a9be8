/** What becomes of messages whose handler fails (D2, D3, D6, D11, B7; rules 4, 5, 6). */
import { describe, expect, it } from 'vitest';
import { ClassifiedError, type ErrorClass } from '../../runtime/errors.ts';
import type { ActorDefinition, BatchContext, Context } from '../../runtime/topology/define.ts';
import type { ActorOptionsInput } from '../../runtime/topology/options.ts';
import { type OneHost, oneHost } from '../support/one-host.ts';

interface Message {
  key: string;
  n: number;
}

/** Delays without chance, so that a test can name them. */
const RETRY = { delayMs: 100, factor: 2, maxDelayMs: 1000, jitter: 0, attempts: 4 };

type Faults = Map<number, (ErrorClass | 'ok')[]>;

/** A handle actor that fails message n as `faults` says, call by call, then succeeds. */
async function one(
  faults: [n: number, ...classes: (ErrorClass | 'ok')[]][],
  options: ActorOptionsInput = {},
  more: Partial<ActorDefinition<Message>> = {},
): Promise<{ on: OneHost; calls: [at: number, n: number, attempt: number][] }> {
  const left: Faults = new Map(faults.map(([n, ...classes]) => [n, classes]));
  const calls: [number, number, number][] = [];
  const on = await oneHost({
    actors: {
      one: {
        key: (message: Message) => message.key,
        handle: (message: Message, ctx: Context) => {
          calls.push([on.environment.clock.now(), message.n, ctx.attempt]);
          const errorClass = left.get(message.n)?.shift() ?? 'ok';
          if (errorClass !== 'ok') throw new ClassifiedError(errorClass, `n${message.n} ${errorClass}`);
        },
        options: { retry: RETRY, ...options },
        ...more,
      },
    },
  });
  return { on, calls };
}

/** A batch actor that does with each call what `script` says next, and notes the batches. */
async function batches(
  script: ((batch: readonly Message[], ctx: BatchContext) => unknown)[],
  options: ActorOptionsInput = {},
): Promise<{ on: OneHost; seen: [at: number, trigger: string, ns: number[]][] }> {
  const seen: [number, string, number[]][] = [];
  const on = await oneHost({
    actors: {
      sink: {
        key: (message: Message) => message.key,
        handleBatch: (batch: readonly Message[], ctx: BatchContext) => {
          seen.push([on.environment.clock.now(), ctx.trigger, batch.map(message => message.n)]);
          return script.shift()?.(batch, ctx) as undefined;
        },
        options: { retry: RETRY, batch: { flushMs: 0 }, ...options },
      },
    },
  });
  return { on, seen };
}

describe('a failed message', () => {
  it('is tried again after a growing delay, its key waits, and it settles once', async () => {
    const { on, calls } = await one([[0, 'unknown', 'poison', 'unknown']]);
    for (const n of [0, 1, 2]) on.push('one', { key: 'a', n });
    await on.advance(5000);
    expect(calls).toEqual([
      [0, 0, 1],
      [100, 0, 2],
      [300, 0, 3],
      [700, 0, 4],
      [700, 1, 1],
      [700, 2, 1],
    ]);
    expect(on.settledInOrder).toEqual([
      [0, 'done'],
      [1, 'done'],
      [2, 'done'],
    ]);
    expect(on.stats('one')).toMatchObject({ done: 3, dead: 0, retries: 3, repeats: 3, depth: 0, depthBytes: 0 });
  });

  it('holds up no other key', async () => {
    const { on, calls } = await one([[0, 'unknown', 'unknown']]);
    on.push('one', { key: 'a', n: 0 });
    for (const n of [1, 2]) on.push('one', { key: 'b', n });
    await on.settle();
    expect(calls.map(([, n]) => n)).toEqual([0, 1, 2]);
    expect(on.outcomes).toEqual({ 1: 'done', 2: 'done' });
  });

  it('leaves what succeeded before it in the same turn settled for good', async () => {
    const { on, calls } = await one([[2, 'unknown']]);
    for (const n of [0, 1, 2, 3]) on.push('one', { key: 'a', n });
    await on.settle();
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done' });
    await on.advance(100);
    expect(calls.map(([, n]) => n)).toEqual([0, 1, 2, 2, 3]);
  });

  it('is dead when its attempts are used up, and the letter has its history', async () => {
    const { on, calls } = await one([[0, 'unknown', 'poison', 'unknown', 'poison', 'unknown']]);
    on.push('one', { key: 'a', n: 0 }, { position: 17 });
    on.push('one', { key: 'a', n: 1 });
    await on.advance(10_000);
    expect(calls.filter(([, n]) => n === 0)).toHaveLength(RETRY.attempts);
    expect(on.outcomes).toEqual({ 17: 'dead', 0: 'done' });
    expect(on.letters).toEqual([
      {
        id: 'src/0/17',
        actor: 'one',
        key: 'a',
        message: { key: 'a', n: 0 },
        attempts: 4,
        at: on.environment.clock.wall() - 10_000 + 700,
        error: expect.objectContaining({ name: 'ClassifiedError', message: 'n0 poison', class: 'poison' }),
        history: [0, 100, 300, 700].map((at, i) => ({
          at: on.environment.clock.wall() - 10_000 + at,
          class: i % 2 === 0 ? 'unknown' : 'poison',
          message: `n0 ${i % 2 === 0 ? 'unknown' : 'poison'}`,
        })),
      },
    ]);
    expect(on.stats('one')).toMatchObject({ done: 1, dead: 1 });
  });

  it.each<ErrorClass>(['transient', 'throttled'])(
    'costs no attempt while the failure is %s, however often',
    async errorClass => {
      const { on, calls } = await one([
        [0, 'unknown', ...Array<ErrorClass>(20).fill(errorClass), 'unknown', 'unknown'],
      ]);
      on.push('one', { key: 'a', n: 0 });
      await on.advance(60_000);
      expect(calls).toHaveLength(24);
      expect(on.outcomes).toEqual({ 0: 'done' });
      expect(on.letters).toEqual([]);
    },
  );

  it('is dead at once when the failure is fatal', async () => {
    const { on, calls } = await one([[0, 'fatal']]);
    on.push('one', { key: 'a', n: 0 });
    on.push('one', { key: 'a', n: 1 });
    await on.settle();
    expect(calls.map(([, n]) => n)).toEqual([0, 1]);
    expect(on.outcomes).toEqual({ 0: 'dead', 1: 'done' });
    expect(on.letters).toMatchObject([{ id: 'src/0/0', attempts: 1, history: [{ class: 'fatal' }] }]);
  });

  it('is what `classify` of its actor says it is', async () => {
    const { on, calls } = await one(
      [
        [0, 'fatal', 'fatal'],
        [1, 'unknown'],
      ],
      {},
      {
        classify: error =>
          (error as Error).message.includes('fatal')
            ? 'transient'
            : (error as Error).message.includes('n1')
              ? 'fatal'
              : undefined,
      },
    );
    on.push('one', { key: 'a', n: 0 });
    on.push('one', { key: 'b', n: 1 });
    await on.advance(1000);
    expect(calls.filter(([, n]) => n === 0)).toHaveLength(3);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'dead' });
  });

  it('waits a fixed time between calls where that is asked for', async () => {
    const { on, calls } = await one([[0, 'unknown', 'unknown', 'unknown']], { retry: { ...RETRY, kind: 'fixed' } });
    on.push('one', { key: 'a', n: 0 });
    await on.advance(1000);
    expect(calls.map(([at]) => at)).toEqual([0, 100, 200, 300]);
  });

  it('fails by what is no Error too, and the letter says what was thrown', async () => {
    const on = await oneHost({
      actors: {
        one: {
          key: () => 'k',
          handle: () => {
            throw { odd: 1 };
          },
          options: { retry: { attempts: 1 } },
        },
      },
    });
    on.push('one', null);
    await on.settle();
    expect(on.letters).toMatchObject([
      { error: { code: 'HANDLER_THREW', message: expect.stringContaining('{"odd":1}') } },
    ]);
  });

  it('may fail by a rejected promise as well as by a throw', async () => {
    let calls = 0;
    const on = await oneHost({
      actors: {
        one: {
          key: () => 'k',
          handle: async () => (calls++ === 0 ? Promise.reject(new Error('no')) : undefined),
          options: { retry: RETRY },
        },
      },
    });
    on.push('one', null);
    await on.advance(100);
    expect([calls, on.outcomes]).toEqual([2, { 0: 'done' }]);
  });

  it('can be tried again before its time by an operator', async () => {
    const { on, calls } = await one([[0, 'unknown']], { retry: { ...RETRY, delayMs: 50_000, maxDelayMs: 50_000 } });
    on.push('one', { key: 'a', n: 0 });
    await on.advance(10);
    expect(on.key('one', 'a', 'inspect')).toMatchObject({
      standing: 'backing off',
      failures: 1,
      lastError: 'n0 unknown',
      head: 'src/0/0',
      depth: 1,
    });
    on.key('one', 'a', 'retryNow');
    await on.settle();
    expect(calls.map(([at]) => at)).toEqual([0, 10]);
    expect(on.outcomes).toEqual({ 0: 'done' });
  });
});

describe('a batch that says which item failed (B7)', () => {
  it('settles what stands before it, and tries it and the rest of its key again', async () => {
    const { on, seen } = await batches([(_batch, ctx) => ctx.fail(2, new Error('two'))]);
    for (const n of [0, 1, 2, 3, 4]) on.push('sink', { key: 'a', n });
    await on.settle();
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done' });
    await on.advance(100);
    expect(seen).toEqual([
      [0, 'size', [0, 1, 2, 3, 4]],
      [100, 'size', [2, 3, 4]],
    ]);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done', 2: 'done', 3: 'done', 4: 'done' });
  });

  it('charges the marked item alone', async () => {
    const fail = (_batch: readonly Message[], ctx: BatchContext) => ctx.fail(0, new Error('again'));
    const { on } = await batches([(_batch, ctx) => ctx.fail(1, new Error('once')), fail, fail, fail]);
    for (const n of [0, 1, 2]) on.push('sink', { key: 'a', n });
    await on.advance(10_000);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'dead', 2: 'done' });
    expect(on.letters).toMatchObject([{ id: 'src/0/1', attempts: 4 }]);
  });

  it('across keys goes on with the other keys', async () => {
    const { on, seen } = await batches([(_batch, ctx) => ctx.fail(1, new Error('b'))], {
      batch: { flushMs: 0, across: 'keys' },
    });
    for (const [n, key] of ['a', 'b', 'c', 'b', 'a'].entries()) on.push('sink', { key, n });
    await on.settle();
    expect(on.outcomes).toEqual({ 0: 'done', 2: 'done', 4: 'done' });
    await on.advance(100);
    expect(seen[1]).toEqual([100, 'size', [1, 3]]);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done', 2: 'done', 3: 'done', 4: 'done' });
  });

  it('and throws besides claims no success for what it did not mark', async () => {
    const { on, seen } = await batches([
      (_batch, ctx) => {
        ctx.fail(1, new Error('one'));
        throw new Error('all');
      },
    ]);
    for (const n of [0, 1, 2]) on.push('sink', { key: 'a', n });
    await on.settle();
    expect(on.outcomes).toEqual({});
    await on.advance(100);
    expect(seen[1]![2]).toEqual([0, 1, 2]);
    expect(Object.values(on.outcomes)).toEqual(['done', 'done', 'done']);
  });

  it('refuses an index that the batch does not have', async () => {
    const errors: unknown[] = [];
    const { on } = await batches([
      (_batch, ctx) => {
        for (const index of [-1, 2, 0.5, '0']) {
          try {
            ctx.fail(index as number, new Error('x'));
          } catch (error) {
            errors.push((error as { code: string }).code);
          }
        }
      },
    ]);
    on.push('sink', { key: 'a', n: 0 });
    on.push('sink', { key: 'a', n: 1 });
    await on.settle();
    expect(errors).toEqual(Array(4).fill('CONFIG_INVALID'));
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done' });
  });
});

describe('a batch that throws without saying which item failed', () => {
  const guilty = (n: number) => (batch: readonly Message[]) => {
    if (batch.some(message => message.n === n)) throw new Error(`because of ${n}`);
  };

  it('is rerun item by item, and only the guilty one is charged', async () => {
    const script = Array.from({ length: 20 }, () => guilty(2));
    const { on, seen } = await batches(script);
    for (const n of [0, 1, 2, 3]) on.push('sink', { key: 'a', n });
    await on.advance(20_000);
    expect(seen.map(([, trigger, ns]) => [trigger, ...ns])).toEqual([
      ['size', 0, 1, 2, 3],
      ['solo', 0],
      ['solo', 1],
      ['solo', 2],
      ['solo', 2],
      ['solo', 2],
      ['solo', 2],
      ['solo', 3],
    ]);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done', 2: 'dead', 3: 'done' });
    expect(on.letters).toMatchObject([{ id: 'src/0/2', attempts: RETRY.attempts }]);
  });

  it('for a fatal reason buries none but the guilty one', async () => {
    const script = Array.from({ length: 20 }, () => (batch: readonly Message[]) => {
      if (batch.some(message => message.n === 1)) throw new ClassifiedError('fatal', 'bad');
    });
    const { on } = await batches(script);
    for (const n of [0, 1, 2]) on.push('sink', { key: 'a', n });
    await on.advance(1000);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'dead', 2: 'done' });
    expect(on.letters).toMatchObject([{ id: 'src/0/1', attempts: 1 }]);
  });

  it('for a transient reason comes back as a batch, and costs nobody an attempt', async () => {
    const down = () => {
      throw new ClassifiedError('transient', 'down');
    };
    const { on, seen } = await batches(Array(10).fill(down));
    for (const n of [0, 1, 2]) on.push('sink', { key: 'a', n });
    await on.advance(60_000);
    expect(seen).toHaveLength(11);
    expect(seen.every(([, , ns]) => ns.length === 3)).toBe(true);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done', 2: 'done' });
  });

  it('of one item only is charged to it', async () => {
    const { on, seen } = await batches([guilty(0), guilty(0)]);
    on.push('sink', { key: 'a', n: 0 });
    await on.advance(1000);
    expect(seen.map(([at]) => at)).toEqual([0, 100, 300]);
    expect(on.stats('sink').retries).toBe(2);
  });

  it('goes back to full batches once each was tried alone', async () => {
    const { on, seen } = await batches([guilty(0)]);
    for (const n of [0, 1]) on.push('sink', { key: 'a', n });
    await on.advance(100);
    for (const n of [2, 3]) on.push('sink', { key: 'a', n });
    await on.settle();
    expect(seen.map(([, , ns]) => ns)).toEqual([[0, 1], [0], [1], [2, 3]]);
  });
});

describe('replies of a batch', () => {
  it('go to who asked, by index, also when a later item fails', async () => {
    const { on } = await batches([
      (batch, ctx) => {
        ctx.fail(2, new Error('two'));
        return batch.map(message => message.n * 10);
      },
      batch => batch.map(message => message.n * 100),
    ]);
    const replies = [0, 1, 2, 3].map(n => on.ask('sink', { key: 'a', n }));
    await on.advance(100);
    expect(await Promise.all(replies)).toEqual([0, 10, 200, 300]);
  });
});

describe('dead letters', () => {
  it('are written before the message settles, again and again until they stand', async () => {
    const { on } = await one([[0, 'fatal']]);
    on.lettersDown = new Error('disk full');
    on.push('one', { key: 'a', n: 0 });
    on.push('one', { key: 'a', n: 1 });
    await on.advance(5500);
    expect(on.outcomes).toEqual({ 1: 'done' });
    expect(on.probes.filter(probe => probe === 'dead.write-failed')).toHaveLength(6);
    expect(on.stats('one').dead).toBe(0);
    on.lettersDown = null;
    await on.advance(1000);
    expect(on.outcomes).toEqual({ 0: 'dead', 1: 'done' });
    expect(on.letters).toHaveLength(1);
  });

  it('hold at most twenty failures', async () => {
    const { on } = await one([[0, ...Array<ErrorClass>(30).fill('transient'), 'fatal']]);
    on.push('one', { key: 'a', n: 0 });
    await on.advance(100_000);
    expect(on.letters[0]!.history).toHaveLength(20);
  });

  it('of asks reject the ask with the error itself', async () => {
    const { on } = await one([[0, 'fatal']]);
    const reply = on.ask('one', { key: 'a', n: 0 });
    await on.settle();
    await expect(reply).rejects.toMatchObject({ name: 'ClassifiedError', message: 'n0 fatal', class: 'fatal' });
    expect(on.letters).toHaveLength(1);
  });
});

describe('onDead', () => {
  const dead = (onDead: 'skip' | 'parkKey' | 'stop') => one([[0, 'fatal']], { onDead });

  it('skip: the key goes on', async () => {
    const { on, calls } = await dead('skip');
    for (const n of [0, 1]) on.push('one', { key: 'a', n });
    await on.settle();
    expect(calls.map(([, n]) => n)).toEqual([0, 1]);
  });

  it('parkKey: the key is paused until resumed, others go on', async () => {
    const { on, calls } = await dead('parkKey');
    for (const n of [0, 1]) on.push('one', { key: 'a', n });
    on.push('one', { key: 'b', n: 2 });
    await on.advance(1000);
    expect(calls.map(([, n]) => n)).toEqual([0, 2]);
    expect(on.key('one', 'a', 'inspect')).toMatchObject({ paused: true, depth: 1 });
    on.key('one', 'a', 'resume');
    await on.settle();
    expect(calls.map(([, n]) => n)).toEqual([0, 2, 1]);
  });

  it('stop: the actor takes no more turns and says so, others go on', async () => {
    const { on, calls } = await dead('stop');
    for (const n of [0, 1]) on.push('one', { key: 'a', n });
    await on.settle();
    on.push('one', { key: 'b', n: 2 });
    await on.advance(1000);
    expect(calls.map(([, n]) => n)).toEqual([0]);
    expect(on.report('actor-stopped')).toMatchObject([{ actor: 'one', error: { message: 'n0 fatal' } }]);
    expect(on.stats('one').stopped).toBe(true);
  });
});

describe('supervise', () => {
  const counted = async (supervise: ActorOptionsInput['supervise']) => {
    const states: number[] = [];
    const made = { count: 0 };
    const { on, calls } = await one(
      [],
      { supervise },
      {
        state: () => ({ id: made.count++ }) as never,
        handle: (message: Message, ctx: Context) => {
          states.push((ctx.state as { id: number }).id);
          if (message.n < 0) throw new Error('negative');
        },
        options: { retry: { ...RETRY, attempts: 1 }, supervise },
      },
    );
    return { on, calls, states, made };
  };

  it('resume: the state stays', async () => {
    const { on, states } = await counted({ onError: 'resume' });
    for (const n of [1, -1, 2]) on.push('one', { key: 'a', n });
    await on.settle();
    expect(states).toEqual([0, 0, 0]);
  });

  it('restart: the state of the key is made anew, that of others is not', async () => {
    const { on, states } = await counted({ onError: 'restart' });
    for (const [key, n] of [
      ['a', 1],
      ['b', 1],
      ['a', -1],
      ['a', 2],
      ['b', 2],
    ] as const) {
      on.push('one', { key, n });
      await on.settle();
    }
    expect(states).toEqual([0, 1, 0, 2, 1]);
    expect(on.stats('one').restarts).toBe(1);
    expect(on.report('escalate')).toEqual([]);
  });

  it('restart beyond its budget escalates, and old restarts do not count', async () => {
    const { on } = await counted({ onError: 'restart', maxRestarts: 2, withinMs: 1000 });
    const fail = async () => {
      on.push('one', { key: 'a', n: -1 });
      await on.settle();
    };
    await fail();
    await fail();
    await on.advance(2000);
    await fail();
    await fail();
    expect(on.report('escalate')).toEqual([]);
    await fail();
    expect(on.report('escalate')).toMatchObject([{ actor: 'one', error: { message: 'negative' } }]);
  });

  it('stop: the actor takes no more turns', async () => {
    const { on, states } = await counted({ onError: 'stop' });
    for (const n of [-1, 1]) on.push('one', { key: 'a', n });
    await on.advance(1000);
    expect(states).toEqual([0]);
    expect(on.report('actor-stopped')).toHaveLength(1);
  });

  it('escalate: the runtime is told', async () => {
    const { on } = await counted({ onError: 'escalate' });
    on.push('one', { key: 'a', n: -1 });
    await on.settle();
    expect(on.report('escalate')).toMatchObject([{ actor: 'one' }]);
  });

  it('heeds no failure that costs no attempt', async () => {
    const { on } = await one([[0, 'transient', 'throttled']], { supervise: { onError: 'stop' } });
    on.push('one', { key: 'a', n: 0 });
    await on.advance(1000);
    expect(on.outcomes).toEqual({ 0: 'done' });
    expect(on.report('actor-stopped')).toEqual([]);
  });
});

describe('a deadline', () => {
  it('that passed while the message waited makes it dead unhandled', async () => {
    const { on, calls } = await one([[0, 'unknown', 'unknown']]);
    on.push('one', { key: 'a', n: 0 });
    on.push('one', { key: 'a', n: 1 }, { deadlineMs: 200 });
    on.push('one', { key: 'a', n: 2 }, { deadlineMs: 5000 });
    await on.advance(1000);
    expect(calls.map(([, n]) => n)).toEqual([0, 0, 0, 2]);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'dead', 2: 'done' });
    expect(on.letters).toMatchObject([{ id: 'src/0/1', error: { code: 'DEADLINE' }, attempts: 0 }]);
  });

  it('rejects an ask, and frees a key of which nothing else is left', async () => {
    const { on, calls } = await one([[0, 'unknown']]);
    on.push('one', { key: 'a', n: 0 });
    const reply = on.ask('one', { key: 'a', n: 1 }, { deadlineMs: 50 });
    await on.advance(1000);
    await expect(reply).rejects.toMatchObject({ code: 'DEADLINE' });
    on.push('one', { key: 'a', n: 3 });
    await on.settle();
    expect(calls.map(([, n]) => n)).toEqual([0, 0, 3]);
  });
});

it('what a retried handler gets is what it got first, unless it changed it itself', async () => {
  const bodies: unknown[] = [];
  const on = await oneHost({
    actors: {
      one: {
        key: () => 'k',
        handle: body => {
          bodies.push(structuredClone(body));
          if (bodies.length === 1) throw new Error('first');
        },
        options: { retry: RETRY },
      },
    },
  });
  on.push('one', { map: new Map([[1n, Buffer.from('x')]]) });
  await on.advance(1000);
  expect(bodies[1]).toEqual(bodies[0]);
});
