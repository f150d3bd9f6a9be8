/**
 * One Sender and the threads it sends to, for properties: the receivers are real intakes before plain queues, every
 * message on a port, every end of a turn and every outcome comes when the test says so. Threads may die and come back,
 * partitions may move, keys may be held, as the supervisor and the hosts would do it.
 */

import type { Environment, Transition } from '../../runtime/environment.ts';
import { Intake } from '../../runtime/host/intake.ts';
import type { Envelope } from '../../runtime/lanes/envelope.ts';
import { HELD, Homes } from '../../runtime/lanes/homes.ts';
import { hashKey } from '../../runtime/lanes/key-hash.ts';
import type { Target } from '../../runtime/lanes/lane.ts';
import { BOUNCED, DONE, type Outcome, type Owner } from '../../runtime/lanes/port.ts';
import { Sender } from '../../runtime/lanes/sender.ts';
import type { Waiting } from '../../runtime/lanes/waiting.ts';
import type { Item } from '../../runtime/mailbox/item.ts';
import type { Key } from '../../runtime/topology/define.ts';
import { type HandPort, handPorts } from './hand-port.ts';
import { message } from './messages.ts';

export const PARTITIONS = 8;
export const HOSTS = [1, 2, 3];
/** The slot of actor 2, which has one home, as I/O actors do. */
export const FIXED = 4;

interface Thread {
  slot: number;
  incarnation: number;
  alive: boolean;
  intake: Intake | null;
  port: HandPort | null;
  /** The sender's end. */
  senderPort: HandPort | null;
  queues: Map<string, Item[]>;
  /** Handled and not settled: their children are still out. */
  running: Item[];
  held: Map<string, { actor: number; key: Key }>;
  dirty: boolean;
}

/** A message told to the sender, in the order of the calls. */
export interface Told {
  n: number;
  actor: number;
  key: Key;
  accepted: boolean;
  entry: Waiting | null;
  cancelled: boolean;
  settled: Outcome[];
  handled: number;
  size: number;
  /** When its call began and ended, counted in calls. */
  began: number;
  ended: number;
}

export class SendingWorld implements Owner {
  readonly homes = Homes.create(PARTITIONS, HOSTS);
  readonly sender: Sender;
  readonly threads = new Map<number, Thread>();
  readonly told: Told[] = [];
  /** First deliveries to a handler, by actor and key. */
  readonly firsts = new Map<string, number[]>();
  readonly reached = new Set<Transition>();
  #turnEnds: (() => void)[] = [];
  #timers: (() => void)[] = [];
  #calls = 0;
  /** Slots that the sender wants a lane to. */
  readonly wanted = new Set<number>();
  readonly #moving = new Map<number, { from: number; to: number }>();
  readonly environment: Environment = {
    clock: {
      now: () => 0,
      wall: () => 0,
      after: (_ms, fn) => {
        this.#timers.push(fn);
        return { cancel() {} };
      },
    },
    random: () => 0,
    endOfTurn: fn => void this.#turnEnds.push(fn),
    soon: fn => void this.#turnEnds.push(fn),
    probe: transition => void this.reached.add(transition),
  };

  constructor(windowMessages: number, windowBytes = 1_000_000, maxMessageBytes = 100_000) {
    const target = (name: string, slot: number | null): Target => ({
      name,
      slot,
      windowMessages,
      windowBytes,
      maxMessageBytes,
      mayWait: true,
    });
    const targets = [target('a', null), target('b', null), target('io', FIXED)];
    this.sender = new Sender(
      this.environment,
      { slot: 0, incarnation: 1 },
      this.homes,
      targets,
      slot => this.wanted.add(slot),
      () => this.environment.endOfTurn(() => this.sender.flushAll()),
    );
    for (const slot of [...HOSTS, FIXED])
      this.threads.set(slot, {
        slot,
        incarnation: 1,
        alive: true,
        intake: null,
        port: null,
        senderPort: null,
        queues: new Map(),
        running: [],
        held: new Map(),
        dirty: false,
      });
  }

  // ── the sending side ─────────────────────────────────────────────────────────────────────────────────────────────

  envelope(n: number, actor: number, key: Key, body: unknown): Envelope {
    return message({ actor, key, hash: hashKey(key), body: { n, body }, position: n });
  }

  /** Sends a message; `then` runs inside the call that accepts it, if it had to wait. */
  tell(actor: number, key: Key, body: unknown = null, then?: () => void): Told {
    const n = this.told.length;
    const told: Told = {
      n,
      actor,
      key,
      accepted: false,
      entry: null,
      cancelled: false,
      settled: [],
      handled: 0,
      size: 0,
      began: this.#calls++,
      ended: Number.POSITIVE_INFINITY,
    };
    this.told.push(told);
    const accepted = (): void => {
      told.accepted = true;
      told.size = this.sender.lastSize;
    };
    const sent = this.sender.send(this.envelope(n, actor, key, body), this, n, () => {
      accepted();
      then?.();
    });
    if (sent === true) accepted();
    else told.entry = sent;
    told.ended = this.#calls++;
    return told;
  }

  cancel(told: Told): void {
    if (told.accepted || !told.entry) return;
    told.entry.cancelled = true;
    told.cancelled = true;
  }

  settled(token: number, outcome: Outcome): void {
    this.told[token]!.settled.push(outcome);
  }

  /** Ends the turn of the event loop; intakes that have something to say say it. */
  turn(): void {
    const due = this.#turnEnds;
    this.#turnEnds = [];
    for (const fn of due) fn();
    for (const thread of this.threads.values())
      if (thread.dirty) {
        thread.dirty = false;
        thread.intake?.flush();
      }
  }

  /** All timers fire. */
  elapse(): number {
    const due = this.#timers;
    this.#timers = [];
    for (const fn of due) fn();
    return due.length;
  }

  // ── the threads ──────────────────────────────────────────────────────────────────────────────────────────────────

  openLane(slot: number): void {
    const thread = this.threads.get(slot);
    if (!thread) throw new Error(`a lane to slot ${slot} was wanted, which there is not`);
    if (!thread.alive) return;
    this.wanted.delete(slot);
    const [out, into] = handPorts();
    thread.port = into;
    thread.senderPort = out;
    thread.intake?.orphan();
    thread.intake = new Intake(0, 1, into, {
      now: () => this.environment.clock.now(),
      unpacked() {},
      arrived: intake => void intake.unpackNext(),
      known: () => null,
      accept: (item, actor, homesSeen) => {
        this.#accept(thread, item, actor, homesSeen);
        return undefined;
      },
      dirty: () => {
        thread.dirty = true;
      },
    });
    this.sender.laneOpened(slot, out);
  }

  #accept(thread: Thread, item: Item, actor: number, homesSeen: number): void {
    const partition = item.hash & this.homes.mask;
    const isStray =
      thread.slot !== FIXED &&
      homesSeen !== this.homes.version &&
      (this.homes.homeOf(partition) !== thread.slot || this.homes.epochOf(partition) > homesSeen);
    if (isStray) return item.origin.settle(item.seq, BOUNCED);
    const name = nameOf(actor, item.key);
    const queue = thread.queues.get(name);
    if (queue) queue.push(item);
    else thread.queues.set(name, [item]);
  }

  /** Handles the message at the front of a queue; it settles later. */
  handle(thread: Thread, pick: number): boolean {
    const names = [...thread.queues.keys()];
    const name = names[pick % Math.max(1, names.length)];
    if (name === undefined) return false;
    const queue = thread.queues.get(name)!;
    const item = queue.shift()!;
    if (queue.length === 0) thread.queues.delete(name);
    const told = this.told[(item.body as { n: number }).n]!;
    if (told.handled++ === 0) this.firsts.set(name, [...(this.firsts.get(name) ?? []), told.n]);
    thread.running.push(item);
    return true;
  }

  settleOne(thread: Thread, pick: number): boolean {
    const [item] = thread.running.splice(pick % Math.max(1, thread.running.length), 1);
    item?.origin.settle(item.seq, DONE);
    return item !== undefined;
  }

  /** The key is full: the sender should hold its messages. */
  hold(thread: Thread, actor: number, key: Key): void {
    if (!thread.intake?.alive) return;
    thread.held.set(nameOf(actor, key), { actor, key });
    thread.intake.hold(actor, key);
  }

  free(thread: Thread, pick: number): boolean {
    const names = [...thread.held.keys()];
    const name = names[pick % Math.max(1, names.length)];
    if (name === undefined) return false;
    const { actor, key } = thread.held.get(name)!;
    thread.held.delete(name);
    thread.intake!.free(actor, key);
    return true;
  }

  /** The thread is gone with all it had; what it posted may still arrive until the sender hears of the death. */
  die(thread: Thread): void {
    if (!thread.alive) return;
    thread.alive = false;
    thread.port?.close();
    thread.intake = null;
    thread.dirty = false;
    thread.queues.clear();
    thread.held.clear();
    thread.running = [];
    for (const [partition, { from }] of [...this.#moving]) if (from === thread.slot) this.#assign(partition);
  }

  /** The supervisor tells of the death and of the replacement. */
  revive(thread: Thread): void {
    if (thread.alive) return;
    this.sender.peerDown(thread.slot);
    thread.alive = true;
    thread.incarnation++;
    this.sender.peerUp(thread.slot);
  }

  /** The sender hears of the death; the replacement comes later. */
  mourn(thread: Thread): void {
    if (!thread.alive) this.sender.peerDown(thread.slot);
  }

  startMove(partition: number, to: number): void {
    const from = this.homes.homeOf(partition);
    if (from === HELD || from === to) return;
    this.#moving.set(partition, { from, to });
    this.homes.assign(partition, HELD);
    this.sender.homesChanged();
    if (!this.threads.get(from)!.alive) this.#assign(partition);
  }

  /** The old home bounces what is queued and says so; only then is the new home named. */
  endMove(pick: number): boolean {
    const partitions = [...this.#moving.keys()];
    const partition = partitions[pick % Math.max(1, partitions.length)];
    if (partition === undefined) return false;
    const thread = this.threads.get(this.#moving.get(partition)!.from)!;
    for (const [name, queue] of [...thread.queues]) {
      if ((queue[0]!.hash & this.homes.mask) !== partition) continue;
      thread.queues.delete(name);
      for (const item of queue) item.origin.settle(item.seq, BOUNCED);
    }
    thread.intake?.released(partition);
    thread.intake?.flush();
    thread.dirty = false;
    this.#assign(partition);
    return true;
  }

  #assign(partition: number): void {
    const { to } = this.#moving.get(partition)!;
    this.#moving.delete(partition);
    this.homes.assign(partition, to);
    this.sender.homesChanged();
  }

  /** Everything that can still happen happens: nothing stays held, paused, moving or on its way. */
  finish(): void {
    for (let round = 0, quiet = 0; quiet < 3; round++) {
      if (round > 10_000) throw new Error('it never becomes quiet');
      let acted = 0;
      this.turn();
      while (this.endMove(0)) acted++;
      acted += this.elapse();
      for (const thread of this.threads.values()) {
        this.sender.peerPaused(thread.slot, false);
        this.revive(thread);
        if (this.wanted.has(thread.slot)) this.openLane(thread.slot);
        while (this.free(thread, 0)) acted++;
        acted += thread.port?.deliver() ?? 0;
        while (this.handle(thread, 0)) acted++;
        while (this.settleOne(thread, 0)) acted++;
        this.turn();
        acted += thread.senderPort?.deliver() ?? 0;
      }
      quiet = acted === 0 ? quiet + 1 : 0;
    }
  }
}

export function nameOf(actor: number, key: Key): string {
  return `${actor}/${typeof key}:${String(key)}`;
}
