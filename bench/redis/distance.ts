/** The same server a millisecond away, and the table of the seed that speaks of it. */

import { RedisAsking } from '../../scripts/services/redis-asking.ts';
import { withChildren } from '../lib/child.ts';
import { now } from '../lib/clock.ts';
import { type Bench, type Case, figuresOf, rowsOf, type Samples, takeTurns } from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import { median, ratioOf } from '../lib/stats.ts';
import { askOnce, openIoredis, openOurs, type Side } from './contestants.ts';
import { ASKS_PER_SECOND, type Load, perSecond, READS_OF_SERVER, readsPerThousand, type Witnessed } from './load.ts';
import { awayFrom, withServer } from './server.ts';

const ROUND_TRIP_MS = 1;
const OURS = 'keymill';
const BARE = 'a bare socket';
const PINGS = 200;
const TABLE = 'table 9.8-3 of the seed';

const WARM: Load = { what: 'set', asks: 160_000, callers: 4, depth: 100 };

/** A line of the seed's table (G 9.8-3), with its throughput in commands a second. */
interface Pattern {
  readonly name: string;
  readonly seeds: string;
  readonly seedPerSecond: number;
  readonly callers: number;
  readonly depth: number;
  readonly asks: number;
}

const PATTERNS: readonly Pattern[] = [
  { name: 'one by one', seeds: 'Single-threaded', seedPerSecond: 1000, callers: 1, depth: 1, asks: 400 },
  { name: '8 callers', seeds: 'Multi-threaded (8)', seedPerSecond: 8000, callers: 8, depth: 1, asks: 3200 },
  { name: 'lists of 100', seeds: 'Pipelined (100)', seedPerSecond: 20_000, callers: 1, depth: 100, asks: 12_000 },
  { name: 'lists of 500', seeds: 'Pipelined (500)', seedPerSecond: 23_000, callers: 1, depth: 500, asks: 24_000 },
];

const nameOf = ({ name }: Pattern): string => `1 ms away, ${name}`;
const [SINGLE, , HUNDRED] = PATTERNS as readonly [Pattern, Pattern, Pattern];

type Runs = ReadonlyMap<Pattern, Samples<Witnessed>>;

export const distance: Case = {
  name: 'distance',
  tables: [...PATTERNS.map(nameOf), TABLE],
  about:
    'set as above, through a line on which each reply takes a millisecond more: a process of its own that spins while it holds bytes back, so keymill, ioredis and server share one core less. `a bare socket` is what PINGs make of that millisecond. The first tables compare; the last shows ours beside the seed’s figures for a million commands. `bound` is what the formula callers × list ÷ round trip allows at one millisecond: 1,000, 8,000, 100,000 and 500,000. None of the seed’s four is above it, so they are possible (9.3 and 9.8-1 are not); the last two are far below what the round trips allow. The seed’s network calls a thousand commands are 1,000, 1,000, 10 and 2.',
  run: bench =>
    withServer(bench, async server => {
      const bare: number[] = [];
      const line = await awayFrom(server, ROUND_TRIP_MS);
      const runs = new Map(PATTERNS.map(pattern => [pattern, new Map() as Samples<Witnessed>]));
      try {
        const opening = [
          () => openOurs(line.url),
          () => openIoredis(line.url, 'auto'),
          () => openIoredis(line.url, 'pipeline'),
        ];
        await withChildren(opening, async children => {
          bench.progress('all warm up');
          for (const child of children)
            await askOnce(server, child, bench.quick ? { ...WARM, asks: WARM.asks / 4 } : WARM);
          for (const [pattern, samples] of runs) {
            const { callers, depth } = pattern;
            const asks = bench.quick ? pattern.asks / 2 : pattern.asks;
            const sides: Side[] = [
              { name: OURS, child: 0, callers },
              { name: 'ioredis auto', child: 1, callers },
              ...(depth > 1 ? [{ name: 'ioredis pipeline', child: 2, callers }] : []),
            ];
            const load: Load = { what: 'set', asks, callers, depth };
            const its = sides.map(({ child }) => children[child]!);
            const sample = (child: (typeof its)[number]): Promise<Witnessed> => askOnce(server, child, load);
            await takeTurns(bench, sides, its, 1, new Map(), sample);
            await takeTurns(bench, sides, its, bench.quick ? 2 : 4, samples, sample);
            if (callers * depth === 1) bare.push(await pingsPerSecond(line.url), await pingsPerSecond(line.url));
          }
        });
        await line.child.close();
      } finally {
        line.child.kill();
      }
      return [
        ...rowsOf(bench, nameOf(SINGLE), ASKS_PER_SECOND, new Map([[BARE, bare]])),
        ...[...runs].flatMap(([pattern, samples]) =>
          rowsOf(bench, nameOf(pattern), ASKS_PER_SECOND, figuresOf(samples, perSecond), { subject: OURS }),
        ),
        ...tableRows(bench, runs),
      ];
    }),
};

/** What a round trip takes here: PINGs, each when the one before it was answered. */
async function pingsPerSecond(url: string): Promise<number> {
  const asking = new RedisAsking(Number(new URL(url).port));
  try {
    await asking.ask('PING');
    const began = now();
    for (let n = 0; n < PINGS; n++) await asking.ask('PING');
    return PINGS / ((now() - began) / 1e9);
  } finally {
    asking.close();
  }
}

/** Ours, the seed's, and what can be, line by line. */
function tableRows(bench: Bench, runs: Runs): Row[] {
  const ours = (pattern: Pattern): number[] => runs.get(pattern)!.get(OURS)!.map(perSecond);
  const base = { suite: bench.suite, case: TABLE, unit: 'asks/s', better: 'higher' } as const;
  const ratio = ratioOf(ours(HUNDRED), ours(SINGLE));
  const rows = [...runs].flatMap(([pattern, samples]): Row[] => {
    const { name, seeds, seedPerSecond, callers, depth } = pattern;
    const by = `${name} (${seeds})`;
    const only = new Map([[by, samples.get(OURS)!]]);
    return [
      ...rowsOf(bench, TABLE, { metric: OURS, unit: 'asks/s', better: 'higher' }, figuresOf(only, perSecond)),
      { ...base, by, metric: 'seed', value: seedPerSecond },
      { ...base, by, metric: 'bound', value: (callers * depth * 1000) / ROUND_TRIP_MS },
      ...rowsOf(bench, TABLE, READS_OF_SERVER, figuresOf(only, readsPerThousand)),
    ];
  });
  const twentyTimes: Row = {
    ...base,
    by: HUNDRED.name,
    metric: OURS,
    value: median(ours(HUNDRED)),
    ratioTo: SINGLE.name,
    ratio: ratio.value,
    ratioSpread: ratio.spread,
    target: { of: 'ratio', atLeast: 20 },
  };
  return [...rows, twentyTimes];
}
