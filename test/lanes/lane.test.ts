/** The sending end of a lane by itself: frames, windows, and memory given back. */
import { expect, it } from 'vitest';
import { readFrame, readHead } from '../../runtime/lanes/frame.ts';
import { Lane } from '../../runtime/lanes/lane.ts';
import { DONE } from '../../runtime/lanes/port.ts';
import { type HandPort, handPorts } from '../support/hand-port.ts';
import { bodiesOf, keysOf, message } from '../support/messages.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';

function lane(): Lane {
  return new Lane(1, { slot: 0, incarnation: 5 }, virtualEnvironment());
}

function append(to: Lane, n: number, body: unknown = n, homesSeen = 1): void {
  const unbounded = { maxMessageBytes: Number.POSITIVE_INFINITY, mayWait: true };
  to.append(message({ body, position: n, key: n }), null, n, unbounded, homesSeen);
}

function frames(port: HandPort): ReturnType<typeof readFrame>[] {
  return port.inbox.map(bytes => readFrame(bytes));
}

it('keeps what was sent before it opened, and posts it when it does', () => {
  const to = lane();
  append(to, 1);
  to.flush();
  append(to, 2);
  to.flush();
  const [out, into] = handPorts();
  to.open(out);
  expect(into.inbox.map(bytes => [readHead(bytes).incarnation, bodiesOf(readFrame(bytes))])).toEqual([
    [5, [1]],
    [5, [2]],
  ]);
  expect(to).toMatchObject({ frames: 2, messages: 2, replayed: 0, isOpen: true });
});

it('posts nothing for an empty frame', () => {
  const to = lane();
  const [out, into] = handPorts();
  to.open(out);
  to.flush();
  expect(into.inbox).toEqual([]);
});

it('counts what it posts again as replayed, not what it posts late', () => {
  const to = lane();
  const [out, into] = handPorts();
  to.open(out);
  append(to, 1);
  to.flush();
  to.close();
  append(to, 2);
  to.flush();
  into.inbox.length = 0;
  const [again, receiver] = handPorts();
  to.open(again);
  expect(frames(receiver).flatMap(bodiesOf)).toEqual([1, 2]);
  expect(to).toMatchObject({ messages: 3, replayed: 1 });
});

it('takes nothing of a message that cannot be packed', () => {
  const to = lane();
  append(to, 1);
  expect(() => append(to, 2, () => 1)).toThrow('MESSAGE_NOT_CARRIABLE');
  expect(() => to.append(message({ body: 'long' }), null, 2, { maxMessageBytes: 3, mayWait: true }, 1)).toThrow(
    'MESSAGE_TOO_LARGE',
  );
  append(to, 3);
  expect(to.windowOf(0).messages).toBe(2);
  to.flush();
  expect(to.outbox.messages).toBe(2);
  expect(to.outbox.find(2)!.frame.tokens).toEqual([1, 3]);
});

it('gives the memory of frames with little left back, and replays them as what they were', () => {
  const to = lane();
  const [out] = handPorts();
  to.open(out);
  for (let f = 0; f < 100; f++) {
    for (let i = 0; i < 64; i++) append(to, 64 * f + i, Buffer.alloc(1000, f), 1 + f);
    to.flush();
  }
  const before = to.outbox.retainedBytes;
  expect(before).toBeGreaterThan(6_000_000);
  to.compact();
  expect(to.outbox.retainedBytes).toBe(before); // nothing has settled: nothing to gain
  for (let f = 0; f < 100; f++) to.outbox.settle(64 * f + 1, 64 * f + 62, () => DONE);
  to.compact();
  expect(to.outbox.retainedBytes).toBeLessThan(300_000);
  to.close();
  const [again, receiver] = handPorts();
  to.open(again);
  const replayed = frames(receiver);
  expect(replayed.map(frame => frame.homes)).toEqual(Array.from({ length: 100 }, (_, f) => 1 + f));
  expect(replayed.flatMap(keysOf)).toEqual(Array.from({ length: 100 }, (_, f) => [64 * f + 62, 64 * f + 63]).flat());
  expect(bodiesOf(replayed[7]!)).toEqual([Buffer.alloc(1000, 7), Buffer.alloc(1000, 7)]);
});
