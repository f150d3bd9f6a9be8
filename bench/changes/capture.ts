/** From a tracked table to a handler that does nothing, settled: how many changes a second. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Runtime, start } from '../../runtime/index.ts';
import { Child, type Commands } from '../lib/child.ts';
import { now, sleep } from '../lib/clock.ts';
import { type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import topology from './topology.ts';

const CHANGES = { full: 200_000, quick: 50_000 };
const PAGES = [100, 1000, 5000];
export const TABLE = `CREATE TABLE Flights (id INTEGER NOT NULL PRIMARY KEY, date TEXT, origin TEXT, destination TEXT,
  delay INTEGER, distance INTEGER)`;

interface Run {
  readonly changes: number;
  readonly seconds: number;
}

/** A folder with a table and a runtime that watches it; started anew for each run, so that it finds changes waiting. */
export async function open({ pageSize }: { pageSize: number }): Promise<Commands> {
  const folder = await mkdtemp(join(tmpdir(), 'keymill-bench-'));
  const db = new DatabaseSync(join(folder, 'bench.db'));
  db.exec(TABLE);
  const watch = (): Promise<Runtime> =>
    start(topology, {
      dataDir: folder,
      logLevel: 'warn',
      set: { 'sources.changes.read.pageSize': pageSize, 'sources.changes.read.pollMs': { min: 2, max: 2 } },
    }) as unknown as Promise<Runtime>;
  /** Turns tracking on, and leaves a position to go on from. */
  const first = await watch();
  await sleep(500);
  await first.stop();
  let round = 0;
  return {
    async run({ changes }: { changes: number }): Promise<Run> {
      round++;
      db.exec(`WITH RECURSIVE series(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM series WHERE value < ${changes})
        INSERT INTO Flights SELECT value, '2001-01-01 10:00', 'ABC', 'DEF', ${round}, 100 FROM series WHERE true
        ON CONFLICT DO UPDATE SET delay = excluded.delay`);
      const runtime = await watch();
      const began = now();
      for (;;) {
        const { settled } = await runtime.summary();
        if (settled.done >= changes) break;
        await sleep(2);
      }
      const seconds = (now() - began) / 1e9;
      const { settled, messages } = await runtime.summary();
      const report = await runtime.stop();
      if (!report.ok) throw report.error ?? new Error('it did not stop in good order');
      if (messages !== changes || settled.done !== changes)
        throw new Error(`${changes} rows were changed, ${messages} changes given and ${settled.done} settled`);
      return { changes, seconds };
    },
    async close() {
      db.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export const capture: Case = {
  name: 'capture',
  about: `A table of six columns on \`sqlite:\`, whose rows were all changed while nobody watched (${CHANGES.full.toLocaleString('en')}, with \`--quick\` ${CHANGES.quick.toLocaleString('en')}). From the moment the runtime is ready until each change was given, handled by a handler that does nothing, and settled; with pages of so many rows. The reading itself is in the I/O thread, the handlers on one host.`,
  async run(bench) {
    const runs: Samples<Run> = new Map();
    const contestants = PAGES.map(pageSize => ({
      name: `pages of ${pageSize}`,
      open: () => Child.open(import.meta.url, { pageSize }),
    }));
    const changes = bench.quick ? CHANGES.quick : CHANGES.full;
    await withWarm(bench, contestants, async children => {
      for (const child of children) await child.call('run', { changes: 20_000 });
      await takeTurns(bench, contestants, children, bench.quick ? 2 : 6, runs, child => child.call('run', { changes }));
    });
    return rowsOf(
      bench,
      this.name,
      { metric: 'settled', unit: 'changes/s', better: 'higher' },
      figuresOf(runs, run => run.changes / run.seconds),
    ).map(row => (row.by === 'pages of 1000' ? { ...row, target: { of: 'value' as const, atLeast: 100_000 } } : row));
  },
};
