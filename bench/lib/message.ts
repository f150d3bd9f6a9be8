/** What all contestants handle: the same messages, keys and work, made from a number. */
import { finalise as mix } from '../../runtime/lanes/key-hash.ts';

/** A small message. `at` is the time it was due at, ns, or 0 where nobody asks. */
export interface Message {
  key: string;
  n: number;
  cents: number;
  at: number;
  body?: Uint8Array;
}

export interface Load {
  /** Keys that messages are spread over evenly; 0 gives each message a key of its own. */
  readonly keys: number;
  /** Bytes of `body`; 0 for none. */
  readonly bytes: number;
  /** Share of the messages, 0 to 1, that goes to the first key; the rest is spread evenly. */
  readonly hot?: number;
}

/**
 * Messages in a row. Their numbers grow, so that a handler can see whether they come in order. The first ones go to each
 * key in turn; from then on keys are drawn at random.
 */
export class Messages {
  #keys: readonly string[] = [];
  #body: Uint8Array | null = null;
  #hot = 0;
  /** Number of the first message of this load. */
  #first = 1;
  /** Number of the next one. */
  next = 1;

  constructor(load: Load) {
    this.become(load);
  }

  /** Another load from now on. Keys of the same place have the same name. */
  become({ keys, bytes, hot = 0 }: Load): void {
    if (keys !== this.#keys.length) this.#keys = Array.from({ length: keys }, (_, i) => `account-${i}`);
    this.#body = bytes === 0 ? null : Uint8Array.from({ length: bytes }, (_, i) => i & 127);
    this.#hot = hot * 2 ** 32;
    this.#first = this.next;
  }

  make(at: number): Message {
    const n = this.next++;
    const message = { key: this.keyOf(n), n, cents: centsOf(n), at };
    return this.#body === null ? message : { ...message, body: this.#body };
  }

  /** One to this key instead of the one that it would go to. Its latency is not recorded. */
  makeFor(key: string): Message {
    return { ...this.make(0), key };
  }

  keyOf(n: number): string {
    const { length } = this.#keys;
    if (length === 0) return `account-${n}`;
    if (this.#hot > 0 && mix(~n) < this.#hot) return this.#keys[0]!;
    const place = n - this.#first;
    return this.#keys[place < length ? place : mix(n) % length]!;
  }

  /** What handlers add up for the messages from `from` on that were made so far. */
  checksumFrom(from: number): number {
    let sum = 0;
    for (let n = from; n < this.next; n++) sum = (sum + contribution(n, centsOf(n), this.#body)) >>> 0;
    return sum;
  }
}

/** What one message adds to the checksum: it changes with each of its parts, and the order does not matter. */
export function contribution(n: number, cents: number, body: Uint8Array | null | undefined): number {
  const ends = body ? body.length + body[0]! + body[body.length - 1]! : 0;
  return mix(n ^ Math.imul(cents + ends, 0x9e3779b1));
}

function centsOf(n: number): number {
  return n % 1000;
}

/** The handler of a message of this key does not end before the gate opens (tally.ts). */
export const SLOW_KEY = 'slow';
/** The key with a long queue, where queues of different lengths meet. */
export const BIG_KEY = 'big';
