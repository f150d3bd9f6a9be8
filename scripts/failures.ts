/** What failed in a run of vitest, from the report of its JSON reporter. */
import { relative } from 'node:path';

/** The part of the report that is used. */
export interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly testResults: readonly {
    /** Path of the file. */
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/** One line for each failed test, and for each file that failed without one (it did not load, or a hook threw). */
export function failuresOf({ testResults }: VitestReport, root: string): string[] {
  return testResults.flatMap(({ name, status, message = '', assertionResults }) => {
    const file = relative(root, name);
    const failed = assertionResults.filter(test => test.status === 'failed');
    if (failed.length > 0) return failed.map(test => `${file} > ${test.fullName}`);
    return status === 'failed' ? [`${file}: ${message.trim().split('\n', 1)[0] || 'failed as a whole'}`] : [];
  });
}
