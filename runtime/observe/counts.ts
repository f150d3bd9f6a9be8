/**
 * Counters that outlive their thread: words of shared memory in which a thread counts and which the supervisor reads, also
 * after the thread died. Each word has one writer and plain stores, which costs 2 ns more than a field; a thread that is
 * killed has counted all but the message it was just counting.
 */
import type { DropReason } from './stats.ts';

/** What is kept of one actor, and which of its words it is. */
export const WORD = {
  done: 0,
  dead: 1,
  batches: 2,
  retries: 3,
  timeouts: 4,
  repeats: 5,
  DropOldest: 6,
  DropNewest: 7,
  DropWrite: 8,
  KeyFull: 9,
} as const;
const KEPT = Object.keys(WORD) as (keyof typeof WORD)[];
export const ACTOR_WORDS: number = KEPT.length;
export const DROP_REASONS = ['DropOldest', 'DropNewest', 'DropWrite', 'KeyFull'] as const satisfies DropReason[];

export type ActorCounts = Record<keyof typeof WORD, number>;

/** Words of a thread: those of each actor in the order of the plan, and messages its lanes sent again. */
export function threadWords(actors: number): number {
  return actors * ACTOR_WORDS + 1;
}

export function wordsOf(thread: Float64Array, actor: number): Float64Array {
  return thread.subarray(actor * ACTOR_WORDS, (actor + 1) * ACTOR_WORDS);
}

/** Words of a source: given, done, dead and dropped so far, and the same below the position it would go on from. */
export const SOURCE_WORDS = 8;

/** What all threads of a runtime counted, the dead included. */
export class Counts {
  readonly #actors: readonly string[];
  readonly #dead: Float64Array;
  readonly #living = new Map<number, Float64Array>();
  readonly sources: Float64Array;

  constructor(actors: readonly string[], sources: number) {
    this.#actors = actors;
    this.#dead = new Float64Array(threadWords(actors.length));
    this.sources = shared(SOURCE_WORDS * sources);
  }

  /** Words for a new thread in this slot. Those of the one before it are added to what the dead counted. */
  renew(slot: number): Float64Array {
    const before = this.#living.get(slot);
    if (before) for (let i = 0; i < before.length; i++) this.#dead[i]! += before[i]!;
    const words = shared(threadWords(this.#actors.length));
    this.#living.set(slot, words);
    return words;
  }

  perActor(): Map<string, ActorCounts> {
    const threads = [this.#dead, ...this.#living.values()];
    return new Map(
      this.#actors.map((name, index) => {
        const counts = Object.fromEntries(KEPT.map(kept => [kept, 0])) as ActorCounts;
        for (const thread of threads)
          wordsOf(thread, index).forEach((count, word) => {
            counts[KEPT[word]!] += count;
          });
        return [name, counts];
      }),
    );
  }

  get replayed(): number {
    return [this.#dead, ...this.#living.values()].reduce((sum, thread) => sum + thread.at(-1)!, 0);
  }

  /** What the sources gave, and how it settled. */
  get given(): { given: number; done: number; dead: number; dropped: number } {
    const sum = { given: 0, done: 0, dead: 0, dropped: 0 };
    for (let at = 0; at < this.sources.length; at += SOURCE_WORDS) {
      sum.given += this.sources[at]!;
      sum.done += this.sources[at + 1]!;
      sum.dead += this.sources[at + 2]!;
      sum.dropped += this.sources[at + 3]!;
    }
    return sum;
  }
}

function shared(words: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(8 * words));
}
