/** What a subscription has acknowledged of one topic: everything below a mark, and runs above it. Durable with the commit. */
import { AckedRanges } from './acked-ranges.ts';
import type { Participant, Transaction } from './committer.ts';
import type { Store } from './store.ts';

/** What a commit changed. */
export interface CursorChange {
  /** Numbers that were acknowledged one by one and were not before. */
  readonly acked: readonly number[];
  /** The subscription was moved: what was given before does not count. */
  readonly isMoved: boolean;
}

export class Cursor implements Participant {
  /** Number of its row. */
  readonly id: number;
  readonly #store: Store;
  readonly #changed: (change: CursorChange) => void;
  #mark: number;
  #ranges: AckedRanges;
  #before: { readonly mark: number; readonly ranges: AckedRanges } | null = null;
  #acked: number[] = [];
  #isMoved = false;

  constructor(store: Store, id: number, mark: number, ranges: AckedRanges, changed: (change: CursorChange) => void) {
    this.#store = store;
    this.id = id;
    this.#mark = mark;
    this.#ranges = ranges;
    this.#changed = changed;
  }

  /** All below is acknowledged. */
  get mark(): number {
    return this.#mark;
  }

  isAcked(seq: number): boolean {
    return seq < this.#mark || (this.#ranges.size > 0 && this.#ranges.has(seq));
  }

  /** How many messages below `seq` are not acknowledged. */
  openBelow(seq: number): number {
    return Math.max(0, seq - this.#mark - this.#ranges.countBelow(seq));
  }

  /** The first stretch from `seq` on that is not acknowledged: from ≤ x < to. */
  gap(seq: number): { readonly from: number; readonly to: number } {
    return this.#ranges.gap(Math.max(seq, this.#mark));
  }

  ack(transaction: Transaction, seq: number): void {
    if (this.isAcked(seq)) return;
    transaction.enlist(this);
    this.#ranges.add(seq);
    this.#acked.push(seq);
    this.#mark = this.#ranges.settle(this.#mark);
  }

  /** All up to and with `seq`. */
  ackTo(transaction: Transaction, seq: number): void {
    if (seq < this.#mark) return;
    transaction.enlist(this);
    this.#mark = this.#ranges.settle(seq + 1);
  }

  /** Nothing from `seq` on is acknowledged, everything below is. */
  move(transaction: Transaction, seq: number): void {
    transaction.enlist(this);
    this.#mark = seq;
    this.#ranges = new AckedRanges();
    this.#acked = [];
    this.#isMoved = true;
  }

  begin(): void {
    this.#before = { mark: this.#mark, ranges: this.#ranges.copy() };
  }

  write(): void {
    this.#store.run('saveCursor', this.#mark, this.#ranges.toJson(), this.id);
  }

  committed(): void {
    const change = { acked: this.#acked, isMoved: this.#isMoved };
    this.#forgetChange();
    this.#changed(change);
  }

  rolledBack(): void {
    this.#mark = this.#before!.mark;
    this.#ranges = this.#before!.ranges;
    this.#forgetChange();
  }

  #forgetChange(): void {
    this.#before = null;
    this.#acked = [];
    this.#isMoved = false;
  }
}
