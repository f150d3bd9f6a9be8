/** No threads: the handler is called where the message is made. What the work itself costs. */
import { handleByMap } from '../lib/handle.ts';
import type { Rival } from './rival.ts';

export async function open(): Promise<Rival> {
  return {
    send(message) {
      handleByMap(message);
      return undefined;
    },
    drained: async () => undefined,
    ask: async message => handleByMap(message),
    acknowledged: () => undefined,
    close: async () => undefined,
  };
}
