/** Coordinated omission: what a stall does to messages that were due meanwhile must show in their latencies. */
import { expect, it } from 'vitest';
import { atPace } from '../../bench/engine/drive.ts';
import { now, sleep } from '../../bench/lib/clock.ts';
import { Histogram } from '../../bench/lib/histogram.ts';
import { type Message, Messages } from '../../bench/lib/message.ts';

const RATE = 10_000;
const STALL_MS = 100;

/** Handles at once, but for one stall. */
function stalling(): { latencies: Histogram; handle(message: Message): Promise<void> | undefined } {
  const latencies = new Histogram();
  return {
    latencies,
    handle(message) {
      latencies.record(now() - message.at);
      return message.n === 500 ? sleep(STALL_MS) : undefined;
    },
  };
}

it('messages that were due while the sender was kept waiting count from when they were due', async () => {
  const contestant = stalling();
  const messages = new Messages({ keys: 10, bytes: 0 });
  const { late } = await atPace({ send: contestant.handle }, messages, { rate: RATE, ms: 300, seed: 1 });
  // A tenth of a second of them, evenly late by up to the whole stall. A closed loop would have seen one.
  const stalled = (RATE * STALL_MS) / 1000;
  const slow = contestant.latencies.counts().filter(([bucket]) => bucket > bucketOf(STALL_MS * 0.1e6));
  const count = slow.reduce((sum, [, one]) => sum + one, 0);
  expect(count).toBeGreaterThan(0.7 * stalled);
  expect(contestant.latencies.quantile(0.9)).toBeGreaterThan(0.3 * STALL_MS * 1e6);
  expect(Histogram.of(late).count).toBe(contestant.latencies.count);
});

it('asks are all sent, however long the first ones take', async () => {
  const messages = new Messages({ keys: 10, bytes: 0 });
  let open = 0;
  let most = 0;
  const { roundTrip } = await atPace(
    {
      async ask(message) {
        most = Math.max(most, ++open);
        await sleep(50);
        open--;
        return message.n;
      },
    },
    messages,
    { rate: 5000, ms: 200, seed: 2 },
  );
  expect(Histogram.of(roundTrip).count).toBe(messages.next - 1);
  expect(most).toBeGreaterThan(100); // 250 on average
});

function bucketOf(ns: number): number {
  const one = new Histogram();
  one.record(ns);
  return one.counts()[0]![0];
}
