/** Sources: what they give, when they wait, and what they are told has settled (E11; D1). */
import { describe, expect, it } from 'vitest';
import { KeymillError } from '../../runtime/errors.ts';
import { SourceRunner } from '../../runtime/host/source-runner.ts';
import { userSource } from '../../runtime/host/user-source.ts';
import { SOURCE_WORDS } from '../../runtime/observe/counts.ts';
import type {
  Context,
  Log,
  RecordMap,
  SourceDefinition,
  SourceHalf,
  SourceRecord,
  SourceTraits,
} from '../../runtime/topology/define.ts';
import { type SourceOptionsInput, sourceSchema } from '../../runtime/topology/options.ts';
import { type OneHost, type OneHostOptions, oneHost } from '../support/one-host.ts';

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

interface Run {
  on: OneHost;
  runner: SourceRunner;
  /** Bodies in the order of handling. */
  handled: unknown[];
  acks: { low: number; positions: readonly number[] }[];
  lows: number[];
  ended: number[];
  finished: number;
  failures: Error[];
}

interface RunOptions {
  half?: Partial<SourceHalf>;
  records?: SourceRecord[];
  traits?: Partial<SourceTraits>;
  options?: SourceOptionsInput;
  map?: RecordMap;
  from?: number;
  mark?: { of: unknown; path: string } | null;
  counts?: Float64Array;
  targets?: string[];
  host?: Partial<OneHostOptions>;
  definition?: SourceDefinition<unknown>;
  /** Sees the run before it starts. */
  before?: (run: Run) => void;
  log?: Log;
}

async function run({
  half,
  records = [],
  traits,
  options,
  map,
  from = 0,
  mark = null,
  counts = new Float64Array(SOURCE_WORDS),
  targets = ['one'],
  host,
  definition,
  before,
  log = SILENT,
}: RunOptions): Promise<Run> {
  const handled: unknown[] = [];
  const on = await oneHost({
    actors: {
      one: {
        key: (body: { key?: string } | number) => (typeof body === 'object' ? body.key! : body),
        handle: body => void handled.push(body),
      },
    },
    ...host,
  });
  const seen: Run = { on, handled, acks: [], lows: [], ended: [], finished: 0, failures: [] } as unknown as Run;
  const its = sourceSchema.parse(options ?? {});
  const whole: SourceHalf = definition
    ? userSource('src', definition as SourceDefinition<never>, its, on.environment, SILENT, {})
    : {
        traits: { replayable: true, ordered: true, contiguous: false, ...traits },
        async *read(start) {
          yield records.filter(record => record.position >= start);
        },
        ack: settled => void seen.acks.push(settled),
        ...half,
      };
  seen.runner = new SourceRunner(
    {
      name: 'src',
      half: whole,
      map: map ?? null,
      options: its,
      from,
      mark,
      targets: targets.map(name => {
        const index = on.host.directory.indexOf(name);
        return { index, name, definition: on.host.plan.actors[index]!.definition };
      }),
    },
    {
      environment: on.environment,
      sender: on.host.sender,
      log,
      counts,
      bury: (letter, written) => on.host.troubles.bury(letter, written),
      settledBelow: low => seen.lows.push(low),
      ended: given => seen.ended.push(given),
      finished: () => seen.finished++,
      failed: error => seen.failures.push(error),
    },
  );
  before?.(seen);
  seen.runner.start();
  await on.settle();
  return seen;
}

const numbered = (...positions: number[]): SourceRecord[] => positions.map(position => ({ position, value: position }));

describe('a source', () => {
  it('gives what it reads, and ends when all of that has settled', async () => {
    const { handled, ended, finished, runner, acks } = await run({ records: numbered(0, 1, 2, 3) });
    expect(handled).toEqual([0, 1, 2, 3]);
    expect([ended, finished]).toEqual([[4], 1]);
    expect(acks.flatMap(ack => ack.positions).sort()).toEqual([0, 1, 2, 3]);
    expect(runner.snapshot()).toMatchObject({
      given: 4,
      done: 4,
      dead: 0,
      dropped: 0,
      unsettled: 0,
      position: 4,
      ended: true,
      waiting: undefined,
    });
  });

  it('says once that the key of the actor is not the one by which replicas share it', async () => {
    const shared = (...keys: (string | null | undefined)[]): SourceRecord[] =>
      keys.map((sharedBy, position) => ({
        position,
        value: { key: `k${position}` },
        ...(sharedBy !== undefined && { sharedBy }),
      }));
    const warned = async (records: SourceRecord[]) => {
      const lines: unknown[] = [];
      await run({ records, log: { ...SILENT, warn: fields => void lines.push(fields) } });
      return lines;
    };
    expect(await warned(shared('k0', undefined, 'k2'))).toEqual([]);
    expect(await warned(shared('k0', 'other', null))).toEqual([{ source: 'src', key: 'k1', sharedBy: 'other' }]);
    expect(await warned(shared(null))).toEqual([{ source: 'src', key: 'k0', sharedBy: null }]);
  });

  it('goes on where an earlier life of it left off', async () => {
    const { handled } = await run({ records: numbered(0, 1, 2, 3), from: 2 });
    expect(handled).toEqual([2, 3]);
  });

  it('goes on only when it knows its input again by the mark of the checkpoint', async () => {
    const seen: unknown[] = [];
    const recognise = (mark: unknown) => void seen.push(mark) as undefined;
    const known = await run({
      records: numbered(0, 1, 2),
      from: 2,
      mark: { of: 'm', path: 'cp.json' },
      half: { recognise },
    });
    expect([seen, known.handled]).toEqual([['m'], [2]]);
    const error = new KeymillError('CHECKPOINT_UNUSABLE', 'another file');
    const other = await run({
      records: numbered(0, 1, 2),
      from: 2,
      mark: { of: 'm', path: 'cp.json' },
      half: { recognise: () => Promise.reject(error) },
    });
    expect(other.handled).toEqual([]);
    expect(other.failures).toMatchObject([
      {
        code: 'SOURCE_FAILED',
        cause: { code: 'CHECKPOINT_UNUSABLE', message: 'CHECKPOINT_UNUSABLE: another file (cp.json)' },
      },
    ]);
  });

  it('looks at its input again where that could not be read at first', async () => {
    let calls = 0;
    const recognise = () => {
      if (++calls === 1) throw new KeymillError('IO_FAILED', 'not now');
      return undefined;
    };
    const of = await run({
      records: numbered(0, 1, 2),
      from: 2,
      mark: { of: 'm', path: 'cp.json' },
      options: { errorPauseMs: 100 },
      half: { recognise },
    });
    expect(of.handled).toEqual([]);
    await of.on.advance(100);
    expect([of.handled, calls]).toEqual([[2], 2]);
  });

  it('gives a record again that has changed since, and notes that it settled', async () => {
    const { handled, lows, runner } = await run({
      records: numbered(0, 1, 2),
      from: 3,
      mark: { of: 'm', path: 'cp.json' },
      half: { recognise: () => 2 },
    });
    expect([handled, lows, runner.snapshot().position]).toEqual([[2], [3], 3]);
    const twice = await run({
      records: numbered(0, 1, 2),
      from: 3,
      mark: { of: 'm', path: 'cp.json' },
      options: { repeat: 2 },
      half: { recognise: () => 2 },
    });
    expect(twice.handled).toEqual([0, 1, 2]);
  });

  it('has ended but is not finished while anything is unsettled', async () => {
    let gate!: () => void;
    const slow = (body: { key: string }) =>
      body.key === 'a' ? new Promise<void>(resolve => (gate = resolve)) : undefined;
    const of = await run({
      definition: { read: () => [{ key: 'a' }, { key: 'b' }] },
      host: { actors: { one: { key: (body: { key: string }) => body.key, handle: slow } } },
    });
    await of.on.advance(70);
    expect([of.ended, of.finished]).toEqual([[2], 0]);
    expect(of.runner.snapshot()).toMatchObject({ unsettled: 1, done: 1, oldestUnsettledMs: 70 });
    gate();
    await of.on.settle();
    expect(of.finished).toBe(1);
  });

  it('is acked without holes where that is asked for, each position else', async () => {
    const gates = new Map<string, () => void>();
    const actors = {
      one: {
        key: (n: number) => n,
        handle: (n: number) => new Promise<void>(resolve => gates.set(String(n), resolve)),
      },
    };
    const open = async (of: Run, ...ns: number[]) => {
      for (const n of ns) gates.get(String(n))!();
      await of.on.settle();
    };
    const contiguous = await run({ records: numbered(0, 1, 2, 3), traits: { contiguous: true }, host: { actors } });
    await open(contiguous, 2, 1);
    expect([contiguous.acks, contiguous.lows]).toEqual([[], []]);
    await open(contiguous, 0);
    expect([contiguous.acks, contiguous.lows]).toEqual([[{ low: 3, positions: [] }], [3]]);
    const loose = await run({ records: numbered(0, 1, 2, 3), host: { actors } });
    await open(loose, 2);
    await open(loose, 0, 3);
    expect(loose.acks).toEqual([
      { low: 0, positions: [2] },
      { low: 1, positions: [0, 3] },
    ]);
    expect(loose.lows).toEqual([1]);
  });

  it('feeds several actors, and a message is settled when all of them settled it, by its worst outcome', async () => {
    const got: string[] = [];
    const actor = (name: string) => ({
      key: (n: number) => n,
      handle: (n: number, ctx: Context) => {
        got.push(`${name} ${ctx.id}`);
        if (name === 'two' && n === 1) throw new Error('no');
      },
      options: { retry: { attempts: 1 } },
    });
    const { runner, acks, on } = await run({
      records: numbered(0, 1),
      targets: ['one', 'two'],
      host: { actors: { one: actor('one'), two: actor('two') } },
    });
    expect(got.sort()).toEqual(['one src/0/0.0', 'one src/0/1.0', 'two src/0/0.1', 'two src/0/1.1']);
    expect(runner.snapshot()).toMatchObject({ given: 2, done: 1, dead: 1 });
    expect(acks.flatMap(ack => ack.positions).sort()).toEqual([0, 1]);
    expect(on.letters).toMatchObject([{ id: 'src/0/1.1', actor: 'two' }]);
  });

  it('may be mapped; what maps to nothing is skipped, and the map counts anew at each reading', async () => {
    const map: RecordMap = () => {
      let count = 0;
      return ((record: number) => (++count % 2 === 0 ? undefined : { key: `${record}/${count}` })) as never;
    };
    const { handled, ended, runner } = await run({ records: numbered(0, 1, 2, 3, 4), map });
    expect(handled.map(body => (body as { key: string }).key)).toEqual(['0/1', '2/3', '4/5']);
    expect([ended, runner.snapshot().position]).toEqual([[3], 5]);
    const later = await run({ records: numbered(0, 1, 2, 3, 4), map, from: 2 });
    expect(later.handled.map(body => (body as { key: string }).key)).toEqual(['2/3', '4/5']);
  });

  it('is read as often as `repeat` says, under growing positions', async () => {
    const ids: string[] = [];
    const { ended } = await run({
      records: numbered(0, 1, 2),
      options: { repeat: 3 },
      host: { actors: { one: { key: (n: number) => n, handle: (_n, ctx) => void ids.push(ctx.id) } } },
    });
    expect(ids.sort()).toEqual(Array.from({ length: 9 }, (_, i) => `src/0/${i}`));
    expect(ended).toEqual([9]);
  });
});

describe('a source waits', () => {
  const stuck = () => {
    const gates: (() => void)[] = [];
    return {
      gates,
      actors: { one: { key: (n: number) => n, handle: () => new Promise<void>(resolve => gates.push(resolve)) } },
    };
  };

  it('for its window of messages, and goes on as they settle', async () => {
    const { gates, actors } = stuck();
    const { on, runner, finished } = await run({
      records: numbered(...Array(20).keys()),
      options: { window: { messages: 8 } },
      host: { actors },
    });
    expect(gates).toHaveLength(8);
    expect(runner.snapshot()).toMatchObject({ unsettled: 8, waiting: 'window full (messages)' });
    gates[3]!();
    await on.settle();
    expect(gates).toHaveLength(9);
    for (let i = 0; i < 20; i++) {
      gates[i]!();
      await on.settle();
    }
    expect([runner.snapshot().done, finished]).toEqual([20, 0]);
  });

  it('for its window of bytes', async () => {
    const { gates, actors } = stuck();
    const records = Array.from({ length: 10 }, (_, position) => ({ position, value: Buffer.alloc(30_000) }));
    const { runner } = await run({
      records,
      options: { window: { bytes: 65_536 } },
      host: { actors: { one: { ...actors.one, key: () => 'k', options: { concurrency: 1 } } } },
    });
    expect(gates).toHaveLength(1);
    expect(runner.snapshot()).toMatchObject({ unsettled: 3, waiting: 'window full (bytes)' });
    expect(runner.snapshot().unsettledBytes).toBeGreaterThan(90_000);
  });

  it('for its ack gap, when its acks must advance without holes', async () => {
    const { gates, actors } = stuck();
    const { on, runner } = await run({
      records: numbered(...Array(20).keys()),
      traits: { contiguous: true },
      options: { maxAckGap: { messages: 5 } },
      host: { actors },
    });
    for (const gate of gates.slice(1)) gate();
    await on.settle();
    expect(runner.snapshot()).toMatchObject({ given: 5, done: 4, unsettled: 1, waiting: 'ack gap (messages)' });
    gates[0]!();
    await on.settle();
    expect(runner.snapshot().given).toBe(10);
  });

  it('for room at its actor, and says for which', async () => {
    const { on, runner } = await run({
      records: numbered(...Array(20).keys()).map(({ position }) => ({ position, value: { key: 'a', n: position } })),
      host: {
        runtime: { window: { messages: 8 } },
        actors: { one: { key: (body: { key: string }) => body.key, handle: () => new Promise(() => {}) } },
      },
    });
    await on.advance(10);
    expect(runner.snapshot().waiting).toBe('room for key a of one');
    expect(runner.snapshot().given).toBe(9);
  });

  it('while it is paused, with the reason shown', async () => {
    let give!: (chunk: SourceRecord[]) => void;
    const { on, runner, handled } = await run({
      half: {
        async *read() {
          for (;;) yield await new Promise<SourceRecord[]>(resolve => (give = resolve));
        },
      },
    });
    runner.pause('breaker of io:db is open');
    give(numbered(0));
    await on.settle();
    expect([handled, runner.snapshot().waiting]).toEqual([[], 'breaker of io:db is open']);
    runner.pause(undefined);
    await on.settle();
    expect([handled, runner.snapshot().waiting]).toEqual([[0], undefined]);
    expect(on.probes.filter(probe => probe.startsWith('source.p') || probe.startsWith('source.r'))).toEqual([
      'source.paused',
      'source.resumed',
    ]);
  });
});

describe('a source that fails', () => {
  it('is read again from where it stood after a pause, if it can be', async () => {
    const froms: number[] = [];
    const { on, handled, finished } = await run({
      options: { errorPauseMs: 5000 },
      half: {
        async *read(from) {
          froms.push(from);
          yield numbered(0, 1, 2, 3)
            .filter(record => record.position >= from)
            .slice(0, 2);
          if (froms.length === 1) throw new Error('connection lost');
        },
      },
    });
    expect(handled).toEqual([0, 1]);
    await on.advance(4999);
    expect(froms).toEqual([0]);
    await on.advance(1);
    expect([froms, handled, finished]).toEqual([[0, 2], [0, 1, 2, 3], 0]);
  });

  it.each<[string, Partial<SourceTraits>, Error]>([
    ['for a fatal reason', {}, new KeymillError('SOURCE_MISSING', 'no file')],
    ['and cannot be read again', { replayable: false }, new Error('gone')],
  ])('%s fails for good', async (_how, traits, error) => {
    const { failures, ended } = await run({
      traits,
      half: {
        // biome-ignore lint/correctness/useYield: it throws at once
        async *read() {
          throw error;
        },
      },
    });
    expect(failures).toMatchObject([{ code: 'SOURCE_FAILED', cause: error, place: { source: 'src' } }]);
    expect(ended).toEqual([]);
  });

  it('at an ack goes on: what was not acked may come again', async () => {
    let refused = 0;
    const { handled, finished } = await run({
      records: numbered(0, 1),
      half: {
        ack: () => {
          refused++;
          throw new Error('no');
        },
      },
    });
    expect(refused).toBeGreaterThan(0);
    expect([handled, finished]).toEqual([[0, 1], 1]);
  });
});

describe('a record', () => {
  const broken = new KeymillError('RECORD_BROKEN', 'line 2', { place: { at: 'a.ndjson:2' } });
  const records = [...numbered(0), { position: 1, value: 'raw text', broken }, ...numbered(2)];

  it('that cannot be read is a dead letter, and the next one follows', async () => {
    const { on, handled, runner, finished } = await run({ records });
    expect(handled).toEqual([0, 2]);
    expect(on.letters).toMatchObject([
      {
        id: 'src/0/1',
        message: 'raw text',
        actor: 'one',
        error: { code: 'RECORD_BROKEN', place: { at: 'a.ndjson:2' } },
      },
    ]);
    expect(runner.snapshot()).toMatchObject({ given: 3, done: 2, dead: 1, position: 3 });
    expect(finished).toBe(1);
  });

  it('that cannot be read fails the source where that is asked for', async () => {
    const { failures, handled } = await run({ records, options: { onBroken: 'fail' } });
    expect(failures).toMatchObject([{ code: 'SOURCE_FAILED' }]);
    expect(handled).toEqual([0]);
  });

  it.each<[string, SourceRecord, RecordMap | undefined, object]>([
    ['without a key', { position: 1, value: { key: null } }, undefined, { code: 'KEY_INVALID' }],
    [
      'that cannot be carried',
      { position: 1, value: { key: 'a', f: () => 1 } },
      undefined,
      { code: 'MESSAGE_NOT_CARRIABLE' },
    ],
    [
      'that its map throws at',
      { position: 1, value: 'x' },
      (() => (record: unknown) => {
        if (record === 'x') throw new Error('no such shape');
        return record;
      }) as RecordMap,
      { message: 'no such shape' },
    ],
  ])('%s is a dead letter, and the next one follows', async (_what, record, map, error) => {
    const { on, handled, finished } = await run({
      records: [...numbered(0), record, ...numbered(2)],
      ...(map ? { map } : {}),
    });
    expect(handled).toEqual([0, 2]);
    expect(on.letters).toMatchObject([{ id: 'src/0/1', error }]);
    expect(finished).toBe(1);
  });
});

describe('a source of the user’s own', () => {
  it('may be an iterable, read in chunks', async () => {
    const { handled, ended } = await run({
      definition: { read: from => Array.from({ length: 1000 }, (_, i) => i).slice(from) },
    });
    expect(handled.length).toBe(1000);
    expect(ended).toEqual([1000]);
  });

  it('may be an async iterable; each message goes on as it comes, and stopping does not wait for the next', async () => {
    const waiting: ((value: number) => void)[] = [];
    let returned = false;
    const { on, handled, runner, ended } = await run({
      definition: {
        async *read() {
          try {
            for (;;) yield await new Promise<number>(resolve => waiting.push(resolve));
          } finally {
            returned = true;
          }
        },
      },
    });
    waiting.shift()!(1);
    await on.settle();
    expect(handled).toEqual([1]);
    runner.stop();
    await on.settle();
    expect(ended).toEqual([1]);
    waiting.shift()!(2);
    await on.settle();
    expect([handled, returned]).toEqual([[1], true]);
  });

  it('may be polled: at once while there is plenty, after a pause when there is less, after twice that when idle', async () => {
    const polls: [at: number, size: number][] = [];
    const script = [[1, 2, 3], [4, 5, 6], [7], [], [], [8]];
    let now = (): number => 0;
    const of = await run({
      before: ({ on }) => {
        now = on.environment.clock.now;
      },
      options: { batchSize: 3, pauseMs: 100 },
      definition: {
        poll: size => {
          polls.push([now(), size]);
          return script.shift();
        },
      },
    });
    await of.on.advance(10_000);
    expect(of.handled).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(polls).toEqual([
      [0, 3],
      [0, 3],
      [0, 3],
      [100, 3],
      [300, 3],
      [500, 3],
      [600, 3],
    ]);
    expect(of.ended).toEqual([8]);
  });

  it('that is polled stops in the middle of a pause', async () => {
    const of = await run({ options: { pauseMs: 1_000_000 }, definition: { poll: () => [] } });
    const timers = of.on.environment.pendingTimers;
    of.runner.stop();
    await of.on.settle();
    expect(of.on.environment.pendingTimers).toBe(timers - 1);
    expect([of.ended, of.finished]).toEqual([[0], 1]);
  });

  it('learns what settled, and is closed', async () => {
    const acks: unknown[] = [];
    let closed = 0;
    const of = await run({
      definition: { read: () => [1, 2], ack: settled => void acks.push(settled), close: () => void closed++ },
    });
    await of.runner.close();
    expect(acks).toEqual([{ low: 2, positions: [0, 1] }]);
    expect(closed).toBe(1);
  });
});
