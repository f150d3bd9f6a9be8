/** Runs what is asked for one name one after another, in the order asked; different names at once. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Rejects as `run` does; those behind it run all the same. */
  async take(name: string, run: () => Promise<void>): Promise<void> {
    const before = this.#last.get(name);
    const mine = before ? before.then(run, run) : run();
    this.#last.set(name, mine);
    try {
      await mine;
    } finally {
      if (this.#last.get(name) === mine) this.#last.delete(name);
    }
  }
}
