/**
 * What one consumer was given of a partition, by entry: which messages of it wait in the inbox, are in hand, or are
 * acknowledged. A broker keeps books by entry, not by message: it gives a whole entry again, and a batch is acknowledged
 * when all of it is (reference/pulsar.md 2.6). What comes again while it is in hand is the same message, not another.
 */

import type { IdParts } from '../message-id.ts';

export const GONE = 0;
export const QUEUED = 1;
export const IN_HAND = 2;
export const ACKED = 3;

export interface EntryId {
  readonly ledger: number;
  readonly entry: number;
}

export class HeldEntry implements EntryId {
  readonly ledger: number;
  readonly entry: number;
  /** State of each message of it. */
  readonly states: Uint8Array;
  /** When one of it was handed out last (`clock.now()`). */
  handedAt = 0;
  /** Entries of its earlier chunks: they are acknowledged with it. */
  parts: readonly EntryId[] = [];

  constructor(ledger: number, entry: number, size: number) {
    this.ledger = ledger;
    this.entry = entry;
    this.states = new Uint8Array(size);
  }

  get isAcked(): boolean {
    return this.states.every(state => state === ACKED);
  }

  get isGone(): boolean {
    return this.states.every(state => state === GONE);
  }

  /** A bit for each message, 1 for those that are not acknowledged; undefined when there are none. */
  get ackSet(): Uint32Array | undefined {
    if (this.isAcked) return undefined;
    const { states } = this;
    const set = new Uint32Array(2 * Math.ceil(states.length / 64));
    for (let i = 0; i < states.length; i++) if (states[i] !== ACKED) set[i >> 5]! |= 1 << (i & 31);
    return set;
  }
}

export class Held {
  readonly #entries = new Map<string, HeldEntry>();
  #found: HeldEntry | null = null;
  /** Acknowledged before they were given to this consumer: ids of an earlier one. */
  readonly #ahead = new Map<string, Set<number>>();

  /** What is asked for one after another is mostly of one entry. */
  find(ledger: number, entry: number): HeldEntry | undefined {
    const last = this.#found;
    if (last?.entry === entry && last.ledger === ledger) return last;
    const found = this.#entries.get(`${ledger}:${entry}`);
    if (found) this.#found = found;
    return found;
  }

  /** An entry came. `ackSet`: what the broker knows of it. */
  enter(ledger: number, entry: number, size: number, ackSet: Uint32Array | undefined): HeldEntry {
    const name = `${ledger}:${entry}`;
    let held = this.#entries.get(name);
    if (!held) {
      held = new HeldEntry(ledger, entry, size);
      this.#entries.set(name, held);
    }
    const { states } = held;
    if (ackSet) for (let i = 0; i < states.length; i++) if (!isSet(ackSet, i)) states[i] = ACKED;
    if (this.#ahead.size > 0) {
      for (const index of this.#ahead.get(name) ?? []) states[index] = ACKED;
      this.#ahead.delete(name);
    }
    return held;
  }

  ackAhead(ledger: number, entry: number, index: number): void {
    const name = `${ledger}:${entry}`;
    const indexes = this.#ahead.get(name) ?? new Set();
    indexes.add(index);
    this.#ahead.set(name, indexes);
  }

  /** All up to this message: which entries are done by that, and what is left of the last one. */
  ackUpTo({ ledger, entry, batchIndex }: IdParts): {
    readonly done: readonly HeldEntry[];
    readonly ackSet: Uint32Array | undefined;
  } {
    const done: HeldEntry[] = [];
    let ackSet: Uint32Array | undefined;
    for (const held of this.#entries.values()) {
      if (held.ledger > ledger || (held.ledger === ledger && held.entry > entry)) continue;
      const isLast = held.ledger === ledger && held.entry === entry;
      held.states.fill(ACKED, 0, isLast && batchIndex >= 0 ? batchIndex + 1 : held.states.length);
      if (held.isAcked) done.push(held);
      else if (isLast) ({ ackSet } = held);
    }
    return { done, ackSet };
  }

  forget({ ledger, entry }: EntryId): void {
    this.#entries.delete(`${ledger}:${entry}`);
    this.#found = null;
  }

  all(): Iterable<HeldEntry> {
    return this.#entries.values();
  }

  /** The inbox was emptied. */
  unqueue(): void {
    for (const held of this.#entries.values()) this.drop(held, QUEUED);
  }

  /** Messages of it with this state are not here any more. */
  drop(held: HeldEntry, state: number): void {
    const { states } = held;
    for (let i = 0; i < states.length; i++) if (states[i] === state) states[i] = GONE;
    if (held.isGone) this.forget(held);
  }

  clear(): void {
    this.#entries.clear();
    this.#found = null;
    this.#ahead.clear();
  }
}

export function isSet(set: Uint32Array, index: number): boolean {
  return ((set[index >> 5] ?? 0) & (1 << (index & 31))) !== 0;
}

/** How many of the first `size` bits are set. */
export function countSet(set: Uint32Array, size: number): number {
  let count = 0;
  for (let i = 0; i < size; i++) if (isSet(set, i)) count++;
  return count;
}
