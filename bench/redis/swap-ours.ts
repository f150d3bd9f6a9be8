/** Runs in a child: a runtime with two hosts, one that swaps and one that reads. */
import type { Commands } from '../lib/child.ts';
import { sleep } from '../lib/clock.ts';
import { placesOf, startIn } from '../lib/runtimes.ts';
import topology, { type Watched } from './swap-topology.ts';

export interface SwapLoad {
  readonly entries: number;
  readonly readers: number;
  readonly generation: number;
}

export interface Swapped {
  readonly swapNs: number;
  readonly rest: Watched;
  readonly during: Watched;
}

/** How long is read before the swap begins. */
const REST_MS = 500;

export async function open({ url }: { readonly url: string }): Promise<Commands> {
  const { runtime, close } = await startIn(topology, 2, { 'io.cache.url': url });
  const [writer, reader] = (await placesOf(2, place => runtime.ask('where', { place }))) as [number, number];
  return {
    async fill({ entries, generation }: SwapLoad) {
      await runtime.ask('swap', { place: writer, entries, generation });
    },
    /** Reads what is in L1 at rest, and then while the next generation is swapped in. */
    async swap({ entries, readers, generation }: SwapLoad): Promise<Swapped> {
      const watching = { place: reader, entries, readers, seed: generation };
      await runtime.ask('warm', { place: reader, entries });
      const watched = runtime.ask('watch', watching);
      await sleep(REST_MS);
      await runtime.ask('stop', { place: reader });
      const rest = await watched;
      const meanwhile = runtime.ask('watch', watching);
      const swapNs = await runtime.ask('swap', { place: writer, entries, generation });
      await sleep(REST_MS);
      await runtime.ask('stop', { place: reader });
      return { swapNs, rest, during: await meanwhile };
    },
    close,
  };
}
