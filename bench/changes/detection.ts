/** How long after its commit a change is in its handler, by polling interval. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { start } from '../../runtime/index.ts';
import { Child, type Commands } from '../lib/child.ts';
import { sleep } from '../lib/clock.ts';
import { type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import { TABLE } from './capture.ts';
import topology from './topology.ts';

const INTERVALS_MS = [5, 50, 500];
const SINGLE = { full: 60, quick: 15 };

interface Run {
  readonly p50: number;
  readonly max: number;
}

export async function open({ pollMs }: { pollMs: number }): Promise<Commands> {
  const folder = await mkdtemp(join(tmpdir(), 'keymill-bench-'));
  const db = new DatabaseSync(join(folder, 'bench.db'), { timeout: 1000 });
  db.exec(TABLE);
  return {
    async run({ changes, seed }: { changes: number; seed: number }): Promise<Run> {
      const runtime = await start(topology, {
        dataDir: folder,
        logLevel: 'warn',
        set: { 'sources.changes.read.pollMs': { min: pollMs, max: pollMs } },
      });
      await sleep(2 * pollMs + 300);
      const insert = db.prepare('INSERT INTO Flights (id, delay) VALUES (?, 1)');
      for (let i = 0; i < changes; i++) {
        insert.run(seed * 1_000_000 + i);
        await sleep(pollMs * 0.37 + 13 * (((i * 7919) % 10) / 10));
      }
      for (;;) {
        if ((await runtime.summary()).settled.done >= changes) break;
        await sleep(5);
      }
      const text = await runtime.metrics();
      await runtime.stop();
      return { p50: quantile(text, '0.5'), max: quantile(text, '0.99') };
    },
    async close() {
      db.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function quantile(text: string, wanted: string): number {
  const line = text
    .split('\n')
    .find(one => one.startsWith('keymill_observed_seconds{') && one.includes(`quantile="${wanted}"`));
  if (!line) throw new Error('no change was seen');
  return 1000 * Number(line.slice(line.lastIndexOf(' ') + 1));
}

export const detection: Case = {
  name: 'detection',
  about:
    'Single rows written by another connection at odd moments; from the commit (in whole milliseconds, as the trigger notes it) to the handler, with a fixed pause between looks.',
  async run(bench) {
    const runs: Samples<Run> = new Map();
    const contestants = INTERVALS_MS.map(pollMs => ({
      name: `every ${pollMs} ms`,
      open: () => Child.open(import.meta.url, { pollMs }),
    }));
    const changes = bench.quick ? SINGLE.quick : SINGLE.full;
    await withWarm(bench, contestants, children =>
      takeTurns(bench, contestants, children, 2, runs, (child, _name, pass) =>
        child.call('run', { changes, seed: pass + 1 + 10 * Number(runs.size) }),
      ),
    );
    const target = new Map(INTERVALS_MS.map(pollMs => [`every ${pollMs} ms`, pollMs + 10]));
    return (['p50', 'max'] as const).flatMap(part =>
      rowsOf(
        bench,
        this.name,
        { metric: part === 'max' ? 'p99' : 'p50', unit: 'ms', better: 'lower' },
        figuresOf(runs, run => run[part]),
      ).map(row => (part === 'max' ? { ...row, target: { of: 'value' as const, atMost: target.get(row.by)! } } : row)),
    );
  },
};
