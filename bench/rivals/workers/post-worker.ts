import { getHeapStatistics } from 'node:v8';
import { parentPort } from 'node:worker_threads';
import { handleByMap, slotOfThread } from '../../lib/handle.ts';
import type { ToWorker } from '../post-message.ts';

const port = parentPort!;

port.on('message', (message: ToWorker) => {
  if ('key' in message) handleByMap(message);
  else if ('ask' in message) port.postMessage({ reply: message.ask, value: handleByMap(message.message) });
  else if ('hold' in message) slotOfThread().blockAtGate(600_000);
  else if ('heap' in message) {
    globalThis.gc?.();
    port.postMessage({ heap: getHeapStatistics().used_heap_size });
  } else port.postMessage(message);
});
