/** workerpool on threads, one call a message. It gives a worker one task at a time, and has no option for more. */
import { fileURLToPath } from 'node:url';
import workerpool from 'workerpool';
import { InFlight } from './in-flight.ts';
import { type Rival, type Setup, workerFile } from './rival.ts';

export async function open({ workers, inFlight = 64 }: Setup): Promise<Rival> {
  const pool = workerpool.pool(fileURLToPath(workerFile('workerpool-worker.ts')), {
    minWorkers: workers,
    maxWorkers: workers,
    workerType: 'thread',
  });
  const flight = new InFlight(inFlight);
  // Its promise is one of its own: taken into a real one, as a caller who awaits it would.
  const run = (message: unknown): Promise<number> => Promise.resolve(pool.exec('handle', [message]));
  return {
    send: message => flight.add(run(message), 1),
    drained: () => flight.drained(),
    ask: run,
    acknowledged: () => Promise.resolve(flight.done),
    close: async () => void (await pool.terminate()),
  };
}
