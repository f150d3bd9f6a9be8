/** From a tracked table of a SQL Server to a handler that does nothing, settled: how many changes a second. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Runtime, start } from '../../runtime/index.ts';
import topology from '../changes/topology.ts';
import { Child, type Commands } from '../lib/child.ts';
import { now, sleep } from '../lib/clock.ts';
import { type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import { numbersOf, withServer } from './server.ts';

/** The full run is long beside the start of a runtime, whose code is compiled anew in each. */
const CHANGES = { full: 500_000, quick: 50_000 };
const PAGES = [1000, 5000];
const TABLE = `CREATE TABLE Flights (id int NOT NULL PRIMARY KEY, date varchar(40) NULL, origin varchar(10) NULL,
  destination varchar(10) NULL, delay int NULL, distance int NULL)`;
const INSERTED = 1000;

/** Between looks at how far it is. */
const LOOK_MS = { least: 2, most: 100 };

interface Run {
  readonly changes: number;
  readonly seconds: number;
}

interface Setup {
  readonly url: string;
  readonly pageSize: number;
}

/** A runtime that watches the table; started anew for each run, so that it finds changes waiting. */
export async function open({ url, pageSize }: Setup): Promise<Commands> {
  const folder = await mkdtemp(join(tmpdir(), 'keymill-bench-'));
  const watch = (): Promise<Runtime> =>
    start(topology, {
      dataDir: folder,
      logLevel: 'warn',
      set: {
        'io.sql.url': url,
        'io.sql.tls.disabled': true,
        'sources.changes.read.consumer': `bench ${pageSize}`,
        'sources.changes.read.pageSize': pageSize,
        'sources.changes.read.pollMs': { min: 2, max: 2 },
      },
    }) as unknown as Promise<Runtime>;
  return {
    /** Turns tracking on, and leaves a position to go on from; goes past what changed meanwhile. */
    async settle(): Promise<void> {
      const runtime = await watch();
      await sleep(500);
      for (let before = -1; ; ) {
        const { settled } = await runtime.summary();
        if (settled.done === before) break;
        before = settled.done;
        await sleep(300);
      }
      await runtime.stop();
    },
    async run({ changes }: { changes: number }): Promise<Run> {
      const runtime = await watch();
      const began = now();
      for (;;) {
        const { done } = (await runtime.summary()).settled;
        if (done >= changes) break;
        await sleep(done === 0 ? LOOK_MS.most : untilHalf((now() - began) / 1e6, done, changes - done));
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
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A look walks through all keys that a host has, so there are few of them until it is nearly done: until half of the rest is. */
function untilHalf(ms: number, done: number, rest: number): number {
  return Math.min(LOOK_MS.most, Math.max(LOOK_MS.least, (ms * rest) / done / 2));
}

export const reads: Case = {
  name: 'reads',
  about: `A table of six columns on the SQL Server of the tests, whose rows were all changed while nobody watched (${CHANGES.full.toLocaleString('en')}, with \`--quick\` ${CHANGES.quick.toLocaleString('en')}), read by Change Tracking, each page in a snapshot transaction. From the moment the runtime is ready until each change was given, handled by a handler that does nothing, and settled; with pages of so many rows. The server is JavaScript over SQLite on the same two cores.`,
  run: bench =>
    withServer(async server => {
      const runs: Samples<Run> = new Map();
      const changes = bench.quick ? CHANGES.quick : CHANGES.full;
      await server.run(TABLE);
      for (let from = 0; from < changes; from += INSERTED) {
        const rows = Array.from(
          { length: INSERTED },
          (_, i) => `(${from + i}, '2001-01-01 10:00', 'ABC', 'DEF', 0, 100)`,
        );
        await server.run(
          `INSERT INTO Flights (id, date, origin, destination, delay, distance) VALUES ${rows.join(', ')}`,
        );
      }
      const contestants = PAGES.map(pageSize => ({
        name: `pages of ${pageSize}`,
        open: () => Child.open(import.meta.url, { url: server.url, pageSize }),
      }));
      let round = 0;
      await withWarm(bench, contestants, async children => {
        for (const child of children) await child.call('settle');
        const passes = bench.quick ? 2 : 6;
        await takeTurns(bench, contestants, children, passes, runs, async child => {
          for (const one of children) await one.call('settle');
          // All have read it: as retention does in time, or the later runs meet a longer history.
          const [current] = await numbersOf(server, 'SELECT CHANGE_TRACKING_CURRENT_VERSION()');
          await server.call('cleanUp', current!);
          await server.run(`UPDATE Flights SET delay = ${++round} WHERE id < ${changes}`);
          return child.call('run', { changes });
        });
      });
      return rowsOf(
        bench,
        'reads',
        { metric: 'settled', unit: 'changes/s', better: 'higher' },
        figuresOf(runs, run => run.changes / run.seconds),
      ).map(row => (row.by === 'pages of 1000' ? { ...row, target: { of: 'value' as const, atLeast: 50_000 } } : row));
    }),
};
