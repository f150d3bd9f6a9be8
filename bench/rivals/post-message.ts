/**
 * worker_threads as they are, one postMessage a message. A key's hash picks its worker, so keys have order, and marks
 * bound the queue; there is no acknowledgement of a message and no second try. Asks carry a number and are answered one
 * postMessage each.
 */
import { Worker } from 'node:worker_threads';
import { hashKey } from '../../runtime/lanes/key-hash.ts';
import type { Message } from '../lib/message.ts';
import { Marks } from './marks.ts';
import { type Rival, type Setup, workerFile } from './rival.ts';

export type ToWorker = Message | { ask: number; message: Message } | Control | Memory;
export type FromWorker = { reply: number; value: number } | Control;
/** What comes back as it is: the mark of a queue, and the end of a run. */
export type Control = { mark: true } | { end: true };
/** Of the memory case: stands still until the gate opens, and says how large its heap is after a collection. */
export type Memory = { hold: true } | { heap: number };

export async function open({ workers }: Setup): Promise<Rival> {
  const threads = Array.from({ length: workers }, () => new Worker(workerFile('post-worker.ts')));
  const marks = threads.map(thread => new Marks(() => thread.postMessage({ mark: true })));
  const asks = new Map<number, (value: number) => void>();
  let ended = 0;
  let drained: (() => void) | null = null;
  let next = 1;
  threads.forEach((thread, i) => {
    thread.on('message', (message: FromWorker) => {
      if ('reply' in message) {
        asks.get(message.reply)!(message.value);
        asks.delete(message.reply);
      } else if ('mark' in message) marks[i]!.returned();
      else if (++ended === workers) drained!();
    });
  });
  const home = (message: Message): number => (workers === 1 ? 0 : (hashKey(message.key) >>> 0) % workers);
  return {
    send(message) {
      const worker = home(message);
      threads[worker]!.postMessage(message);
      return marks[worker]!.sent(message.body?.length ?? 0);
    },
    drained: () =>
      new Promise(resolve => {
        ended = 0;
        drained = resolve;
        for (const thread of threads) thread.postMessage({ end: true });
      }),
    ask: message =>
      new Promise(resolve => {
        const ask = next++;
        asks.set(ask, resolve);
        threads[home(message)]!.postMessage({ ask, message });
      }),
    acknowledged: () => undefined,
    close: async () => void (await Promise.all(threads.map(thread => thread.terminate()))),
  };
}
