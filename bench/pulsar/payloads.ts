/** Publishing and consuming payloads of different sizes. */
import type { Child } from '../lib/child.ts';
import { type Bench, type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import { Filled } from './consume.ts';
import { java, OURS, ours, withBroker } from './contestants.ts';
import { CPU_PER_MESSAGE, cpuPerMessage, type Run } from './load.ts';
import { type Load, publishOnce } from './publish.ts';

const COMMON = { batch: 1000, keys: 0, by: 'any', isRace: false } as const;
const KiB = 1024;
const SIZES: readonly Load[] = [
  { ...COMMON, name: '200 B', bytes: 200, batchBytes: 128 * KiB, messages: 200_000, fewer: 0 },
  { ...COMMON, name: '1 KiB', bytes: KiB, batchBytes: 512 * KiB, messages: 60_000, fewer: 0 },
  { ...COMMON, name: '10 KiB', bytes: 10 * KiB, batchBytes: 1024 * KiB, messages: 6000, fewer: 0 },
];
const WAYS = ['publish', 'consume'] as const;

const namesOf = (way: string): string[] => SIZES.map(({ name }) => `${way}, ${name}`);

export const payloads: Case = {
  name: 'payloads',
  tables: WAYS.flatMap(namesOf),
  about:
    'As publish and consume, in batches of up to 1000 messages or 128 KiB (200 B), 512 KiB (1 KiB), 1 MiB (10 KiB). MB are millions of bytes of payload.',
  run: bench =>
    withBroker(bench, async broker => {
      const contestants = [ours(broker), ...java(broker)];
      const rows: Row[] = [];
      await withWarm(bench, contestants, async children => {
        for (const load of bench.quick ? SIZES.slice(1, 2) : SIZES) {
          const messages = load.messages / (bench.quick ? 4 : 1);
          const filled = new Filled(broker, children[0]!);
          for (const way of WAYS) {
            const samples: Samples<Run> = new Map();
            const sample = (child: Child): Promise<Run> =>
              way === 'publish' ? publishOnce(broker, child, load, messages) : filled.consume(child, load, messages);
            await takeTurns(bench, contestants, children, 1, new Map(), sample);
            await takeTurns(bench, contestants, children, bench.quick ? 2 : 4, samples, sample);
            rows.push(...rowsOfSize(bench, way, load, samples));
          }
          await filled.drop();
        }
      });
      return rows;
    }),
};

function rowsOfSize(bench: Bench, way: (typeof WAYS)[number], load: Load, samples: Samples<Run>): Row[] {
  const name = `${way}, ${load.name}`;
  const metric = { metric: `${way === 'publish' ? 'published' : 'consumed'}`, unit: 'MB/s', better: 'higher' } as const;
  const compare = { subject: OURS };
  const perSecond = ({ messages, ns }: Run): number => (messages * load.bytes * 1000) / ns;
  return [
    ...rowsOf(bench, name, metric, figuresOf(samples, perSecond), compare),
    ...rowsOf(bench, name, CPU_PER_MESSAGE, figuresOf(samples, cpuPerMessage), compare),
  ];
}
