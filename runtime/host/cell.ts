/**
 * One actor on one host: its definition and options, its mailboxes by partition, and what it has in flight.
 */

import { IdleLine } from '../mailbox/idle-line.ts';
import type { Item, Origin } from '../mailbox/item.ts';
import { Mailbox, MailboxList } from '../mailbox/mailbox.ts';
import { createSizing, type Sizing } from '../mailbox/sizing.ts';
import { ActorStats } from '../observe/stats.ts';
import type { AnyDefinition, Key } from '../topology/define.ts';
import type { ActorOptions, RuntimeOptions } from '../topology/options.ts';
import type { Batch } from './batch.ts';
import type { Suspect } from './control.ts';
import type { Durable } from './durable.ts';
import { KnownKeys } from './known-keys.ts';
import { hashId } from './ledger.ts';

/** A key may hold an eighth of any window (rule 7). */
const KEY_SHARE = 8;
/** The key of the one mailbox of an actor whose batches go across keys. */
export const ACROSS: Key = '*';
/** Mailboxes that left memory and may still be known by numbers, at most. */
const MOST_GONE = 1024;

export class Cell {
  readonly index: number;
  readonly name: string;
  readonly definition: AnyDefinition;
  readonly options: ActorOptions;
  /** True for I/O actors: they have one home and no partitions to move. */
  readonly fixed: boolean;
  readonly flushMs: number;
  /** Takes messages one by one, as they come. */
  readonly handlesSingly: boolean;
  readonly limitMessages: number;
  readonly limitBytes: number;
  readonly sizing: Sizing;
  readonly stats = new ActorStats();
  readonly idle = new IdleLine();
  /** Mailboxes that would take their turn if `concurrency` allowed one more batch. */
  readonly crowd = new MailboxList();
  readonly shared: Mailbox | null;
  /** The keys in memory by their hash; those that share one are linked. */
  readonly #keys = new Map<number, Mailbox>();
  readonly #mask: number;
  /** The keys as their senders number them. */
  readonly #known = new Map<Origin, KnownKeys>();
  #gone = 0;
  /** Items to run alone, by hash of their key (rule 10); moved to the mailbox when it appears. */
  readonly suspects = new Map<number, Suspect>();
  /** Hashes of the ids of quarantined messages, by hash of their key; null while there are none. */
  #quarantined: Map<number, Set<number>> | null = null;
  /** Where the states of its keys are kept; null where they are a cache only. */
  durable: Durable | null = null;
  stopped = false;
  initialised = false;
  /** Batches whose handler runs, oldest first: all have the same time-out. */
  oldestRunning: Batch | null = null;
  newestRunning: Batch | null = null;
  running = 0;
  /** How many of its last turns in a row were quick, as the turn clock has it. */
  quickTurns = 0;
  /** A deadline for the oldest running batch is set. */
  watching = false;
  /** Failures that restart or escalate, within the window of the budget. */
  restarts: number[] = [];

  constructor(
    index: number,
    name: string,
    definition: AnyDefinition,
    options: ActorOptions,
    runtime: RuntimeOptions,
    fixed: boolean,
  ) {
    this.index = index;
    this.name = name;
    this.definition = definition;
    this.options = options;
    this.fixed = fixed;
    this.#mask = runtime.partitions - 1;
    this.flushMs = options.batch.flushMs ?? (definition.handleBatch ? 200 : 0);
    this.handlesSingly = definition.handle !== undefined && this.flushMs === 0 && !options.rate;
    this.limitMessages = Math.max(
      1,
      Math.min(options.mailbox.maxMessages, Math.floor(runtime.window.messages / KEY_SHARE)),
    );
    this.limitBytes = Math.max(1, Math.min(options.mailbox.maxBytes, Math.floor(runtime.window.bytes / KEY_SHARE)));
    this.sizing = createSizing(options.batch);
    this.shared = options.batch.across === 'keys' ? new Mailbox(index, ACROSS, 0) : null;
  }

  /** What is known of the keys by the numbers of one sender, until `forgetSender`; null where keys have no mailboxes. */
  knownBy(sender: Origin): KnownKeys | null {
    if (this.shared !== null) return null;
    let known = this.#known.get(sender);
    if (known === undefined) {
      known = new KnownKeys();
      this.#known.set(sender, known);
    }
    return known;
  }

  forgetSender(sender: Origin): void {
    this.#known.delete(sender);
  }

  /** The mailbox of a key, made when there is none. `known`: the one it had when a sender numbered it. */
  mailboxOf(key: Key, hash: number, now: number, known?: Mailbox): Mailbox {
    if (known?.isResident === true) return known; // and took on what is suspected of its key when it was made
    if (this.shared !== null) return this.#adopt(this.shared);
    const first = this.#keys.get(hash);
    let mailbox = first;
    while (mailbox !== undefined && mailbox.key !== key) mailbox = mailbox.sibling ?? undefined;
    if (mailbox === undefined) {
      mailbox = new Mailbox(this.index, key, hash);
      mailbox.sibling = first ?? null;
      this.#keys.set(hash, mailbox);
      this.stats.residentKeys++;
      this.idle.push(mailbox, now);
    }
    return this.suspects.size > 0 ? this.#adopt(mailbox) : mailbox;
  }

  find(key: Key, hash: number): Mailbox | undefined {
    if (this.shared !== null) return this.shared;
    let mailbox = this.#keys.get(hash);
    while (mailbox !== undefined && mailbox.key !== key) mailbox = mailbox.sibling ?? undefined;
    return mailbox;
  }

  forget(mailbox: Mailbox): void {
    if (mailbox === this.shared) return;
    if (!mailbox.isResident) return;
    mailbox.isResident = false;
    this.stats.residentKeys--;
    if (++this.#gone === MOST_GONE) {
      this.#gone = 0;
      for (const known of this.#known.values()) known.clear();
    }
    const first = this.#keys.get(mailbox.hash)!;
    if (first === mailbox) {
      if (mailbox.sibling === null) this.#keys.delete(mailbox.hash);
      else this.#keys.set(mailbox.hash, mailbox.sibling);
      return;
    }
    let before = first;
    while (before.sibling !== mailbox) before = before.sibling!;
    before.sibling = mailbox.sibling;
  }

  *mailboxes(partition?: number): Iterable<Mailbox> {
    if (this.shared !== null) yield this.shared;
    for (const first of this.#keys.values())
      for (let mailbox: Mailbox | null = first; mailbox !== null; mailbox = mailbox.sibling)
        if (partition === undefined || (mailbox.hash & this.#mask) === partition) yield mailbox;
  }

  isFull(mailbox: Mailbox, size: number): boolean {
    return mailbox.count >= this.limitMessages || (mailbox.count > 0 && mailbox.bytes + size > this.limitBytes);
  }

  /** Half empty again: senders that were told to hold may go on. */
  hasRoomAgain(mailbox: Mailbox): boolean {
    return mailbox.count * 2 <= this.limitMessages && mailbox.bytes * 2 <= this.limitBytes;
  }

  quarantine(hash: number, idHash: number): void {
    this.#quarantined ??= new Map();
    const ids = this.#quarantined.get(hash) ?? new Set();
    this.#quarantined.set(hash, ids.add(idHash));
  }

  /** Looks at the id only where something of the same key is quarantined. */
  isQuarantined(mailbox: Mailbox, item: Item): boolean {
    return this.#quarantined?.get(mailbox.hash)?.has(hashId(item.id)) === true;
  }

  #adopt(mailbox: Mailbox): Mailbox {
    const suspect = this.suspects.get(mailbox.hash);
    if (suspect !== undefined) {
      this.suspects.delete(mailbox.hash);
      mailbox.suspects += suspect.count;
      mailbox.suspectMark = suspect.mark;
    }
    return mailbox;
  }
}
