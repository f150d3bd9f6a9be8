/** A MessagePort as a Port. */
import type { MessagePort } from 'node:worker_threads';
import type { Port } from './port.ts';

export function messagePort(port: MessagePort): Port {
  return {
    post: (message, transfer) => port.postMessage(message, transfer as never),
    onMessage: listener => {
      port.on('message', listener);
    },
    close: () => port.close(),
  };
}
