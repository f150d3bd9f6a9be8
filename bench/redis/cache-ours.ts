/** Runs in a child: a runtime with a cache. What it reads it reads in a handler, on the thread of a host. */
import type { Commands } from '../lib/child.ts';
import { placesOf, startIn } from '../lib/runtimes.ts';
import type { Flood, Flooded, Reads } from './cache-load.ts';
import topology from './cache-topology.ts';
import { type Run, Watch } from './load.ts';

export interface CacheSetup {
  readonly url: string;
  readonly hosts: number;
  /** False: each read is one of the store. */
  readonly hasL1: boolean;
}

export async function open({ url, hosts, hasL1 }: CacheSetup): Promise<Commands> {
  const set = { 'io.cache.url': url, ...(hasL1 ? {} : { 'io.cache.l1.ttlMs': 0 }) };
  const { runtime, close } = await startIn(topology, hosts, set);
  const places = await placesOf(hosts, place => runtime.ask('where', { place }));
  return {
    async fill() {
      await runtime.ask('fill', { place: places[0]! });
    },
    async read(load: Reads): Promise<Run> {
      const { hits, ...run } = await runtime.ask('reads', { place: places[0]!, ...load });
      // Without L1 one and another may be given again in the turn that read it.
      if (hasL1 ? hits !== load.reads : hits > load.reads / 100)
        throw new Error(`${load.reads} reads, ${hits} of them from L1`);
      return run;
    },
    async flood({ reads, ...load }: Flood): Promise<Flooded> {
      const watch = new Watch();
      const all = await Promise.all(
        places.map(place => runtime.ask('floods', { place, reads: reads / hosts, ...load })),
      );
      const sum = (figure: (one: Flooded) => number): number => all.reduce((total, one) => total + figure(one), 0);
      return { asks: reads, right: sum(one => one.right), loads: sum(one => one.loads), ...watch.stop() };
    },
    close,
  };
}
