/** The messages that a consumer was given ahead and has not taken yet, of all its partitions, and who waits for the next one. */
import type { KeymillError } from '../../../runtime/index.ts';
import type { InMessage } from '../contract.ts';
import { Takers } from '../takers.ts';
import type { HeldEntry } from './held.ts';

/** Whose message it is. */
export interface InboxOwner {
  /** It is taken; false when it is not wanted any more. */
  taken(one: Waiting): boolean;
}

export interface Waiting {
  readonly owner: InboxOwner;
  readonly message: InMessage;
  readonly ledger: number;
  readonly entry: number;
  /** In its batch; 0 where it has none. */
  readonly index: number;
  /** Null for a reader. */
  readonly held: HeldEntry | null;
}

const TRIM = 4096;

export class Inbox {
  #queue: Waiting[] = [];
  #head = 0;
  #fault: KeymillError | null = null;
  readonly #takers = new Takers();

  get isEmpty(): boolean {
    return this.#head === this.#queue.length;
  }

  put(one: Waiting): void {
    this.#queue.push(one);
  }

  /** Those who wait get what was put in. */
  serve(): void {
    if (!this.#takers.isEmpty) this.#takers.serve(() => this.next());
  }

  /** Rejects with the reason of `signal`, or what `close` was told. */
  async take(signal?: AbortSignal): Promise<InMessage> {
    signal?.throwIfAborted();
    const next = this.#takers.isEmpty ? this.next() : undefined;
    if (next) return next;
    if (this.#fault) throw this.#fault;
    return this.#takers.wait(signal);
  }

  next(): InMessage | undefined {
    while (this.#head < this.#queue.length) {
      const one = this.#queue[this.#head++]!;
      if (this.#head === this.#queue.length) {
        this.#queue = [];
        this.#head = 0;
      } else if (this.#head === TRIM) {
        this.#queue = this.#queue.slice(TRIM);
        this.#head = 0;
      }
      if (one.owner.taken(one)) return one.message;
    }
    return undefined;
  }

  /** Takes back what is of this owner, and returns how many these were. */
  retract(owner: InboxOwner): number {
    const kept: Waiting[] = [];
    for (let i = this.#head; i < this.#queue.length; i++) {
      const one = this.#queue[i]!;
      if (one.owner !== owner) kept.push(one);
    }
    const count = this.#queue.length - this.#head - kept.length;
    this.#queue = kept;
    this.#head = 0;
    return count;
  }

  /** Nothing more is given out. */
  close(fault: KeymillError): void {
    if (this.#fault) return;
    this.#fault = fault;
    this.#queue = [];
    this.#head = 0;
    this.#takers.failAll(fault);
  }
}
