/** One writer of a database at a time: others wait, as for the locks of the rows. */

export class WriteLock {
  #owner: object | null = null;
  readonly #waiting: { readonly owner: object; readonly go: () => void }[] = [];

  get isFree(): boolean {
    return this.#owner === null;
  }

  /** Rejects as the signal says. It is the owner's until `free`. */
  async take(owner: object, signal?: AbortSignal): Promise<void> {
    if (this.#owner === owner) return;
    signal?.throwIfAborted();
    if (this.#owner === null) {
      this.#owner = owner;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { owner, go: resolve };
    this.#waiting.push(waiter);
    const leave = (): void => {
      const at = this.#waiting.indexOf(waiter);
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', leave, { once: true });
    await promise.finally(() => signal?.removeEventListener('abort', leave));
  }

  /** Nothing where it is another's. */
  free(owner: object): void {
    if (this.#owner !== owner) return;
    const next = this.#waiting.shift();
    this.#owner = next?.owner ?? null;
    next?.go();
  }
}
