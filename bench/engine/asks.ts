/** Asks a second, with few and with many of them open. */
import { type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import { FEW_POOLS, POOLS, type RivalName } from '../rivals/rival.ts';
import { CPU_PER_MESSAGE, cpuPerMessage, driven, perSecond } from './drivers.ts';
import type { Run } from './proof.ts';

const FIRST: RivalName[] = ['keymill', 'postMessage', 'postMessage arrays'];

/** Asks open at once: what a busy service has, and what a flood has. */
const IN_FLIGHT = [64, 1024];
const tableOf = (inFlight: number): string => `asks, ${inFlight} open`;

export const asks: Case = {
  name: 'asks',
  tables: IN_FLIGHT.map(tableOf),
  about:
    'Small messages to 10,000 keys, each with a promise of its reply, so many of them open at once. postMessage carries a number with each and looks the promise up.',
  async run(bench) {
    const { rounds, passes } = bench.quick ? { rounds: 1, passes: 4 } : { rounds: 3, passes: 6 };
    const pools = bench.quick ? FEW_POOLS : POOLS;
    const contestants = [...FIRST, ...pools].map(name => ({
      ...driven(name),
      warm: (child: { call(command: string, input: unknown): Promise<unknown> }) =>
        child.call('asks', { ms: name === 'keymill' ? 800 : 250, inFlight: 1024 }),
    }));
    const runs = new Map<number, Samples<Run>>(IN_FLIGHT.map(inFlight => [inFlight, new Map()]));
    for (let round = 0; round < rounds; round++)
      await withWarm(bench, contestants, async children => {
        for (const [inFlight, samples] of bench.quick ? [...runs].slice(-1) : runs)
          await takeTurns(bench, contestants, children, passes, samples, child =>
            child.call('asks', { ms: bench.quick ? 150 : 300, inFlight }),
          );
      });
    const compare = { subject: 'keymill', best: { name: 'best pool', of: pools } };
    return [...runs].flatMap(([inFlight, samples]) => {
      if (samples.size === 0) return [];
      const name = tableOf(inFlight);
      return [
        ...rowsOf(
          bench,
          name,
          { metric: 'asks', unit: 'asks/s', better: 'higher' },
          figuresOf(samples, perSecond),
          compare,
        ),
        ...rowsOf(bench, name, CPU_PER_MESSAGE, figuresOf(samples, cpuPerMessage), compare),
      ];
    });
  },
};
