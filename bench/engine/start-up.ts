/** How long it takes until the first message is handled. */
import { availableParallelism } from 'node:os';
import type { Child } from '../lib/child.ts';
import { type Case, figuresOf, type Metric, rowsOf, type Samples } from '../lib/contest.ts';
import { mirrored } from '../lib/stats.ts';
import type { RivalName } from '../rivals/rival.ts';
import { driven } from './drivers.ts';

const FIELD: RivalName[] = ['keymill', 'postMessage', 'piscina disabled', 'tinypool', 'workerpool', 'poolifier'];

export const startUp: Case = {
  name: 'start-up',
  about:
    'From the import of the contestant’s code to the first reply of a handler, in a fresh process each time, with as many worker threads as there are cores. `load` is the import alone, `ready` the rest. keymill is run from its TypeScript sources here, which every thread strips of types when it loads them; a package has JavaScript.',
  async run(bench) {
    const passes = bench.quick ? 1 : 10;
    const samples: Samples<{ loadMs: number; replyMs: number }> = new Map();
    for (const order of mirrored(FIELD.length, passes))
      for (const index of order) {
        const name = FIELD[index]!;
        bench.progress(name);
        const child: Child = await driven(name, { workers: availableParallelism() }).open();
        try {
          samples.set(name, [...(samples.get(name) ?? []), await child.call('startUp')]);
          await child.close();
        } finally {
          child.kill();
        }
      }
    const metric = (name: string): Metric => ({ metric: name, unit: 'ms', better: 'lower' });
    const compare = { subject: 'keymill' };
    return [
      ...rowsOf(
        bench,
        this.name,
        metric('first reply'),
        figuresOf(samples, ({ loadMs, replyMs }) => loadMs + replyMs),
        compare,
      ),
      ...rowsOf(
        bench,
        this.name,
        metric('load'),
        figuresOf(samples, ({ loadMs }) => loadMs),
      ),
      ...rowsOf(
        bench,
        this.name,
        metric('ready'),
        figuresOf(samples, ({ replyMs }) => replyMs),
      ),
    ];
  },
};
