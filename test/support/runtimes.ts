/** Starts a topology in the test's own process, on real threads, and stops it when the test ends. */
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import {
  isKeymillError,
  type KeymillError,
  type Runtime,
  type StartOptions,
  start,
  type Topology,
} from '../../runtime/index.ts';
import type { ActorEntry } from '../../runtime/topology/define.ts';
import { tempFolder } from './temp-folder.ts';

export interface Started<A extends Record<string, ActorEntry>> {
  readonly runtime: Runtime<A>;
  /** Its data is in `data`, its outputs in `out`. */
  readonly folder: string;
}

export async function started<A extends Record<string, ActorEntry>>(
  topology: Topology<A>,
  options: StartOptions & { folder?: string } = {},
): Promise<Started<A>> {
  const folder = options.folder ?? (await tempFolder());
  const runtime = await start(topology, {
    threads: 2,
    dataDir: join(folder, 'data'),
    logLevel: 'silent',
    ...options,
    set: { 'io.out.url': join(folder, 'out'), ...options.set },
  });
  onTestFinished(async () => void (await runtime.stop({ graceMs: 0 })));
  return { runtime, folder };
}

/** The KeymillError that a promise rejects with. */
export async function errorFrom(promise: Promise<unknown>): Promise<KeymillError> {
  const error = await promise.then(
    value => new Error(`expected a rejection, got ${String(value)}`),
    (thrown: unknown) => thrown,
  );
  if (isKeymillError(error)) return error;
  throw error;
}
