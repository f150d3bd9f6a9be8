/** Ways to send messages to a contestant: as fast as it takes them, one at a time, or at a given pace. */
import { arrivals, type Pattern } from '../lib/arrivals.ts';
import { now, sleep, turn } from '../lib/clock.ts';
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

/**
 * Messages at random times that are fixed beforehand. When the contestant or the event loop falls behind, those that
 * were due meanwhile still count from the times they were due at, so a stall shows in all whom it would have met. The
 * generator never sleeps, since timers are too coarse for it; it costs all contestants the same.
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
  while (due < end) {
    while (due <= now() && due < end) {
      const dueAt = due;
      due = began + next();
      late.record(now() - dueAt);
      const message = messages.make(dueAt);
      if ('send' in way) {
        const room = way.send(message);
        if (room !== undefined) await room;
      } else
        void flight.add(
          answered(way.ask, message).then(() => roundTrip.record(now() - dueAt)),
          1,
        );
    }
    await turn();
  }
  await flight.drained();
  return { roundTrip: roundTrip.counts(), late: late.counts() };
}
