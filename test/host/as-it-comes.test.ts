/** Messages for keys at rest, which a `handle` actor handles as they come: in order per key, and none lost (E3, E6). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ActorDefinition, Context } from '../../runtime/topology/define.ts';
import type { ActorOptionsInput } from '../../runtime/topology/options.ts';
import { OneHost, type OneHostOptions } from '../support/one-host.ts';

interface Message {
  key: string;
  n: number;
}

interface Seen {
  on: OneHost;
  /** Calls begun and promises kept, in order: `a0` and `a0.`. */
  seen: string[];
  push(...names: string[]): void;
}

/** `a0` is message 0 of key a. */
function messageOf(name: string): Message {
  return { key: name[0]!, n: Number(name.slice(1)) };
}

/** A host with a handle actor that does with message and attempt what `does` says. */
function seeing(
  does: (name: string, attempt: number, on: OneHost) => unknown = () => undefined,
  options: ActorOptionsInput = {},
  more: Partial<ActorDefinition<Message>> = {},
  runtime: OneHostOptions['runtime'] = {},
): Seen {
  const seen: string[] = [];
  const on: OneHost = new OneHost({
    runtime,
    actors: {
      one: {
        key: (message: Message) => message.key,
        handle: ({ key, n }: Message, ctx: Context) => {
          const name = `${key}${n}`;
          seen.push(name);
          const result = does(name, ctx.attempt, on);
          return result instanceof Promise ? result.then(() => void seen.push(`${name}.`)) : undefined;
        },
        options: { retry: { delayMs: 100, jitter: 0, attempts: 4 }, ...options },
        ...more,
      },
    },
  });
  return { on, seen, push: (...names) => names.forEach(name => on.push('one', messageOf(name))) };
}

async function opened(...args: Parameters<typeof seeing>): Promise<Seen> {
  const made = seeing(...args);
  await made.on.open();
  return made;
}

function of(key: string, seen: readonly string[]): string[] {
  return seen.filter(name => name.startsWith(key));
}

function allDone({ on }: Seen, count: number): void {
  expect(Object.values(on.outcomes)).toEqual(Array(count).fill('done'));
}

const later = (on: OneHost, ms: number): Promise<void> =>
  new Promise(resolve => on.environment.clock.after(ms, resolve));
const failOnce = (which: string) => (name: string, attempt: number) => {
  if (name === which && attempt === 1) throw new Error('not yet');
};

describe('messages of keys at rest', () => {
  it('are handled in the order in which they come, one of each key; the others take turns behind them', async () => {
    const one = await opened();
    one.push('a0', 'a1', 'b0', 'a2', 'c0', 'b1');
    await one.on.settle();
    expect(one.seen).toEqual(['a0', 'b0', 'c0', 'a1', 'a2', 'b1']);
    one.push('b2', 'a3', 'b3');
    await one.on.settle();
    expect(one.seen.slice(6)).toEqual(['b2', 'a3', 'b3']);
    allDone(one, 9);
    expect(one.on.stats('one')).toMatchObject({ enqueued: 9, dequeued: 9, depth: 0, depthBytes: 0, done: 9 });
  });

  it('are no more at once than `concurrency` allows', async () => {
    const one = await opened((_name, _attempt, on) => later(on, 10), { concurrency: 2 });
    one.push('a0', 'b0', 'c0', 'd0');
    await one.on.settle();
    expect(one.seen).toEqual(['a0', 'b0']);
    await one.on.advance(100);
    expect(one.seen).toEqual(['a0', 'b0', 'a0.', 'c0', 'b0.', 'd0', 'c0.', 'd0.']);
    allDone(one, 4);
  });
});

describe('the first message of a key at rest fails', () => {
  it('and is tried again; those of its key stay behind it in order, others go on', async () => {
    const one = await opened(failOnce('a0'));
    one.push('a0', 'a1', 'b0', 'a2', 'b1');
    await one.on.advance(99);
    expect(one.seen).toEqual(['a0', 'b0', 'b1']);
    one.push('a3', 'b2', 'c0');
    await one.on.settle();
    expect(one.seen.slice(3)).toEqual(['b2', 'c0']);
    await one.on.advance(1);
    expect(one.seen.slice(5)).toEqual(['a0', 'a1', 'a2', 'a3']);
    allDone(one, 8);
    expect(one.on.stats('one')).toMatchObject({ depth: 0, depthBytes: 0 });
  });

  it('and so does one that comes alone: what comes while it is waited for stays behind it', async () => {
    const one = await opened(failOnce('a0'));
    one.push('a0');
    await one.on.advance(50);
    one.push('a1');
    await one.on.settle();
    expect([one.seen, one.on.stats('one').depth]).toEqual([['a0'], 2]);
    await one.on.advance(50);
    expect(one.seen).toEqual(['a0', 'a0', 'a1']);
    allDone(one, 2);
  });

  it('with its promise, and those behind it wait all the same', async () => {
    const one = await opened((name, attempt, on) =>
      later(on, 10).then(() => {
        if (name === 'a0' && attempt === 1) throw new Error('not yet');
      }),
    );
    one.push('a0', 'a1', 'b0');
    await one.on.advance(50);
    expect(one.seen).toEqual(['a0', 'b0', 'b0.']);
    await one.on.advance(1000);
    expect(of('a', one.seen)).toEqual(['a0', 'a0', 'a0.', 'a1', 'a1.']);
    allDone(one, 3);
  });

  it('until it is dead: then those behind it go on', async () => {
    const one = await opened(name => {
      if (name === 'a0') throw new Error('never');
    });
    one.push('a0', 'a1', 'b0');
    await one.on.advance(10_000);
    expect(one.seen).toEqual(['a0', 'b0', 'a0', 'a0', 'a0', 'a1']);
    expect(one.on.outcomes).toEqual({ 0: 'dead', 1: 'done', 2: 'done' });
    expect(one.on.letters).toHaveLength(1);
  });
});

describe('an async handler for a key at rest', () => {
  it('holds its key, and no other', async () => {
    const one = await opened((name, _attempt, on) => (name === 'a0' ? later(on, 100) : undefined));
    one.push('a0', 'a1', 'b0', 'b1');
    await one.on.settle();
    expect(one.seen).toEqual(['a0', 'b0', 'b1']);
    one.push('a2', 'b2');
    await one.on.advance(99);
    expect(one.seen).toEqual(['a0', 'b0', 'b1', 'b2']);
    expect(one.on.outcomes).toEqual({ 2: 'done', 3: 'done', 5: 'done' });
    await one.on.advance(1);
    expect(one.seen.slice(4)).toEqual(['a0.', 'a1', 'a2']);
    allDone(one, 6);
  });
});

describe('no message is lost', () => {
  it('that comes before its actor is initialised: it is handled when it is, in order', async () => {
    let ready = (): void => {};
    const one = seeing(undefined, {}, { init: () => new Promise<void>(resolve => (ready = resolve)) });
    const open = one.on.open();
    await one.on.settle();
    one.push('a0', 'b0', 'a1');
    await one.on.settle();
    one.push('b1', 'a2');
    await one.on.advance(1000);
    expect([one.seen, one.on.stats('one').depth]).toEqual([[], 5]);
    ready();
    await open;
    await one.on.settle();
    expect([of('a', one.seen), of('b', one.seen)]).toEqual([
      ['a0', 'a1', 'a2'],
      ['b0', 'b1'],
    ]);
    one.push('a3');
    await one.on.settle();
    expect(one.seen.at(-1)).toBe('a3');
    allDone(one, 6);
  });

  it('that comes for a paused key: it waits behind what waited, and others go on', async () => {
    const one = await opened();
    one.push('a0');
    await one.on.settle();
    one.on.key('one', 'a', 'pause');
    one.on.key('one', 'x', 'pause'); // which nothing came for yet
    one.push('a1', 'b0', 'x0', 'a2');
    await one.on.settle();
    one.push('a3', 'x1');
    await one.on.advance(1000);
    expect([one.seen, one.on.stats('one').depth]).toEqual([['a0', 'b0'], 5]);
    one.on.key('one', 'a', 'resume');
    one.on.key('one', 'x', 'resume');
    one.push('a4');
    await one.on.settle();
    expect([of('a', one.seen), of('x', one.seen)]).toEqual([
      ['a0', 'a1', 'a2', 'a3', 'a4'],
      ['x0', 'x1'],
    ]);
    allDone(one, 8);
  });

  it('that comes for a key that was paused while its handler ran', async () => {
    const one = await opened((name, _attempt, on) => (name === 'a0' ? later(on, 10) : undefined));
    one.push('a0', 'a1');
    await one.on.settle();
    one.on.key('one', 'a', 'pause');
    one.push('a2');
    await one.on.advance(100);
    expect(one.seen).toEqual(['a0', 'a0.']);
    one.on.key('one', 'a', 'resume');
    await one.on.settle();
    expect(one.seen.slice(2)).toEqual(['a1', 'a2']);
    allDone(one, 3);
  });

  it('that comes during a drain, nor one that came before it; each batch of it says so', async () => {
    const one = await opened((name, _attempt, on) => (name === 'a0' ? later(on, 10) : undefined));
    one.push('a0', 'a1');
    await one.on.settle();
    one.on.command({ type: 'drain', draining: true });
    one.push('a2', 'b0', 'b1');
    await one.on.advance(100);
    expect([of('a', one.seen), of('b', one.seen)]).toEqual([
      ['a0', 'a0.', 'a1', 'a2'],
      ['b0', 'b1'],
    ]);
    expect(one.on.stats('one').triggers).toMatchObject({ size: 1, drain: 2 });
    one.on.command({ type: 'drain', draining: false });
    one.push('b2');
    await one.on.settle();
    expect(one.seen.at(-1)).toBe('b2');
    allDone(one, 6);
  });

  it('that comes when the actor has stopped: it stays, unsettled', async () => {
    const one = await opened(failOnce('a0'), { supervise: { onError: 'stop' } });
    one.push('a0', 'b0');
    await one.on.settle();
    one.push('c0', 'b1');
    await one.on.advance(1000);
    expect([one.seen, one.on.stats('one').depth, one.on.outcomes]).toEqual([['a0'], 4, {}]);
  });
});

it('whatever fails, takes time or comes when: messages of a key are handled in order, each until it succeeds, and all settle', async () => {
  const kind = fc.constantFrom('fine', 'fine', 'slow', 'throws', 'rejects');
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), kind }) },
    { weight: 1, arbitrary: fc.constantFrom('settle', 'wait', 'drain', 'undrain') },
    { weight: 1, arbitrary: fc.record({ pause: fc.constantFrom('a', 'b') }) },
    { weight: 1, arbitrary: fc.record({ resume: fc.constantFrom('a', 'b') }) },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 50, size: 'max' }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 4 }),
      async (steps, concurrency, quantum) => {
        const kinds = new Map<string, string>();
        const running = new Set<string>();
        const beside: string[] = []; // calls made while others ran that forbid them
        const one = await opened(
          (name, attempt, on) => {
            const key = name[0]!;
            if (running.has(key) || running.size >= concurrency) beside.push(name);
            const does = kinds.get(name);
            if (does === 'throws' && attempt === 1) throw new Error('not yet');
            if (does !== 'slow' && does !== 'rejects') return undefined;
            running.add(key);
            return later(on, 30).then(() => {
              running.delete(key);
              if (does === 'rejects' && attempt === 1) throw new Error('not yet');
            });
          },
          { concurrency },
          {},
          { quantum: { items: quantum } },
        );
        const expected = new Map<string, string[]>();
        for (const taken of steps) {
          if (taken === 'settle') await one.on.settle();
          else if (taken === 'wait') await one.on.advance(40);
          else if (typeof taken === 'string') one.on.command({ type: 'drain', draining: taken === 'drain' });
          else if ('pause' in taken) one.on.key('one', taken.pause, 'pause');
          else if ('resume' in taken) one.on.key('one', taken.resume, 'resume');
          else {
            const its = expected.get(taken.key) ?? [];
            const name = `${taken.key}${its.length}`;
            expected.set(taken.key, [...its, name]);
            kinds.set(name, taken.kind);
            one.push(name);
          }
        }
        for (const key of ['a', 'b']) one.on.key('one', key, 'resume');
        await one.on.advance(60_000);
        for (const [key, names] of expected) {
          const calls = names.flatMap(name => {
            const does = kinds.get(name)!;
            const calls = does === 'throws' || does === 'rejects' ? [name, name] : [name];
            return does === 'slow' || does === 'rejects' ? [...calls, `${name}.`] : calls;
          });
          expect(of(key, one.seen)).toEqual(calls);
        }
        expect(beside).toEqual([]);
        allDone(one, kinds.size);
        expect(one.on.stats('one')).toMatchObject({ depth: 0, depthBytes: 0, inFlightBatches: 0, done: kinds.size });
      },
    ),
    { numRuns: 100 },
  );
});
