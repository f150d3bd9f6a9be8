/** Runs in a child: a runtime with its I/O thread and hosts; caller n asks from host n % hosts. */
import type { Commands } from '../lib/child.ts';
import { placesOf, startIn } from '../lib/runtimes.ts';
import { type Load, type Run, Watch } from './load.ts';
import topology, { type Driving } from './topology.ts';

export interface OursSetup {
  readonly url: string;
  readonly hosts: number;
}

export async function open({ url, hosts }: OursSetup): Promise<Commands> {
  const { runtime, close } = await startIn(topology, hosts, { 'io.redis.url': url });
  const places = await placesOf(hosts, place => runtime.ask('drive', { place }));
  return {
    async ask(load: Load): Promise<Run> {
      const drivings = places.map((place, host): Driving => {
        const callers = Array.from({ length: load.callers }, (_, caller) => caller).filter(c => c % hosts === host);
        return { place, load, callers };
      });
      const watch = new Watch();
      const replies = await Promise.all(
        drivings.filter(({ callers }) => callers!.length > 0).map(driving => runtime.ask('drive', driving)),
      );
      return { asks: load.asks, right: replies.reduce((sum, { right }) => sum + right, 0), ...watch.stop() };
    },
    close,
  };
}
