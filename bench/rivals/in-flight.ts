/**
 * Bounds how many promises a sender keeps. Contestants that answer each call with a promise get this instead of an
 * endless queue, which is slower for all of them.
 */
export class InFlight {
  readonly #most: number;
  #now = 0;
  #wake: (() => void) | null = null;
  #failure: unknown;
  /** Promises that resolved. */
  done = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Counts a call that began, as so many messages; a promise where there are too many by now. */
  add(call: Promise<unknown>, messages: number): Promise<void> | undefined {
    this.#now += messages;
    call.then(
      () => this.#ended(messages),
      (error: unknown) => {
        this.#failure ??= error;
        this.#ended(messages);
      },
    );
    return this.#now < this.#most ? undefined : this.#until();
  }

  /** Resolves when nothing is in flight; rejects with what the first failed call did. */
  async drained(): Promise<void> {
    while (this.#now > 0) await this.#until();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #ended(messages: number): void {
    this.#now -= messages;
    this.done += messages;
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  #until(): Promise<void> {
    return new Promise(resolve => {
      this.#wake = resolve;
    });
  }
}
