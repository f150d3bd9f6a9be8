/** Ways to send messages to a contestant: as fast as it takes them, one at a time, or at a given pace. */
import { arrivals, type Pattern } from '../lib/arrivals.ts';
import { now, sleep } from '../lib/clock.ts';
import { Histogram } from '../lib/histogram.ts';
import type { Message, Messages } from '../lib/message.ts';
import { InFlight } from '../rivals/in-flight.ts';
import type { Paced } from './proof.ts';

export type Send = (message: Message) => Promise<void> | undefined;
export type Ask = (message: Message) => Promise<number>;

/** As many messages as can be sent in `ms`; or just `count`. */
export async function tells(send: Send, messages: Messages, { ms, count }: { ms: number; count?: number }) {
  const end = now() + ms * 1e6;
  const last = messages.next + (count ?? Number.POSITIVE_INFINITY);
  do {
    for (let i = 0; i < 256 && messages.next < last; i++) {
      const room = send(messages.make(0));
      if (room !== undefined) await room;
    }
  } while (count === undefined ? now() < end : messages.next < last);
}

/** Asks for `ms` with so many in flight. */
export async function asks(ask: Ask, messages: Messages, { ms, inFlight }: { ms: number; inFlight: number }) {
  const flight = new InFlight(inFlight);
  const end = now() + ms * 1e6;
  do {
    for (let i = 0; i < 64; i++) {
      const room = flight.add(answered(ask, messages.make(0)), 1);
      if (room !== undefined) await room;
    }
  } while (now() < end);
  await flight.drained();
}

/** Asks, and looks at the reply. */
async function answered(ask: Ask, message: Message): Promise<void> {
  const reply = await ask(message);
  if (reply !== message.n) throw new Error(`the reply to message ${message.n} was ${reply}`);
}

/** One message at a time, all threads asleep before it. Measured from the send: a timer's delay is not the contestant's. */
export async function oneByOne(
  way: { send: Send } | { ask: Ask },
  messages: Messages,
  { count, gapMs }: { count: number; gapMs: number },
): Promise<Paced> {
  const roundTrip = new Histogram();
  for (let i = 0; i < count; i++) {
    await sleep(gapMs);
    const began = now();
    const message = messages.make(began);
    if ('send' in way) await way.send(message);
    else {
      await answered(way.ask, message);
      roundTrip.record(now() - began);
    }
  }
  return { roundTrip: roundTrip.counts(), late: [] };
}

export interface Pace {
  /** Messages a second. */
  rate: number;
  ms: number;
  seed: number;
  pattern?: Pattern;
}

/** So many messages each millisecond or so, sent at once; between them all threads may sleep. */
export async function inBursts(
  send: Send,
  messages: Messages,
  { size, ms }: { size: number; ms: number },
): Promise<Paced> {
  const end = now() + ms * 1e6;
  do {
    await sleep(1);
    const at = now();
    for (let i = 0; i < size; i++) {
      const room = send(messages.make(at));
      if (room !== undefined) await room;
    }
  } while (now() < end);
  return { roundTrip: new Histogram().counts(), late: new Histogram().counts() };
}

/** The generator reads the clock for so long, ns, before it lets the event loop turn again. */
const SPIN_NS = 5000;

/**
 * Messages at random times that are fixed beforehand. When the contestant or the event loop falls behind, those that
 * were due meanwhile still count from the times they were due at, so a stall shows in all whom it would have met. The
 * generator never sleeps, since timers are too coarse for it; it costs all contestants the same. It spins on the clock, not
 * on the event loop: a turn of that, and a promise for each, leaves 800 bytes, a gigabyte a second, and it is the
 * contestant whose heap is collected then. Whatever was sent has a turn to itself at once.
 */
export async function atPace(
  way: { send: Send } | { ask: Ask },
  messages: Messages,
  { rate, ms, seed, pattern = 'steady' }: Pace,
): Promise<Paced> {
  const roundTrip = new Histogram();
  const late = new Histogram();
  const flight = new InFlight(Number.POSITIVE_INFINITY);
  const next = arrivals(pattern, rate, seed);
  const began = now();
  const end = began + ms * 1e6;
  let due = began + next();
  /** Sends what is due; a promise where there was no room for one. */
  const sendDue = (): Promise<void> | undefined => {
    while (due < end && due <= now()) {
      const dueAt = due;
      due = began + next();
      late.record(now() - dueAt);
      const message = messages.make(dueAt);
      if ('send' in way) {
        const room = way.send(message);
        if (room !== undefined) return room;
      } else
        void flight.add(
          answered(way.ask, message).then(() => roundTrip.record(now() - dueAt)),
          1,
        );
    }
    return undefined;
  };
  await new Promise<void>((resolve, reject) => {
    const step = (): void => {
      const until = Math.min(due, now() + SPIN_NS);
      while (now() < until);
      const room = sendDue();
      if (room !== undefined) room.then(step, reject);
      else if (due < end) setImmediate(step);
      else resolve();
    };
    step();
  });
  await flight.drained();
  return { roundTrip: roundTrip.counts(), late: late.counts() };
}
