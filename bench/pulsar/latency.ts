/** How long a message is on its way from a producer to a consumer while there is little to do. */
import type { Child } from '../lib/child.ts';
import { type Bench, type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import { isEnough } from '../lib/stats.ts';
import type { Broker } from './broker.ts';
import { JAVA, java, OURS, ours, withBroker } from './contestants.ts';
import type { Paced, Pacing } from './load.ts';

const UNBATCHED = 'Java, no batches';
const PACES = [
  { name: 'one at a time', gapUs: 0, messages: 1000 },
  { name: '1000 a second', gapUs: 1000, messages: 3000 },
];
const SHARES = [0.5, 0.99];

async function once(broker: Broker, child: Child, name: string, pace: (typeof PACES)[number], messages: number) {
  const topic = await broker.topic();
  const load: Pacing = { topic, messages, bytes: 200, gapUs: pace.gapUs, batching: name !== UNBATCHED };
  const { us } = await child.call<Paced>('paced', load);
  if (us.length !== messages || us.some(one => !(one > 0)))
    throw new Error(`${us.length} of ${messages} messages came`);
  await broker.expectPublished(topic, messages);
  await broker.expectAcknowledged(topic, 'paced');
  await broker.drop(topic);
  return [...us].sort((a, b) => a - b);
}

export const latency: Case = {
  name: 'latency',
  tables: PACES.map(({ name }) => `latency, ${name}`),
  about:
    'Messages of 200 B from the call to send to the hand of a consumer in the same process, by one clock: one at a time, the next when the last has come and is confirmed; and 1000 a second whatever becomes of those before. keymill batches as by default: what is sent in one turn leaves at its end. Java waits 1 ms for more, its default, or is told not to batch. The broker tells consumers at once (its default is after 10 ms). Node’s timers are coarse: of 1000 a second one or two leave at a time.',
  run: bench =>
    withBroker(bench, async broker => {
      const contestants = [ours(broker), ...java(broker), ...java(broker, UNBATCHED)];
      const rows: Row[] = [];
      await withWarm(bench, contestants, async children => {
        for (const pace of bench.quick ? PACES.slice(0, 1) : PACES) {
          const messages = bench.quick ? 1000 : pace.messages;
          const samples: Samples<number[]> = new Map();
          const sample = (child: Child, name: string): Promise<number[]> => once(broker, child, name, pace, messages);
          await takeTurns(bench, contestants, children, 1, new Map(), sample);
          await takeTurns(bench, contestants, children, bench.quick ? 2 : 4, samples, sample);
          rows.push(...rowsOfPace(bench, `latency, ${pace.name}`, samples));
        }
      });
      return rows;
    }),
};

function rowsOfPace(bench: Bench, name: string, samples: Samples<number[]>): Row[] {
  return SHARES.flatMap(share => {
    const isKnown = [...samples.values()].every(all => all.every(one => isEnough(one.length, share)));
    if (!isKnown) return [];
    const metric = { metric: `p${share * 100}`, unit: 'ms', better: 'lower' } as const;
    const quantile = (sorted: readonly number[]): number => sorted[Math.ceil(share * sorted.length) - 1]! / 1000;
    const to = [JAVA, UNBATCHED].filter(one => samples.has(one));
    return rowsOf(bench, name, metric, figuresOf(samples, quantile), { subject: OURS, to });
  });
}
