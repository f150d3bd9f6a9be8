/** The bench from end to end, as small as it gets. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { describe, expect, it, onTestFinished } from 'vitest';
import { driven, MESSAGES_PER_SECOND, perSecond } from '../../bench/engine/drivers.ts';
import type { Paced, Run } from '../../bench/engine/proof.ts';
import { Child } from '../../bench/lib/child.ts';
import { now } from '../../bench/lib/clock.ts';
import { type Bench, contest, figuresOf, rowsOf } from '../../bench/lib/contest.ts';
import { Histogram } from '../../bench/lib/histogram.ts';
import { resultsSchema, rowSchema } from '../../bench/lib/rows.ts';
import { tempFolder } from '../support/temp-folder.ts';

const bench: Bench = { suite: 'engine', quick: true, floodSeconds: 2, progress() {} };
const setup = { workers: 1, keys: 50 };

describe('a contest', () => {
  it('of keymill and postMessage proves each run and gives rows with ratios', async () => {
    const contestants = (['keymill', 'postMessage'] as const).map(rival => ({
      ...driven(rival, setup),
      warm: async () => 0,
    }));
    const order: string[] = [];
    const runs = await contest<Run>(bench, contestants, { rounds: 1, passes: 2 }, (child, name) => {
      order.push(name);
      return child.call('tells', { ms: 0, count: 2000 });
    });
    expect(order).toEqual(['keymill', 'postMessage', 'postMessage', 'keymill']);
    for (const all of runs.values()) expect(all.map(({ messages }) => messages)).toEqual([2000, 2000]);
    const rows = rowsOf(bench, 'tells', MESSAGES_PER_SECOND, figuresOf(runs, perSecond), { subject: 'keymill' });
    expect(rows).toHaveLength(3);
    for (const row of rows) rowSchema.parse(row);
    expect(rows[2]!.ratio).toBeGreaterThan(0);
  }, 60_000);

  it('measures latencies of tells and asks, at rest and at a pace', async () => {
    const child = await driven('keymill', setup).open();
    onTestFinished(() => child.kill());
    const idle = await child.call<Run & Paced>('idle', { what: 'ask', count: 20, gapMs: 1 });
    const paced = await child.call<Run & Paced>('paced', { what: 'tell', rate: 5000, ms: 200, seed: 1 });
    expect(Histogram.of(idle.roundTrip).count).toBe(20);
    expect(Histogram.of(idle.handled.latencies).quantile(0.5)).toBeLessThan(Histogram.of(idle.roundTrip).quantile(0.5));
    expect(paced.messages).toBeGreaterThan(800);
    expect(paced.messages).toBeLessThan(1200);
    expect(Histogram.of(paced.handled.latencies).count).toBe(paced.messages);
    await child.close();
  }, 60_000);

  it('says which child failed, with what it threw', async () => {
    const child = await driven('plain', setup).open();
    onTestFinished(() => child.kill());
    await expect(child.call('no such command')).rejects.toThrow('is not a function');
    child.kill();
    await expect(child.call('tells', { ms: 10 })).rejects.toThrow();
    await expect(Child.open('file:///no/such/module.ts', {})).rejects.toThrow();
  }, 60_000);
});

it('the clock is the same in all threads', async () => {
  const worker = new Worker(`require('node:worker_threads').parentPort.postMessage(Number(process.hrtime.bigint()))`, {
    eval: true,
  });
  const before = now();
  const there = await new Promise<number>(resolve => worker.once('message', resolve));
  const after = now();
  expect(there).toBeGreaterThan(before);
  expect(there).toBeLessThan(after);
});

it('npm run bench writes results that its report can read', async () => {
  const file = join(await tempFolder(), 'results.json');
  const main = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [main, 'engine/micro', '--quick', '--json', file]);
  expect(stdout).toMatch(/micro \(\d.* s\)\nmicro {2}pack, frame +time/);
  const results = resultsSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  expect(results).toMatchObject({ format: 1, quick: true, node: process.version, failures: [] });
  expect(results.rows.length).toBeGreaterThan(10);
}, 60_000);

it('npm run bench says what it does not know, with exit code 2', async () => {
  const main = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));
  for (const args of [['engine/none'], ['--fast'], ['--flood-seconds', 'long']])
    await expect(promisify(execFile)(process.execPath, [main, ...args])).rejects.toMatchObject({ code: 2 });
}, 60_000);
