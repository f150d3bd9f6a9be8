/**
 * Piscina, one task a message, in its three ways of waking a worker, and with arrays of 256 messages made by the caller
 * (one promise for all of them). As many threads as the others; 256 tasks in a worker at once and no timing, which is
 * its best here: with its default of one task in a worker it reached a quarter of it. No order per key.
 */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { Message } from '../lib/message.ts';
import { InFlight } from './in-flight.ts';
import { type Rival, type Setup, workerFile } from './rival.ts';

const ARRAY = 256;

export async function open({ workers, inFlight = 1024 }: Setup, mode: string): Promise<Rival> {
  const arrays = mode === 'arrays';
  const pool = new Piscina({
    filename: fileURLToPath(workerFile('pool-worker.ts')),
    minThreads: workers,
    maxThreads: workers,
    concurrentTasksPerWorker: 256,
    atomics: arrays ? 'disabled' : (mode as 'sync' | 'async' | 'disabled'),
    recordTiming: false,
  });
  const flight = new InFlight(arrays ? 64 * ARRAY : inFlight);
  let array: Message[] = [];
  const flush = (): Promise<void> | undefined => {
    const full = array;
    array = [];
    return flight.add(pool.run(full, { name: 'handleAll' }), full.length);
  };
  return {
    send(message) {
      if (!arrays) return flight.add(pool.run(message), 1);
      return array.push(message) < ARRAY ? undefined : flush();
    },
    async drained() {
      if (array.length > 0) void flush();
      await flight.drained();
    },
    ask: message => pool.run(message) as Promise<number>,
    acknowledged: () => Promise.resolve(flight.done),
    close: () => pool.destroy(),
  };
}
