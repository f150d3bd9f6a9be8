/** The first table: settled tells of everyone, side by side. */
import { type Case, contest, figuresOf, rowsOf } from '../lib/contest.ts';
import { POOLS, RIVALS, type RivalName } from '../rivals/rival.ts';
import { CPU_PER_MESSAGE, cpuPerMessage, driven, lengthOf, MESSAGES_PER_SECOND, perSecond } from './drivers.ts';
import type { Run } from './proof.ts';

const ALL = Object.keys(RIVALS) as RivalName[];

export const settledTells: Case = {
  name: 'settled tells',
  about:
    'Small messages to 10,000 keys, as fast as they are taken. A run is over when the last one is settled. keymill keeps all its promises meanwhile. postMessage tells its sender nothing but that all came through, the pools resolve a promise a message and know no order per key, and arrays are made by the caller and, with piscina, acknowledged as a whole: what may do for who needs no more. `plain` is the handler without threads.',
  async run(bench) {
    const plan = bench.quick ? { rounds: 1, passes: 6 } : { rounds: 3, passes: 6 };
    // Two of the pools are faster from run to run for longer than a quick run lasts.
    const all = bench.quick ? ALL.filter(name => name !== 'workerpool' && name !== 'poolifier') : ALL;
    const pools = POOLS.filter(name => all.includes(name));
    const runs = await contest<Run>(
      bench,
      all.map(name => driven(name)),
      plan,
      (child, name) => child.call('tells', { ms: lengthOf(name as RivalName).runMs }),
    );
    const best = { name: 'best pool', of: pools };
    const compare = { subject: 'keymill', to: all.filter(name => name !== 'plain'), best };
    const awaited = { subject: 'keymill awaited', to: ['postMessage', ...pools], best };
    return [
      ...rowsOf(bench, this.name, MESSAGES_PER_SECOND, figuresOf(runs, perSecond), compare),
      ...rowsOf(bench, this.name, CPU_PER_MESSAGE, figuresOf(runs, cpuPerMessage), compare),
      ...rowsOf(bench, this.name, MESSAGES_PER_SECOND, figuresOf(runs, perSecond), awaited).filter(
        row => row.ratio !== undefined,
      ),
    ];
  },
};
