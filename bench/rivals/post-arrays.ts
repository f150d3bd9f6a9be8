/**
 * worker_threads with many messages in one postMessage: an array leaves at 256 messages, at 64 KiB or at the end of the
 * turn of the event loop, as keymill's frames do. Otherwise as post-message.ts.
 */
import { Worker } from 'node:worker_threads';
import { hashKey } from '../../runtime/lanes/key-hash.ts';
import type { Message } from '../lib/message.ts';
import { Marks } from './marks.ts';
import type { Control } from './post-message.ts';
import { type Rival, type Setup, workerFile } from './rival.ts';

const MOST = 256;
const MOST_BYTES = 64 * 1024;

export type Entry = Message | { ask: number; message: Message };
export type ToWorker = readonly Entry[] | Control;
export type FromWorker = readonly { reply: number; value: number }[] | Control;

export async function open({ workers }: Setup): Promise<Rival> {
  const threads = Array.from({ length: workers }, () => new Worker(workerFile('arrays-worker.ts')));
  const arrays = threads.map((): Entry[] => []);
  const bytes = threads.map(() => 0);
  const flush = (worker: number): void => {
    if (arrays[worker]!.length === 0) return;
    threads[worker]!.postMessage(arrays[worker]);
    arrays[worker] = [];
    bytes[worker] = 0;
  };
  const marks = threads.map(
    (thread, i) =>
      new Marks(() => {
        flush(i);
        thread.postMessage({ mark: true });
      }),
  );
  const asks = new Map<number, (value: number) => void>();
  let scheduled = false;
  let ended = 0;
  let drained: (() => void) | null = null;
  let next = 1;
  threads.forEach((thread, i) => {
    thread.on('message', (message: FromWorker) => {
      if ('mark' in message) marks[i]!.returned();
      else if ('end' in message) {
        if (++ended === workers) drained!();
      } else
        for (const { reply, value } of message) {
          asks.get(reply)!(value);
          asks.delete(reply);
        }
    });
  });
  const put = (worker: number, entry: Entry, size: number): void => {
    bytes[worker]! += size;
    if (arrays[worker]!.push(entry) === MOST || bytes[worker]! >= MOST_BYTES) flush(worker);
    else if (!scheduled) {
      scheduled = true;
      setImmediate(() => {
        scheduled = false;
        for (let i = 0; i < workers; i++) flush(i);
      });
    }
  };
  const home = (message: Message): number => (workers === 1 ? 0 : (hashKey(message.key) >>> 0) % workers);
  return {
    send(message) {
      const worker = home(message);
      const size = message.body?.length ?? 0;
      put(worker, message, size);
      return marks[worker]!.sent(size);
    },
    drained: () =>
      new Promise(resolve => {
        ended = 0;
        drained = resolve;
        threads.forEach((thread, i) => {
          flush(i);
          thread.postMessage({ end: true });
        });
      }),
    ask: message =>
      new Promise(resolve => {
        const ask = next++;
        asks.set(ask, resolve);
        put(home(message), { ask, message }, message.body?.length ?? 0);
      }),
    acknowledged: () => undefined,
    close: async () => void (await Promise.all(threads.map(thread => thread.terminate()))),
  };
}
