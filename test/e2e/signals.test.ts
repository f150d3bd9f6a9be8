/** How a run ends: drained on the first signal, at once on the second, and with nothing forgotten when a sink is down. */
import { existsSync, statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fixture, jsonOf, keymill, script } from '../support/cli.ts';
import { countFirst, judgeLedger, readFlights } from '../support/flights-ledger.ts';
import { tempFolder } from '../support/temp-folder.ts';

const ROUNDS = 1000;
const GRACE_MS = 20_000;

/** Numbers that the sink has written, in order. */
async function taken(folder: string): Promise<number[]> {
  const text = await readFile(join(folder, 'out/taken.ndjson'), 'utf8');
  return text.trimEnd().split('\n').map(Number);
}

test('SIGTERM in the middle of work drains: all that was given is in the ledger, exit 0 within graceMs', async () => {
  const folder = await tempFolder('signals');
  const ledger = join(folder, 'out/ledger.ndjson');
  const running = keymill([
    ...['start', 'examples/flights/topology.ts', '--json', '--repeat', String(ROUNDS), '--threads', '2'],
    ...['--set', `io.out.url=file:${join(folder, 'out')}`, '--data', join(folder, 'data')],
    ...['--set', `graceMs=${GRACE_MS}`],
  ]);
  await expect.poll(() => existsSync(ledger) && statSync(ledger).size, { timeout: 30_000 }).toBeGreaterThan(1_000_000);
  const began = performance.now();
  running.kill('SIGTERM');
  const ended = await running.ended;
  expect(performance.now() - began).toBeLessThan(GRACE_MS);
  expect(ended).toMatchObject({ code: 0, signal: null, stderr: expect.stringContaining('SIGTERM: draining') });

  const summary = jsonOf(ended);
  expect(summary).toMatchObject({ ok: true, restarts: 0, settled: { done: summary.messages, dead: 0, dropped: 0 } });
  expect(summary.messages).toBeLessThan(20_000 * ROUNDS);
  const verdict = judgeLedger(await readFile(ledger, 'utf8'), readFlights(), ROUNDS, { partial: true });
  expect(verdict).toMatchObject({ lost: [], disordered: [], altered: [], repeats: 0, lines: summary.messages });
  // Settled are the first messages of the source and no others, so a source that goes on from there misses none.
  expect(verdict.highest).toEqual(countFirst(summary.messages));
});

test('a second SIGTERM ends a drain that does not get anywhere at once, with exit 1', async () => {
  const folder = await tempFolder('signals');
  const running = keymill(['start', fixture('sink-fed.ts'), '--json', '--data', 'data'], { cwd: folder });
  await running.says('the sink is down');
  running.kill('SIGTERM');
  await running.says('SIGTERM: draining, again to leave at once');
  const began = performance.now();
  running.kill('SIGTERM');
  const ended = await running.ended;
  expect(ended).toMatchObject({
    code: 1,
    signal: null,
    stdout: '',
    stderr: expect.stringContaining('leaving at once'),
  });
  expect(performance.now() - began).toBeLessThan(2000);
});

test('SIGINT drains as SIGTERM does', async () => {
  const folder = await tempFolder('signals');
  const args = ['start', fixture('sink-fed.ts'), '--json', '--data', 'data', '--port', '0'];
  const running = keymill(args, { cwd: folder, env: { KEYMILL_TEST_SINK: 'up' } });
  await running.says('metrics and health at');
  running.kill('SIGINT');
  const ended = await running.ended;
  expect(ended.code, ended.stderr).toBe(0);
  const summary = jsonOf(ended);
  expect(summary).toMatchObject({ ok: true, settled: { done: summary.messages } });
});

test('a signal that comes while it starts is not missed', async () => {
  const folder = await tempFolder('signals');
  const args = ['start', fixture('slow-start.ts'), '--json', '--data', 'data', '--threads', '1'];
  const running = keymill(args, { cwd: folder });
  await running.says('waiting for go');
  running.kill('SIGTERM');
  await running.says('SIGTERM: draining');
  await writeFile(join(folder, 'go'), '');
  const ended = await running.ended;
  expect(ended.code, ended.stderr).toBe(0);
  expect(jsonOf(ended)).toMatchObject({ ok: true, messages: 0 });
});

test('a drain that a sink holds up ends at graceMs: exit 1, DRAIN_ABANDONED, and the source gives all again', async () => {
  const folder = await tempFolder('signals');
  const args = ['start', fixture('sink-fed.ts'), '--json', '--data', 'data', '--set', 'graceMs=300'];
  const running = keymill(args, { cwd: folder });
  await running.says('the sink is down');
  running.kill('SIGTERM');
  const ended = await running.ended;
  expect(ended.code).toBe(1);
  expect(ended.stderr).toContain('DRAIN_ABANDONED 50 messages of sources and 0 tells were not settled within 300 ms');
  expect(jsonOf(ended)).toMatchObject({
    ok: false,
    error: { code: 'DRAIN_ABANDONED', todo: expect.stringContaining('Sources will give theirs again') },
    settled: { done: 0, dead: 0, dropped: 0 },
    unsettled: 50,
    spooled: 0,
    lost: 0,
  });

  const again = await keymill([...args, '--once'], { cwd: folder, env: { KEYMILL_TEST_SINK: 'up' } }).ended;
  expect(again.code, again.stderr).toBe(0);
  expect(jsonOf(again)).toMatchObject({ ok: true, messages: 50, settled: { done: 50 } });
  expect((await taken(folder)).sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, n) => n));
});

test('tells that a drain abandons are spooled, and handled by the next start, in order per key', async () => {
  const folder = await tempFolder('signals');
  const run = (count: number, graceMs: number, env = {}) =>
    script(fixture('tell-and-stop.ts'), [String(count), String(graceMs)], { cwd: folder, env }).ended;

  const abandoned = await run(100, 300);
  expect(abandoned.code, abandoned.stderr).toBe(0);
  expect(jsonOf<object>(abandoned)).toEqual({
    ok: false,
    unsettled: 0,
    spooled: 100,
    lost: 0,
    error: 'DRAIN_ABANDONED',
  });
  expect(existsSync(join(folder, 'out/taken.ndjson'))).toBe(false);
  const still = await run(0, 300);
  expect(jsonOf<object>(still)).toMatchObject({ ok: false, spooled: 100, lost: 0 });

  const healthy = await run(0, 20_000, { KEYMILL_TEST_SINK: 'up' });
  expect(jsonOf<object>(healthy), healthy.stderr).toEqual({ ok: true, unsettled: 0, spooled: 0, lost: 0 });
  const all = await taken(folder);
  expect(all.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, n) => n));
  for (let key = 0; key < 10; key++) {
    const its = all.filter(n => n % 10 === key);
    expect(its).toEqual(its.toSorted((a, b) => a - b));
  }
  expect(existsSync(join(folder, 'data/spool.ndjson'))).toBe(false);
});

test('start --once without sources ends at once, or when the tells of the spool have settled', async () => {
  const folder = await tempFolder('signals');
  const once = (env = {}) =>
    keymill(['start', fixture('sink-told.ts'), '--once', '--json', '--data', 'data'], { cwd: folder, env }).ended;
  const idle = await once();
  expect(idle.code, idle.stderr).toBe(0);
  expect(jsonOf(idle)).toMatchObject({ ok: true, messages: 0 });

  const told = script(fixture('tell-and-stop.ts'), ['30', '100'], { cwd: folder });
  expect(jsonOf<object>(await told.ended)).toMatchObject({ ok: false, spooled: 30 });
  const ended = await once({ KEYMILL_TEST_SINK: 'up' });
  expect(ended.code, ended.stderr).toBe(0);
  expect(jsonOf(ended)).toMatchObject({ ok: true, messages: 30, settled: { done: 30, dead: 0, dropped: 0 } });
  expect((await taken(folder)).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, n) => n));
});

test('the spool stays until its tells have settled: a process that is killed before loses none', async () => {
  const folder = await tempFolder('signals');
  const spool = join(folder, 'data/spool.ndjson');
  const args = ['start', fixture('sink-told.ts'), '--once', '--json', '--data', 'data'];
  const told = script(fixture('tell-and-stop.ts'), ['40', '100'], { cwd: folder });
  expect(jsonOf<object>(await told.ended)).toMatchObject({ spooled: 40 });
  const spooled = await readFile(spool, 'utf8');
  for (let round = 0; round < 3; round++) {
    const running = keymill(args, { cwd: folder, env: { KEYMILL_LOG_LEVEL: 'info' } });
    await running.says('telling again what the last run had spooled');
    running.kill('SIGKILL');
    await running.ended;
    expect(await readFile(spool, 'utf8')).toBe(spooled);
  }
  const ended = await keymill(args, { cwd: folder, env: { KEYMILL_TEST_SINK: 'up' } }).ended;
  expect(jsonOf(ended), ended.stderr).toMatchObject({ ok: true, messages: 40, settled: { done: 40 } });
  expect(existsSync(spool)).toBe(false);
});

test('a drain keeps in the spool what is left of it, before what it abandons itself', async () => {
  const folder = await tempFolder('signals');
  const run = (count: number, env = {}) =>
    script(fixture('tell-and-stop.ts'), [String(count), '100'], { cwd: folder, env }).ended;
  const numbers = async () =>
    (await readFile(join(folder, 'data/spool.ndjson'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line).key);
  await run(5);
  const second = await run(3);
  expect(jsonOf<object>(second), second.stderr).toMatchObject({ ok: false, spooled: 8, lost: 0 });
  const all = await numbers();
  expect(all.slice(0, 5).sort()).toEqual([0, 1, 2, 3, 4]);
  expect(all.slice(5).sort()).toEqual([0, 1, 2]);
});
