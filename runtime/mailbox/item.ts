/**
 * A message in a mailbox. Items are linked, so that a mailbox needs no array that grows (growing one array past the
 * heap limit aborts the whole process, measured; many small objects do not) and both ends are cheap.
 */
import { ASK, type Extras, formatId, REPLAYABLE } from '../lanes/envelope.ts';
import type { SettleCode } from '../lanes/port.ts';
import type { Key } from '../topology/define.ts';

/** Where an item came from and where its outcome goes: the receiving end of a lane, or nowhere for timers. */
export interface Origin {
  /** False once its sender died: outcomes go nowhere and what its sender replays is not retried here (rule 9). */
  alive: boolean;
  settle(seq: number, code: SettleCode): void;
  /** Said before BOUNCED of one that was tried here: its new home counts on. */
  tried?(seq: number, calls: number, attempt: number): void;
  reply(seq: number, ok: boolean, value: unknown): void;
  /** The key is full: the sender should hold its messages, until `free`. */
  hold(actor: number, key: Key): void;
  free(actor: number, key: Key): void;
}

/** For items that nobody waits for: timers. */
export const NOWHERE: Origin = { alive: true, settle() {}, reply() {}, hold() {}, free() {} };

/**
 * What items that arrived together share: the source and epoch of their ids, their flags (lanes/envelope.ts), and when
 * they arrived (`clock.now()`).
 */
export class Arrival {
  readonly source: string;
  readonly epoch: number;
  readonly flags: number;
  readonly at: number;

  constructor(source: string, epoch: number, flags: number, at: number) {
    this.source = source;
    this.epoch = epoch;
    this.flags = flags;
    this.at = at;
  }
}

/** One failed call of a message. `at`: wall clock ms. */
export interface Failure {
  at: number;
  class: string;
  message: string;
}

/** All fields are set in the constructor, in this order, always: the shape is guarded by a test. */
export class Item {
  body: unknown;
  readonly key: Key;
  readonly hash: number;
  /** Where it settles. Changes when it is parked while it is here. */
  origin: Origin;
  seq: number;
  readonly size: number;
  readonly arrival: Arrival;
  readonly position: number;
  readonly path: string;
  readonly extras: Extras | null;
  /** Calls charged to it, and calls made with it. */
  attempts: number;
  calls: number;
  /** Failures that cost no attempt, for their back-off. */
  freeFailures = 0;
  /** Children that are not settled, plus one while the handler has not succeeded. */
  pending = 1;
  /** On its way into the park: then this one stays, whatever happens to its sender. */
  parking = false;
  /** Rerun by itself: its batch failed without saying which item, or its host died with it in flight. */
  solo = false;
  /** Next child index, so that paths of children are deterministic. Asks count apart: a rerun may find their answer in a cache. */
  children = 0;
  asks = 0;
  /** Its failed calls, for the dead letter. */
  history: Failure[] | null = null;
  previous: Item | null = null;
  next: Item | null = null;

  constructor(
    body: unknown,
    key: Key,
    hash: number,
    origin: Origin,
    seq: number,
    size: number,
    arrival: Arrival,
    position: number,
    path: string,
    extras: Extras | null,
  ) {
    this.body = body;
    this.key = key;
    this.hash = hash;
    this.origin = origin;
    this.seq = seq;
    this.size = size;
    this.arrival = arrival;
    this.position = position;
    this.path = path;
    this.extras = extras;
    this.attempts = extras === null ? 0 : extras.attempt;
    this.calls = extras === null ? 0 : extras.calls;
  }

  get source(): string {
    return this.arrival.source;
  }

  get epoch(): number {
    return this.arrival.epoch;
  }

  get flags(): number {
    return this.arrival.flags;
  }

  get arrivedAt(): number {
    return this.arrival.at;
  }

  get id(): string {
    return formatId(this.source, this.epoch, this.position, this.path);
  }

  get deadline(): number {
    return this.extras === null ? 0 : this.extras.deadline;
  }

  /** Its sender died and sends it again: this one is not needed any more (rule 9). */
  get isOrphan(): boolean {
    return !this.origin.alive && (this.flags & REPLAYABLE) !== 0 && !this.parking;
  }

  get isAsk(): boolean {
    return (this.flags & ASK) !== 0;
  }
}
