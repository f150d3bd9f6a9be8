/** Words for what went wrong in a batch. */

/** An item that failed; `isMarked`: by ctx.fail. */
export interface Failed {
  index: number;
  error: unknown;
  isMarked?: boolean;
}

/** A reply that is an error, from I/O actors: the ask fails, its message is done. */
export class ReplyError {
  readonly error: unknown;
  constructor(error: unknown) {
    this.error = error;
  }
}

/** A failure of a whole batch, of which nobody knows which item caused it. */
export class Unattributed {
  readonly error: unknown;
  constructor(error: unknown) {
    this.error = error;
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function';
}
