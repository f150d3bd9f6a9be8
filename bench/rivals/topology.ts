/** keymill's side of the suite: the same handler as its rivals, with the state that the runtime keeps for it. */
import { getHeapStatistics } from 'node:v8';
import { type Context, defineActor, defineTopology } from '../../runtime/index.ts';
import { handle, type KeyState, newState, slotOfThread } from '../lib/handle.ts';
import { BIG_KEY, type Message, SLOW_KEY } from '../lib/message.ts';

/** As long as the slow key takes where the gate does not open before. */
export const SLOW_MS = 10_000;

const work = defineActor<Message, number, KeyState>({
  key: message => message.key,
  state: newState,
  handle: (message, ctx) => (message.key === SLOW_KEY ? slowly(message, ctx) : handle(message, ctx.state)),
});

async function slowly(message: Message, ctx: Context<KeyState>): Promise<number> {
  await slotOfThread().waitAtGate(SLOW_MS);
  return handle(message, ctx.state);
}

/** Takes batches; each costs the milliseconds of `delay`, as a call to a database does. */
const batches = (delay: number) =>
  defineActor<Message, number, KeyState>({
    key: message => message.key,
    state: newState,
    handleBatch(batch, ctx) {
      slotOfThread().addBatch();
      const all = (): void => {
        for (const message of batch) handle(message, ctx.state);
      };
      if (delay === 0) all();
      else return new Promise<void>(resolve => setTimeout(resolve, delay)).then(all);
    },
  });

/** Milliseconds that a batch costs in the comparison of strategies. */
export const BATCH_MS = 10;

const batch = batches(0);
const io = batches(BATCH_MS);
const strategy = (name: 'eightyPercent' | 'fixed' | 'doubling', max: number) => ({
  use: io,
  batch: { strategy: name, max, flushMs: 5 },
});

/** Keeps every message until the gate opens. */
const held = defineActor<Message, number, KeyState>({
  key: message => message.key,
  state: newState,
  async handle(message, ctx) {
    await slotOfThread().waitAtGate(600_000);
    return handle(message, ctx.state);
  },
});

export interface Heap {
  host: number;
  bytes: number;
}

/** Says which host it is on and how large the heap there is, after a collection where that is asked for. */
const probe = defineActor<{ n: number; collect: boolean }, Heap>({
  key: ({ n }) => n,
  handle({ collect }, ctx) {
    if (collect) globalThis.gc?.();
    return { host: ctx.host, bytes: getHeapStatistics().used_heap_size };
  },
});

/** Stands still with its whole thread until the gate opens. */
const block = defineActor<{ n: number }>({
  key: ({ n }) => n,
  handle: () => slotOfThread().blockAtGate(60_000),
});

/** How many messages of the big key this host had handled when it came to the last one of another key. */
export interface Turns {
  bigAtLastSmall: number;
}

let big = 0;
let bigAtLastSmall = 0;

function count(message: Message, state: KeyState): number {
  if (message.key === BIG_KEY) big++;
  else bigAtLastSmall = big;
  return handle(message, state);
}

/** For queues of different lengths; told by `handle` and by `handleBatch`. */
const fair = defineActor<Message, number, KeyState>({
  key: message => message.key,
  state: newState,
  handle: (message, ctx) => count(message, ctx.state),
});
const fairBatch = defineActor<Message, number, KeyState>({
  key: message => message.key,
  state: newState,
  handleBatch(batch, ctx) {
    for (const message of batch) count(message, ctx.state);
  },
});

/** Says what was counted, and begins anew. */
const turns = defineActor<{ n: number }, Turns>({
  key: ({ n }) => n,
  handle() {
    const counted = { bigAtLastSmall };
    big = bigAtLastSmall = 0;
    return counted;
  },
});

export default defineTopology({
  module: import.meta.url,
  name: 'bench',
  actors: {
    work,
    batch1: { use: batch, batch: { max: 1, flushMs: 1 } },
    batch10: { use: batch, batch: { max: 10, flushMs: 1 } },
    batch100: { use: batch, batch: { max: 100, flushMs: 1 } },
    batch1000: { use: batch, batch: { max: 1000, flushMs: 1 } },
    eightyPercent: strategy('eightyPercent', 4096),
    fixed100: strategy('fixed', 100),
    fixed1000: strategy('fixed', 1000),
    doubling: strategy('doubling', 4096),
    held,
    probe,
    block,
    fair,
    fairBatch: { use: fairBatch, batch: { flushMs: 0 } },
    fairFlush: fairBatch,
    turns,
  },
});
