/** Publishing, with a promise, future or callback for each message. */
import type { Child } from '../lib/child.ts';
import { type Bench, type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import type { Broker } from './broker.ts';
import { CPP, cpp, JAVA, java, OURS, ours, withBroker } from './contestants.ts';
import { CPU_PER_MESSAGE, cpuPerMessage, MESSAGES_PER_SECOND, type Publishing, perSecond, type Run } from './load.ts';

export interface Load extends Omit<Publishing, 'topic' | 'messages'> {
  readonly name: string;
  /** Of a run of ours and of Java, and of one from Python. */
  readonly messages: number;
  readonly fewer: number;
  /** What our figure must be (the seed's table), messages/s. */
  readonly atLeast?: number;
  /** Whether the ratios have targets. */
  readonly isRace: boolean;
}

const BYTES = { bytes: 200, batchBytes: 1024 * 1024 } as const;

/** The loads of publishing and consuming. */
export const LOADS: readonly Load[] = [
  {
    name: 'batch 1000',
    ...BYTES,
    batch: 1000,
    keys: 0,
    by: 'any',
    messages: 300_000,
    fewer: 100_000,
    atLeast: 250_000,
    isRace: true,
  },
  {
    name: 'batch 100',
    ...BYTES,
    batch: 100,
    keys: 0,
    by: 'any',
    messages: 200_000,
    fewer: 100_000,
    atLeast: 100_000,
    isRace: true,
  },
  {
    name: 'batch 1',
    ...BYTES,
    batch: 1,
    keys: 0,
    by: 'any',
    messages: 8000,
    fewer: 8000,
    atLeast: 1000,
    isRace: false,
  },
  { name: '100 keys', ...BYTES, batch: 1000, keys: 100, by: 'key', messages: 100_000, fewer: 50_000, isRace: false },
];

/** With `--quick` a quarter of it. */
export const messagesOf = (bench: Bench, { messages, fewer }: Load, name: string): number =>
  (name === CPP ? fewer : messages) / (bench.quick ? 4 : 1);

export function loadsOf(bench: Bench): readonly Load[] {
  return bench.quick ? LOADS.slice(0, 1) : LOADS;
}

export const targetOf =
  ({ isRace }: Load) =>
  (ratioTo: string): Row['target'] =>
    isRace ? { of: 'ratio', atLeast: ratioTo === JAVA ? 1 : 2 } : undefined;

export async function publishOnce(broker: Broker, child: Child, load: Load, messages: number): Promise<Run> {
  const topic = await broker.topic();
  const { bytes, batch, batchBytes, keys, by } = load;
  const run = await child.call<Run>('publish', {
    topic,
    messages,
    bytes,
    batch,
    batchBytes,
    keys,
    by,
  } satisfies Publishing);
  await broker.expectPublished(topic, messages);
  await broker.drop(topic);
  return run;
}

export const publish: Case = {
  name: 'publish',
  tables: LOADS.map(({ name }) => `publish, ${name}`),
  about:
    'Messages of 200 B as fast as they are taken, each with its own promise (Java: future, Python: callback), 20,000 under way at most. From the first send to the last confirmation; the broker’s own count must agree. CPU is that of the client’s process, the broker’s is not in it. `100 keys`: batches by key, in rounds of 100 keys; the others have no keys.',
  run: bench =>
    withBroker(bench, async broker => {
      const contestants = [ours(broker), ...java(broker), ...cpp(broker)];
      const loads = loadsOf(bench);
      const runs = new Map<Load, Samples<Run>>(loads.map(load => [load, new Map()]));
      await withWarm(bench, contestants, async children => {
        for (const [load, samples] of runs) {
          const sample = (child: Child, name: string): Promise<Run> =>
            publishOnce(broker, child, load, messagesOf(bench, load, name));
          await takeTurns(bench, contestants, children, 2, new Map(), sample);
          await takeTurns(bench, contestants, children, bench.quick ? 2 : 6, samples, sample);
        }
      });
      return [...runs].flatMap(([load, samples]) => rowsOfLoad(bench, 'publish', 'published', load, samples));
    }),
};

/** Speed with its targets, and CPU. */
export function rowsOfLoad(bench: Bench, what: string, metric: string, load: Load, samples: Samples<Run>): Row[] {
  const name = `${what}, ${load.name}`;
  const compare = { subject: OURS, target: targetOf(load) };
  const { atLeast } = load;
  const isWanted = (row: Row): boolean => row.by === OURS && row.ratioTo === undefined && atLeast !== undefined;
  return [
    ...rowsOf(bench, name, { metric, ...MESSAGES_PER_SECOND }, figuresOf(samples, perSecond), compare).map(row =>
      isWanted(row) ? { ...row, target: { of: 'value' as const, atLeast: atLeast! } } : row,
    ),
    ...rowsOf(bench, name, CPU_PER_MESSAGE, figuresOf(samples, cpuPerMessage), { subject: OURS }),
  ];
}
