/** The public API as a host service uses it, in this process, on real threads. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { errorFrom, started } from '../support/runtimes.ts';
import { tempFolder } from '../support/temp-folder.ts';
import board from './fixtures/board.ts';
import fed from './fixtures/fed.ts';

test('tells are handled in the order they were accepted, per key', async () => {
  const { runtime } = await started(board);
  for (let n = 0; n < 500; n++) await runtime.tell('list', { key: `k${n % 5}`, n });
  for (let k = 0; k < 5; k++)
    expect(await runtime.ask('list', { key: `k${k}` })).toEqual(Array.from({ length: 100 }, (_, i) => 5 * i + k));
});

test('tell until settled resolves when the message is done and rejects when it is dead', async () => {
  const { runtime } = await started(board);
  await runtime.tell('list', { key: 'a', n: 1 }, { until: 'settled' });
  const done = await runtime.summary();
  expect(done).toMatchObject({ messages: 1, settled: { done: 1, dead: 0 }, perActor: { list: { handled: 1 } } });
  const dead = await errorFrom(runtime.tell('fails', { key: 'a', how: 'fatal' }, { until: 'settled' }));
  expect(dead).toMatchObject({ code: 'ASK_REJECTED', message: expect.stringContaining('fails is dead') });
});

test('what is told right before stop is handled before it stops', async () => {
  const { runtime, folder } = await started(board);
  await runtime.tell('hooked', { key: 'last' });
  expect(await runtime.stop()).toEqual({ ok: true, unsettled: 0, spooled: 0, lost: 0 });
  expect(JSON.parse(await readFile(join(folder, 'out/passivated.ndjson'), 'utf8'))).toEqual({ key: 'last', count: 1 });
});

test('ask carries all that can be carried, there and back', async () => {
  const { runtime } = await started(board);
  const values = [
    new Map<unknown, unknown>([
      ['a', 1],
      [2, { b: new Map([['c', null]]) }],
    ]),
    new Set([1, 'two', 3n]),
    new Date(1_700_000_000_123),
    Buffer.from('héllo'),
    new Uint8Array([0, 1, 255]),
    5n,
    -(2n ** 90n),
    undefined,
    null,
    { a: undefined, b: [undefined, null] },
    new Float64Array([Math.PI, Number.NaN, -0]),
    new Int32Array([1, -2, 2 ** 31 - 1]),
    new BigInt64Array([1n, -(2n ** 62n)]),
    [Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53 - 1, -1.5, true],
    'ü'.repeat(100_000),
  ];
  for (const value of values) {
    expect(await runtime.ask('echo', { value })).toEqual(value);
    expect(await runtime.ask('echo', { value: { deep: [value, 1] } })).toEqual({ deep: [value, 1] });
  }
});

test('what arrives otherwise than it was sent is what the docs say', async () => {
  const { runtime } = await started(board);
  class Money {
    readonly cents = 5;
    toString(): string {
      return '0.05';
    }
  }
  class Told {
    toJSON(): string {
      return 'as JSON';
    }
  }
  const sent = [-0, [-0], { zero: -0 }, new Money(), new Told(), JSON.parse('{"__proto__":1}')];
  expect(await runtime.ask('echo', { value: sent })).toStrictEqual([
    0,
    [0],
    { zero: 0 },
    { cents: 5 },
    'as JSON',
    { __proto_: 1 },
  ]);
  const [pattern, error] = (await runtime.ask('echo', { value: [/a+/gi, new TypeError('bad')] })) as [RegExp, Error];
  expect([String(pattern), error.name, error.message]).toEqual(['/a+/gi', 'TypeError', 'bad']);
});

test('what is told is a copy: the caller may change its object at once', async () => {
  const { runtime } = await started(board);
  const value = { n: 1 };
  const reply = runtime.ask('echo', { value });
  value.n = 2;
  expect(await reply).toEqual({ n: 1 });
});

test("1, '1' and 1n are three keys, and -0 is 0", async () => {
  const { runtime } = await started(board);
  await runtime.tell('list', { key: 1, n: 1 });
  await runtime.tell('list', { key: '1', n: 2 });
  await runtime.tell('list', { key: 1n, n: 3 });
  await runtime.tell('list', { key: -0, n: 4 });
  expect(await runtime.ask('list', { key: 1 })).toEqual([1]);
  expect(await runtime.ask('list', { key: '1' })).toEqual([2]);
  expect(await runtime.ask('list', { key: 1n })).toEqual([3]);
  expect(await runtime.ask('list', { key: 0 })).toEqual([4]);
});

test('a tell with a known idempotency key is taken for the first, unless that one was refused', async () => {
  const { runtime } = await started(board);
  const once = { idempotencyKey: 'order-7', until: 'settled' } as const;
  await Promise.all([runtime.tell('list', { key: 'a', n: 1 }, once), runtime.tell('list', { key: 'a', n: 2 }, once)]);
  await runtime.tell('list', { key: 'a', n: 3 }, once);
  expect(await runtime.ask('list', { key: 'a' })).toEqual([1]);
  const refused = runtime.tell('list', { key: Number.NaN, n: 4 }, { idempotencyKey: 'order-8' });
  expect((await errorFrom(refused)).code).toBe('KEY_INVALID');
  await runtime.tell('list', { key: 'a', n: 5 }, { idempotencyKey: 'order-8' });
  expect(await runtime.ask('list', { key: 'a' })).toEqual([1, 5]);
});

test('what waited beyond its deadline is dead-lettered and not handled', async () => {
  const { runtime } = await started(board);
  await runtime.key('list', 'a').pause();
  const deadline = Date.now() + 20;
  const late = runtime.tell('list', { key: 'a', n: 1 }, { deadlineMs: 20, until: 'settled' });
  const asked = errorFrom(runtime.ask('list', { key: 'a' }, { deadlineMs: 20 }));
  await runtime.tell('list', { key: 'a', n: 2 }, { deadlineMs: 60_000 });
  expect(await asked).toMatchObject({
    code: 'TIMEOUT',
    message: expect.stringContaining('no reply from list within 20 ms'),
  });
  await expect.poll(() => Date.now()).toBeGreaterThan(deadline + 1);
  await runtime.key('list', 'a').resume();
  expect((await errorFrom(late)).code).toBe('ASK_REJECTED');
  expect(await runtime.ask('list', { key: 'a' })).toEqual([2]);
  const letters = await runtime.deadLetters.list();
  expect(letters.map(letter => letter.error.code)).toEqual(['DEADLINE', 'DEADLINE']);
});

test('a tell waits for room as long as it may: waitMs, a signal, or until there is some', async () => {
  const { runtime } = await started(board, { set: { 'window.messages': 8 } });
  const key = runtime.key('tight', 'a');
  await key.pause();
  const waiting = Array.from({ length: 10 }, (_, n) => runtime.tell('tight', { key: 'a', n }));
  await expect.poll(() => runtime.tryTell('tight', { key: 'a', n: 100 })).toBe(false);
  const full = await errorFrom(runtime.tell('tight', { key: 'a', n: 10 }, { waitMs: 5 }));
  expect(full).toMatchObject({ code: 'MAILBOX_FULL', class: 'throttled', place: { actor: 'tight' } });
  expect(full.message).toContain('no room for a message to tight within 5 ms');
  const abort = new AbortController();
  const aborted = runtime.tell('tight', { key: 'a', n: 11 }, { signal: abort.signal });
  abort.abort(new Error('the caller went away'));
  await expect(aborted).rejects.toThrow('the caller went away');
  await expect(runtime.tell('tight', { key: 'a', n: 12 }, { signal: abort.signal })).rejects.toThrow('went away');
  await key.resume();
  await Promise.all(waiting);
  await expect.poll(() => runtime.tryTell('tight', { key: 'a', n: 13 })).toBe(true);
  const { settled, messages } = await runtime.stop().then(() => runtime.finalSummary!);
  expect(settled).toEqual({ done: messages, dead: 0, dropped: 0 });
});

test('at stop, what waits for room or to be settled is told so', async () => {
  const { runtime } = await started(board, { set: { 'window.messages': 8 } });
  await runtime.key('tight', 'a').pause();
  const settling = errorFrom(runtime.tell('tight', { key: 'a', n: 0 }, { until: 'settled' }));
  const all = Array.from({ length: 20 }, (_, n) =>
    runtime.tell('tight', { key: 'a', n }).then(
      () => 'accepted',
      (error: { code: string }) => error.code,
    ),
  );
  const report = await runtime.stop({ graceMs: 50 });
  const outcomes = await Promise.all(all);
  const accepted = outcomes.filter(outcome => outcome === 'accepted').length;
  expect(accepted).toBeLessThan(20);
  expect(outcomes.filter(outcome => outcome === 'RUNTIME_STOPPED').length).toBe(20 - accepted);
  expect(await settling).toMatchObject({ code: 'RUNTIME_STOPPED' });
  expect(report).toMatchObject({ ok: false, spooled: accepted + 1, lost: 0 });
});

test('a handle of one actor does what the runtime does', async () => {
  const { runtime } = await started(board);
  const list = runtime.actor('list');
  await list.tell({ key: 'a', n: 1 });
  expect(list.tryTell({ key: 'a', n: 2 })).toBe(true);
  expect(await list.ask({ key: 'a', n: 3 })).toEqual([1, 2, 3]);
  expect(await list.key('a').inspect()).toMatchObject({ key: 'a', depth: 0, paused: false });
});

test('one key is paused, looked at, resumed; others go on', async () => {
  const { runtime } = await started(board);
  const key = runtime.key('list', 'a');
  expect(await key.inspect()).toBeUndefined();
  expect(await key.pause()).toMatchObject({ paused: true, depth: 0 });
  await runtime.tell('list', { key: 'a', n: 1 });
  await runtime.tell('list', { key: 'a', n: 2 });
  expect(await runtime.ask('list', { key: 'b', n: 9 })).toEqual([9]);
  await expect
    .poll(() => key.inspect())
    .toMatchObject({ paused: true, depth: 2, head: expect.stringMatching(/^tell\//) });
  expect(await key.resume()).toMatchObject({ paused: false });
  expect(await runtime.ask('list', { key: 'a' })).toEqual([1, 2]);
});

test('the message at the front of a paused key is skipped into the dead letters', async () => {
  const { runtime } = await started(board);
  const key = runtime.key('list', 'a');
  await key.pause();
  const skipped = errorFrom(runtime.tell('list', { key: 'a', n: 1 }, { until: 'settled' }));
  await runtime.tell('list', { key: 'a', n: 2 });
  await expect.poll(() => key.inspect()).toMatchObject({ depth: 2 });
  expect(await key.skip()).toMatchObject({ depth: 1, paused: true });
  expect((await skipped).code).toBe('ASK_REJECTED');
  await key.resume();
  expect(await runtime.ask('list', { key: 'a' })).toEqual([2]);
  expect(await runtime.deadLetters.list()).toMatchObject([{ actor: 'list', key: 'a', message: { key: 'a', n: 1 } }]);
});

test('dead letters are listed, shown, dropped, and replayed under a new id', async () => {
  const { runtime } = await started(board);
  for (let n = 1; n <= 3; n++)
    await errorFrom(runtime.tell('fails', { key: 'k', how: 'fatal', n }, { until: 'settled' }));
  await errorFrom(runtime.tell('fails', { key: 'k', how: 'poison' }, { until: 'settled' }));
  const letters = await runtime.deadLetters.list();
  expect(letters.map(({ actor, key, error, attempts }) => [actor, key, error.message, attempts])).toEqual([
    ['fails', 'k', 'no use at all (1)', 1],
    ['fails', 'k', 'no use at all (2)', 1],
    ['fails', 'k', 'no use at all (3)', 1],
    ['fails', 'k', 'cannot digest it', 2],
  ]);
  const { id } = letters[0]!;
  expect(await runtime.deadLetters.show(id)).toEqual(letters[0]);
  expect(letters[3]!.history).toMatchObject([{ class: 'unknown', message: 'cannot digest it' }, { class: 'unknown' }]);
  expect(await runtime.deadLetters.list({ limit: 2 })).toEqual(letters.slice(2));
  expect(await runtime.deadLetters.list({ actor: 'list' })).toEqual([]);

  await runtime.deadLetters.drop(letters[1]!.id);
  expect((await errorFrom(runtime.deadLetters.replay(id))).code).toBe('ASK_REJECTED');
  const after = await runtime.deadLetters.list();
  expect(after.map(letter => letter.error.message)).toEqual([
    'no use at all (3)',
    'cannot digest it',
    'no use at all (1)',
  ]);
  expect(after[2]!.id).not.toBe(id);
  expect((await errorFrom(runtime.deadLetters.show(id))).code).toBe('DEAD_LETTER_UNKNOWN');
  expect((await errorFrom(runtime.deadLetters.drop('nonsense'))).code).toBe('DEAD_LETTER_UNKNOWN');
});

test('a dead letter is struck out when what was told of it has settled, not before', async () => {
  const folder = await tempFolder();
  const first = await started(board, { folder });
  const { deadLetters } = first.runtime;
  await errorFrom(first.runtime.tell('fails', { key: 'k', how: 'while-broken' }, { until: 'settled' }));
  const [letter] = await deadLetters.list();
  const key = first.runtime.key('fails', 'k');
  await key.pause();
  const replayed = errorFrom(deadLetters.replay(letter!.id));
  const twice = errorFrom(deadLetters.replay(letter!.id));
  await expect.poll(() => key.inspect()).toMatchObject({ depth: 1, head: expect.stringMatching(/^replay\//) });
  expect(await deadLetters.list()).toEqual([letter]);
  // What was not settled at the end is in the letter still, and not spooled beside it.
  expect(await first.runtime.stop({ graceMs: 50 })).toMatchObject({ ok: false, spooled: 0, lost: 0 });
  expect([(await replayed).code, (await twice).code]).toEqual(['RUNTIME_STOPPED', 'RUNTIME_STOPPED']);

  process.env['KEYMILL_TEST_MENDED'] = 'yes';
  onTestFinished(() => void delete process.env['KEYMILL_TEST_MENDED']);
  const { runtime } = await started(board, { folder });
  expect(await runtime.deadLetters.replay(letter!.id)).toEqual(letter);
  expect(await runtime.deadLetters.list()).toEqual([]);
  expect((await runtime.summary()).settled).toEqual({ done: 1, dead: 0, dropped: 0 });
});

test('dead letters outlive the process and come back at the next start', async () => {
  const folder = await tempFolder();
  const first = await started(board, { folder });
  await errorFrom(first.runtime.tell('fails', { key: 'k', how: 'fatal', n: 5 }, { until: 'settled' }));
  await first.runtime.stop();
  const second = await started(board, { folder });
  expect(await second.runtime.deadLetters.list()).toMatchObject([{ message: { how: 'fatal', n: 5 } }]);
});

test('health says what is going on, over the API and over HTTP, and metrics are Prometheus text', async () => {
  const { runtime } = await started(board, { port: 0 });
  await runtime.tell('list', { key: 'a', n: 1 }, { until: 'settled' });
  const health = await runtime.health();
  expect(health).toMatchObject({ status: 'ok', reasons: [], name: 'board', phase: 'running', messages: 1, threads: 2 });
  expect(await (await fetch(`${runtime.url}/health`)).json()).toMatchObject({ status: 'ok', settled: { done: 1 } });
  expect((await fetch(`${runtime.url}/health/ready`)).status).toBe(200);
  const text = await runtime.metrics();
  expect(text).toMatch(/^# TYPE \S*messages\S* counter$/m);
  expect(text).toMatch(/\{[^}]*actor="list"[^}]*\} 1$/m);
  expect(await (await fetch(`${runtime.url}/metrics`)).text()).toMatch(/^# HELP /m);
  await runtime.stop();
  expect((await runtime.health()).status).toBe('not ready');
});

test('health shows the keys with the deepest mailboxes', async () => {
  const { runtime } = await started(board);
  const keys = ['cool', 'warm', 'hot'].map(key => runtime.key('list', key));
  await Promise.all(keys.map(key => key.pause()));
  for (const [n, key] of ['cool', 'warm', 'warm', 'hot', 'hot', 'hot'].entries())
    await runtime.tell('list', { key, n });
  await expect
    .poll(async () => (await runtime.health()).hotKeys)
    .toMatchObject([
      { actor: 'list', key: 'hot', depth: 3, failures: 0 },
      { actor: 'list', key: 'warm', depth: 2 },
      { actor: 'list', key: 'cool', depth: 1 },
    ]);
  await Promise.all(keys.map(key => key.resume()));
  await expect.poll(async () => (await runtime.health()).hotKeys).toEqual([]);
});

test('a timer rings for its key, in turn with its messages', async () => {
  const { runtime } = await started(board);
  await runtime.tell('alarm', { key: 'a', ring: 'tea' });
  await runtime.tell('alarm', { key: 'b', ring: 'egg' });
  await expect.poll(() => runtime.ask('alarm', { key: 'a' })).toEqual(['tea for a']);
  await expect.poll(() => runtime.ask('alarm', { key: 'b' })).toEqual(['egg for b']);
});

test('a timer of a batch actor rings by itself and may send', async () => {
  const { runtime } = await started(board);
  await runtime.tell('batchAlarm', { key: 'a', ring: 'tea' });
  await expect.poll(() => runtime.ask('batchAlarm', { key: 'a' })).toEqual(['tea for a']);
  await expect.poll(() => runtime.ask('list', { key: 'rung' })).toEqual([1]);
  expect(await runtime.deadLetters.list()).toEqual([]);
});

test('init runs once per host before messages, onPassivate gets each state, close comes last', async () => {
  const folder = await tempFolder();
  process.env['KEYMILL_TEST_NOTES'] = join(folder, 'notes');
  onTestFinished(() => void delete process.env['KEYMILL_TEST_NOTES']);
  const { runtime } = await started(board, { folder });
  const notes = async () => (await readFile(join(folder, 'notes'), 'utf8')).trimEnd().split('\n');
  expect(await notes()).toEqual(['init hooked', 'init hooked']);
  for (let n = 0; n < 12; n++) await runtime.tell('hooked', { key: `k${n % 4}` });
  expect(await runtime.ask('hooked', { key: 'k0' })).toBe(4);
  await runtime.stop();
  expect(await notes()).toEqual(['init hooked', 'init hooked', 'close hooked', 'close hooked']);
  const lines = (await readFile(join(folder, 'out/passivated.ndjson'), 'utf8')).trimEnd().split('\n');
  expect(lines.map(line => JSON.parse(line)).sort((a, b) => (a.key < b.key ? -1 : 1))).toEqual([
    { key: 'k0', count: 4 },
    { key: 'k1', count: 3 },
    { key: 'k2', count: 3 },
    { key: 'k3', count: 3 },
  ]);
});

test('a key that is one too many leaves memory with its state while the runtime runs', async () => {
  const { runtime, folder } = await started(board, { threads: 1, set: { 'actors.hooked.maxResident': 2 } });
  for (const key of ['a', 'a', 'b', 'c']) await runtime.ask('hooked', { key });
  await expect
    .poll(() => readFile(join(folder, 'out/passivated.ndjson'), 'utf8').catch(() => ''))
    .toBe('{"key":"a","count":2}\n');
  expect(await runtime.ask('hooked', { key: 'a' })).toBe(1);
});

test('stop is idempotent, and after it nothing is taken', async () => {
  const { runtime } = await started(board);
  const first = runtime.stop();
  expect(runtime.stop({ graceMs: 1 })).toBe(first);
  expect(await first).toEqual({ ok: true, unsettled: 0, spooled: 0, lost: 0 });
  expect(await runtime.stop()).toBe(await first);
  expect((await errorFrom(runtime.tell('list', { key: 'a', n: 1 }))).code).toBe('RUNTIME_STOPPED');
  expect((await errorFrom(runtime.ask('list', { key: 'a' }))).code).toBe('RUNTIME_STOPPED');
  expect(() => runtime.tryTell('list', { key: 'a', n: 1 })).toThrow('RUNTIME_STOPPED');
});

test('an ask that is open at stop is answered first, or told that the runtime stopped', async () => {
  const { runtime } = await started(board);
  const answered = runtime.ask('echo', { value: 1 });
  await runtime.key('list', 'a').pause();
  const never = errorFrom(runtime.ask('list', { key: 'a' }));
  const report = await runtime.stop({ graceMs: 100 });
  expect(await answered).toBe(1);
  expect((await never).code).toBe('RUNTIME_STOPPED');
  expect(report).toMatchObject({ ok: false, error: { code: 'DRAIN_ABANDONED' } });
});

test('settled() without sources waits for what was told and asked, also for what waits for room', async () => {
  const { runtime } = await started(board, { set: { 'window.messages': 8 } });
  await runtime.settled(); // nothing is open
  const key = runtime.key('tight', 'a');
  await key.pause();
  const told = Array.from({ length: 12 }, (_, n) => runtime.tell('tight', { key: 'a', n }));
  await told[0];
  let done = false;
  const settled = runtime.settled().then(() => {
    done = true;
  });
  expect(await runtime.ask('echo', { value: 1 })).toBe(1);
  expect(done).toBe(false);
  await key.resume();
  await Promise.all(told);
  await settled;
  expect((await runtime.summary()).settled).toEqual({ done: 12, dead: 0, dropped: 0 });
  await runtime.settled();
});

test('settled() of sources waits for tells that are open, too', async () => {
  const { runtime } = await started(fed);
  const key = runtime.key('left', 'host');
  await key.pause();
  await runtime.tell('left', { by: 'host', n: 1 });
  let done = false;
  const settled = runtime.settled().then(() => {
    done = true;
  });
  // All of the sources: 54 done and one dead.
  await expect.poll(async () => (await runtime.summary()).settled).toMatchObject({ done: 54, dead: 1 });
  expect(done).toBe(false);
  await key.resume();
  await settled;
  expect((await runtime.summary()).settled).toMatchObject({ done: 55, dead: 1 });
});

test('settled() resolves at a clean stop, and rejects as one that abandons something does', async () => {
  const clean = await started(board);
  await clean.runtime.tell('list', { key: 'a', n: 1 });
  const [, report] = await Promise.all([clean.runtime.settled(), clean.runtime.stop()]);
  expect(report.ok).toBe(true);
  await clean.runtime.settled();

  const { runtime } = await started(board);
  await runtime.key('list', 'a').pause();
  await runtime.tell('list', { key: 'a', n: 1 });
  const settled = errorFrom(runtime.settled());
  const { error } = await runtime.stop({ graceMs: 20 });
  expect(await settled).toBe(error);
  expect(await errorFrom(runtime.settled())).toBe(error);
});

test("sources of the user's own: an iterable, a poll function, one that feeds two actors; settled() at their end", async () => {
  const { runtime, folder } = await started(fed);
  await runtime.settled();
  const { messages, settled, perActor } = await runtime.summary();
  // A message for two actors is one of its source, and dead when one of them could not handle it.
  expect({ messages, settled }).toEqual({ messages: 55, settled: { done: 54, dead: 1, dropped: 0 } });
  expect(perActor).toMatchObject({
    left: { handled: 29, dead: 1 },
    right: { handled: 34, dead: 1 },
    effects: { handled: 18 },
  });
  const letters = await runtime.deadLetters.list();
  expect(letters.map(letter => letter.error.message).sort()).toEqual([
    'left does not want it',
    'right does not want it',
  ]);
  expect(await runtime.stop()).toMatchObject({ ok: true });

  const read = async (name: string): Promise<{ by: string; n: number; id: string }[]> =>
    (await readFile(join(folder, 'out', name), 'utf8'))
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line));
  const of = (lines: readonly { by: string; n: number }[], by: string) =>
    lines.filter(line => line.by === by).map(line => line.n);
  const left = await read('left.ndjson');
  const right = await read('right.ndjson');
  const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
  expect(of(left, 'iterated')).toEqual(numbers(20));
  expect(of(right, 'polled')).toEqual(numbers(25));
  for (const lines of [left, right]) expect(of(lines, 'both')).toEqual(numbers(10).filter(n => n !== 3));
  // Ids tell apart whatever has different effects.
  const ids = (await read('effects.ndjson')).map(line => line.id);
  expect(new Set(ids).size).toBe(18);
});
