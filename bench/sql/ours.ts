/** Runs in a child: a runtime with its I/O thread and hosts; worker n inserts from host n. */
import type { Commands } from '../lib/child.ts';
import { now } from '../lib/clock.ts';
import { placesOf, startIn } from '../lib/runtimes.ts';
import type { Load, Run } from './load.ts';
import topology from './topology.ts';

export interface OursSetup {
  readonly url: string;
  readonly hosts: number;
}

export async function open({ url, hosts }: OursSetup): Promise<Commands> {
  const { runtime, close } = await startIn(topology, hosts, { 'io.sql.url': url, 'io.sql.tls.disabled': true });
  const places = await placesOf(hosts, place => runtime.ask('drive', { place }));
  return {
    async run(load: Load): Promise<Run> {
      const began = now();
      const driven = await Promise.all(
        places
          .slice(0, load.workers)
          .map((place, worker) => runtime.ask('drive', { place, load, worker }, { deadlineMs: 300_000 })),
      );
      return { rows: driven.reduce((sum, { rows }) => sum + rows, 0), ns: now() - began };
    },
    close,
  };
}
