/**
 * The queue of one (actor, key), and what the engine knows about that key: whether a batch is in flight, a retry is
 * waited for, or an operator paused it. Order of the items is the order of arrival; failed ones go back to the front.
 */
import type { Key } from '../topology/define.ts';
import type { Item, Origin } from './item.ts';

/** Where a mailbox stands. Exactly one holds at a time. */
export type Standing =
  /** No items. */
  | 'idle'
  /** Has items but may not take its turn yet: shallow, backing off, rate limited, paused, or its actor is not ready. */
  | 'waiting'
  /** In line for a turn. */
  | 'ready'
  /** A batch is in flight. */
  | 'running';

/** What most keys never have; each has it once it differs from this. */
class Rare {
  /** Size of its last full batch, for the doubling strategy. */
  lastBatch = 0;
  /** Senders told that this key is full. */
  holding: Set<Origin> | null = null;
  /** No turn before this time (back-off, rate limit); 0 for none. */
  notBefore = 0;
  /** When the clock will look at it again, or 0. */
  dueAt = 0;
  /** Paused by an operator or by onDead: parkKey. */
  paused = false;
  /** Items that were in flight when the last host died: they run alone (rule 10). */
  suspects = 0;
  /** Mark (host/ledger.ts) of the first of them; null when that is the item at the front. */
  suspectMark: number | null = null;
  /** Items whose handler succeeded and whose children have not settled, for actors that park. */
  waiting: Set<Item> | null = null;
  /** Items of it that lie in the park; arrivals join them there (onKeyFull: park). */
  parked = 0;
  /** Failures in a row. */
  failures = 0;
  /** Messages refused for want of room (onKeyFull: dead) whose dead letters are not written: none behind them may pass. */
  refusing = 0;
  /** Tokens of the per key rate limit, and when they were last topped up. */
  tokens = -1;
  toppedUpAt = 0;
  /** Timers of this key that have not fired. */
  timers = 0;
}

/**
 * Fields that each message touches come first, so that they share cache lines: with many keys, waiting for memory is
 * most of what a message costs.
 */
export class Mailbox<State = unknown> {
  readonly key: Key;
  standing: Standing = 'idle';
  count = 0;
  #rare: Rare | null = null;
  /** Made by the actor's `state(key)` when first used. */
  state: State | undefined = undefined;
  hasState = false;
  /** Its actor knows it: false once it left memory. */
  isResident = true;
  /** When it last had a message handled as it came (host/scheduler.ts). */
  round = 0;
  /** What its handler is running with (nothing: onPassivate runs), or null. */
  inFlight: readonly Item[] | null = null;
  /** When it became idle: whole ms of the clock, which are never boxed. */
  idleSince = 0;
  readonly hash: number;
  head: Item | null = null;
  tail: Item | null = null;
  /** Items whose handler succeeded and whose children have not settled. */
  unsettled = 0;
  bytes = 0;
  /** Which line a ready mailbox stands in. */
  line: 'turns' | 'alone' | 'crowd' | null = null;
  /** Links of the line it stands in. */
  previous: Mailbox<State> | null = null;
  next: Mailbox<State> | null = null;
  /** Most urgent priority among its items, 0 first. */
  priority = 7;
  /** When it became ready, for ageing, and when it took its place in the line of idle keys: whole ms. */
  readySince = 0;
  listedAt = 0;
  /** Index of its actor. */
  readonly actor: number;
  /** Another key with the same hash. */
  sibling: Mailbox<State> | null = null;

  constructor(actor: number, key: Key, hash: number) {
    this.key = key;
    this.hash = hash;
    this.actor = actor;
  }

  get lastBatch(): number {
    return this.#rare === null ? 0 : this.#rare.lastBatch;
  }
  set lastBatch(value: number) {
    if (this.#rare !== null || value !== 0) this.#own().lastBatch = value;
  }

  get holding(): Set<Origin> | null {
    return this.#rare === null ? null : this.#rare.holding;
  }
  set holding(value: Set<Origin> | null) {
    if (this.#rare !== null || value !== null) this.#own().holding = value;
  }

  get notBefore(): number {
    return this.#rare === null ? 0 : this.#rare.notBefore;
  }
  set notBefore(value: number) {
    if (this.#rare !== null || value !== 0) this.#own().notBefore = value;
  }

  get dueAt(): number {
    return this.#rare === null ? 0 : this.#rare.dueAt;
  }
  set dueAt(value: number) {
    if (this.#rare !== null || value !== 0) this.#own().dueAt = value;
  }

  get paused(): boolean {
    return this.#rare === null ? false : this.#rare.paused;
  }
  set paused(value: boolean) {
    if (this.#rare !== null || value !== false) this.#own().paused = value;
  }

  get suspects(): number {
    return this.#rare === null ? 0 : this.#rare.suspects;
  }
  set suspects(value: number) {
    if (this.#rare !== null || value !== 0) this.#own().suspects = value;
  }

  get suspectMark(): number | null {
    return this.#rare === null ? null : this.#rare.suspectMark;
  }
  set suspectMark(value: number | null) {
    if (this.#rare !== null || value !== null) this.#own().suspectMark = value;
  }

  get waiting(): Set<Item> | null {
    return this.#rare === null ? null : this.#rare.waiting;
  }
  set waiting(value: Set<Item> | null) {
    if (this.#rare !== null || value !== null) this.#own().waiting = value;
  }

  get parked(): number {
    return this.#rare === null ? 0 : this.#rare.parked;
  }
  set parked(value: number) {
    if (this.#rare !== null || value !== 0) this.#own().parked = value;
  }

  get failures(): number {
    return this.#rare === null ? 0 : this.#rare.failures;
  }
  set failures(value: number) {
    if (this.#rare !== null || value !== 0) this.#own().failures = value;
  }

  get refusing(): number {
    return this.#rare === null ? 0 : this.#rare.refusing;
  }
  set refusing(value: number) {
    if (this.#rare !== null || value !== 0) this.#own().refusing = value;
  }

  get tokens(): number {
    return this.#rare === null ? -1 : this.#rare.tokens;
  }
  set tokens(value: number) {
    if (this.#rare !== null || value !== -1) this.#own().tokens = value;
  }

  get toppedUpAt(): number {
    return this.#rare === null ? 0 : this.#rare.toppedUpAt;
  }
  set toppedUpAt(value: number) {
    if (this.#rare !== null || value !== 0) this.#own().toppedUpAt = value;
  }

  get timers(): number {
    return this.#rare === null ? 0 : this.#rare.timers;
  }
  set timers(value: number) {
    if (this.#rare !== null || value !== 0) this.#own().timers = value;
  }

  /** Nothing rare is known of it: not paused, not waiting, with nothing parked, failed or suspect. */
  get isPlain(): boolean {
    return this.#rare === null;
  }

  #own(): Rare {
    this.#rare ??= new Rare();
    return this.#rare;
  }

  /** When the item at its front arrived, for the flush time. */
  get firstAt(): number {
    return this.head === null ? 0 : this.head.arrivedAt;
  }

  push(item: Item, priority: number): void {
    item.previous = this.tail;
    item.next = null;
    if (this.tail === null) {
      this.head = item;
      // While it stands in line, its priority names the line. A drop mode may have emptied it there.
      if (this.line === null) this.priority = priority;
    } else this.tail.next = item;
    if (priority < this.priority) this.priority = priority;
    this.tail = item;
    this.count++;
    this.bytes += item.size;
  }

  /** Puts items that came out of it back to its front, keeping their order. */
  unshift(items: readonly Item[], from: number, to: number): void {
    for (let i = to - 1; i >= from; i--) {
      const item = items[i]!;
      item.previous = null;
      item.next = this.head;
      if (this.head === null) this.tail = item;
      else this.head.previous = item;
      this.head = item;
      this.count++;
      this.bytes += item.size;
    }
  }

  shift(): Item | null {
    const item = this.head;
    if (item !== null) this.remove(item);
    return item;
  }

  remove(item: Item): void {
    if (item.previous === null) this.head = item.next;
    else item.previous.next = item.next;
    if (item.next === null) this.tail = item.previous;
    else item.next.previous = item.previous;
    item.previous = null;
    item.next = null;
    this.count--;
    this.bytes -= item.size;
  }
}

/** A doubly linked list through `previous` and `next` of mailboxes: one level of turns, or the crowd of an actor. */
export class MailboxList {
  head: Mailbox | null = null;
  tail: Mailbox | null = null;
  size = 0;

  push(mailbox: Mailbox): void {
    mailbox.previous = this.tail;
    mailbox.next = null;
    if (this.tail === null) this.head = mailbox;
    else this.tail.next = mailbox;
    this.tail = mailbox;
    this.size++;
  }

  remove(mailbox: Mailbox): void {
    if (mailbox.previous === null) this.head = mailbox.next;
    else mailbox.previous.next = mailbox.next;
    if (mailbox.next === null) this.tail = mailbox.previous;
    else mailbox.next.previous = mailbox.previous;
    mailbox.previous = null;
    mailbox.next = null;
    this.size--;
  }
}
