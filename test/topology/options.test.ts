/** The options: defaults (READINGS.md), presets (G9.7), ranges, and the texts of what is wrong. */
import { describe, expect, it } from 'vitest';
import { defineActor } from '../../runtime/topology/define.ts';
import { actorSchema, PRESETS, type Preset, runtimeSchema, sourceSchema } from '../../runtime/topology/options.ts';
import { faultsOf, planOf } from './support.ts';

const MiB = 1024 * 1024;

describe('defaults', () => {
  it('of an actor', () => {
    expect(actorSchema.parse({})).toEqual({
      mailbox: { maxMessages: 10_000, maxBytes: 16 * MiB, full: 'Wait', waitMs: 30_000, allowLoss: false },
      batch: { strategy: 'eightyPercent', drainRatio: 0.8, max: 4096, maxBytes: 4 * MiB, across: 'key' },
      retry: { kind: 'exponential', attempts: 6, delayMs: 100, factor: 2, maxDelayMs: 30_000, jitter: 0.5 },
      supervise: { onError: 'resume', maxRestarts: 100, withinMs: 60_000 },
      priority: 4,
      onKeyFull: 'stall',
      onDead: 'skip',
      concurrency: 1024,
      timeoutMs: 60_000,
      zombieMs: 60_000,
      maxSends: 10_000,
      maxMessageBytes: 8 * MiB,
      passivateMs: 300_000,
      maxResident: 250_000,
    });
  });

  it('of a source: windows, and the rhythm of the seed for polls (G2209 to 2278)', () => {
    expect(sourceSchema.parse({})).toEqual({
      window: { messages: 81_920, bytes: 64 * MiB },
      maxAckGap: { messages: 81_920, ageMs: 0 },
      onBroken: 'dead',
      checkpoint: false,
      repeat: 1,
      batchSize: 100,
      pauseMs: 1000,
      errorPauseMs: 5000,
    });
  });

  it('of the runtime', () => {
    expect(runtimeSchema.parse({})).toEqual({
      partitions: 1024,
      ioThreads: 'auto',
      window: { messages: 81_920, bytes: 64 * MiB },
      quantum: { items: 256, bytes: MiB, ms: 5 },
      ageMs: 1000,
      stuckMs: 10_000,
      quarantineAfter: 3,
      restart: { max: 100, withinMs: 600_000, delayMs: 10, maxDelayMs: 5000 },
      graceMs: 25_000,
      spool: true,
      heap: { pauseAt: 0.8, recycleAfterMs: 10_000 },
      deadLetters: { retryMs: 1000 },
    });
  });

  it('give one key of one lane no more than its mailbox holds: an eighth of the window is 10,240', () => {
    expect(runtimeSchema.parse({}).window.messages / 8).toBeGreaterThanOrEqual(
      actorSchema.parse({}).mailbox.maxMessages,
    );
  });
});

describe('presets have the figures of the seed (G9.7)', () => {
  it.each<[Preset, object]>([
    ['steady', { batch: { max: 500, flushMs: 1000 } }],
    ['bursty', { batch: { max: 100, flushMs: 100 }, mailbox: { full: 'DropOldest' } }],
    ['low-volume', { batch: { max: 50, flushMs: 100 } }],
    ['high-volume', { batch: { max: 5000, flushMs: 5000 }, mailbox: { full: 'Wait' } }],
    ['realtime', { batch: { max: 10, flushMs: 50 } }],
    ['api', { batch: { max: 100, flushMs: 200 } }],
    ['bulk', { batch: { max: 8000, flushMs: 5000 }, mailbox: { maxMessages: 10_000, full: 'Wait' } }],
    ['iot', { batch: { max: 1000 }, mailbox: { maxMessages: 5000, full: 'DropOldest' }, priority: 0 }],
  ])('%s', async (preset, figures) => {
    const { actors } = await planOf({ actors: { a: { use: ACTOR, preset } } });
    expect(actors[0]!.options).toMatchObject(figures);
  });

  it('and there are no others', () => {
    expect(Object.keys(PRESETS).sort()).toEqual([
      'api',
      'bulk',
      'bursty',
      'high-volume',
      'iot',
      'low-volume',
      'realtime',
      'steady',
    ]);
  });

  it('and what stands beside them wins, then what the actor itself says, then they', async () => {
    const use = defineActor({
      key: () => 1,
      handle() {},
      options: { preset: 'steady', batch: { max: 7 }, priority: 1 },
    });
    const { actors } = await planOf({ actors: { a: { use, batch: { flushMs: 3 } }, b: { use, preset: 'api' } } });
    expect(actors[0]!.options).toMatchObject({ batch: { max: 7, flushMs: 3 }, priority: 1 });
    expect(actors[1]!.options).toMatchObject({ batch: { max: 7, flushMs: 200 } });
  });
});

const ACTOR = defineActor({ key: () => 1, handle() {} });

describe('what is wrong is told with path, expectation and finding', () => {
  it.each<[string, object, string]>([
    [
      'a number too large',
      { batch: { max: 200_000 } },
      'actors.a.batch.max: Too big: expected number to be <=100000, found 200000',
    ],
    [
      'a number too small',
      { batch: { drainRatio: 0.4 } },
      'actors.a.batch.drainRatio: Too small: expected number to be >=0.5, found 0.4',
    ],
    [
      'a fraction',
      { retry: { attempts: 1.5 } },
      'actors.a.retry.attempts: Invalid input: expected int, received number, found 1.5',
    ],
    [
      'a text for a number',
      { timeoutMs: '5s' },
      'actors.a.timeoutMs: Invalid input: expected number, received string, found "5s"',
    ],
    [
      'not a number',
      { timeoutMs: Number.NaN },
      'actors.a.timeoutMs: Invalid input: expected number, received NaN, found NaN',
    ],
    [
      'no member of a list',
      { onDead: 'ignore' },
      'actors.a.onDead: Invalid option: expected one of "skip"|"parkKey"|"stop", found "ignore"',
    ],
    [
      'an unknown preset',
      { preset: 'fast' },
      'actors.a.preset: Invalid option: expected one of "steady"|"bursty"|"low-volume"|"high-volume"|"realtime"|"api"|"bulk"|"iot", found "fast"',
    ],
    ['an unknown name', { batch: { flushms: 5 } }, 'actors.a.batch: Unrecognized key: "flushms"'],
    ['an unknown name at the top', { prio: 1 }, 'actors.a: Unrecognized key: "prio"'],
    ['a value for a group', { batch: 5 }, 'actors.a.batch: Invalid input: expected object, received number, found 5'],
    [
      'a rate without messages',
      { rate: { perMs: 5 } },
      'actors.a.rate.messages: Invalid input: expected number, received undefined, found undefined',
    ],
    ['a negative time', { zombieMs: -1 }, 'actors.a.zombieMs: Too small: expected number to be >=0, found -1'],
    [
      'parking across keys',
      { onKeyFull: 'park', batch: { across: 'keys' } },
      "actors.a.onKeyFull: park needs a mailbox for each key, and batch.across: 'keys' has one for all",
    ],
  ])('%s', async (_what, options, text) => {
    expect(await faultsOf({ actors: { a: { use: ACTOR, ...options } } })).toEqual([text]);
  });

  it.each<[string, object, string]>([
    ['threads', { threads: 0 }, 'threads: Too small: expected number to be >=1, found 0'],
    ['partitions', { partitions: 1000 }, 'partitions: expected a power of two, found 1000'],
    ['a nested option', { heap: { pauseAt: 2 } }, 'heap.pauseAt: Too big: expected number to be <=0.99, found 2'],
    ['an unknown name', { gracems: 1 }, 'Unrecognized key: "gracems"'],
    [
      'another store of dead letters, of which there is none yet',
      { deadLetters: { url: 'redis://x' } },
      'deadLetters: Unrecognized key: "url"',
    ],
    [
      'the name',
      { name: 'no spaces please' },
      'name: expected 1 to 64 letters, digits, ".", "_" or "-", found "no spaces please"',
    ],
    ['no name', { name: undefined }, 'name: expected 1 to 64 letters, digits, ".", "_" or "-", found undefined'],
    ['no actors', { actors: {} }, 'actors: expected at least one'],
  ])('of the runtime: %s', async (_what, options, text) => {
    expect(await faultsOf({ actors: { a: ACTOR }, ...options })).toEqual([text]);
  });

  it('all at once, one line each', async () => {
    const faults = await faultsOf({
      name: 'x',
      threads: 1000,
      actors: { a: { use: ACTOR, priority: 8 }, b: { use: ACTOR, batch: { max: 0 } } },
      sources: { s: { to: 'c', from: 'nothing' } },
    });
    expect(faults).toEqual([
      'threads: Too big: expected number to be <=256, found 1000',
      'actors.a.priority: Too big: expected number to be <=7, found 8',
      'actors.b.batch.max: Too small: expected number to be >=1, found 0',
      'sources.s.to: there is no actor "c"',
      'sources.s.from: there is no I/O actor "nothing"',
    ]);
  });
});
