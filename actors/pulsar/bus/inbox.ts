/** The messages that a consumer was given ahead and has not taken yet, of all its topics, and who waits for the next one. */
import { KeymillError } from '../../../runtime/index.ts';
import type { InMessage } from '../contract.ts';
import { Takers } from '../takers.ts';
import type { Member } from './member.ts';
import type { Given } from './topic.ts';

/** Bytes that one consumer may be given ahead. A single larger message is given all the same. */
const MAX_BYTES = 16 * 1024 * 1024;

export interface Waiting {
  readonly member: Member;
  readonly seq: number;
  readonly size: number;
  /** Hash slot of its key, for Key_Shared; -1 for the others. */
  readonly slot: number;
  readonly message: Given;
}

export class Inbox {
  #queue: Waiting[] = [];
  #head = 0;
  #bytes = 0;
  #fault: unknown;
  /** Reading failed: it is tried again when the next message is asked for. */
  #isFaulty = false;
  #closed: KeymillError | null = null;
  readonly #takers = new Takers();
  readonly #hasRoom: () => void;

  /** `hasRoom` is told when it is no longer full. */
  constructor(hasRoom: () => void) {
    this.#hasRoom = hasRoom;
  }

  get isFull(): boolean {
    return this.#bytes >= MAX_BYTES;
  }

  put(one: Waiting): void {
    this.#queue.push(one);
    this.#bytes += one.size;
    if (!this.#takers.isEmpty) this.#takers.serve(() => this.#next());
  }

  /** The next message, once there is one. Rejects with the reason of `signal`, CONSUMER_CLOSED, or what `fail` said. */
  async take(signal?: AbortSignal): Promise<InMessage> {
    signal?.throwIfAborted();
    if (this.#closed) throw this.#closed;
    if (this.#isFaulty && this.#fault === undefined) {
      this.#isFaulty = false;
      this.#hasRoom();
    }
    const next = this.#takers.isEmpty ? this.#next() : undefined;
    if (next) return next;
    if (this.#fault !== undefined) {
      const fault = this.#fault;
      this.#fault = undefined;
      throw fault;
    }
    return this.#takers.wait(signal);
  }

  /** Takes back what is not taken yet and `isMeant`. In the order it was put in. */
  retract(isMeant: (one: Waiting) => boolean): Waiting[] {
    const back: Waiting[] = [];
    const kept: Waiting[] = [];
    for (let i = this.#head; i < this.#queue.length; i++)
      (isMeant(this.#queue[i]!) ? back : kept).push(this.#queue[i]!);
    this.#queue = kept;
    this.#head = 0;
    for (const one of back) {
      this.#bytes -= one.size;
      one.member.queued--;
    }
    return back;
  }

  /** Messages could not be read: told to who waits, or to the next who asks. */
  fail(fault: unknown): void {
    this.#isFaulty = true;
    if (this.#takers.isEmpty) this.#fault = fault;
    else this.#takers.failAll(fault);
  }

  close(): void {
    this.#closed = new KeymillError('CONSUMER_CLOSED', 'it was closed while a message was waited for, or before');
    this.#takers.failAll(this.#closed);
  }

  /** Passes over what was acknowledged meanwhile. */
  #next(): InMessage | undefined {
    while (this.#head < this.#queue.length) {
      const one = this.#queue[this.#head]!;
      this.#head++;
      if (this.#head === this.#queue.length) {
        this.#queue = [];
        this.#head = 0;
      } else if (this.#head === 1024) {
        this.#queue = this.#queue.slice(this.#head);
        this.#head = 0;
      }
      const wasFull = this.isFull;
      this.#bytes -= one.size;
      const isWanted = one.member.taken(one);
      if (wasFull && !this.isFull) this.#hasRoom();
      if (isWanted) return one.message;
    }
    return undefined;
  }
}
