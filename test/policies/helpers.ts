/** What the tests of policies share: functions that fail on order, and a look at a promise's outcome. */
import { ClassifiedError, type ErrorClass } from '../../runtime/errors.ts';

export function failing(errorClass: ErrorClass = 'transient', text = 'down'): () => Promise<never> {
  return async () => {
    throw new ClassifiedError(errorClass, text);
  };
}

/** Never resolves, and does not care about signals. */
export function hanging(): Promise<never> {
  return new Promise(() => {});
}

export interface Outcome<T> {
  status: 'pending' | 'resolved' | 'rejected';
  value?: T;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into errors of all kinds
  error?: any;
}

/** The outcome of a promise, filled in when it settles. */
export function outcomeOf<T>(promise: Promise<T>): Outcome<T> {
  const outcome: Outcome<T> = { status: 'pending' };
  void promise.then(
    value => Object.assign(outcome, { status: 'resolved', value }),
    error => Object.assign(outcome, { status: 'rejected', error }),
  );
  return outcome;
}

/** A promise that the test settles. */
export function gate<T = void>(): { promise: Promise<T>; open(value: T): void; fail(error: unknown): void } {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  return { promise, open: resolve, fail: reject };
}
