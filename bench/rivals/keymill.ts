/**
 * keymill with its defaults: keys in order, messages kept until they settle, bounded windows, replay after a crash.
 * `keymill` tells and waits only where there is no room, and is through when the runtime says that all is settled;
 * `keymill awaited` keeps a promise for each tell until that one is settled.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Runtime, start } from '../../runtime/index.ts';
import { sleep, turn } from '../lib/clock.ts';
import type { Message } from '../lib/message.ts';
import type { Tally } from '../lib/tally.ts';
import { InFlight } from './in-flight.ts';
import type { Rival, Setup } from './rival.ts';
import topology from './topology.ts';

export type BenchRuntime = Runtime<typeof topology.definition.actors>;
export type ActorName = keyof typeof topology.definition.actors;

const UNTIL_SETTLED = { until: 'settled' } as const;

export async function open({ workers, inFlight = 16_384, set = {} }: Setup, mode: string, tally: Tally) {
  const { runtime, close } = await startBench({ workers, set });
  const flight = new InFlight(inFlight);
  let tells = 0;
  let asks = 0;
  return {
    send(message: Message) {
      tells++;
      if (mode === 'awaited') return flight.add(runtime.tell('work', message, UNTIL_SETTLED), 1);
      return runtime.tryTell('work', message) ? undefined : runtime.tell('work', message);
    },
    async drained() {
      await flight.drained();
      await settled(runtime, tells, tally, tells + asks);
    },
    ask(message: Message) {
      asks++;
      return runtime.ask('work', message);
    },
    acknowledged: () => (mode === 'awaited' ? Promise.resolve(flight.done) : settledTells(runtime)),
    close,
  } satisfies Rival;
}

/** The runtime of the suite, in a folder of its own that goes with it. */
export async function startBench({ workers, set = {} }: Setup): Promise<{
  runtime: BenchRuntime;
  close(): Promise<void>;
}> {
  const folder = await mkdtemp(join(tmpdir(), 'keymill-bench-'));
  const runtime = await start(topology, { threads: workers, dataDir: folder, logLevel: 'warn', set });
  return {
    runtime,
    async close() {
      const report = await runtime.stop();
      await rm(folder, { recursive: true, force: true });
      if (!report.ok) throw report.error ?? new Error('the runtime did not stop in good order');
    },
  };
}

/** Tells that settled as done. Throws where one did not. */
export async function settledTells(runtime: BenchRuntime): Promise<number> {
  const { done, dead, dropped } = (await runtime.summary()).settled;
  if (dead + dropped > 0) throw new Error(`${dead} messages are dead and ${dropped} dropped`);
  return done;
}

/**
 * Resolves when so many tells are settled. There is no event for it, and to ask for the summary again and again costs
 * the threads that work. So it looks at shared memory, once a millisecond, until so many messages are `handled`, and
 * asks then.
 */
export async function settled(
  runtime: BenchRuntime,
  tells: number,
  tally: Tally,
  handled: number = tells,
): Promise<void> {
  while (tally.total < handled) await sleep(1);
  while ((await settledTells(runtime)) < tells) await turn();
}
