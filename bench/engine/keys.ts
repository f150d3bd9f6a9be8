/** What the number of keys does to settled tells, and what it costs to have keys at all. */
import { type Case, contest, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import { CPU_PER_MESSAGE, cpuPerMessage, driven, MESSAGES_PER_SECOND, perSecond } from './drivers.ts';
import type { Run } from './proof.ts';

const MILLION = 1_000_000;
const COUNTS = [100, 10_000, MILLION];
const tableOf = (count: number): string => `${count.toLocaleString('en')} keys`;
/** Messages of a run; a quarter of it for a million keys. */
const RUN = 200_000;
const PAIR = ['keymill', 'postMessage'] as const;

export const keys: Case = {
  name: 'keys',
  tables: COUNTS.map(tableOf),
  about:
    'Settled tells to few and many keys, each with a state of its own in memory, all of them touched before the first run. With 1,000,000 keys keymill keeps up to 2,000,000 resident instead of its default of 250,000 a host, since postMessage forgets none either.',
  async run(bench) {
    const contestants = PAIR.map(rival =>
      driven(rival, { keys: COUNTS[0]!, set: { 'actors.work.maxResident': 2 * MILLION } }),
    );
    const runs = new Map<string, Samples<Run>>(COUNTS.map(count => [tableOf(count), new Map()]));
    for (let round = 0; round < (bench.quick ? 1 : 3); round++)
      await withWarm(bench, contestants, async children => {
        for (const count of bench.quick ? COUNTS.slice(0, 1) : COUNTS) {
          for (const child of children) {
            await child.call('become', { keys: count, bytes: 0 });
            await child.call('tells', { ms: 0, count: Math.max(count, 100_000) });
          }
          await takeTurns(bench, contestants, children, bench.quick ? 2 : 4, runs.get(tableOf(count))!, child =>
            child.call('tells', { ms: 0, count: count < MILLION ? RUN : RUN / 4 }),
          );
        }
      });
    const compare = { subject: 'keymill' };
    return [...runs].flatMap(([name, samples]) =>
      samples.size === 0
        ? []
        : [
            ...rowsOf(bench, name, MESSAGES_PER_SECOND, figuresOf(samples, perSecond), compare),
            ...rowsOf(bench, name, CPU_PER_MESSAGE, figuresOf(samples, cpuPerMessage), compare),
          ],
    );
  },
};

export const keyed: Case = {
  name: 'keyed or not',
  about:
    'What order costs: settled tells to 10,000 keys, and the same messages with a key of its own each, which have no order to keep. The latter make a mailbox and a state each, and leave memory by the default bound of 250,000 resident keys a host.',
  async run(bench) {
    const names = ['keymill, 10,000 keys', 'keymill, a key a message'];
    const contestants = [
      driven('keymill', {}, { name: names[0]! }),
      driven('keymill', { keys: 0 }, { name: names[1]! }),
    ];
    const plan = bench.quick ? { rounds: 1, passes: 2 } : { rounds: 3, passes: 4 };
    const runs = await contest<Run>(bench, contestants, plan, child => child.call('tells', { ms: 0, count: RUN / 2 }));
    const compare = { subject: names[0]! };
    return [
      ...rowsOf(bench, this.name, MESSAGES_PER_SECOND, figuresOf(runs, perSecond), compare),
      ...rowsOf(bench, this.name, CPU_PER_MESSAGE, figuresOf(runs, cpuPerMessage), compare),
    ];
  },
};
