/** How long a tell is on its way to its handler, and an ask there and back, at rest and at half load. */
import type { Child } from '../lib/child.ts';
import {
  type Bench,
  type Case,
  figuresOf,
  type Metric,
  rowsOf,
  type Samples,
  takeTurns,
  withWarm,
} from '../lib/contest.ts';
import { type Counts, Histogram } from '../lib/histogram.ts';
import type { Row } from '../lib/rows.ts';
import { isEnough, median } from '../lib/stats.ts';
import { FEW_POOLS, POOLS, type RivalName } from '../rivals/rival.ts';
import { driven, perSecond } from './drivers.ts';
import type { Paced, Run } from './proof.ts';

type What = 'tell' | 'ask';
type PacedRun = Run & Paced;

const TELL: RivalName[] = ['keymill', 'postMessage', 'postMessage arrays'];
const SHARES = [0.5, 0.99, 0.999];
/** Short runs, in turns with those of the others, that make one at rest: what the machine does meanwhile meets all of them. */
const PIECES = 10;

export const latency: Case = {
  name: 'latency',
  tables: ['tell, idle', 'tell, half load', 'ask, idle', 'ask, half load'],
  about: `One worker thread, small messages, 10,000 keys. A tell is measured from the time it was due at to the start of its handler, on the clock that all threads share; an ask to its reply. Idle: one at a time with all threads asleep before it, in ${PIECES} short runs of each, in turns. Half load: Poisson arrivals fixed beforehand and measured from when they were due, at half of what was reached at full speed just before: keymill and postMessage at half of what the slower of the two reached, the others at that or at half of what they reached themselves, whichever is less, so a slow pool is asked less. \`late\` is the generator’s own delay in these figures. A percentile is given only with ten values beyond it.`,
  async run(bench) {
    const asking = [...TELL, ...(bench.quick ? FEW_POOLS : POOLS)];
    const rounds = bench.quick ? 1 : 3;
    const passes = 4;
    const runs = new Map<string, Samples<PacedRun>>();
    const rates = new Map<string, Samples<number>>();
    for (let round = 0; round < rounds; round++)
      await withWarm(bench, asking.map(contestant), async warm => {
        const of = (names: readonly RivalName[]) => names.map(name => warm[asking.indexOf(name)]!);
        for (const [what, names] of [
          ['tell', TELL],
          ['ask', asking],
        ] as const) {
          const contestants = names.map(named);
          const children = of(names);
          const idle: Samples<PacedRun> = new Map();
          await takeTurns(bench, contestants, children, passes * PIECES, idle, child =>
            child.call('idle', { what, count: bench.quick ? 30 : 250, gapMs: 1 }),
          );
          const together = upsert(runs, `${what}, idle`);
          for (const [name, pieces] of idle) together.set(name, [...(together.get(name) ?? []), ...joined(pieces)]);
          if (bench.quick) continue; // under load a figure that lasts takes seconds of each
          const rate = await halfLoad(bench, what, names, children);
          for (const [name, one] of rate) {
            const samples = upsert(rates, `${what}, half load`);
            samples.set(name, [...(samples.get(name) ?? []), one]);
          }
          const loaded = upsert(runs, `${what}, half load`);
          await takeTurns(bench, contestants, children, passes, loaded, (child, name, pass) =>
            child.call('paced', { what, rate: rate.get(name), ms: 2000, seed: round * 100 + pass }),
          );
        }
      });
    return [...runs].flatMap(([name, samples]) => [
      ...quantileRows(bench, name, samples),
      ...[...(rates.get(name) ?? [])].map(([by, all]): Row => {
        const metric = { metric: 'rate', unit: 'messages/s', better: 'higher' } as const;
        return { suite: bench.suite, case: name, by, ...metric, value: median(all), samples: all };
      }),
    ]);
  },
};

/** Each PIECES runs as one. */
function joined(pieces: readonly PacedRun[]): PacedRun[] {
  return Array.from({ length: pieces.length / PIECES }, (_, i) => {
    const some = pieces.slice(i * PIECES, (i + 1) * PIECES);
    const all = (counts: (run: PacedRun) => Counts): Counts => Histogram.of(...some.map(counts)).counts();
    const handled = { ...some[0]!.handled, latencies: all(run => run.handled.latencies) };
    return { ...some[0]!, handled, roundTrip: all(run => run.roundTrip), late: all(run => run.late) };
  });
}

const named = (name: RivalName) => ({ name });

function contestant(rival: RivalName) {
  const { name, open } = driven(rival, { workers: 1 });
  return {
    name,
    open,
    async warm(child: Child) {
      await child.call('tells', { ms: rival === 'keymill' ? 800 : 200 });
      await child.call('asks', { ms: rival === 'keymill' ? 400 : 200, inFlight: 64 });
      // What runs at rest is other code than under load, and is compiled by then too.
      for (const what of ['tell', 'ask'] as const) await child.call('idle', { what, count: 1000, gapMs: 0 });
    },
  };
}

/** Rates to run at, from what each reaches at full speed now. */
async function halfLoad(
  bench: Bench,
  what: What,
  names: readonly RivalName[],
  children: readonly Child[],
): Promise<Map<string, number>> {
  const reached: Samples<Run> = new Map();
  await takeTurns(bench, names.map(named), children, 2, reached, child =>
    what === 'tell' ? child.call('tells', { ms: 150 }) : child.call('asks', { ms: 100, inFlight: 1024 }),
  );
  const full = new Map([...figuresOf(reached, perSecond)].map(([name, all]) => [name, median(all)]));
  const common = Math.min(full.get('keymill')!, full.get('postMessage')!);
  return new Map([...full].map(([name, one]) => [name, Math.min(one, common) / 2]));
}

function upsert<S>(map: Map<string, Samples<S>>, name: string): Samples<S> {
  const samples = map.get(name) ?? new Map();
  map.set(name, samples);
  return samples;
}

/** Percentiles of each run where it holds enough; else of all runs together; else none. */
export function quantileRows(bench: Bench, name: string, runs: Samples<PacedRun>): Row[] {
  const rows: Row[] = [];
  const pick = (metric: string, counts: (run: PacedRun) => Counts, shares: readonly number[]): void => {
    for (const share of shares) {
      const row: Metric = { metric: `${metric} p${String(share * 100).replace('.', '')}`, unit: 'µs', better: 'lower' };
      const figures: Samples<number> = new Map();
      for (const [by, all] of runs) {
        const each = all.map(run => Histogram.of(counts(run)));
        const whole = Histogram.of(...all.map(counts));
        if (each.every(one => isEnough(one.count, share)))
          figures.set(
            by,
            each.map(one => one.quantile(share) / 1000),
          );
        else if (isEnough(whole.count, share)) figures.set(by, [whole.quantile(share) / 1000]);
      }
      if (figures.size < runs.size) continue;
      const lengths = new Set([...figures.values()].map(one => one.length));
      const isPaired = lengths.size === 1 && metric !== 'late';
      rows.push(
        ...rowsOf(bench, name, row, figures, isPaired ? { subject: 'keymill', ...bestOf(figures) } : undefined),
      );
    }
  };
  const isAsk = name.startsWith('ask');
  pick(
    isAsk ? 'round trip' : 'one way',
    isAsk ? run => run.roundTrip : run => run.handled.latencies,
    bench.quick ? [0.5] : SHARES,
  );
  if (name.endsWith('half load')) pick('late', run => run.late, [0.99]);
  return rows;
}

function bestOf(figures: Samples<number>) {
  const pools = POOLS.filter(name => figures.has(name));
  return pools.length > 0 ? { best: { name: 'best pool', of: pools } } : {};
}
