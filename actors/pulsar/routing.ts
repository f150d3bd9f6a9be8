/** To which partition a message goes: by its key, as all of Pulsar's clients can be told to; in turn without one. */
import { partitionOfKey } from './murmur3.ts';

export class Router {
  readonly #partitions: number;
  #turn: number;

  /** `start`: the partition of the first message without a key. */
  constructor(partitions: number, start = 0) {
    this.#partitions = partitions;
    this.#turn = start;
  }

  partitionFor(key: string | null): number {
    if (this.#partitions === 1) return 0;
    if (key !== null) return partitionOfKey(key, this.#partitions);
    const partition = this.#turn;
    this.#turn = (partition + 1) % this.#partitions;
    return partition;
  }
}
