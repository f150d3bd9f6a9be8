/**
 * The in-flight ledger of a host: which batches its handlers are in, in shared memory, so that the supervisor can read
 * after a death who was there (rule 10). Writing a record costs a few stores, no message, and no barrier: a thread does not
 * end between two of them, and who reads after its end sees them all.
 *
 * Layout: RECORD Int32 words a slot: [0] actor index + 1, 0 when free · [1] hash of the key · [2] items · [3] ALONE when
 * it was the only batch in flight · [4] hash of the id of the item, for ALONE · [5] mark of the item that the handler is
 * at: a `handle` actor's current one, else the first of the batch.
 */
import { murmur3 } from '../lanes/key-hash.ts';
import type { Suspect } from './control.ts';

const RECORD = 6;
/** Slots at most, whatever the actors' `concurrency` adds up to. */
const MAX_SLOTS = 4096;
const ALONE = 1;

export interface LedgerRecord extends Suspect {
  alone: boolean;
  idHash: number;
}

export class Ledger {
  readonly words: Int32Array;
  readonly #free: number[] = [];

  constructor(words: Int32Array) {
    this.words = words;
    for (let i = words.length / RECORD - 1; i >= 0; i--) this.#free.push(i);
  }

  static create(batches: number): Int32Array {
    const slots = Math.min(batches, MAX_SLOTS);
    return new Int32Array(new SharedArrayBuffer(4 * RECORD * slots));
  }

  get isFull(): boolean {
    return this.#free.length === 0;
  }

  enter(actor: number, hash: number, count: number, aloneId: string | null, mark = 0): number {
    const slot = this.#free.pop()!;
    const at = slot * RECORD;
    this.words[at + 1] = hash;
    this.words[at + 2] = count;
    this.words[at + 3] = aloneId === null ? 0 : ALONE;
    this.words[at + 4] = aloneId === null ? 0 : hashId(aloneId);
    this.words[at + 5] = mark;
    this.words[at] = actor + 1; // last: the record counts from now on
    return slot;
  }

  /** A `handle` actor goes on with its next item. */
  goOn(slot: number, mark: number): void {
    this.words[slot * RECORD + 5] = mark;
  }

  leave(slot: number): void {
    this.words[slot * RECORD] = 0;
    this.#free.push(slot);
  }
}

/** What was in flight, read by the supervisor when the thread is gone. `only`: these slots alone. */
export function readLedger(words: Int32Array, only?: readonly number[]): LedgerRecord[] {
  const records: LedgerRecord[] = [];
  for (let slot = 0; slot < words.length / RECORD; slot++) {
    const at = slot * RECORD;
    const actor = Atomics.load(words, at) - 1;
    if (actor < 0 || (only && !only.includes(slot))) continue;
    records.push({
      actor,
      hash: words[at + 1]!,
      count: words[at + 2]!,
      alone: words[at + 3] === ALONE,
      idHash: words[at + 4]!,
      mark: words[at + 5]!,
    });
  }
  return records;
}

const encoder = new TextEncoder();

/**
 * Tells the items of one key apart, without making their ids: this is on the hot path. Two sources may give a key the
 * same mark; then an innocent item runs alone, and the next death widens the suspicion (supervisor/suspects.ts).
 */
export function markOf({ position, path }: { readonly position: number; readonly path: string }): number {
  return path === '' ? position | 0 : Math.imul(position, 31) ^ hashId(path);
}

/** 32-bit hash of a message id, as the ledger keeps it. */
export function hashId(id: string): number {
  const bytes = encoder.encode(id);
  return murmur3(bytes, bytes.length) | 0;
}
