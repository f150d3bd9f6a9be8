/**
 * The in-flight ledger of a host: which batches its handlers are in, in shared memory, so that the supervisor can read
 * after a death who was there (rule 10). Writing a record costs a few stores, no message.
 *
 * Layout: RECORD Int32 words a slot: [0] actor index + 1, 0 when free · [1] hash of the key · [2] items · [3] ALONE when
 * it was the only batch in flight · [4] hash of the id of the item, for ALONE.
 */
import { murmur3 } from '../lanes/key-hash.ts';
import type { Suspect } from './control.ts';

const RECORD = 5;
export const LEDGER_SLOTS = 4096;
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

  static create(slots: number = LEDGER_SLOTS): Int32Array {
    return new Int32Array(new SharedArrayBuffer(4 * RECORD * slots));
  }

  get isFull(): boolean {
    return this.#free.length === 0;
  }

  enter(actor: number, hash: number, count: number, aloneId: string | null): number {
    const slot = this.#free.pop()!;
    const at = slot * RECORD;
    this.words[at + 1] = hash;
    this.words[at + 2] = count;
    this.words[at + 3] = aloneId === null ? 0 : ALONE;
    this.words[at + 4] = aloneId === null ? 0 : hashId(aloneId);
    Atomics.store(this.words, at, actor + 1); // last: the record counts from now on
    return slot;
  }

  leave(slot: number): void {
    Atomics.store(this.words, slot * RECORD, 0);
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
    records.push({ actor, hash: words[at + 1]! >>> 0, count: words[at + 2]!, alone: words[at + 3] === ALONE, idHash: words[at + 4]! });
  }
  return records;
}

const encoder = new TextEncoder();

/** 32-bit hash of a message id, as the ledger keeps it. */
export function hashId(id: string): number {
  const bytes = encoder.encode(id);
  return murmur3(bytes, bytes.length) | 0;
}
