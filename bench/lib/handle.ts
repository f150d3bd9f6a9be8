/**
 * The handler of all contestants. It keeps a state per key, as keyed work does, and counts into the tally. Contestants
 * without state per key keep it in a Map here, one in each thread.
 */
import { now } from './clock.ts';
import { contribution, type Message } from './message.ts';
import { Slot } from './tally.ts';

export interface KeyState {
  /** Number of the message handled last. */
  last: number;
  count: number;
  cents: number;
}

export function newState(): KeyState {
  return { last: 0, count: 0, cents: 0 };
}

let slot: Slot | undefined;

/** The slot of this thread. */
export function slotOfThread(): Slot {
  return (slot ??= new Slot());
}

/** Handles one message; its number is the reply of an ask. */
export function handle(message: Message, state: KeyState): number {
  const tally = slotOfThread();
  if (tally.isTiming && message.at > 0) tally.latencies.record(now() - message.at);
  if (message.n <= state.last) tally.addDisorder();
  state.last = message.n;
  state.count++;
  state.cents += message.cents;
  if (tally.work > 0) state.cents += busy(tally.work, message.n);
  tally.add(contribution(message.n, message.cents, message.body));
  return message.n;
}

/** Arithmetic that cannot be left out: about a nanosecond a round. Adds 0 or 1 to what a caller keeps. */
export function busy(rounds: number, seed: number): number {
  let x = seed | 1;
  for (let i = 0; i < rounds; i++) x = (Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) + i) | 0;
  return x & 1;
}

const states = new Map<string, KeyState>();

export function stateOf(key: string): KeyState {
  let state = states.get(key);
  if (state === undefined) {
    state = newState();
    states.set(key, state);
  }
  return state;
}

/** For contestants that know no keys. */
export function handleByMap(message: Message): number {
  return handle(message, stateOf(message.key));
}
