/** One key in trouble (promise 5): what the others feel of it, and what onKeyFull, onDead and retry make of it. */
import { expect, it } from 'vitest';
import type { DeadLetter, Summary } from '../../runtime/index.ts';
import type { Line } from '../support/ledger-judge.ts';
import type { KeyedParams } from './fixtures/keyed.ts';
import type { Mischief } from './fixtures/mischief.ts';
import { ChildRun, Run, tempDir } from './support.ts';

const KEYS = 20;
const SICK = 'k3';
/** An eighth of it, 100, is what a key may hold. */
const window = { 'window.messages': 800 };
const retry = { delayMs: 10, maxDelayMs: 50 };
const failing: readonly Mischief[] = [{ kind: 'fail', key: SICK, when: 'until-mended', class: 'transient' }];
const sick = ({ key }: Line): boolean => key === SICK;
const well = ({ key }: Line): boolean => key !== SICK;

function start(perKey: number, actor: Record<string, unknown> = {}, mischief = failing): Promise<Run> {
  return Run.start(
    { keys: KEYS, perKey, mischief },
    {
      set: {
        ...window,
        'actors.first.retry': retry,
        ...Object.fromEntries(Object.entries(actor).map(([name, value]) => [`actors.first.${name}`, value])),
      },
    },
  );
}

async function letters(run: Run): Promise<DeadLetter[]> {
  return run.runtime.deadLetters.list({ limit: 10_000 });
}

const nameOf = ({ message }: DeadLetter): string => {
  const { key, n } = message as { key: string; n: number };
  return `${key} ${n}`;
};

it('a key that fails for ever costs the others nothing while it holds its share', async () => {
  const run = await start(90);
  await run.progress((KEYS - 1) * 90, well);
  expect(run.handled(sick)).toBe(0);
  run.touch('mended');
  await run.runtime.settled();
  expect(run.judge(run.lines().filter(line => line.what === 'fail').length).faults).toEqual([]);
  expect(await run.runtime.summary()).toMatchObject({ settled: { done: KEYS * 90, dead: 0, dropped: 0 } });
});

it('onKeyFull stall: the source waits, memory is bounded, nothing dies', async () => {
  const run = await start(500);
  // At rest when ten more calls of the sick key change nothing.
  let rest: Summary;
  let now = await run.runtime.summary();
  do {
    rest = now;
    const failed = run.lines().filter(line => line.what === 'fail').length;
    await run.until(() => run.lines().filter(line => line.what === 'fail').length >= failed + 10, 'ten calls');
    now = await run.runtime.summary();
  } while (now.messages !== rest.messages || now.settled.done !== rest.settled.done);
  expect(await run.waitingFor('numbers')).toBe('room for key k3 of first');
  expect(now.messages).toBeLessThan(KEYS * 500);
  const held = now.messages - now.settled.done;
  console.log(`stall: the sick key holds ${held} messages of a window of 800`);
  // All that is unsettled is of the sick key: its share of 100, what was on the way when its host said so, and one batch
  // of at most 256, which does not count against the share while its handler runs.
  expect(held).toBe(run.given(now.messages).get(SICK));
  expect(held).toBeLessThan(800);
  run.touch('mended');
  await run.runtime.settled();
  expect(run.judge(10_000).faults).toEqual([]);
  expect(await run.runtime.summary()).toMatchObject({ settled: { done: KEYS * 500, dead: 0, dropped: 0 } });
});

it('onKeyFull park: the others go on, and what was parked outlives a kill of the process, in order', async () => {
  const params: KeyedParams = { dir: tempDir(), keys: KEYS, perKey: 300, mischief: failing };
  const set = { ...window, 'actors.first.retry': retry, 'actors.first.onKeyFull': 'park' };
  const first = new ChildRun(params, { set }, 'stay');
  await first.progress((KEYS - 1) * 300, well);
  await first.until(
    () => first.lines().some(line => line.what === 'ack' && line.n === KEYS * 300),
    'the ack of everything',
  );
  expect(first.handled(sick)).toBe(0);
  await first.kill();
  first.touch('mended');
  // The second process has no source: it knows of the key's messages from the park alone.
  const second = await Run.start({ ...params, tellsOnly: true }, { set });
  await second.progress(300, sick);
  const repeats = second.lines().filter(line => line.what === 'fail').length + 200;
  expect(second.judge(repeats, { parks: true }).faults).toEqual([]);
  expect(await second.stop()).toMatchObject({ ok: true });
});

it('onKeyFull park: a host that dies keeps the order of what is parked', async () => {
  const mischief: Mischief[] = [{ kind: 'exit', key: SICK, when: 'once', after: 'go' }, ...failing];
  const run = await start(1000, { onKeyFull: 'park' }, mischief);
  await run.progress((KEYS - 1) * 1000, well);
  await run.answers(
    () => run.runtime.key('first', SICK).inspect(),
    key => (key?.parked ?? 0) >= 100,
    'a parked key',
  );
  run.touch('go');
  await run.appears('fault-exit');
  run.touch('mended');
  const ended = (): Set<number> =>
    new Set(
      run
        .lines()
        .filter(line => line.what === 'end' && sick(line))
        .map(line => line.n),
    );
  await run.until(() => ended().size === 1000, 'all messages of the key');
  await run.runtime.settled();
  expect(run.judge(100_000, { parks: true }).faults).toEqual([]);
});

it('onKeyFull dead: what does not fit is dead-lettered, the rest keeps its order', async () => {
  const run = await start(300, { onKeyFull: 'dead' });
  await run.progress((KEYS - 1) * 300, well);
  const dead = await run.answers(
    () => letters(run),
    list => list.length > 0,
    'dead letters',
  );
  run.touch('mended');
  await run.runtime.settled();
  const all = await letters(run);
  expect(new Set(all.map(letter => letter.error.code))).toEqual(new Set(['KEY_FULL']));
  expect(new Set(all.map(letter => letter.key))).toEqual(new Set([SICK]));
  const { settled } = await run.runtime.summary();
  expect(settled).toEqual({ done: KEYS * 300 - all.length, dead: all.length, dropped: 0 });
  expect(all.length).toBeGreaterThanOrEqual(dead.length);
  expect(run.handled(sick)).toBe(300 - all.length);
  expect(run.handled(sick)).toBeGreaterThanOrEqual(100);
  expect(run.judge(10_000, { excused: new Set(all.map(nameOf)) }).faults).toEqual([]);
});

it('a message whose retries are used up is dead-lettered with its history', async () => {
  const run = await start(30, { retry: { ...retry, attempts: 3 } }, [{ kind: 'fail', key: SICK, from: 10, to: 10 }]);
  await run.runtime.settled();
  const [letter, ...others] = await letters(run);
  expect(others).toEqual([]);
  expect(letter).toMatchObject({
    id: `numbers/0/${9 * KEYS + 3}`,
    actor: 'first',
    key: SICK,
    attempts: 3,
    error: { message: 'k3 10 fails' },
  });
  expect(letter!.history.map(failure => [failure.class, failure.message])).toEqual(
    Array(3).fill(['unknown', 'k3 10 fails']),
  );
  expect(run.lines().filter(line => line.what === 'fail')).toHaveLength(3);
  expect(run.judge(2, { excused: new Set(['k3 10']) }).faults).toEqual([]);
});

const fatal: readonly Mischief[] = [{ kind: 'fail', key: SICK, from: 10, to: 10, class: 'fatal' }];

it('onDead skip: the key goes on', async () => {
  const run = await start(30, { onDead: 'skip' }, fatal);
  await run.runtime.settled();
  expect((await letters(run)).map(nameOf)).toEqual(['k3 10']);
  expect(run.judge(0, { excused: new Set(['k3 10']) }).faults).toEqual([]);
});

it('onDead parkKey: the key is paused until it is resumed, the others go on', async () => {
  const run = await start(30, { onDead: 'parkKey' }, fatal);
  await run.progress((KEYS - 1) * 30, well);
  const key = run.runtime.key('first', SICK);
  await run.answers(
    () => key.inspect(),
    report => report?.paused === true && report.depth === 20,
    'a paused key',
  );
  expect(run.handled(sick)).toBe(9);
  await key.resume();
  await run.runtime.settled();
  expect((await letters(run)).map(nameOf)).toEqual(['k3 10']);
  expect(run.judge(0, { excused: new Set(['k3 10']) }).faults).toEqual([]);
});

it('onDead stop: the actor takes no more turns, and the runtime is not ready', async () => {
  const run = await start(300, { onDead: 'stop' }, fatal);
  const health = await run.answers(
    () => run.runtime.health(),
    answer => answer.status !== 'ok',
    'a stopped actor',
  );
  expect(health.reasons.join()).toContain('actor first stopped');
  const report = await run.stop(200);
  expect(report).toMatchObject({ ok: false, error: { code: 'DRAIN_ABANDONED' } });
  expect(report.unsettled).toBeGreaterThan(0);
  expect(run.handled(sick)).toBe(9);
});
