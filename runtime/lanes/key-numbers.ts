/**
 * Numbers for the keys of an actor, one set in each thread that sends: who sends often to the same keys names them by
 * numbers, by which a receiver finds their mailboxes without reading the keys (host/known-keys.ts). They are hints: a frame
 * holds its keys as well, so it can be read with no knowledge of those before it.
 */
import type { Key } from '../topology/define.ts';
import { hashKey } from './key-hash.ts';

/** Keys that have a number at a time, a power of two: a receiver keeps what it knows by their last digits. */
export const NUMBERED_KEYS = 16_384;
/** After so many messages it is seen whether half of them, at least, met a number. */
const REVIEW = 4 * NUMBERED_KEYS;
/** Where they did not, so many messages go without. */
const REST = 64 * NUMBERED_KEYS;
/** A number fits 32 bits with its sign, and names one key for ever: when they are used up there are no new ones. */
const LAST = 2 ** 31 - 1;

export class KeyNumbers {
  readonly #numbers = new Map<Key, number>();
  /** By the last digits of numbers. */
  readonly #hashes: number[] = [];
  #last = 0;
  #looks = 0;
  #hits = 0;
  #rest = 0;
  /** The hash (key-hash.ts) of the key that was asked for last. */
  hash = 0;

  /** The number of a key, from 1 on; negative the first time; 0 for none. Sets `hash`. */
  of(key: Key): number {
    if (this.#rest > 0) {
      this.#rest--;
      this.hash = hashKey(key);
      return 0;
    }
    if (++this.#looks === REVIEW) this.#review();
    const number = this.#numbers.get(key);
    if (number === undefined) return this.#unknown(key);
    this.#hits++;
    this.hash = this.#hashes[number & (NUMBERED_KEYS - 1)]!;
    return number;
  }

  #unknown(key: Key): number {
    this.hash = hashKey(key);
    if (this.#numbers.size === NUMBERED_KEYS || this.#last === LAST) return 0;
    const number = ++this.#last;
    this.#numbers.set(key, number);
    this.#hashes[number & (NUMBERED_KEYS - 1)] = this.hash;
    return -number;
  }

  /** Keys other than those that came first, or too many to be known: numbers cost more than they save. */
  #review(): void {
    if (2 * this.#hits < this.#looks) {
      this.#numbers.clear();
      this.#rest = REST;
    }
    this.#looks = this.#hits = 0;
  }
}
