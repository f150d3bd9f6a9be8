/** Runtimes for cases: in a folder of their own, and with a key for each host. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Runtime, start, type Topology } from '../../runtime/index.ts';
import type { ActorEntry } from '../../runtime/topology/define.ts';

/** A runtime in a folder of its own that goes with it. */
export async function startIn<A extends Record<string, ActorEntry>>(
  its: Topology<A>,
  threads: number,
  set: Record<string, unknown>,
): Promise<{ runtime: Runtime<A>; close(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'keymill-bench-'));
  const runtime = await start(its, { threads, dataDir: folder, logLevel: 'warn', set });
  return {
    runtime,
    async close() {
      const report = await runtime.stop();
      await rm(folder, { recursive: true, force: true });
      if (!report.ok) throw report.error ?? new Error('the runtime did not stop in good order');
    },
  };
}

/** A key for each host, by asking. */
export async function placesOf(hosts: number, ask: (place: number) => Promise<{ host: number }>): Promise<number[]> {
  const found = new Map<number, number>();
  for (let place = 0; found.size < hosts; place++) {
    const { host } = await ask(place);
    if (!found.has(host)) found.set(host, place);
  }
  return [...found.values()];
}
