import type { Scope } from './scope.ts';

/** What the guarded function gets. */
export interface Try {
  /** Aborted when the try has run out of time or its caller gave up. What ignores it runs on beside the next try. */
  readonly signal: AbortSignal;
  /** Milliseconds left to this try when read; undefined when nothing bounds it. Hand it on to calls made inside. */
  readonly deadlineMs: number | undefined;
  /** 1 for the first. */
  readonly attempt: number;
}

/** `deadlineMs` is read from the scope each time, so that what is handed on inside a try is what is left then. */
export function tryContext(scope: Scope, attempt: number): Try {
  return {
    signal: scope.signal,
    attempt,
    get deadlineMs() {
      return scope.leftMs;
    },
  };
}
