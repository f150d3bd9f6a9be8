import { parentPort } from 'node:worker_threads';
import { handleByMap } from '../../lib/handle.ts';
import type { ToWorker } from '../post-arrays.ts';

const port = parentPort!;

port.on('message', (entries: ToWorker) => {
  if ('mark' in entries || 'end' in entries) return port.postMessage(entries);
  const replies: { reply: number; value: number }[] = [];
  for (const entry of entries)
    if ('key' in entry) handleByMap(entry);
    else replies.push({ reply: entry.ask, value: handleByMap(entry.message) });
  if (replies.length > 0) port.postMessage(replies);
});
