/** Those who wait for a word of a key, each until its own time is over. */
import type { Environment } from '../../runtime/index.ts';

export class Wakes<T> {
  readonly #environment: Environment;
  readonly #waiting = new Map<string, Set<(word: T | null) => void>>();

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** The word, or null when the time is over. To be called before what makes the word come is asked for. */
  wait(key: string, ms: number): { readonly word: Promise<T | null>; end(): void } {
    let end!: () => void;
    const word = new Promise<T | null>(resolve => {
      const timer = this.#environment.clock.after(Math.max(0, ms), () => one(null));
      const one = (given: T | null): void => {
        timer.cancel();
        const all = this.#waiting.get(key);
        all?.delete(one);
        if (all?.size === 0) this.#waiting.delete(key);
        resolve(given);
      };
      end = () => one(null);
      const all = this.#waiting.get(key);
      if (all) all.add(one);
      else this.#waiting.set(key, new Set([one]));
    });
    return { word, end };
  }

  wake(key: string, word: T): void {
    for (const one of [...(this.#waiting.get(key) ?? [])]) one(word);
  }
}
