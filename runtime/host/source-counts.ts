/**
 * What a source gave and how that settled, in words that outlive its thread (observe/counts.ts). The first four count on
 * through every life of the source. The last four say the same of what lies below the position that its next life goes on
 * from: what was given beyond that is given again then, and counted then, so that every message counts once.
 */
import { DEAD, DROPPED, type Outcome } from '../lanes/port.ts';

const GIVEN = 0;
/** done, dead and dropped follow GIVEN in the order of the outcomes' codes. */
const SETTLED = 1;
const BELOW = 4;

export class SourceCounts {
  readonly #words: Float64Array;
  /** What they were when this life of the source began. */
  readonly #before: Float64Array;

  constructor(words: Float64Array, replayable: boolean) {
    this.#words = words;
    if (replayable) words.copyWithin(0, BELOW, 2 * BELOW);
    this.#before = words.slice(0, BELOW);
  }

  give(): void {
    this.#words[GIVEN]!++;
  }

  settle(outcome: Outcome): void {
    this.#words[SETTLED + outcome]!++;
  }

  /** `below`: how what this life gave below the position to go on from settled, by outcome. */
  keep(below: readonly [done: number, dead: number, dropped: number]): void {
    let given = this.#before[GIVEN]!;
    below.forEach((count, outcome) => {
      given += count;
      this.#words[BELOW + SETTLED + outcome] = this.#before[SETTLED + outcome]! + count;
    });
    this.#words[BELOW + GIVEN] = given;
  }

  /** Of this life alone. */
  get figures(): { given: number; done: number; dead: number; dropped: number } {
    const since = (word: number): number => this.#words[word]! - this.#before[word]!;
    return {
      given: since(GIVEN),
      done: since(SETTLED),
      dead: since(SETTLED + DEAD),
      dropped: since(SETTLED + DROPPED),
    };
  }
}
