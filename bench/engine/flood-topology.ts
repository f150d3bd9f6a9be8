/** A source without an end and handlers that are slower than it. */
import { defineActor, defineSource, defineTopology } from '../../runtime/index.ts';
import { handle, type KeyState, newState, slotOfThread } from '../lib/handle.ts';
import { type Message, Messages } from '../lib/message.ts';

/** The bound of the source and of each lane. */
export const BOUND_BYTES = 64 * 2 ** 20;
export const BODY_BYTES = 1024;
export const FLOOD_KEYS = 10_000;

const endless = defineSource<Message>({
  *read(_from, { signal }) {
    const messages = new Messages({ keys: FLOOD_KEYS, bytes: BODY_BYTES });
    const tally = slotOfThread();
    while (!signal.aborted && !tally.isStopped) yield messages.make(0);
  },
});

const slow = defineActor<Message, number, KeyState>({
  key: message => message.key,
  state: newState,
  handle: (message, ctx) => handle(message, ctx.state),
});

export default defineTopology({
  module: import.meta.url,
  name: 'flood',
  window: { bytes: BOUND_BYTES, messages: 1_000_000 },
  sources: { endless: { use: endless, to: 'slow', window: { bytes: BOUND_BYTES, messages: 1_000_000 } } },
  actors: { slow },
});
