/** One partition or several, and how many messages are given ahead. Ours only. */
import type { Child } from '../lib/child.ts';
import { type Bench, type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import type { Broker } from './broker.ts';
import { Filled } from './consume.ts';
import { ours, withBroker } from './contestants.ts';
import { CPU_PER_MESSAGE, cpuPerMessage, MESSAGES_PER_SECOND, type Publishing, perSecond, type Run } from './load.ts';
import { LOADS, type Load } from './publish.ts';

const LOAD: Load = LOADS[0]!;
const PARTITIONS = new Map([
  ['1 partition', 1],
  ['4 partitions', 4],
]);
const PREFETCHES = [100, 1000, 10_000];
const messagesOf = (bench: Bench): number => (bench.quick ? 50_000 : 200_000);

async function publishTo(broker: Broker, child: Child, partitions: number, messages: number): Promise<Run> {
  const topic = await broker.topic(partitions);
  const { bytes, batch, batchBytes } = LOAD;
  const load: Publishing = { topic, messages, bytes, batch, batchBytes, keys: 0, by: 'any' };
  const run = await child.call<Run>('publish', load);
  await broker.expectPublished(topic, messages, partitions);
  await broker.drop(topic, partitions);
  return run;
}

export const partitions: Case = {
  name: 'partitions',
  tables: ['partitions, publish', 'partitions, consume'],
  about:
    'As publish and consume with batches of 1000, by keymill, to a topic with one partition and to one with four, on one connection. Messages without a key go to the partitions in turn, so each has batches of its own.',
  run: bench =>
    withBroker(bench, async broker => {
      const messages = messagesOf(bench);
      const contestants = [...PARTITIONS.keys()].map(name => ours(broker, name));
      const published: Samples<Run> = new Map();
      const consumed: Samples<Run> = new Map();
      await withWarm(bench, contestants, async children => {
        const filled = new Map([...PARTITIONS].map(([name], i) => [name, new Filled(broker, children[i]!)]));
        const sending = (child: Child, name: string): Promise<Run> =>
          publishTo(broker, child, PARTITIONS.get(name)!, messages);
        const taking = (child: Child, name: string): Promise<Run> =>
          filled.get(name)!.consume(child, LOAD, messages, 10_000, PARTITIONS.get(name)!);
        for (const [samples, sample] of [
          [published, sending],
          [consumed, taking],
        ] as const) {
          await takeTurns(bench, contestants, children, 1, new Map(), sample);
          await takeTurns(bench, contestants, children, bench.quick ? 2 : 4, samples, sample);
        }
        for (const one of filled.values()) await one.drop();
      });
      return [
        ...rows(bench, 'partitions, publish', 'published', published, '4 partitions'),
        ...rows(bench, 'partitions, consume', 'consumed', consumed, '4 partitions'),
      ];
    }),
};

export const prefetch: Case = {
  name: 'prefetch',
  about: 'As consume with batches of 1000, by keymill, with so many messages given ahead.',
  run: bench =>
    withBroker(bench, async broker => {
      const contestants = PREFETCHES.map(count => ours(broker, String(count)));
      const samples: Samples<Run> = new Map();
      await withWarm(bench, contestants, async children => {
        const filled = new Filled(broker, children[0]!);
        const sample = (child: Child, name: string): Promise<Run> =>
          filled.consume(child, LOAD, messagesOf(bench), Number(name));
        await takeTurns(bench, contestants, children, 1, new Map(), sample);
        await takeTurns(bench, contestants, children, bench.quick ? 2 : 4, samples, sample);
        await filled.drop();
      });
      return rows(bench, prefetch.name, 'consumed', samples);
    }),
};

function rows(bench: Bench, name: string, metric: string, samples: Samples<Run>, subject?: string): Row[] {
  const compare = subject === undefined ? undefined : { subject };
  return [
    ...rowsOf(bench, name, { metric, ...MESSAGES_PER_SECOND }, figuresOf(samples, perSecond), compare),
    ...rowsOf(bench, name, CPU_PER_MESSAGE, figuresOf(samples, cpuPerMessage), compare),
  ];
}
