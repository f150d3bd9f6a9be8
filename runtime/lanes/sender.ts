/**
 * The sending half of a thread: finds the home of each message, puts it on the right lane, and makes what finds no room
 * wait, in order. A message that cannot leave at once waits for one of three things, and moves from one queue to the
 * next when that has come:
 *   moving: its partition is on the move, or has unsettled messages at its old home (rule 19);
 *   held:   the receiver said that its key is full;
 *   room:   the window of (lane, actor) is used up.
 * Each queue is first in, first out, and whoever finds a queue of its kind joins its end, so order per key holds.
 */
import type { Environment } from '../environment.ts';
import { KeymillError } from '../errors.ts';
import type { LaneSnapshot } from '../observe/stats.ts';
import type { Key } from '../topology/define.ts';
import { type Envelope, NO_EXTRAS } from './envelope.ts';
import { eachEnvelope, type Sending } from './frame.ts';
import { HELD, type Homes } from './homes.ts';
import { KeyNumbers } from './key-numbers.ts';
import { Lane, type Target } from './lane.ts';
import type { OutFrame } from './outbox.ts';
import {
  BOUNCED,
  DROPPED,
  type Outcome,
  type Owner,
  type Port,
  type Reply,
  type Returns,
  type SettleCode,
} from './port.ts';
import { readReturns } from './returns.ts';
import { carryWithin } from './value.ts';
import { type Waiting, WaitingQueues } from './waiting.ts';

interface Bounced {
  message: Envelope;
  owner: Owner | null;
  token: number;
  seq: number;
}

interface Move {
  waiting: Waiting[];
  bounced: Bounced[];
}

/** How long messages collect at most. */
const HOLD_MS = 1;
/** How long a move waits for the children of what its old home has handled. */
const EXCUSE_MS = 1000;

export class Sender {
  readonly #environment: Environment;
  readonly #sending: Sending;
  readonly #homes: Homes;
  readonly #targets: readonly Target[];
  readonly #requestLane: (slot: number) => void;
  readonly #lanes = new Map<number, Lane>();
  /** By actor. */
  readonly #keys: KeyNumbers[];
  readonly #dirty = new Set<Lane>();
  /** Asks for `flush`; `isIdle`: of a lane on which nothing is under way, so nothing is won by waiting. */
  readonly #wantFlush: (isIdle: boolean) => void;
  /** Messages wait for HOLD_MS to pass. */
  #holding = false;
  readonly #waiting = new WaitingQueues();
  readonly #moves = new Map<number, Move>();
  /** Per partition: unsettled messages, the slot that messages went to last (HELD before the first), and its epoch then. */
  readonly #outstanding: Int32Array;
  readonly #lastSlot: Int16Array;
  readonly #lastEpoch: Int32Array;
  /** Per partition: the version of the partition table at which it was last seen not to be on the move. */
  readonly #restedAt: Int32Array;
  readonly #paused = new Set<number>();
  #homesSeen = 0;
  /** Size in bytes of the message accepted last. */
  lastSize = 0;

  constructor(
    environment: Environment,
    sending: Sending,
    homes: Homes,
    targets: readonly Target[],
    requestLane: (slot: number) => void,
    wantFlush: (isIdle: boolean) => void,
  ) {
    this.#environment = environment;
    this.#sending = sending;
    this.#homes = homes;
    this.#targets = targets;
    this.#requestLane = requestLane;
    this.#wantFlush = wantFlush;
    this.#keys = targets.map(() => new KeyNumbers());
    this.#outstanding = new Int32Array(homes.partitions);
    this.#lastSlot = new Int16Array(homes.partitions).fill(HELD);
    this.#lastEpoch = new Int32Array(homes.partitions);
    this.#restedAt = new Int32Array(homes.partitions);
  }

  /** Of the keys of an actor, for envelopes of messages to it. */
  numbersOf(actor: number): KeyNumbers {
    return this.#keys[actor]!;
  }

  /**
   * Sends a message: true if it was accepted now (its bytes are in an outbox), else the entry that waits and calls
   * `accepted` later. Throws MESSAGE_NOT_CARRIABLE and MESSAGE_TOO_LARGE at the call, waiting or not.
   */
  send(
    message: Envelope,
    owner: Owner | null,
    token: number,
    accepted: (() => void) | null,
    failed: ((error: unknown) => void) | null = null,
  ): true | Waiting {
    const moving = this.#movingOf(message);
    if (moving === null) {
      const lane = this.#laneOf(message);
      const queue = this.#waiting.forRoom(lane, message.actor);
      if (queue === undefined && !lane.isHeld(message.actor, message.key) && this.#hasRoom(lane, message.actor)) {
        this.#append(lane, message, owner, token);
        return true;
      }
    }
    const entry: Waiting = { message: this.#snapshot(message), owner, token, accepted, failed, cancelled: false };
    if (moving !== null) moving.waiting.push(entry);
    else this.#enqueue(entry);
    return entry;
  }

  /** As `send`, but never waits: false when there is no room. */
  trySend(message: Envelope, owner: Owner | null, token: number): boolean {
    if (this.#movingOf(message) !== null) return false;
    const lane = this.#laneOf(message);
    if (
      this.#waiting.forRoom(lane, message.actor) !== undefined ||
      lane.isHeld(message.actor, message.key) ||
      !this.#hasRoom(lane, message.actor)
    )
      return false;
    this.#append(lane, message, owner, token);
    return true;
  }

  /**
   * Sends what the turn collected, when `wantFlush` was said. On a lane whose receiver has much to do already, messages go
   * on collecting, until it says something, a frame is full, or HOLD_MS have passed.
   */
  flush(): void {
    for (const lane of this.#dirty)
      if (lane.isAhead) this.#flushLater();
      else this.#flushLane(lane);
  }

  /** Sends all that was collected. */
  flushAll(): void {
    for (const lane of this.#dirty) this.#flushLane(lane);
  }

  #flushLane(lane: Lane): void {
    this.#dirty.delete(lane);
    lane.isDirty = false;
    lane.flush();
  }

  #flushLater(): void {
    if (this.#holding) return;
    this.#holding = true;
    this.#environment.clock.after(HOLD_MS, () => {
      this.#holding = false;
      this.flushAll();
    });
  }

  laneOpened(slot: number, port: Port): void {
    const lane = this.#lane(slot);
    port.onMessage(carried => this.#returned(lane, readReturns(carried)));
    lane.flush();
    this.#withdrawOrphans(lane);
    this.#reroute(lane);
    this.#unexcuse(lane);
    lane.open(port);
    lane.held.clear(); // a new incarnation holds nothing: what waited takes its place again
    this.#waiting.rejoinAll(lane);
    this.#pump(lane);
  }

  /** The thread in this slot died. Its lane opens again when `peerUp` was said and the supervisor answers. */
  peerDown(slot: number): void {
    this.#paused.delete(slot); // its replacement starts with an empty heap
    this.#lanes.get(slot)?.close();
  }

  peerUp(slot: number): void {
    if (this.#lanes.has(slot)) this.#requestLane(slot);
  }

  /** The supervisor changed the home of partitions. */
  homesChanged(): void {
    for (const partition of [...this.#moves.keys()]) this.#tryResume(partition);
  }

  /** Host asked for no more input for now (heap watermark, rule 18), or takes it again. */
  peerPaused(slot: number, paused: boolean): void {
    if (paused) this.#paused.add(slot);
    else if (this.#paused.delete(slot)) {
      const lane = this.#lanes.get(slot);
      if (lane) this.#pump(lane);
    }
  }

  /** Unsettled messages over all lanes. */
  get unsettled(): number {
    let sum = 0;
    for (const lane of this.#lanes.values()) sum += lane.unsettled;
    for (const move of this.#moves.values()) sum += move.bounced.length;
    return sum;
  }

  get unsettledBytes(): number {
    let sum = 0;
    for (const lane of this.#lanes.values()) sum += lane.outbox.bytes;
    return sum;
  }

  snapshots(): LaneSnapshot[] {
    return [...this.#lanes.values()].map(lane => ({
      from: this.#sending.slot,
      to: lane.slot,
      frames: lane.frames,
      messages: lane.messages,
      bytes: lane.bytes,
      outboxMessages: lane.outbox.messages,
      outboxBytes: lane.outbox.bytes,
      replayed: lane.replayed,
    }));
  }

  /** Calls `visit` with everything unsettled, for the spool of a drain. */
  eachUnsettled(visit: (message: Envelope, owner: Owner | null) => void): void {
    this.flushAll();
    for (const lane of this.#lanes.values())
      for (const frame of lane.outbox.unsettled())
        eachEnvelope(frame.bytes, (message, _seq, index) => {
          if (!frame.isSettled(index)) visit(message, frame.owners[index]!);
        });
    for (const move of this.#moves.values()) for (const { message, owner } of move.bounced) visit(message, owner);
  }

  close(): void {
    for (const lane of this.#lanes.values()) lane.close();
  }

  // ── placing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * The move that this message's partition is in, or null. Also notices that a move began, or that it began and ended
   * since the last send: what still waits for a lane to the old home goes first then.
   */
  #movingOf(message: Envelope): Move | null {
    if (this.#targets[message.actor]!.slot !== null) return null;
    const version = this.#homes.version; // before the home is looked up: see Lane.append
    this.#homesSeen = version;
    const partition = message.hash & this.#homes.mask;
    if (this.#restedAt[partition] === version && this.#moves.size === 0) return null;
    const known = this.#moves.size === 0 ? undefined : this.#moves.get(partition);
    if (known) return known;
    const epoch = this.#homes.epochOf(partition);
    const home = this.#homes.homeOf(partition);
    const last = this.#lastSlot[partition]!;
    if (home === last && home !== HELD && epoch === this.#lastEpoch[partition]) {
      if (epoch <= version) this.#restedAt[partition] = version;
      return null;
    }
    // Gone and come back counts as a move while something of before is unsettled: the host may bounce it yet.
    if (home !== HELD && (last === HELD || home === last) && this.#outstanding[partition] === 0) {
      this.#lastSlot[partition] = home;
      this.#lastEpoch[partition] = epoch;
      return null;
    }
    this.#environment.probe?.('move.held');
    const move: Move = { waiting: [], bounced: [] };
    this.#moves.set(partition, move);
    this.#extractWaiting(partition, move.waiting);
    this.#tryResume(partition);
    return this.#moves.get(partition) ?? null;
  }

  /** The lane to a message's home. For a resting partition that is where its last message went, whatever the table says by now. */
  #laneOf(message: Envelope): Lane {
    return this.#lane(this.#targets[message.actor]!.slot ?? this.#lastSlot[message.hash & this.#homes.mask]!);
  }

  #lane(slot: number): Lane {
    let lane = this.#lanes.get(slot);
    if (!lane) {
      lane = new Lane(slot, this.#sending, this.#environment);
      this.#lanes.set(slot, lane);
      this.#requestLane(slot);
    }
    return lane;
  }

  #hasRoom(lane: Lane, actor: number): boolean {
    if (this.#paused.size > 0 && this.#paused.has(lane.slot)) return false;
    const window = lane.windowOf(actor);
    const target = this.#targets[actor]!;
    if (window.messages < target.windowMessages && window.bytes < target.windowBytes) return true;
    this.#environment.probe?.('lane.credit-exhausted');
    return false;
  }

  #append(lane: Lane, message: Envelope, owner: Owner | null, token: number): void {
    const target = this.#targets[message.actor]!;
    try {
      this.lastSize = lane.append(message, owner, token, target, this.#homesSeen);
    } catch (error) {
      throw placed(error, target.name, message);
    }
    if (target.slot === null) {
      const partition = message.hash & this.#homes.mask;
      this.#outstanding[partition]!++;
    }
    if (lane.isDirty) return;
    lane.isDirty = true;
    this.#dirty.add(lane);
    this.#wantFlush(lane.outbox.messages === 0);
  }

  /** A waiting message must not change with the caller's object, and its faults show at the call. */
  #snapshot(message: Envelope): Envelope {
    const target = this.#targets[message.actor]!;
    try {
      return { ...message, body: carryWithin(message.body, target.maxMessageBytes) };
    } catch (error) {
      throw placed(error, target.name, message);
    }
  }

  #enqueue(entry: Waiting): void {
    const { message } = entry;
    const lane = this.#laneOf(message);
    if (this.#waiting.forRoom(lane, message.actor)) this.#waiting.pushForRoom(lane, entry);
    else if (lane.isHeld(message.actor, message.key)) this.#waiting.pushHeld(lane, entry);
    else if (this.#hasRoom(lane, message.actor)) this.#accept(lane, entry);
    else this.#waiting.pushForRoom(lane, entry);
  }

  #accept(lane: Lane, entry: Waiting): void {
    if (entry.cancelled) return;
    entry.cancelled = true; // from now on it cannot be
    try {
      this.#append(lane, entry.message, entry.owner, entry.token);
    } catch (error) {
      entry.failed?.(error);
      return;
    }
    entry.accepted?.();
  }

  /** Lets waiting messages of a lane go while there is room. */
  #pump(lane: Lane): void {
    for (const [actor, queue] of this.#waiting.forRoomOf(lane)) {
      // Accepting calls back, and who is called back may send again: that joins the end of this very queue.
      while (queue.length > 0 && this.#hasRoom(lane, actor)) {
        const entry = queue[0]!;
        // Noticing a move takes the entries of its partition out of this queue, this one included.
        if (!entry.cancelled && (this.#movingOf(entry.message) !== null || queue[0] !== entry)) continue;
        queue.shift();
        if (entry.cancelled) continue;
        if (lane.isHeld(actor, entry.message.key)) this.#waiting.pushHeld(lane, entry);
        else this.#accept(lane, entry);
      }
      this.#waiting.dropIfEmpty(lane, actor, queue);
    }
  }

  // ── returns ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #returned(lane: Lane, returns: Returns): void {
    lane.answered();
    if (lane.isDirty) this.#flushLane(lane);
    if (returns.replies) for (const reply of returns.replies) this.#replied(lane, reply);
    if (returns.runs)
      for (let i = 0; i < returns.runs.length; i += 3)
        this.#settle(lane, returns.runs[i]!, returns.runs[i + 1]!, returns.runs[i + 2]! as SettleCode, returns.tried);
    if (returns.released) for (const { partition, upTo } of returns.released) this.#excuseLater(lane, partition, upTo);
    if (returns.hold) for (const { actor, key } of returns.hold) this.#hold(lane, actor, key);
    if (returns.free) for (const { actor, key } of returns.free) this.#free(lane, actor, key);
    lane.compact();
    this.#pump(lane);
  }

  #replied(lane: Lane, { seq, ok, value }: Reply): void {
    const found = lane.outbox.find(seq);
    const owner = found?.frame.owners[found.index];
    owner?.replied?.(found!.frame.tokens[found!.index]!, ok, value);
  }

  #settle(lane: Lane, first: number, last: number, code: SettleCode, tried?: Returns['tried']): void {
    // What is bounced must be read from its frame before the outbox forgets it.
    const bounced = code === BOUNCED ? this.#read(lane, first, last) : null;
    if (bounced !== null)
      for (const { seq, calls, attempt } of tried ?? []) {
        const message = bounced.get(seq);
        if (message) message.extras = { ...(message.extras ?? NO_EXTRAS), calls, attempt };
      }
    const freed: number[] = [];
    lane.outbox.settle(first, last, (frame, index) => {
      if (bounced !== null) this.#bounce(bounced.get(frame.seqOf(index))!, frame, index);
      this.#forget(lane, frame, index, freed); // after the bounce, which puts its partition on the move
      if (bounced === null) frame.owners[index]?.settled(frame.tokens[index]!, code as Outcome);
    });
    for (const partition of freed) this.#tryResume(partition);
  }

  #forget(lane: Lane, frame: OutFrame, index: number, freed: number[]): void {
    const actor = frame.actors[index]!;
    const window = lane.windowOf(actor);
    window.messages--;
    window.bytes -= frame.sizes[index]!;
    if (this.#targets[actor]!.slot === null) {
      const partition = frame.hashes[index]! & this.#homes.mask;
      if (lane.excused.size === 0 || !lane.excused.delete(frame.seqOf(index))) this.#outstanding[partition]!--;
      if (this.#outstanding[partition] === 0 && this.#moves.size > 0) freed.push(partition);
    }
  }

  #read(lane: Lane, first: number, last: number): Map<number, Envelope> {
    const found = new Map<number, Envelope>();
    for (const frame of lane.outbox.unsettled()) {
      if (frame.firstSeq > last || frame.lastSeq < first) continue;
      eachEnvelope(frame.bytes, (message, seq) => {
        if (seq >= first && seq <= last) found.set(seq, message);
      });
    }
    return found;
  }

  #bounce(message: Envelope, frame: OutFrame, index: number): void {
    this.#environment.probe?.('message.bounced');
    const partition = message.hash & this.#homes.mask;
    let move = this.#moves.get(partition);
    if (!move) {
      move = { waiting: [], bounced: [] };
      this.#moves.set(partition, move);
      this.#extractWaiting(partition, move.waiting);
    }
    move.bounced.push({ message, owner: frame.owners[index]!, token: frame.tokens[index]!, seq: frame.seqOf(index) });
  }

  #hold(lane: Lane, actor: number, key: Key): void {
    this.#environment.probe?.('lane.key-held');
    let keys = lane.held.get(actor);
    if (!keys) {
      keys = new Set();
      lane.held.set(actor, keys);
    }
    keys.add(key);
  }

  #free(lane: Lane, actor: number, key: Key): void {
    this.#environment.probe?.('lane.key-freed');
    const keys = lane.held.get(actor);
    if (!keys?.delete(key)) return;
    if (keys.size === 0) lane.held.delete(actor);
    const queue = this.#waiting.heldFor(lane, actor, key);
    if (!queue) return;
    this.#movingOf(queue[0]!.message); // noticing a move may take them out
    this.#waiting.rejoin(lane, actor, key); // the next pump looks at them
  }

  // ── moves (rule 19) ──────────────────────────────────────────────────────────────────────────────────────────────

  /** A partition may go on at its new home once nothing of it is unsettled at the old one. Bounced messages go first. */
  #tryResume(partition: number): void {
    const move = this.#moves.get(partition);
    if (!move || this.#outstanding[partition]! > 0) return;
    this.#homesSeen = this.#homes.version;
    const epoch = this.#homes.epochOf(partition);
    const home = this.#homes.homeOf(partition);
    if (home === HELD) return;
    this.#moves.delete(partition);
    this.#lastSlot[partition] = home;
    this.#lastEpoch[partition] = epoch;
    move.bounced.sort((a, b) => a.seq - b.seq);
    for (const { message, owner, token } of move.bounced) {
      // What its parent's sender has sent again since then must not run once more, long after.
      if (owner?.isOrphan?.(token)) {
        owner.settled(token, DROPPED);
        continue;
      }
      this.#environment.probe?.('message.rerouted');
      this.#append(this.#laneOf(message), message, owner, token); // was accepted long ago: needs no credit
    }
    // All of them stand in line before the first is accepted: who is called back then may send again.
    const lanes = new Set<Lane>();
    for (const entry of move.waiting) {
      if (this.#withdrawn(entry)) continue;
      const lane = this.#laneOf(entry.message);
      lanes.add(lane);
      this.#waiting.pushForRoom(lane, entry);
    }
    for (const lane of lanes) this.#pump(lane);
  }

  /** Takes the waiting messages of a partition out of all queues: they precede whatever is sent from now on. */
  #extractWaiting(partition: number, into: Waiting[]): void {
    this.#waiting.extract(
      ({ actor, hash }) => this.#targets[actor]!.slot === null && (hash & this.#homes.mask) === partition,
      into,
    );
  }

  /** Before a replay: children of items that their own senders send again are left out, or each crash would double them. */
  #withdrawOrphans(lane: Lane): void {
    const orphans: number[] = [];
    for (const frame of lane.outbox.unsettled())
      for (let i = 0; i < frame.count; i++)
        if (!frame.isSettled(i) && frame.owners[i]?.isOrphan?.(frame.tokens[i]!)) orphans.push(frame.seqOf(i));
    const freed: number[] = [];
    for (const seq of orphans)
      lane.outbox.settle(seq, seq, (frame, index) => {
        this.#forget(lane, frame, index, freed);
        frame.owners[index]!.settled(frame.tokens[index]!, DROPPED); // the orphan waits for nothing any more
      });
    for (const partition of freed) this.#tryResume(partition);
    // Those that wait come after them, so they go too; the rerun sends all of them again.
    const waiting = [...this.#waiting.all(), ...[...this.#moves.values()].flatMap(move => move.waiting)];
    for (const entry of waiting) this.#withdrawn(entry);
  }

  /** Withdraws a waiting message if its parent's sender sends that again. */
  #withdrawn(entry: Waiting): boolean {
    if (entry.cancelled || !entry.owner?.isOrphan?.(entry.token)) return false;
    entry.cancelled = true;
    entry.accepted?.();
    entry.owner.settled(entry.token, DROPPED);
    return true;
  }

  /**
   * The old home has handled what it has of a partition, and bounced the rest. What is still unsettled there waits for
   * children. The move waits for these too, so that children sent from the new home do not overtake them; but not for
   * long, for they may wait for this very move.
   */
  #excuseLater(lane: Lane, partition: number, upTo: number): void {
    const { openings } = lane;
    this.#environment.clock.after(EXCUSE_MS, () => {
      if (lane.openings === openings) this.#excuse(lane, partition, upTo); // else they are handled again
    });
  }

  #excuse(lane: Lane, partition: number, upTo: number): void {
    for (const frame of lane.outbox.unsettled()) {
      if (frame.firstSeq > upTo) break;
      for (let i = 0; i < frame.count && frame.seqOf(i) <= upTo; i++) {
        if (frame.isSettled(i) || this.#targets[frame.actors[i]!]!.slot !== null) continue;
        if ((frame.hashes[i]! & this.#homes.mask) !== partition || lane.excused.has(frame.seqOf(i))) continue;
        lane.excused.add(frame.seqOf(i));
        this.#outstanding[partition]!--;
      }
    }
    this.#tryResume(partition);
  }

  /** A new incarnation of the receiver handles them again. */
  #unexcuse(lane: Lane): void {
    for (const seq of lane.excused) {
      const { frame, index } = lane.outbox.find(seq)!;
      this.#outstanding[frame.hashes[index]! & this.#homes.mask]!++;
    }
    lane.excused.clear();
  }

  /** Before a replay: messages whose partition lives elsewhere by now are taken back instead. */
  #reroute(lane: Lane): void {
    const strays: number[] = [];
    for (const frame of lane.outbox.unsettled())
      for (let i = 0; i < frame.count; i++) {
        if (frame.isSettled(i) || this.#targets[frame.actors[i]!]!.slot !== null) continue;
        if (this.#homes.homeOf(frame.hashes[i]! & this.#homes.mask) !== lane.slot) strays.push(frame.seqOf(i));
      }
    for (const seq of strays) this.#settle(lane, seq, seq, BOUNCED);
  }
}

function placed(error: unknown, actor: string, message: Envelope): unknown {
  if (error instanceof KeymillError)
    Object.assign(error.place, { actor, at: `${message.source}/${message.epoch}/${message.position}` });
  return error;
}
