/** Tinypool, one task a message; as piscina.ts. Its atomics are on, as they are by default. No order per key. */
import { fileURLToPath } from 'node:url';
import Tinypool from 'tinypool';
import { InFlight } from './in-flight.ts';
import { type Rival, type Setup, workerFile } from './rival.ts';

export async function open({ workers, inFlight = 1024 }: Setup): Promise<Rival> {
  const pool = new Tinypool({
    filename: fileURLToPath(workerFile('pool-worker.ts')),
    minThreads: workers,
    maxThreads: workers,
    concurrentTasksPerWorker: 256,
  });
  const flight = new InFlight(inFlight);
  return {
    send: message => flight.add(pool.run(message), 1),
    drained: () => flight.drained(),
    ask: message => pool.run(message) as Promise<number>,
    acknowledged: () => Promise.resolve(flight.done),
    close: () => pool.destroy(),
  };
}
