/** The receiving ends of all lanes of a host, and the frames that wait to be unpacked. */
import { describe, expect, it } from 'vitest';
import type { Intake } from '../../runtime/host/intake.ts';
import { Intakes } from '../../runtime/host/intakes.ts';
import { NO_EXTRAS } from '../../runtime/lanes/envelope.ts';
import { FrameWriter } from '../../runtime/lanes/frame.ts';
import { DONE, type Returns } from '../../runtime/lanes/port.ts';
import { readReturns } from '../../runtime/lanes/returns.ts';
import type { Carried } from '../../runtime/lanes/text.ts';
import type { Item } from '../../runtime/mailbox/item.ts';
import { type HandPort, handPorts } from '../support/hand-port.ts';
import { message } from '../support/messages.ts';

interface Receiving {
  intakes: Intakes;
  items: Item[];
  /** Bodies of the messages that are unpacked, in the order of unpacking. */
  bodies: unknown[];
  /** How many messages were unpacked when the host was told of each frame. */
  told: number[];
  dirty: number;
  now: number;
  /** Opens a lane, and returns its two ends. */
  open(slot: number, incarnation?: number): Lane;
}

class Lane {
  readonly out: HandPort;
  readonly into: HandPort;
  readonly #sending: { slot: number; incarnation: number };
  #seq = 1;

  constructor(slot: number, incarnation: number) {
    [this.out, this.into] = handPorts();
    this.#sending = { slot, incarnation };
  }

  /** Sends a frame with these bodies; it arrives at once. */
  send(bodies: readonly unknown[], mayWait = true, sending = this.#sending): void {
    const writer = new FrameWriter();
    for (const body of bodies) writer.add(message({ body }), this.#seq++, Number.POSITIVE_INFINITY, mayWait);
    this.post(writer.finish(sending, 4));
  }

  post(frame: Carried): void {
    this.out.post(frame);
    this.into.deliver();
  }

  returned(): Returns[] {
    return this.out.inbox.splice(0).map(readReturns);
  }
}

function receiving(accept: (body: unknown) => void = () => {}): Receiving {
  const seen: Receiving = {
    items: [],
    bodies: [],
    told: [],
    dirty: 0,
    now: 0,
    open(slot: number, incarnation = 9) {
      const lane = new Lane(slot, incarnation);
      seen.intakes.open(slot, incarnation, lane.into);
      return lane;
    },
  } as unknown as Receiving;
  seen.intakes = new Intakes({
    now: () => seen.now,
    arrived: () => void seen.told.push(seen.bodies.length),
    cells: [],
    accept(item) {
      seen.items.push(item);
      seen.bodies.push(item.body);
      accept(item.body);
      return undefined;
    },
    dirty: () => seen.dirty++,
  });
  return seen;
}

describe('frames that may wait', () => {
  it('wait as they came, one that is pulled at a time', () => {
    const to = receiving();
    const lane = to.open(2);
    lane.send([1, 2]);
    lane.send([3]);
    expect([to.bodies, to.intakes.frames, to.told]).toEqual([[], 2, [0, 0]]);
    const { bytes } = to.intakes;
    expect(to.intakes.messages).toBe(3);
    expect(bytes).toBeGreaterThan(60);
    expect(to.intakes.pull()).toBe(true);
    expect([to.bodies, to.intakes.frames, to.intakes.messages]).toEqual([[1, 2], 1, 1]);
    expect(to.intakes.bytes).toBeLessThan(bytes);
    expect(to.intakes.pull()).toBe(true);
    expect([to.bodies, to.intakes.frames]).toEqual([[1, 2, 3], 0]);
    expect([to.intakes.messages, to.intakes.bytes]).toEqual([0, 0]);
    expect(to.intakes.pull()).toBe(false);
    expect(to.bodies).toEqual([1, 2, 3]);
  });

  it('are unpacked in the order of arrival, whoever sent them', () => {
    const to = receiving();
    const [a, b] = [to.open(2), to.open(3)];
    for (const [lane, body] of [
      [a, 'a1'],
      [b, 'b1'],
      [b, 'b2'],
      [a, 'a2'],
      [b, 'b3'],
    ] as const)
      lane.send([body]);
    const order: unknown[] = [];
    while (to.intakes.pull()) order.push(to.bodies.at(-1));
    expect(order).toEqual(['a1', 'b1', 'b2', 'a2', 'b3']);
    expect(to.items.map(item => (item.origin as Intake).slot)).toEqual([2, 3, 3, 2, 3]);
  });

  it('keep the time at which they arrived', () => {
    const to = receiving();
    const lane = to.open(2);
    for (const at of [5, 7]) {
      to.now = at;
      lane.send([at]);
    }
    to.now = 100;
    to.intakes.pullAll();
    expect(to.items.map(item => item.arrivedAt)).toEqual([5, 7]);
  });

  it('may be many, and more may come while they are pulled: none is lost, and none comes twice', () => {
    const to = receiving();
    const lanes = [to.open(2), to.open(3), to.open(4)];
    const sent: number[] = [];
    const send = (): void => {
      lanes[(sent.length * 7) % 3]!.send([sent.length]);
      sent.push(sent.length);
    };
    for (let i = 0; i < 2500; i++) send();
    for (let i = 0; i < 3000; i++) {
      if (i % 2 === 0) send();
      expect(to.intakes.pull()).toBe(true);
    }
    expect(to.intakes.frames).toBe(sent.length - 3000);
    to.intakes.pullAll();
    expect(to.bodies).toEqual(sent);
    expect([to.intakes.frames, to.intakes.pull()]).toEqual([0, false]);
    lanes[0]!.send(['after']);
    expect([to.intakes.pull(), to.bodies.at(-1)]).toEqual([true, 'after']);
  });

  it('may come while one is unpacked: they come behind it', () => {
    const to = receiving(body => {
      if (body === 'first') lane.send(['third']);
    });
    const lane = to.open(2);
    lane.send(['first', 'second']);
    expect(to.intakes.pull()).toBe(true);
    expect([to.bodies, to.intakes.frames]).toEqual([['first', 'second'], 1]);
    to.intakes.pullAll();
    expect(to.bodies).toEqual(['first', 'second', 'third']);
  });
});

describe('a frame that may not wait', () => {
  it('is unpacked as it arrives, behind all that came before it, before the host is told', () => {
    const to = receiving();
    const [a, b] = [to.open(2), to.open(3)];
    a.send([1]);
    b.send([2]);
    a.send([3, 4]);
    b.send([5], false);
    expect([to.bodies, to.intakes.frames, to.told]).toEqual([[1, 2, 3, 4, 5], 0, [0, 0, 0, 5]]);
    a.send([6]);
    expect([to.bodies.length, to.intakes.frames]).toEqual([5, 1]);
  });

  it.each([
    ['one message of many may not', [true, false, true], {}],
    ['one message is urgent', [true, true], { extras: { ...NO_EXTRAS, priority: 0 } }],
  ])('is one of which %s', (_name, waits, more) => {
    const to = receiving();
    const lane = to.open(2);
    const writer = new FrameWriter();
    waits.forEach((mayWait, i) => writer.add(message({ body: i, ...more }), i + 1, Number.POSITIVE_INFINITY, mayWait));
    lane.post(writer.finish({ slot: 2, incarnation: 9 }, 4));
    expect([to.bodies, to.intakes.frames]).toEqual([waits.map((_, i) => i), 0]);
  });
});

describe('frames of another than the lane was opened for', () => {
  it.each([
    ['slot', { slot: 3, incarnation: 9 }],
    ['incarnation', { slot: 2, incarnation: 8 }],
  ])('are not unpacked, and hold up none: another %s', (_name, sending) => {
    const to = receiving();
    const lane = to.open(2);
    lane.send([1]);
    lane.send([2], true, sending);
    lane.send([3], false, sending);
    lane.send([4]);
    to.intakes.pullAll();
    expect([to.bodies, to.intakes.frames]).toEqual([[1, 4], 0]);
  });
});

describe('a lane that closes', () => {
  it('hands over what came, of all lanes, and its sender is dead then', () => {
    const to = receiving();
    const [a, b] = [to.open(2), to.open(3)];
    b.send(['b1']);
    a.send(['a1']);
    b.send(['b2']);
    const intake = to.intakes.close(2)!;
    expect(to.bodies).toEqual(['b1', 'a1', 'b2']);
    expect([intake.slot, intake.alive, a.into.closed]).toEqual([2, false, true]);
    expect(to.items.map(item => [item.origin === intake, item.origin.alive])).toEqual([
      [false, true],
      [true, false],
      [false, true],
    ]);
    a.send(['late']);
    b.send(['b3']);
    to.intakes.pullAll();
    expect(to.bodies.slice(3)).toEqual(['b3']);
  });

  it('is alive while what came is unpacked', () => {
    const seen: boolean[] = [];
    const to = receiving(() => seen.push(to.items.at(-1)!.origin.alive));
    to.open(2).send([1, 2]);
    to.intakes.close(2);
    expect(seen).toEqual([true, true]);
  });

  it('is none that nobody opened, and closes once', () => {
    const to = receiving();
    to.open(2);
    expect(to.intakes.close(3)).toBeUndefined();
    expect(to.intakes.close(2)).toBeDefined();
    expect(to.intakes.close(2)).toBeUndefined();
  });

  it('is also one that opens again: for the next incarnation of its sender', () => {
    const to = receiving();
    const old = to.open(2, 9);
    old.send(['old']);
    const next = to.open(2, 10);
    expect([to.bodies, to.items[0]!.origin.alive, old.into.closed]).toEqual([['old'], false, true]);
    old.send(['late']);
    next.send(['new']);
    to.intakes.pullAll();
    expect(to.bodies).toEqual(['old', 'new']);
    expect(to.items[1]!.origin).toMatchObject({ alive: true, incarnation: 10 });
  });
});

describe('what flows back', () => {
  it('goes to those that have something to hear, at a flush, once', () => {
    const to = receiving();
    const [a, b, c] = [to.open(2), to.open(3), to.open(4)];
    for (const lane of [a, b, c]) lane.send(['x', 'y'], false);
    for (const { origin, seq } of to.items) if (origin !== to.items[4]!.origin) origin.settle(seq, DONE);
    expect([to.dirty, a.out.inbox, b.out.inbox]).toEqual([2, [], []]);
    to.intakes.flush();
    const all = (): Returns[][] => [a, b, c].map(lane => lane.returned());
    expect(all()).toEqual([[{ runs: [1, 2, DONE] }], [{ runs: [1, 2, DONE] }], []]);
    to.intakes.flush();
    expect(all()).toEqual([[], [], []]);
  });

  it('tells each sender how far it was heard when a partition was let go of', () => {
    const to = receiving();
    const [a, b] = [to.open(2), to.open(3)];
    a.send([1, 2, 3]);
    b.send([4]);
    to.intakes.pull(); // what waits is not handled: the host pulls all before it lets go
    to.intakes.released(6);
    to.intakes.flush();
    expect([a.returned(), b.returned()]).toEqual([
      [{ released: [{ partition: 6, upTo: 3 }] }],
      [{ released: [{ partition: 6, upTo: -1 }] }],
    ]);
  });
});
