/**
 * Numbers for what must not be done twice. A writer is a row of `keymill_done` with the number of its last batch that was
 * committed; a lower number than that was done. So a writer has one batch under way: what goes beside it has a writer of its
 * own, and one whose answer was lost keeps its writer until it is known what became of it.
 */
import type { WriteOp } from '../ops.ts';

export class Numbered {
  readonly id: string;
  /** Its row is there. */
  hasEntered = false;
  #last = 0;

  constructor(id: string) {
    this.id = id;
  }

  next(): number {
    return ++this.#last;
  }
}

/** A number that may have been taken, with those who share it. */
export interface Attempt {
  readonly writer: Numbered;
  readonly number: number;
}

export class Numbering {
  readonly #id: () => string;
  readonly #free: Numbered[] = [];
  /** Asks whose answer was lost. */
  readonly #unsure = new WeakMap<WriteOp, Attempt>();

  /** `id`: a random uuid. */
  constructor(id: () => string) {
    this.#id = id;
  }

  /** The attempt whose answer was lost; undefined where none was. */
  of(op: WriteOp): Attempt | undefined {
    return this.#unsure.get(op);
  }

  /** A number for these asks: the one they had, or the next of a writer that is free. */
  take([first]: readonly WriteOp[]): Attempt {
    const attempt = this.#unsure.get(first!);
    if (attempt) return attempt;
    const writer = this.#free.pop() ?? new Numbered(this.#id());
    return { writer, number: writer.next() };
  }

  /** It is known what became of the asks. */
  settle(ops: readonly WriteOp[], { writer }: Attempt): void {
    for (const op of ops) this.#unsure.delete(op);
    this.#free.push(writer);
  }

  /** Their answer was lost. Asks that are never made again keep their writer: a row that is forgotten after 30 days. */
  doubt(ops: readonly WriteOp[], attempt: Attempt): void {
    for (const op of ops) this.#unsure.set(op, attempt);
  }
}
