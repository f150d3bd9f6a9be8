/** Messages that were read but are with no consumer: given back, or held back for their key. Sorted, so order holds. */
export class Replay {
  #seqs: number[] = [];

  get size(): number {
    return this.#seqs.length;
  }

  /** Nothing changes for one that is in. */
  add(seq: number): void {
    const at = this.#place(seq);
    if (this.#seqs[at] !== seq) this.#seqs.splice(at, 0, seq);
  }

  delete(seq: number): boolean {
    const at = this.#place(seq);
    if (this.#seqs[at] !== seq) return false;
    this.#seqs.splice(at, 1);
    return true;
  }

  clear(): void {
    this.#seqs = [];
  }

  /** Shows each, the lowest first. `visit` says whether it leaves, stays, or stays with all behind it. */
  sweep(visit: (seq: number) => 'leaves' | 'stays' | 'ends'): void {
    const seqs = this.#seqs;
    let kept = 0;
    let at = 0;
    try {
      for (; at < seqs.length; at++) {
        const said = visit(seqs[at]!);
        if (said === 'ends') break;
        if (said === 'stays') seqs[kept++] = seqs[at]!;
      }
    } finally {
      // What was not shown, or could not be read, stays.
      seqs.copyWithin(kept, at);
      seqs.length -= at - kept;
    }
  }

  #place(seq: number): number {
    const seqs = this.#seqs;
    let low = 0;
    let high = seqs.length;
    if (high === 0 || seqs[high - 1]! < seq) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (seqs[middle]! < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
