/** Poolifier's fixed pool, one task a message. Without its queue of tasks, which is its fastest. No order per key. */
import { fileURLToPath } from 'node:url';
import { FixedThreadPool } from 'poolifier';
import type { Message } from '../lib/message.ts';
import { InFlight } from './in-flight.ts';
import { type Rival, type Setup, workerFile } from './rival.ts';

export async function open({ workers, inFlight = 1024 }: Setup): Promise<Rival> {
  const pool = new FixedThreadPool<Message, number>(workers, fileURLToPath(workerFile('poolifier-worker.ts')));
  const flight = new InFlight(inFlight);
  return {
    send: message => flight.add(pool.execute(message), 1),
    drained: () => flight.drained(),
    ask: message => pool.execute(message),
    acknowledged: () => Promise.resolve(flight.done),
    // Its `destroy` does not always come back after a first task; the process ends anyway.
    close: async () => undefined,
  };
}
