/**
 * The partition table: which slot (thread) is home to each of the P partitions. It lives in shared memory, is written
 * by the supervisor alone and read by every sender for every message.
 *
 * Layout, Int32 words: [0] version, raised with each change · [1 … P] home slot, or HELD while the partition moves
 * · [P+1 … 2P] epoch of the partition: the version at which it last changed (rule 19).
 */
export const HELD = -1;

export class Homes {
  readonly words: Int32Array;
  readonly partitions: number;
  readonly mask: number;

  constructor(words: Int32Array) {
    this.words = words;
    this.partitions = (words.length - 1) >> 1;
    this.mask = this.partitions - 1;
  }

  static create(partitions: number, hosts: readonly number[]): Homes {
    const words = new Int32Array(new SharedArrayBuffer(4 * (1 + 2 * partitions)));
    words[0] = 1;
    for (let p = 0; p < partitions; p++) {
      words[1 + p] = hosts[p % hosts.length]!;
      words[1 + partitions + p] = 1;
    }
    return new Homes(words);
  }

  get version(): number {
    return Atomics.load(this.words, 0);
  }

  homeOf(partition: number): number {
    return Atomics.load(this.words, 1 + partition);
  }

  epochOf(partition: number): number {
    return Atomics.load(this.words, 1 + this.partitions + partition);
  }

  /** Supervisor only. The home is written before the version, so who sees the version sees the home. */
  assign(partition: number, slot: number): number {
    const next = Atomics.load(this.words, 0) + 1;
    Atomics.store(this.words, 1 + this.partitions + partition, next);
    Atomics.store(this.words, 1 + partition, slot);
    Atomics.store(this.words, 0, next);
    return next;
  }
}
