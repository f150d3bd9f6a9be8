/**
 * Pools of the arrays that batches travel in (G9.5), by power of two, so that a steady state allocates none. An array
 * given back is emptied of references but keeps its room.
 */
const KEPT_PER_CLASS = 64;

export class ArrayPool {
  readonly #singles: unknown[][] = [];
  readonly #classes: unknown[][][] = Array.from({ length: 18 }, () => []);

  /** An array of this length whose elements are to be set by the caller. */
  take<T>(length: number): T[] {
    if (length === 1) return (this.#singles.pop() as T[] | undefined) ?? new Array<T>(1);
    const pooled = this.#classes[classOf(length)]?.pop() as T[] | undefined;
    if (!pooled) return new Array<T>(length);
    pooled.length = length;
    return pooled;
  }

  give(array: unknown[]): void {
    if (array.length === 1) {
      if (this.#singles.length >= KEPT_PER_CLASS) return;
      array[0] = undefined;
      this.#singles.push(array);
      return;
    }
    const shelf = this.#classes[classOf(array.length)];
    if (!shelf || shelf.length >= KEPT_PER_CLASS) return;
    for (let i = 0; i < array.length; i++) array[i] = undefined;
    shelf.push(array);
  }
}

function classOf(length: number): number {
  return 32 - Math.clz32(Math.max(0, length - 1));
}
