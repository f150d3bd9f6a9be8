/** Batch sizes and sizing strategies: the child that has an actor for each of them, and the cases. */
import type { Pattern } from '../lib/arrivals.ts';
import { Child, type Commands } from '../lib/child.ts';
import { type Bench, type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import { Histogram } from '../lib/histogram.ts';
import { type Load, Messages } from '../lib/message.ts';
import type { Row } from '../lib/rows.ts';
import { Tally } from '../lib/tally.ts';
import { type ActorName, settled, settledTells, startBench } from '../rivals/keymill.ts';
import { BATCH_MS } from '../rivals/topology.ts';
import { atPace, type Pace, type Send, tells } from './drive.ts';
import { CPU_PER_MESSAGE, cpuPerMessage, MESSAGES_PER_SECOND, perSecond } from './drivers.ts';
import { type Paced, Proof, type Run } from './proof.ts';

export async function open(load: Load): Promise<Commands> {
  const tally = new Tally();
  const { runtime, close } = await startBench({ workers: 1 });
  const messages = new Messages(load);
  const proof = new Proof(tally, messages, { ordered: true, acknowledged: () => settledTells(runtime) });
  const sendTo =
    (actor: ActorName): Send =>
    message =>
      runtime.tryTell(actor, message) ? undefined : runtime.tell(actor, message);
  const drained = (): Promise<void> => settled(runtime, messages.next - 1, tally);
  return {
    async become(next: Load): Promise<void> {
      messages.become(next);
    },
    tells: ({ actor, ms }: { actor: ActorName; ms: number }): Promise<Run> =>
      proof.of({}, async () => {
        await tells(sendTo(actor), messages, { ms });
        await drained();
      }),
    paced: ({ actor, ...pace }: Pace & { actor: ActorName }): Promise<Run & Paced> =>
      proof.paced('tell', async () => {
        const paced = await atPace({ send: sendTo(actor) }, messages, pace);
        await drained();
        return paced;
      }),
    close,
  };
}

const here = (load: Load) => () => Child.open(import.meta.url, load);

const SIZES: Record<string, ActorName> = {
  handle: 'work',
  'batches of 1': 'batch1',
  'batches of 10': 'batch10',
  'batches of 100': 'batch100',
  'batches of 1000': 'batch1000',
};

export const batchSizes: Case = {
  name: 'batch sizes',
  about:
    'Settled tells to 100 keys, with `handleBatch` and a bound to its batches; `handle` takes a message at a time. The handler costs next to nothing, so what is seen is what a call costs.',
  async run(bench) {
    if (bench.quick) return []; // its ratios settle after seconds
    const names = Object.keys(SIZES).map(name => ({ name }));
    const runs: Samples<Run> = new Map();
    for (let round = 0; round < 3; round++)
      await withWarm(bench, [{ name: 'keymill', open: here({ keys: 100, bytes: 0 }) }], async ([child]) => {
        for (const actor of Object.values(SIZES)) await child!.call('tells', { actor, ms: 300 });
        const children = names.map(() => child!);
        await takeTurns(bench, names, children, 4, runs, (one, name) =>
          one.call('tells', { actor: SIZES[name], ms: 600 }),
        );
      });
    const compare = { subject: 'batches of 100', to: ['handle', 'batches of 1', 'batches of 10', 'batches of 1000'] };
    return [
      ...rowsOf(bench, this.name, MESSAGES_PER_SECOND, figuresOf(runs, perSecond), compare),
      ...rowsOf(bench, this.name, CPU_PER_MESSAGE, figuresOf(runs, cpuPerMessage), compare),
    ];
  },
};

const STRATEGIES: Record<string, ActorName> = {
  'eightyPercent, max 4096': 'eightyPercent',
  'fixed, max 100': 'fixed100',
  'fixed, max 1000': 'fixed1000',
  'doubling, max 4096': 'doubling',
};
const OURS = 'eightyPercent, max 4096';

/** Messages a second, on the whole. Steady: 25 for a key while a batch of it runs. */
const RATE = 40_000;

const ARRIVALS: { name: string; pattern: Pattern; load: Load }[] = [
  { name: 'steady', pattern: 'steady', load: { keys: 16, bytes: 0 } },
  { name: 'bursty', pattern: 'bursty', load: { keys: 16, bytes: 0 } },
  { name: 'hot key', pattern: 'steady', load: { keys: 16, bytes: 0, hot: 0.5 } },
];

const tableOf = (arrivals: string): string => `strategies, ${arrivals}`;

export const strategies: Case = {
  name: 'strategies',
  tables: ARRIVALS.map(({ name }) => tableOf(name)),
  about: `The 80 % rule against batches of a fixed size and batches that double. Each batch costs its key ${BATCH_MS} ms, whatever its size, as a call to a database does; ${RATE.toLocaleString('en')} messages a second to 16 keys. Steady: Poisson. Bursty: all of half a second within 100 ms. Hot key: half of all messages to one key. All wait 5 ms for more while they are shallow. Latency is from the time a message was due at to the end of its batch’s work.`,
  async run(bench) {
    const rows: Row[] = [];
    const names = Object.keys(STRATEGIES).map(name => ({ name }));
    await withWarm(bench, [{ name: 'keymill', open: here(ARRIVALS[0]!.load) }], async ([child]) => {
      const children = names.map(() => child!);
      // A strategy that falls behind has latencies as long as its run: no short run says what a long one does.
      for (const { name, pattern, load } of bench.quick ? ARRIVALS.slice(0, 2) : ARRIVALS) {
        const runs: Samples<Run & Paced> = new Map();
        const run = (actor: ActorName, seed: number, ms: number): Promise<Run & Paced> =>
          child!.call('paced', { actor, rate: RATE, ms, seed, pattern });
        await child!.call('become', load);
        if (name === 'steady') for (const actor of Object.values(STRATEGIES)) await run(actor, 99, 250);
        await takeTurns(bench, names, children, bench.quick ? 1 : 6, runs, (_child, strategy, pass) =>
          run(STRATEGIES[strategy]!, pass, bench.quick ? 500 : 3000),
        );
        rows.push(...strategyRows(bench, tableOf(name), runs));
      }
    });
    return rows;
  },
};

function strategyRows(bench: Bench, name: string, runs: Samples<Run & Paced>): Row[] {
  const compare = { subject: OURS };
  const latency = (share: number): Row[] =>
    rowsOf(
      bench,
      name,
      { metric: `latency p${share * 100}`, unit: 'ms', better: 'lower' },
      figuresOf(runs, run => Histogram.of(run.handled.latencies).quantile(share) / 1e6),
      compare,
    );
  const size = (run: Run): number => run.messages / run.handled.batches;
  return [
    ...latency(0.5),
    ...latency(0.99),
    ...rowsOf(bench, name, { metric: 'batch', unit: 'messages', better: 'higher' }, figuresOf(runs, size)),
  ];
}
