/** From a topology to the plan that every thread works by. */
import { describe, expect, it } from 'vitest';
import { KeymillError } from '../../runtime/errors.ts';
import type { IoSpec } from '../../runtime/io/contract.ts';
import { waitingCycle } from '../../runtime/topology/cycles.ts';
import { type Actor, defineActor, defineSource, defineTopology } from '../../runtime/topology/define.ts';
import type { ActorOptionsInput } from '../../runtime/topology/options.ts';
import { loadTopology, makePlan } from '../../runtime/topology/plan.ts';
import { errorOf, faultsOf, planOf } from './support.ts';

const ACTOR = defineActor({ key: () => 1, handle() {} });
const here = (name: string): URL => new URL(`./fixtures/${name}`, import.meta.url);

function io(kind: string, options: Record<string, unknown> = {}, check: IoSpec['check'] = () => []): IoSpec {
  return {
    kind,
    options,
    check,
    key: () => 1,
    open: () => ({ handleBatch: () => [], close() {} }),
    client: ask => ask,
  };
}

describe('an actor of a topology', () => {
  it('may be a definition, a lazy import, or the URL of its module', async () => {
    const { actors } = await planOf({
      actors: { a: ACTOR, b: { use: () => import('./fixtures/actor.ts'), priority: 3 }, c: { use: here('actor.ts') } },
    });
    expect(actors.slice(0, 3).map(actor => [actor.name, actor.options.priority])).toEqual([
      ['a', 4],
      ['b', 3],
      ['c', 2],
    ]);
    expect(actors[1]!.definition.key({ id: 'x' })).toBe('x');
  });

  it.each<[string, unknown, string, RegExp]>([
    [
      'a module that is not there',
      here('missing.ts'),
      'ACTOR_MODULE_MISSING',
      /^ACTOR_MODULE_MISSING: actors\.a: .*missing\.ts/,
    ],
    ['a module that throws', here('throws.ts'), 'ACTOR_MODULE_MISSING', /actors\.a: the database driver is missing$/],
    [
      'a lazy import that fails',
      () => import(here('throws.ts').href),
      'ACTOR_MODULE_MISSING',
      /actors\.a: the database driver is missing$/,
    ],
    [
      'a module without a default export',
      here('no-default.ts'),
      'ACTOR_MODULE_NO_DEFAULT',
      /actors\.a: the default export of file:.*no-default\.ts is undefined, not made by defineActor$/,
    ],
    [
      'a lazy import of something else',
      async () => ({ default: { kind: 'source' } }),
      'ACTOR_MODULE_NO_DEFAULT',
      /the default export of its module is \{"kind":"source"\}, not made by defineActor$/,
    ],
    [
      'something else',
      5,
      'CONFIG_INVALID',
      /actors\.a: expected a actor, a lazy import of its module, or the module's URL; found 5$/,
    ],
    ['nothing', undefined, 'CONFIG_INVALID', /found undefined$/],
  ])('is refused: %s', async (_what, use, code, text) => {
    const error = await errorOf({ actors: { a: { use } } });
    expect(error).toMatchObject({ code, place: { at: 'actors.a' }, message: expect.stringMatching(text) });
  });

  it('passes on what its module says is wrong', async () => {
    const error = await errorOf({
      actors: {
        a: {
          use: async () => {
            throw new KeymillError('OUTPUT_UNWRITABLE', 'from inside');
          },
        },
      },
    });
    expect(error.code).toBe('OUTPUT_UNWRITABLE');
  });

  it('names in `sends` and `uses` what there is', async () => {
    const good = { use: ACTOR, sends: ['b'], uses: ['out'] };
    await planOf({ actors: { a: good, b: ACTOR }, io: { out: io('file') } });
    expect(
      await faultsOf({
        actors: { a: { ...good, sends: ['c'], uses: ['in', 'out'] }, b: ACTOR },
        io: { out: io('file') },
      }),
    ).toEqual(['actors.a.sends: there is no "c"', 'actors.a.uses: there is no "in"']);
  });
});

describe('defineActor', () => {
  it.each<[string, object, string]>([
    ['no key', { handle() {} }, 'an actor needs a key function, found undefined'],
    ['a key that is no function', { key: 'id', handle() {} }, 'an actor needs a key function, found "id"'],
    ['no handler', { key: () => 1 }, 'an actor needs exactly one of `handle` and `handleBatch`'],
    [
      'two handlers',
      { key: () => 1, handle() {}, handleBatch() {} },
      'an actor needs exactly one of `handle` and `handleBatch`',
    ],
    [
      'an unknown name',
      { key: () => 1, handle() {}, onInit() {} },
      'an actor has no `onInit`; it may have key, handle,',
    ],
  ])('refuses %s', (_what, definition, text) => {
    expect(() => defineActor(definition as never)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(text) }),
    );
  });
});

describe('a source of a topology', () => {
  const SOURCE = defineSource({ poll: () => [1], options: { pauseMs: 7 } });

  it('reads from an I/O actor or is one of the user’s own, and feeds one actor or several', async () => {
    const { sources } = await planOf({
      actors: { a: ACTOR, b: ACTOR },
      io: { inbox: io('file') },
      sources: {
        own: { use: SOURCE, to: 'a', batchSize: 5 },
        read: { from: 'inbox', read: { path: 'x' }, to: ['a', 'b'] },
      },
    });
    expect(sources[0]).toMatchObject({
      name: 'own',
      to: ['a'],
      from: { source: SOURCE },
      options: { batchSize: 5, pauseMs: 7 },
      map: null,
    });
    expect(sources[1]).toMatchObject({ name: 'read', to: ['a', 'b'], from: { io: 'inbox', read: { path: 'x' } } });
  });

  it('may be mapped, by a function or by a module', async () => {
    const map = () => (record: number) => record + 1;
    const { sources } = await planOf({
      actors: { a: ACTOR },
      sources: { s: { use: SOURCE, to: 'a', map }, t: { use: SOURCE, to: 'a', map: here('map.ts') } },
    });
    expect(sources.map(source => (source.map!() as (record: number) => unknown)(4))).toEqual([5, 8]);
  });

  it.each<[string, object, string]>([
    ['without a target', { use: SOURCE, to: [] }, 'sources.s.to: expected the name of an actor'],
    ['with an unknown target', { use: SOURCE, to: ['a', 'z'] }, 'sources.s.to: there is no actor "z"'],
    [
      'that ends after one there is not',
      { use: SOURCE, to: 'a', endsAfter: ['feed'] },
      'sources.s.endsAfter: expected another source, found "feed"',
    ],
    [
      'that ends after itself',
      { use: SOURCE, to: 'a', endsAfter: ['s'] },
      'sources.s.endsAfter: expected another source, found "s"',
    ],
    ['to an I/O actor', { use: SOURCE, to: 'io:inbox' }, 'sources.s.to: there is no actor "io:inbox"'],
    ['from nowhere', { to: 'a' }, 'sources.s: expected `from` (an I/O actor) or `use` (a source of your own)'],
    ['from an unknown I/O actor', { from: 'out', to: 'a' }, 'sources.s.from: there is no I/O actor "out"'],
    [
      'with a wrong option',
      { use: SOURCE, to: 'a', repeat: 0 },
      'sources.s.repeat: Too small: expected number to be >=1, found 0',
    ],
    [
      'with a checkpoint it cannot go on from',
      { use: SOURCE, to: 'a', checkpoint: true },
      'sources.s.checkpoint: only a source that is replayable and ordered can go on from a position',
    ],
  ])('is refused %s', async (_what, source, text) => {
    expect(await faultsOf({ actors: { a: ACTOR }, io: { inbox: io('file') }, sources: { s: source } })).toEqual([text]);
  });

  it('is refused with a checkpoint where its I/O actor says by its options that it cannot be read again', async () => {
    const topology = (url: string, checkpoint: boolean) => ({
      actors: { a: ACTOR },
      io: { inbox: { ...io('file', { url }), traits: (said: { url: string }) => ({ replayable: said.url !== '-' }) } },
      sources: { s: { from: 'inbox', to: 'a', checkpoint } },
    });
    await planOf(topology('x', true));
    await planOf(topology('-', false));
    expect(await faultsOf(topology('-', true))).toEqual([
      'sources.s.checkpoint: only a source that is replayable and ordered can go on from a position',
    ]);
  });

  it('is refused with a map that is none', async () => {
    expect(
      await errorOf({ actors: { a: ACTOR }, sources: { s: { use: SOURCE, to: 'a', map: here('no-default.ts') } } }),
    ).toMatchObject({ code: 'ACTOR_MODULE_NO_DEFAULT', message: expect.stringContaining('sources.s.map') });
    expect(await errorOf({ actors: { a: ACTOR }, sources: { s: { use: SOURCE, to: 'a', map: 5 } } })).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('found 5'),
    });
  });

  it('needs exactly one of read and poll', () => {
    for (const definition of [{}, { read: () => [], poll: () => [] }])
      expect(() => defineSource(definition as never)).toThrow('exactly one of `read` and `poll`');
  });
});

describe('an I/O actor of a topology', () => {
  it('is checked by its driver, with its name before the path', async () => {
    const picky = io('file', { url: 5 }, options => [
      { path: 'url', message: `expected a URL, found ${String(options['url'])}` },
    ]);
    expect(await faultsOf({ actors: { a: ACTOR }, io: { out: picky } })).toEqual([
      'io.out.url: expected a URL, found 5',
    ]);
  });

  it('must be what a driver returns', async () => {
    expect(await faultsOf({ actors: { a: ACTOR }, io: { out: 'file:./x' } })).toEqual([
      'io.out: expected what a driver such as file({ … }) returns, found "file:./x"',
    ]);
  });

  it('is joined by the stores of the engine itself, under names that no other may have', async () => {
    const { actors } = await planOf({ actors: { a: ACTOR }, io: { out: io('file') } });
    expect(actors.map(actor => actor.name)).toEqual(['a', 'io:out', 'io:dead-letters', 'io:park']);
    for (const name of ['dead-letters', 'park'])
      expect(await faultsOf({ actors: { a: ACTOR }, io: { [name]: io('file') } })).toEqual([
        `io.${name}: this name is the engine's own`,
      ]);
    expect(await faultsOf({ actors: { 'io:x': ACTOR } })).toEqual([
      'actors.io:x: the name of an actor may not begin with io:',
    ]);
  });

  it('has a thread with all others on up to two cores, and one with its kind above', async () => {
    const topology = { actors: { a: ACTOR }, io: { a: io('file'), b: io('redis'), c: io('file') } };
    const threads = async (over: object, cores: number) => {
      const { actors, ioThreads } = await planOf({ ...topology, ...over }, {}, cores);
      return [ioThreads, ...actors.filter(actor => actor.io).map(actor => actor.io!.thread)];
    };
    expect(await threads({}, 2)).toEqual([1, 0, 0, 0, 0, 0]);
    expect(await threads({}, 8)).toEqual([2, 0, 1, 0, 0, 0]);
    expect(await threads({ ioThreads: 'one' }, 8)).toEqual([1, 0, 0, 0, 0, 0]);
    expect(await threads({ ioThreads: 'perKind' }, 1)).toEqual([2, 0, 1, 0, 0, 0]);
    expect(await threads({ io: {}, ioThreads: 'perKind' }, 8)).toEqual([1, 0, 0]);
  });
});

describe('overrides', () => {
  const topology = {
    actors: { a: ACTOR, b: { use: ACTOR, batch: { max: 5 } } },
    io: { out: io('file', { url: 'file:./x', mode: 'append' }) },
    sources: { s: { use: defineSource({ poll: () => [] }), to: 'a' } },
  };

  it('change options at any depth, also of an actor given as a definition', async () => {
    const plan = await planOf(topology, {
      'actors.a.batch.max': 9,
      'actors.b.retry.attempts': 2,
      'sources.s.pauseMs': 3,
      graceMs: 1,
      'window.messages': 800,
      name: 'other',
    });
    const [a, b] = plan.actors;
    expect([
      a!.options.batch.max,
      b!.options.batch.max,
      b!.options.retry.attempts,
      plan.sources[0]!.options.pauseMs,
      plan.options.graceMs,
      plan.options.window.messages,
      plan.name,
    ]).toEqual([9, 5, 2, 3, 1, 800, 'other']);
  });

  it('reach the options of an I/O actor without that word', async () => {
    const { actors } = await planOf(topology, { 'io.out.url': 'file:./y' });
    expect(actors.find(actor => actor.name === 'io:out')!.io!.spec.options).toEqual({
      url: 'file:./y',
      mode: 'append',
    });
  });

  it('leave the topology as it was', async () => {
    await planOf(topology, { 'actors.b.batch.max': 9, 'io.out.url': 'file:./z' });
    expect(topology.actors.b.batch.max).toBe(5);
    expect(topology.io.out.options['url']).toBe('file:./x');
    expect((await planOf(topology)).actors[1]!.options.batch.max).toBe(5);
  });

  it.each([
    ['__proto__.polluted', '--set __proto__.polluted: not a path'],
    ['actors.__proto__.polluted', '--set actors.__proto__.polluted: not a path'],
    ['actors.a.constructor.prototype.polluted', '--set actors.a.constructor.prototype.polluted: not a path'],
    ['actors..max', '--set actors..max: not a path'],
    ['', '--set : not a path'],
    ['actors.z.batch.max', '--set actors.z.batch.max: there is no actors.z'],
    ['actors.toString.batch.max', '--set actors.toString.batch.max: there is no actors.toString'],
    ['io.in.url', '--set io.in.url: there is no io.in'],
    ['sources.t.pauseMs', '--set sources.t.pauseMs: there is no sources.t'],
    ['actors.a.batch.maximum', 'actors.a.batch: Unrecognized key: "maximum"'],
    ['treads', 'Unrecognized key: "treads"'],
  ])('of %j are refused', async (path, text) => {
    expect(await faultsOf(topology, { [path]: 1 })).toEqual([text]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('that hold a prototype reach none', async () => {
    const plan = await planOf({
      actors: { a: { use: ACTOR, ...JSON.parse('{"batch": {"__proto__": {"max": 1}}}') } },
    }).catch((error: KeymillError) => error);
    expect(({} as { max?: unknown }).max).toBeUndefined();
    if (plan instanceof KeymillError) expect(plan.code).toBe('CONFIG_INVALID');
    else expect(plan.actors[0]!.options.batch.max).toBe(4096);
  });
});

describe('a cycle of actors', () => {
  const actors = (edges: Record<string, string[]>, options: Record<string, ActorOptionsInput> = {}) =>
    Object.fromEntries(
      Object.entries(edges).map(([name, sends]) => [name, { use: ACTOR as Actor, sends, ...options[name] }]),
    );

  it('in which all wait is refused, and shown', async () => {
    expect(await errorOf({ actors: actors({ a: ['b'], b: ['c'], c: ['a'] }) })).toMatchObject({
      code: 'CYCLE_WAITS',
      message: expect.stringMatching(/(a → b → c → a|b → c → a → b|c → a → b → c)$/),
    });
    expect(await errorOf({ actors: actors({ a: ['a'] }) })).toMatchObject({
      code: 'CYCLE_WAITS',
      message: 'CYCLE_WAITS: a → a',
    });
  });

  it.each<[string, ActorOptionsInput]>([
    ['drops and may lose', { mailbox: { full: 'DropOldest', allowLoss: true } }],
    ['parks', { onKeyFull: 'park' }],
    ['sends what is too much to the dead letters', { onKeyFull: 'dead' }],
  ])('in which one %s is fine', async (_how, options) => {
    await planOf({ actors: actors({ a: ['b'], b: ['a'] }, { b: options }) });
  });

  it('in which one drops tells only is none the better: what is sent in a cycle is no tell', async () => {
    expect(
      (await errorOf({ actors: actors({ a: ['b'], b: ['a'] }, { b: { mailbox: { full: 'DropOldest' } } }) })).code,
    ).toBe('CYCLE_WAITS');
  });

  it('that waits is found behind one that does not, though they share a way', async () => {
    const edges = { a: ['b', 'c'], b: ['d'], c: ['d'], d: ['a'] };
    expect((await errorOf({ actors: actors(edges, { b: { onKeyFull: 'dead' } }) })).code).toBe('CYCLE_WAITS');
    await planOf({ actors: actors(edges, { d: { onKeyFull: 'dead' } }) });
  });

  it('is found in what was learned at work, too, by the edge that closes it', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const { actors: planned } = await planOf({
      actors: {
        ...Object.fromEntries(names.map(name => [name, ACTOR])),
        declares: { use: ACTOR, sends: ['a'] },
        parks: { use: ACTOR, onKeyFull: 'park' },
      },
    });
    const learned = (edges: string) =>
      Map.groupBy(
        edges.split(' ').map(edge => edge.split('>') as [string, string]),
        ([from]) => from,
      );
    const found = (edges: string, from: string, to: string) =>
      waitingCycle(
        planned,
        new Map([...learned(edges)].map(([name, all]) => [name, new Set(all.map(([, target]) => target))])),
        from,
        to,
      )?.join(' ');
    expect(found('a>b', 'a', 'b')).toBeUndefined();
    expect(found('a>b b>a', 'b', 'a')).toBe('b a b');
    expect(found('a>a', 'a', 'a')).toBe('a a');
    expect(found('a>b b>c c>a b>d d>a', 'c', 'a')).toBe('c a b c');
    expect(found('a>declares', 'a', 'declares')).toBe('a declares a');
    expect(found('a>parks parks>a', 'parks', 'a')).toBeUndefined();
    expect(found('a>b b>c c>b d>a', 'd', 'a')).toBeUndefined(); // a cycle, but not one of this edge
    expect(found('a>io:out', 'a', 'io:out')).toBeUndefined();
  });
});

describe('a plan warns', () => {
  const INBOX = { inbox: io('file') };
  const pipe = { inbox: { ...io('file'), traits: () => ({ replayable: false }) } };
  const sends = (...names: string[]) => ({ use: ACTOR, sends: names });
  const warnings = async (topology: object) => (await planOf({ io: INBOX, ...topology })).warnings;
  const fed = { s: { from: 'inbox', to: 'a' } };

  it('of an actor that nothing feeds, where all say whom they send to', async () => {
    const actors = { a: sends('b'), b: sends(), c: sends('d'), d: sends() };
    const text = 'no source and no actor that they feed sends to it; only tells reach it';
    expect(await warnings({ actors, sources: fed })).toEqual([`actors.c: ${text}`, `actors.d: ${text}`]);
    expect(await warnings({ actors })).toEqual([]);
    expect(await warnings({ actors: { ...actors, b: ACTOR }, sources: fed })).toEqual([]);
  });

  it('of an I/O actor that nobody uses, where all say what they use', async () => {
    const actors = { a: { use: ACTOR, uses: ['out'] } };
    const ios = { ...INBOX, out: io('file'), other: io('file') };
    expect(await warnings({ actors, io: ios, sources: fed })).toEqual([
      'io.other: no source reads from it, and no actor lists it in `uses`',
    ]);
    expect(await warnings({ actors: { ...actors, b: ACTOR }, io: ios, sources: fed })).toEqual([]);
  });

  it('of a drop mode that drops nothing but tells, though others send', async () => {
    const dropping = { use: ACTOR, preset: 'iot' };
    expect(await warnings({ actors: { a: dropping, b: sends('a') }, sources: fed })).toEqual([
      'actors.a.mailbox.full: DropOldest drops tells only, and what s, b sends waits; set mailbox.allowLoss to drop that too, or Wait',
    ]);
    expect(await warnings({ actors: { a: dropping, b: ACTOR } })).toEqual([]);
  });

  it('of a drop mode that loses what cannot be read again', async () => {
    const actors = { a: { use: ACTOR, mailbox: { full: 'DropNewest', allowLoss: true } } };
    expect(await warnings({ actors, sources: fed })).toEqual([]);
    expect(await warnings({ actors, sources: fed, io: pipe })).toEqual([
      'actors.a.mailbox.full: DropNewest drops messages of s, which cannot be read again, and that is only seen in keymill_dropped_total; set Wait to keep them',
    ]);
    const own = { s: { use: defineSource({ poll: () => [] }), to: 'a' } };
    expect(await warnings({ actors, sources: own })).toHaveLength(1);
  });
});

describe('the same topology', () => {
  it('makes the same plan in every thread', async () => {
    const topology = defineTopology({
      name: 'x',
      actors: { a: ACTOR, b: { use: () => import('./fixtures/actor.ts') } },
      io: { out: io('file') },
    });
    const shape = async () => {
      const plan = await makePlan(topology, { threads: 3 }, 4);
      return JSON.stringify({
        ...plan,
        actors: plan.actors.map(({ name, options, io }) => [name, options, io?.thread]),
      });
    };
    expect(await shape()).toBe(await shape());
  });
});

describe('a topology module', () => {
  it.each<[string, RegExp]>([
    ['missing.ts', /missing\.ts/],
    ['throws.ts', /the database driver is missing$/],
    ['no-default.ts', /the default export of .*no-default\.ts is undefined, not made by defineTopology$/],
    ['actor.ts', /not made by defineTopology$/],
  ])('%s is TOPOLOGY_MISSING', async (name, text) => {
    for (const module of [here(name).href, here(name).pathname])
      await expect(loadTopology(module)).rejects.toMatchObject({
        code: 'TOPOLOGY_MISSING',
        place: { at: module },
        message: expect.stringMatching(text),
      });
  });
});
