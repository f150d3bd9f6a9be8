/** A whole set is swapped while it is read. */
import { Child } from '../lib/child.ts';
import { type Case, type Contestant, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import { Histogram } from '../lib/histogram.ts';
import type { Row } from '../lib/rows.ts';
import { withServer } from './server.ts';
import type { SwapLoad, Swapped } from './swap-ours.ts';
import type { Watched } from './swap-topology.ts';

const MODULE = new URL('swap-ours.ts', import.meta.url);
const ENTRIES = { full: 100_000, quick: 20_000 };
const READERS = 16;

const readsPerSecond = ({ reads, ns }: Watched): number => reads / (ns / 1e9);
const p99 = ({ latencies }: Watched): number => Histogram.of(latencies).quantile(0.99) / 1000;

export const swap: Case = {
  name: 'swap',
  about:
    'A set of 100,000 entries (20,000 with `--quick`) is swapped by one host while another reads it, 16 reads of four entries each under way at once; on the embedded store and on a Redis. `at rest` is half a second before, with all of the set in L1; `swapped` is from the first entry to the pointer’s flip, with the look whether all is there; the reads counted go on for half a second more, when all of the new set comes from the store for the first time. A read is empty if one of its entries is missing, and mixed if they are of two versions; none may be. A run whose readers did not come to see the new set fails.',
  run: bench =>
    withServer(bench, async server => {
      const entries = bench.quick ? ENTRIES.quick : ENTRIES.full;
      const contestants: Contestant[] = [
        ['keymill, embedded', 'memory:'],
        ['keymill, Redis', server.url],
      ].map(([name, url]) => ({ name: name!, open: () => Child.open(MODULE, { url }) }));
      const samples: Samples<Swapped> = new Map();
      await server.ask('FLUSHALL');
      let generation = 1;
      await withWarm(bench, contestants, async children => {
        for (const child of children) await child.call('fill', { entries, readers: READERS, generation });
        await takeTurns(bench, contestants, children, bench.quick ? 1 : 2, samples, async child => {
          const load: SwapLoad = { entries, readers: READERS, generation: ++generation };
          const swapped = await child.call<Swapped>('swap', load);
          if (!swapped.during.generations.includes(load.generation)) throw new Error('no reader saw the new set');
          return swapped;
        });
      });
      const rows = (metric: string, unit: string, better: Row['better'], figure: (one: Swapped) => number): Row[] =>
        rowsOf(
          bench,
          'swap',
          { metric, unit, better },
          new Map([...samples].map(([name, all]) => [name, all.map(figure)])),
        );
      /** The worst of all runs counts. */
      const none = (metric: string, figure: (one: Watched) => number): Row[] =>
        rows(metric, 'reads', 'lower', ({ rest, during }) => figure(rest) + figure(during)).map(row => ({
          ...row,
          value: Math.max(...row.samples!),
          target: { of: 'value', atMost: 0 },
        }));
      return [
        ...rows('swapped', 'ms', 'lower', ({ swapNs }) => swapNs / 1e6),
        ...rows('reads at rest', 'reads/s', 'higher', ({ rest }) => readsPerSecond(rest)),
        ...rows('reads meanwhile', 'reads/s', 'higher', ({ during }) => readsPerSecond(during)),
        ...rows('p99 at rest', 'µs', 'lower', ({ rest }) => p99(rest)),
        ...rows('p99 meanwhile', 'µs', 'lower', ({ during }) => p99(during)),
        ...none('mixed', ({ mixed }) => mixed),
        ...none('empty', ({ empty }) => empty),
      ];
    }),
};
