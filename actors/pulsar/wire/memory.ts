/** Bytes of all messages that the producers of a client have sent and not seen confirmed, and who waits until they are fewer. */
export class Memory {
  readonly #limit: number;
  #used = 0;
  readonly #waiting = new Set<() => void>();

  /** `limit` 0: none. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** A message that fills it may exceed it. */
  get isFull(): boolean {
    return this.#limit > 0 && this.#used >= this.#limit;
  }

  take(bytes: number): void {
    this.#used += bytes;
  }

  give(bytes: number): void {
    const wasFull = this.isFull;
    this.#used -= bytes;
    if (!wasFull || this.isFull) return;
    for (const wake of [...this.#waiting]) {
      if (this.isFull) return;
      this.#waiting.delete(wake);
      wake();
    }
  }

  /** Calls `wake` once, when there is room. */
  wait(wake: () => void): void {
    this.#waiting.add(wake);
  }

  forget(wake: () => void): void {
    this.#waiting.delete(wake);
  }
}
