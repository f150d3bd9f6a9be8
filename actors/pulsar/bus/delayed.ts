/** Messages that may not be given before their time (`deliverAt`), the earliest first: a binary heap. */

export interface DelayedMessage {
  /** ms since 1970. */
  readonly at: number;
  readonly seq: number;
}

export class Delayed {
  #heap: DelayedMessage[] = [];
  /** Those in the heap that still wait: what is acknowledged meanwhile is only taken out of here. */
  readonly #waiting = new Set<number>();

  get size(): number {
    return this.#waiting.size;
  }

  has(seq: number): boolean {
    return this.#waiting.has(seq);
  }

  /** When the next is due; undefined for never. */
  get nextAt(): number | undefined {
    this.#dropGone();
    return this.#heap[0]?.at;
  }

  add(seq: number, at: number): void {
    if (this.#waiting.has(seq)) return;
    this.#waiting.add(seq);
    const heap = this.#heap;
    let i = heap.push({ at, seq }) - 1;
    while (i > 0) {
      const above = (i - 1) >> 1;
      if (!isBefore(heap[i]!, heap[above]!)) break;
      [heap[i], heap[above]] = [heap[above]!, heap[i]!];
      i = above;
    }
  }

  /** False when it is not in. */
  delete(seq: number): boolean {
    return this.#waiting.size > 0 && this.#waiting.delete(seq);
  }

  /** Takes out what is due, in the order of its time. */
  takeDue(now: number): number[] {
    const due: number[] = [];
    for (let at = this.nextAt; at !== undefined && at <= now; at = this.nextAt) {
      const { seq } = this.#pop();
      this.#waiting.delete(seq);
      due.push(seq);
    }
    return due;
  }

  clear(): void {
    this.#heap = [];
    this.#waiting.clear();
  }

  #dropGone(): void {
    while (this.#heap.length > 0 && !this.#waiting.has(this.#heap[0]!.seq)) this.#pop();
  }

  #pop(): DelayedMessage {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    heap[0] = last;
    for (let i = 0; ; ) {
      const left = 2 * i + 1;
      if (left >= heap.length) break;
      const child = left + 1 < heap.length && isBefore(heap[left + 1]!, heap[left]!) ? left + 1 : left;
      if (!isBefore(heap[child]!, heap[i]!)) break;
      [heap[i], heap[child]] = [heap[child]!, heap[i]!];
      i = child;
    }
    return top;
  }
}

function isBefore(a: DelayedMessage, b: DelayedMessage): boolean {
  return a.at < b.at || (a.at === b.at && a.seq < b.seq);
}
