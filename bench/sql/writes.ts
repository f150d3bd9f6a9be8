/** Inserts into a SQL Server that is near, and 50 and 100 ms away: row by row, in batches, and from several threads. */
import type { ServedMssql } from '../../test/support/tds/served.ts';
import { Child, withChildren } from '../lib/child.ts';
import type { Bench, Case } from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import { median, ratioOf, spread } from '../lib/stats.ts';
import { type Load, type Run, TABLE } from './load.ts';
import { numbersOf, withServer } from './server.ts';

const DELAYS_MS = [0, 50, 100] as const;
const HOSTS = 8;

/** A line of the seed's tables: its rows a second with 100 ms (G 9.3) and with 50 ms (G 9.8-1). */
interface Pattern {
  readonly name: string;
  readonly workers: number;
  readonly batch: number;
  readonly seeds: Readonly<Record<number, number>>;
  /** Round trips of each worker in a run. */
  readonly trips: number;
}

const PATTERNS: readonly Pattern[] = [
  { name: 'row by row', workers: 1, batch: 1, seeds: { 100: 100, 50: 200 }, trips: 40 },
  { name: '8 threads, row by row', workers: 8, batch: 1, seeds: { 100: 800, 50: 1600 }, trips: 40 },
  { name: 'batches of 100', workers: 1, batch: 100, seeds: { 100: 2000, 50: 4000 }, trips: 40 },
  { name: 'batches of 500', workers: 1, batch: 500, seeds: { 100: 4000, 50: 10_000 }, trips: 30 },
  { name: 'batches of 1000', workers: 1, batch: 1000, seeds: { 100: 6667, 50: 15_000 }, trips: 20 },
  { name: '4 threads, batches of 500', workers: 4, batch: 500, seeds: { 100: 10_000, 50: 30_000 }, trips: 20 },
];
const [ROW_BY_ROW] = PATTERNS as readonly [Pattern];

const tableOf = (delayMs: number): string => (delayMs === 0 ? 'writes, near' : `writes, ${delayMs} ms away`);

export const writes: Case = {
  name: 'writes',
  tables: DELAYS_MS.map(tableOf),
  about: `Rows of 500 bytes inserted through the actor into the SQL Server of the tests, each of whose answers comes 0, 50 or 100 ms later: the seed’s 9.3, 9.6 and 9.8-1. One worker is one thread with one batch under way. \`bound\` is what the formula batch × workers ÷ delay allows; the seed’s own figures are in \`seed\`, and those of its first two lines are above what its delay allows. \`round trips\` are answers of the server for a thousand rows. The server is JavaScript over SQLite on the same two cores: near figures are its own speed as much as ours. A run counts if the server has each row once.`,
  run: bench =>
    withServer(async server => {
      await server.run(TABLE);
      const open = (): Promise<Child> =>
        Child.open(new URL('ours.ts', import.meta.url), { url: server.url, hosts: HOSTS });
      return withChildren([open], async ([child]) => {
        const inserting = new Inserting(bench, server, child!);
        for (const pattern of PATTERNS) await inserting.sample(pattern, 0);
        const rows: Row[] = [];
        for (const delayMs of DELAYS_MS) {
          await server.call('delay', delayMs);
          rows.push(...(await inserting.table(delayMs)));
        }
        return rows;
      });
    }),
};

interface Sample extends Run {
  readonly trips: number;
}

class Inserting {
  readonly #bench: Bench;
  readonly #server: ServedMssql;
  readonly #child: Child;
  #next = 0;

  constructor(bench: Bench, server: ServedMssql, child: Child) {
    this.#bench = bench;
    this.#server = server;
    this.#child = child;
  }

  async table(delayMs: number): Promise<Row[]> {
    const samples = new Map<Pattern, Sample[]>(PATTERNS.map(pattern => [pattern, []]));
    const passes = this.#bench.quick ? 1 : 3;
    for (let pass = 0; pass < passes; pass++)
      for (const pattern of pass % 2 === 0 ? PATTERNS : PATTERNS.toReversed()) {
        this.#bench.progress(`${delayMs} ms away, ${pattern.name}, pass ${pass + 1} of ${passes}`);
        samples.get(pattern)!.push(await this.sample(pattern, delayMs));
      }
    return rowsOf(this.#bench, delayMs, samples);
  }

  async sample({ workers, batch, trips }: Pattern, delayMs: number): Promise<Sample> {
    const each = this.#bench.quick || delayMs === 0 ? Math.ceil(trips / 2) : trips;
    const load: Load = { from: this.#next, rows: each * workers * batch, workers, batch };
    this.#next += load.rows;
    const before = await this.#server.call<number>('requests');
    const run = await this.#child.call<Run>('run', load, 600_000);
    const answers = (await this.#server.call<number>('requests')) - before;
    const [count, least, most] = await numbersOf(
      this.#server,
      `SELECT COUNT(*), MIN(id), MAX(id) FROM Records WHERE id >= ${load.from}`,
    );
    if (run.rows !== load.rows || count !== load.rows || least !== load.from || most !== load.from + load.rows - 1)
      throw new Error(`${load.rows} rows were inserted, ${run.rows} confirmed, the server has ${count}`);
    return { ...run, trips: (answers * 1000) / load.rows };
  }
}

const perSecond = ({ rows, ns }: Run): number => rows / (ns / 1e9);

function rowsOf(bench: Bench, delayMs: number, samples: ReadonlyMap<Pattern, readonly Sample[]>): Row[] {
  const base = { suite: bench.suite, case: tableOf(delayMs) } as const;
  const speed = { metric: 'keymill', unit: 'rows/s', better: 'higher' } as const;
  const slow = samples.get(ROW_BY_ROW)!.map(perSecond);
  return [...samples].flatMap(([pattern, its]): Row[] => {
    const { name: by, workers, batch, seeds } = pattern;
    const figures = its.map(perSecond);
    const value = median(figures);
    const trips = its.map(one => one.trips);
    const rows: Row[] = [
      { ...base, ...speed, by, value, spread: spread(figures), samples: figures },
      {
        ...base,
        by,
        metric: 'round trips',
        unit: 'per 1,000 rows',
        better: 'lower',
        value: median(trips),
        samples: trips,
      },
    ];
    if (delayMs > 0) {
      const bound = (batch * workers * 1000) / delayMs;
      const ratio = figures.map(one => one / bound);
      rows.push(
        { ...base, ...speed, by, metric: 'seed', value: seeds[delayMs]! },
        { ...base, ...speed, by, metric: 'bound', value: bound },
        {
          ...base,
          ...speed,
          by,
          value,
          ratioTo: 'bound',
          ratio: median(ratio),
          ratioSpread: spread(ratio),
          ...(batch > 1 && delayMs === 100 ? { target: { of: 'ratio', atLeast: 0.8 } as const } : {}),
        },
      );
    }
    if (pattern !== ROW_BY_ROW) {
      const { value: ratio, spread: ratioSpread } = ratioOf(figures, slow);
      rows.push({ ...base, ...speed, by, value, ratioTo: ROW_BY_ROW.name, ratio, ratioSpread });
    }
    return rows;
  });
}
