/** The sending half against threads that do everything threads may do. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FRAME_MESSAGES, readFrame } from '../../runtime/lanes/frame.ts';
import { Homes } from '../../runtime/lanes/homes.ts';
import { DEAD, DONE, type Owner, type Returns } from '../../runtime/lanes/port.ts';
import { readReturns } from '../../runtime/lanes/returns.ts';
import { Sender } from '../../runtime/lanes/sender.ts';
import { type HandPort, handPorts } from '../support/hand-port.ts';
import { bodiesOf, message } from '../support/messages.ts';
import { packReturns } from '../support/returns.ts';
import { FIXED, HOSTS, nameOf, PARTITIONS, SendingWorld } from '../support/sending-world.ts';
import { type VirtualEnvironment, virtualEnvironment } from '../support/virtual-clock.ts';

const OPS = [
  'tell',
  'tell',
  'tell',
  'tell',
  'tell',
  'tellAgain',
  'cancel',
  'turn',
  'turn',
  'openLane',
  'openLane',
  'forward',
  'forward',
  'backward',
  'backward',
  'handle',
  'handle',
  'handle',
  'settle',
  'settle',
  'settle',
  'hold',
  'free',
  'die',
  'mourn',
  'revive',
  'startMove',
  'endMove',
  'pause',
  'resume',
  'elapse',
] as const;
type Op = (typeof OPS)[number];
const KEYS = ['x', 'y', 1, 2n, 'z', 'w'];

type Step = { op: Op; a: number; b: number };
const stepsOf = (ops: readonly Op[]): fc.Arbitrary<Step[]> =>
  fc.array(fc.record({ op: fc.constantFrom(...ops), a: fc.nat({ max: 63 }), b: fc.nat({ max: 63 }) }), {
    minLength: 10,
    maxLength: 150,
    size: 'max',
  });

function take(world: SendingWorld, { op, a, b }: Step): void {
  const slots = [...HOSTS, FIXED];
  const thread = world.threads.get(slots[a % slots.length]!)!;
  const actor = a % 3;
  const key = KEYS[b % KEYS.length]!;
  switch (op) {
    case 'tell':
      world.tell(actor, key, 'x'.repeat(b));
      break;
    case 'tellAgain':
      // Who is told that its message was accepted sends the next one from there.
      world.tell(actor, key, null, () => world.tell(actor, key));
      break;
    case 'cancel':
      if (world.told.length > 0) world.cancel(world.told[(a * 64 + b) % world.told.length]!);
      break;
    case 'turn':
      world.turn();
      break;
    case 'openLane':
      for (const slot of [...world.wanted].slice(0, 1 + (a % 2))) world.openLane(slot);
      break;
    case 'forward':
      thread.port?.deliver(1 + (b % 3));
      break;
    case 'backward':
      thread.senderPort?.deliver(1 + (b % 3));
      break;
    case 'handle':
      for (let i = 0; i <= b % 3; i++) world.handle(thread, b);
      break;
    case 'settle':
      for (let i = 0; i <= b % 3; i++) world.settleOne(thread, b);
      break;
    case 'hold':
      world.hold(thread, thread.slot === FIXED ? 2 : actor % 2, key);
      break;
    case 'free':
      world.free(thread, b);
      break;
    case 'die':
      world.die(thread);
      break;
    case 'mourn':
      world.mourn(thread);
      break;
    case 'revive':
      world.revive(thread);
      break;
    case 'startMove':
      world.startMove(a % PARTITIONS, HOSTS[b % HOSTS.length]!);
      break;
    case 'endMove':
      world.endMove(b);
      break;
    case 'elapse':
      world.elapse();
      break;
    case 'pause':
    case 'resume':
      world.sender.peerPaused(thread.slot, op === 'pause');
      break;
  }
}

/** After everything came to rest: lost 0, out of order 0, left over 0. */
function judge(world: SendingWorld): void {
  const expected = new Map<string, number>();
  for (const one of world.told) {
    if (one.cancelled) {
      expect(one, `${one.n} was cancelled`).toMatchObject({ accepted: false, handled: 0, settled: [] });
      continue;
    }
    expect(one, `message ${one.n}`).toMatchObject({ accepted: true, settled: [DONE] });
    const name = nameOf(one.actor, one.key);
    expected.set(name, (expected.get(name) ?? 0) + 1);
  }
  for (const [name, firsts] of world.firsts) {
    expect(firsts.length).toBe(expected.get(name));
    // Whoever's call was over when another's began was there first.
    firsts.forEach((n, i) => {
      for (const later of firsts.slice(i + 1))
        expect(world.told[later]!.ended, `${later} of ${name} was sent before ${n}: ${firsts}`).toBeGreaterThan(
          world.told[n]!.began,
        );
    });
  }
  expect(world.firsts.size).toBe(expected.size);
  expect(world.sender.unsettled).toBe(0);
  expect(world.sender.unsettledBytes).toBe(0);
}

describe('whatever the threads do', () => {
  it('every message not cancelled arrives, first deliveries of a key in order, and nothing is left over', () => {
    const reached = new Set<string>();
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), stepsOf(OPS), (window, steps) => {
        const world = new SendingWorld(window);
        for (const step of steps) take(world, step);
        world.finish();
        judge(world);
        for (const transition of world.reached) reached.add(transition);
      }),
      { numRuns: 1500 },
    );
    expect([...reached].sort()).toEqual([
      'frame.repacked',
      'frame.replayed',
      'frame.sent',
      'lane.closed',
      'lane.credit-exhausted',
      'lane.key-freed',
      'lane.key-held',
      'lane.opened',
      'message.bounced',
      'message.rerouted',
      'move.held',
    ]);
  });

  it('no window holds more messages than it should, nor more bytes than by one message', () => {
    const WINDOW_BYTES = 300;
    const ops = OPS.filter(op => op !== 'startMove' && op !== 'endMove');
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), stepsOf(ops), (window, steps) => {
        const world = new SendingWorld(window, WINDOW_BYTES);
        const largest = 100;
        for (const step of steps) {
          take(world, step);
          const windows = new Map<string, { messages: number; bytes: number }>();
          for (const one of world.told) {
            if (!one.accepted || one.settled.length > 0) continue;
            const slot =
              one.actor === 2
                ? FIXED
                : world.homes.homeOf(world.envelope(0, one.actor, one.key, null).hash & world.homes.mask);
            const sums = windows.get(`${slot}/${one.actor}`) ?? { messages: 0, bytes: 0 };
            windows.set(`${slot}/${one.actor}`, { messages: sums.messages + 1, bytes: sums.bytes + one.size });
          }
          for (const { messages, bytes } of windows.values()) {
            expect(messages).toBeLessThanOrEqual(window);
            expect(bytes).toBeLessThan(WINDOW_BYTES + largest);
          }
        }
        world.finish();
        judge(world);
      }),
      { numRuns: 300 },
    );
  });
});

// Of the keys below `x` is in partition 3 and `y` in 6; host 1 is home to both at first.

/** Bodies' numbers that lie in the inbox of a thread, not yet arrived. */
function posted(world: SendingWorld, slot: number): number[] {
  return world.threads
    .get(slot)!
    .port!.inbox.flatMap(frame => bodiesOf(readFrame(frame)).map(body => (body as { n: number }).n));
}

function opened(window = 100, windowBytes?: number, maxMessageBytes?: number): SendingWorld {
  const world = new SendingWorld(window, windowBytes, maxMessageBytes);
  for (const slot of [...HOSTS, FIXED]) {
    world.wanted.add(slot);
    world.openLane(slot);
  }
  return world;
}

describe('a message that must wait', () => {
  it('for its key goes before later ones of the key that wait for room', () => {
    const world = opened(1);
    const thread = world.threads.get(1)!;
    world.tell(0, 'y');
    const first = world.tell(0, 'x');
    world.tell(0, 'y');
    const second = world.tell(0, 'x');
    world.hold(thread, 0, 'x');
    world.turn();
    thread.port!.deliver();
    world.handle(thread, 0);
    world.settleOne(thread, 0);
    world.turn();
    thread.senderPort!.deliver(); // settles y: the first x is found held, the second y takes the room
    expect([first.accepted, second.accepted]).toEqual([false, false]);
    world.free(thread, 0);
    world.finish();
    judge(world);
    expect(world.firsts.get('0/string:x')).toEqual([1, 3]);
  });

  it('for its key when the thread dies goes before what is sent while the thread is away', () => {
    const world = opened();
    const thread = world.threads.get(1)!;
    world.hold(thread, 0, 'x');
    world.turn();
    thread.senderPort!.deliver();
    expect(world.tell(0, 'x').accepted).toBe(false);
    world.die(thread);
    world.mourn(thread);
    world.tell(0, 'x');
    world.finish();
    judge(world);
  });

  it('for its partition, which it is the first message of, goes to the new home', () => {
    const world = opened();
    world.startMove(3, 2);
    const told = world.tell(0, 'x');
    expect(told.accepted).toBe(false);
    world.endMove(0);
    expect(told.accepted).toBe(true);
    world.turn();
    expect(posted(world, 2)).toEqual([0]);
  });

  it('is a copy: what the caller does to its object later does not matter', () => {
    const world = opened(1);
    world.tell(0, 'x');
    const body = { list: [1] };
    world.tell(0, 'x', body);
    body.list.push(2);
    const thread = world.threads.get(1)!;
    world.turn();
    thread.port!.deliver();
    world.handle(thread, 0);
    world.settleOne(thread, 0);
    world.turn();
    thread.senderPort!.deliver();
    world.turn();
    thread.port!.deliver();
    expect(thread.queues.get('0/string:x')![0]!.body).toEqual({ n: 1, body: { list: [1] } });
  });

  it('and is cancelled never leaves, wherever it waits, and gives up no place of others', () => {
    const world = opened(1);
    const thread = world.threads.get(1)!;
    world.tell(0, 'y');
    world.cancel(world.tell(0, 'y')); // for room
    world.hold(thread, 1, 'x');
    world.startMove(3, 2);
    world.cancel(world.tell(0, 'x')); // for its partition
    world.turn();
    thread.senderPort!.deliver();
    world.cancel(world.tell(1, 'y')); // not waiting: accepted at once
    world.tell(0, 'y');
    world.finish();
    judge(world);
    expect(world.told.map(one => one.cancelled)).toEqual([false, true, true, false, false]);
  });

  it.each([
    ['cannot be carried', () => 1, 'MESSAGE_NOT_CARRIABLE: message.body is a function'],
    ['is too large', 'x'.repeat(500), 'MESSAGE_TOO_LARGE'],
  ])('and %s fails at the call all the same', (_name, body, text) => {
    const world = opened(1, undefined, 400);
    expect(() => world.tell(0, 'x', body)).toThrow(text);
    world.told.pop();
    world.tell(0, 'x');
    expect(() => world.tell(0, 'x', body)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(text), place: { actor: 'a', at: 'test/0/1' } }),
    );
    world.told.pop();
    world.finish();
    judge(world);
  });

  it('of one actor is not held up by the window of another, nor by that of another thread', () => {
    const world = opened(1);
    expect(world.tell(0, 'x').accepted).toBe(true);
    expect(world.tell(0, 'x').accepted).toBe(false);
    expect(world.tell(1, 'x').accepted).toBe(true);
    expect(world.tell(0, 'w').accepted).toBe(world.homes.homeOf(world.envelope(0, 0, 'w', 0).hash & 7) !== 1);
    expect(world.tell(2, 'x').accepted).toBe(true);
  });

  it('is refused by trySend, and leaves no trace', () => {
    const world = opened(1);
    const trySend = (actor: number, key: string) => world.sender.trySend(world.envelope(9, actor, key, null), null, 9);
    expect(trySend(0, 'x')).toBe(true);
    expect(trySend(0, 'x')).toBe(false);
    world.startMove(6, 2);
    expect(trySend(1, 'y')).toBe(false);
    world.hold(world.threads.get(1)!, 1, 'x');
    world.turn();
    world.threads.get(1)!.senderPort!.deliver();
    expect(trySend(1, 'x')).toBe(false);
    expect(world.sender.unsettled).toBe(1);
  });

  it('because its thread takes no input goes when the thread does again', () => {
    const world = opened();
    world.sender.peerPaused(1, true);
    const told = world.tell(0, 'x');
    expect(told.accepted).toBe(false);
    world.sender.peerPaused(1, false);
    expect(told.accepted).toBe(true);
  });
});

describe('a partition that moves', () => {
  it('takes along what its old home bounced, though nothing else is sent to it', () => {
    const world = opened();
    const [old, next] = [world.threads.get(1)!, world.threads.get(2)!];
    world.tell(0, 'x');
    world.turn();
    old.port!.deliver();
    world.startMove(3, 2);
    world.endMove(0);
    old.senderPort!.deliver();
    world.turn();
    next.port!.deliver();
    expect(next.queues.get('0/string:x')).toHaveLength(1);
    expect(world.reached).toContain('message.rerouted');
  });

  it('within one turn splits the open frame, for a frame vouches for one version of the table', () => {
    const world = opened();
    world.tell(0, 'y'); // to host 1, by the old table
    world.startMove(4, 1);
    world.endMove(0);
    world.tell(0, keyOf(world, 4)); // to host 1 by the new one
    world.turn();
    const frames = world.threads.get(1)!.port!.inbox.map(frame => readFrame(frame).homes);
    expect(frames).toEqual([1, world.homes.version]);
  });

  it('away and back unnoticed bounces what was under way before it takes anything new', () => {
    const world = opened();
    const thread = world.threads.get(1)!;
    world.tell(0, 'x');
    world.turn();
    world.startMove(3, 2);
    world.endMove(0);
    world.startMove(3, 1);
    world.endMove(0);
    world.tell(0, 'x');
    world.turn();
    thread.port!.deliver();
    expect(thread.queues.size).toBe(0);
    world.finish();
    judge(world);
  });

  it('waits for the children of what its old home handled, but not for ever: they may wait for this very move', () => {
    const world = opened();
    const thread = world.threads.get(1)!;
    world.tell(0, 'x');
    world.turn();
    thread.port!.deliver();
    world.handle(thread, 0); // its children are out
    world.startMove(3, 2);
    world.endMove(0);
    thread.senderPort!.deliver();
    const next = world.tell(0, 'x');
    expect(next.accepted).toBe(false);
    world.elapse();
    expect(next.accepted).toBe(true);
    world.settleOne(thread, 0);
    world.finish();
    judge(world);
  });

  it('excuses nothing of a home that died meanwhile: it is all handled again, in order', () => {
    const world = opened();
    const thread = world.threads.get(1)!;
    world.tell(0, 'x');
    world.turn();
    thread.port!.deliver();
    world.handle(thread, 0);
    world.startMove(3, 2);
    world.endMove(0);
    thread.senderPort!.deliver();
    world.die(thread);
    world.revive(thread);
    world.openLane(1);
    world.elapse();
    world.tell(0, 'x');
    world.finish();
    judge(world);
    expect(world.told.map(told => told.handled)).toEqual([2, 1]);
  });

  it('takes along how often its messages were tried', () => {
    const world = opened();
    const [old, next] = [world.threads.get(1)!, world.threads.get(2)!];
    world.tell(0, 'x');
    world.turn();
    old.port!.deliver();
    old.intake!.tried(1, 3, 2);
    world.startMove(3, 2);
    world.endMove(0);
    old.senderPort!.deliver();
    world.turn();
    next.port!.deliver();
    expect(next.queues.get('0/string:x')).toMatchObject([{ calls: 3, attempts: 2 }]);
  });

  it('away and back holds nothing up when nothing of it is unsettled', () => {
    const world = opened();
    world.tell(0, 'x');
    world.turn();
    const thread = world.threads.get(1)!;
    thread.port!.deliver();
    world.handle(thread, 0);
    world.settleOne(thread, 0);
    world.turn();
    thread.senderPort!.deliver();
    for (const to of [2, 1]) {
      world.startMove(3, to);
      world.endMove(0);
    }
    expect(world.tell(0, 'x').accepted).toBe(true);
  });
});

describe('children of an orphan, whose own sender sends it again', () => {
  it('are withdrawn when their lane opens again, those that still wait for room too, and free it', () => {
    const world = opened();
    const thread = world.threads.get(1)!;
    const outcomes: number[] = [];
    let accepted = 0;
    let isOrphan = false;
    const owner: Owner = {
      settled: token => void outcomes.push(token),
      isOrphan: () => isOrphan,
    };
    const send = (n: number): void =>
      void world.sender.send(world.envelope(n, 0, 'x', null), owner, n, () => accepted++);
    send(0);
    world.turn();
    world.hold(thread, 0, 'x');
    world.turn();
    thread.senderPort!.deliver();
    send(1);
    expect(accepted).toBe(0);
    isOrphan = true;
    world.die(thread);
    world.revive(thread);
    world.openLane(1);
    expect([outcomes, accepted]).toEqual([[0, 1], 1]);
    world.finish();
    expect([thread.queues.size, world.sender.unsettled]).toEqual([0, 0]);
  });
});

describe('a lane that opens again', () => {
  it('posts what is unsettled once more, in order, before anything new', () => {
    const world = opened();
    const thread = world.threads.get(1)!;
    for (let i = 0; i < 4; i++) {
      world.tell(0, 'x');
      world.turn();
    }
    thread.port!.deliver();
    world.handle(thread, 0);
    world.settleOne(thread, 0);
    world.turn();
    thread.senderPort!.deliver();
    world.die(thread);
    world.revive(thread);
    world.tell(0, 'x');
    world.turn();
    world.openLane(1);
    expect(posted(world, 1)).toEqual([1, 2, 3, 4]);
    expect(world.sender.snapshots().find(one => one.to === 1)).toMatchObject({ replayed: 3, outboxMessages: 4 });
  });

  it('leaves out what settled of a frame', () => {
    const world = opened();
    const thread = world.threads.get(1)!;
    for (const key of ['x', 'y', 'x', 'y', 'x']) world.tell(0, key);
    world.turn();
    thread.port!.deliver();
    for (let i = 0; i < 2; i++) world.handle(thread, 1); // both of y
    while (world.settleOne(thread, 0));
    world.turn();
    thread.senderPort!.deliver();
    world.die(thread);
    world.revive(thread);
    world.openLane(1);
    expect(posted(world, 1)).toEqual([0, 2, 4]);
  });

  it('finds messages of a partition that lives elsewhere by now, and sends them there', () => {
    const world = opened();
    world.tell(0, 'x');
    world.tell(0, 'y');
    world.turn();
    world.die(world.threads.get(1)!);
    world.startMove(3, 2);
    world.revive(world.threads.get(1)!);
    world.openLane(1);
    world.turn();
    expect(posted(world, 1)).toEqual([1]);
    expect(posted(world, 2)).toEqual([0]);
  });

  it('hears nothing of what its dead thread said before', () => {
    const world = opened();
    const thread = world.threads.get(1)!;
    world.tell(0, 'x');
    world.turn();
    thread.port!.deliver();
    world.handle(thread, 0);
    world.settleOne(thread, 0);
    world.turn();
    world.die(thread);
    const old = thread.senderPort!;
    world.revive(thread);
    expect(old.deliver()).toBe(0);
    expect(world.sender.unsettled).toBe(1);
  });
});

describe('what settles', () => {
  it('comes back as runs of consecutive messages with the same outcome, whatever the order of settling', () => {
    const world = opened();
    const thread = world.threads.get(1)!;
    for (let i = 0; i < 10; i++) world.tell(0, 'x');
    world.turn();
    thread.port!.deliver();
    for (let i = 0; i < 10; i++) world.handle(thread, 0);
    for (const i of [9, 0, 5, 1, 2, 8, 3, 4]) {
      const item = thread.running[i]!;
      item.origin.settle(item.seq, i === 5 ? DEAD : DONE);
    }
    world.turn();
    expect(thread.senderPort!.inbox.map(bytes => readReturns(bytes as Uint8Array))).toEqual([
      { runs: [1, 5, DONE, 6, 6, DEAD, 9, 10, DONE] },
    ]);
    thread.senderPort!.deliver();
    expect(world.told.map(one => one.settled[0])).toEqual([
      DONE,
      DONE,
      DONE,
      DONE,
      DONE,
      DEAD,
      undefined,
      undefined,
      DONE,
      DONE,
    ]);
    expect(world.sender.unsettled).toBe(2);
  });

  it('is shown to a drain no more, and what is unsettled is, wherever it is', () => {
    const world = opened(2);
    const thread = world.threads.get(1)!;
    world.tell(0, 'x');
    world.tell(0, 'y');
    world.turn();
    thread.port!.deliver();
    world.handle(thread, 0);
    world.settleOne(thread, 0);
    world.turn();
    thread.senderPort!.deliver();
    world.tell(0, 'y'); // in the open frame
    const seen: number[] = [];
    world.sender.eachUnsettled((message, owner) => {
      expect(owner).toBe(world);
      seen.push((message.body as { n: number }).n);
    });
    expect(seen).toEqual([1, 2]);
  });
});

describe('a frame leaves', () => {
  it('at 512 messages or 64 KiB without waiting for the end of the turn', () => {
    const world = opened(10_000);
    for (let i = 0; i < 600; i++) world.tell(0, 'x');
    expect(posted(world, 1)).toHaveLength(512);
    world.turn();
    for (let i = 0; i < 3; i++) world.tell(1, 'x', Buffer.alloc(30_000));
    expect(posted(world, 1)).toHaveLength(603);
  });
});

/** A sender to two threads whose words the test says, flushed at the end of each turn as a host does it. */
class Ahead {
  readonly environment: VirtualEnvironment = virtualEnvironment();
  readonly sender: Sender;
  readonly #ends = new Map<number, HandPort>();
  #sent = 0;

  constructor() {
    const target = { windowMessages: 100_000, windowBytes: 1e9, maxMessageBytes: 100_000, mayWait: true };
    this.sender = new Sender(
      this.environment,
      { slot: 0, incarnation: 1 },
      Homes.create(PARTITIONS, HOSTS),
      HOSTS.map(slot => ({ ...target, name: `io${slot}`, slot })),
      slot => this.environment.endOfTurn(() => this.#open(slot)),
      () => this.environment.endOfTurn(() => this.sender.flush()),
    );
  }

  #open(slot: number): void {
    const [out, into] = handPorts();
    this.#ends.set(slot, into);
    this.sender.laneOpened(slot, out);
  }

  /** Sends messages whose bodies count up, to one thread. */
  send(count = 1, slot = 1, pad?: Buffer): void {
    for (let i = 0; i < count; i++) {
      const n = this.#sent++;
      const body = pad ? { n, pad } : n;
      expect(this.sender.send(message({ actor: HOSTS.indexOf(slot), body, position: n }), null, n, null)).toBe(true);
    }
  }

  /** So many messages, each in a turn of its own. */
  async turns(count: number, slot = 1): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.send(1, slot);
      await this.environment.settle();
    }
  }

  /** Frames that left since the last time, by their messages. */
  left(slot = 1): number[][] {
    const frames = this.#ends.get(slot)?.inbox.splice(0) ?? [];
    return frames.map(frame => bodiesOf(readFrame(frame)).map(body => (body as { n: number }).n ?? body));
  }

  /** The receiver says something. */
  say(returns: Returns, slot = 1): void {
    const into = this.#ends.get(slot)!;
    into.post(packReturns(returns));
    into.peer.deliver();
  }
}

describe('on a lane whose receiver says nothing', () => {
  it('four frames leave, one a turn; what follows collects until 1 ms has passed', async () => {
    const on = new Ahead();
    await on.turns(4);
    expect([on.left(), on.environment.pendingTimers]).toEqual([[[0], [1], [2], [3]], 0]);
    await on.turns(3);
    expect([on.left(), on.environment.pendingTimers]).toEqual([[], 1]);
    await on.environment.advance(0.75);
    await on.turns(1);
    expect([on.left(), on.environment.pendingTimers]).toEqual([[], 1]);
    await on.environment.advance(0.25);
    expect([on.left(), on.environment.pendingTimers]).toEqual([[[4, 5, 6, 7]], 0]);
    await on.turns(2);
    expect(on.left()).toEqual([]);
    await on.environment.advance(1);
    expect([on.left(), on.environment.pendingTimers]).toEqual([[[8, 9]], 0]);
  });

  it('what collects leaves when it says something, whatever that is, and then four frames more', async () => {
    const on = new Ahead();
    for (const returns of [{}, { runs: [1, 4, DONE] }, { hold: [{ actor: 0, key: 'other' }] }]) {
      await on.turns(4);
      on.left();
      await on.turns(2);
      expect(on.left()).toEqual([]);
      on.say(returns);
      expect(on.left()).toHaveLength(1);
      await on.turns(3);
      expect(on.left()).toHaveLength(3);
      await on.turns(1);
      expect(on.left()).toEqual([]);
      on.say({});
      expect(on.left()).toHaveLength(1);
      on.say({}); // with nothing to send
      expect(on.left()).toEqual([]);
    }
  });

  it('full frames leave all the same, and what is left over collects', async () => {
    const on = new Ahead();
    await on.turns(5);
    expect(on.left()).toHaveLength(4);
    on.send(FRAME_MESSAGES - 2);
    await on.environment.settle();
    expect(on.left()).toEqual([]);
    on.send(3);
    expect(on.left().map(ns => [ns.length, ns[0]])).toEqual([[FRAME_MESSAGES, 4]]);
    await on.environment.settle();
    expect(on.left()).toEqual([]);
    on.send(1, 1, Buffer.alloc(40_000));
    expect(on.left()).toEqual([]);
    on.send(1, 1, Buffer.alloc(40_000));
    expect(on.left().map(ns => ns.length)).toEqual([4]);
    on.send();
    await on.environment.advance(1);
    expect(on.left().map(ns => ns.length)).toEqual([1]);
  });

  it('nothing waits that goes to another thread', async () => {
    const on = new Ahead();
    await on.turns(5, 1);
    await on.turns(2, 2);
    await on.turns(1, 1);
    expect([on.left(1).length, on.left(2)]).toEqual([4, [[5], [6]]]);
    expect(on.environment.pendingTimers).toBe(1);
    on.say({}, 2);
    expect(on.left(1)).toEqual([]);
    on.say({}, 1);
    expect(on.left(1)).toEqual([[4, 7]]);
  });

  it('all leaves at once where that is asked for', async () => {
    const on = new Ahead();
    await on.turns(6);
    on.sender.flushAll();
    expect(on.left()).toEqual([[0], [1], [2], [3], [4, 5]]);
    await on.environment.advance(10);
    expect([on.left(), on.environment.pendingTimers]).toEqual([[], 0]);
  });

  it('nothing is lost and nothing overtakes, and nothing waits longer than 1 ms, whatever is said when', async () => {
    const step = fc.record({
      op: fc.constantFrom('send', 'send', 'turn', 'turn', 'say', 'wait'),
      a: fc.nat({ max: 9 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), async steps => {
        const on = new Ahead();
        await on.turns(1);
        const left: number[] = [];
        const sentAt = [0];
        let unanswered = 0;
        for (const { op, a } of [...steps, { op: 'wait', a: 9 }]) {
          if (op === 'say') {
            on.say({});
            unanswered = 0;
          } else if (op === 'turn') await on.environment.settle();
          else if (op === 'wait') await on.environment.advance(a / 4);
          else {
            const count = a === 9 ? 200 : a;
            for (let i = 0; i < count; i++) sentAt.push(on.environment.clock.now());
            on.send(count);
          }
          for (const ns of on.left()) {
            left.push(...ns);
            unanswered++;
          }
          if (op === 'turn' && left.length < sentAt.length) expect(unanswered).toBeGreaterThanOrEqual(4);
          const oldest = sentAt[left.length] ?? Number.POSITIVE_INFINITY;
          if (op === 'turn' || op === 'wait') expect(oldest).toBeGreaterThan(on.environment.clock.now() - 1);
        }
        expect(left).toEqual(sentAt.map((_, n) => n));
      }),
      { numRuns: 200 },
    );
  });
});

function keyOf(world: SendingWorld, partition: number): number {
  for (let key = 0; ; key++) if ((world.envelope(0, 0, key, null).hash & world.homes.mask) === partition) return key;
}
