/** For tests of what may not be read or written. */
import { isMainThread } from 'node:worker_threads';
import { onTestFinished, type TestContext } from 'vitest';

/** Permissions do not bind root: stops being root until the test ends, or skips the test and says why. */
export function boundByPermissions(context: TestContext): void {
  if (process.getuid?.() !== 0) return;
  if (!isMainThread) {
    console.log('skipped: permissions do not bind root, and a worker thread cannot stop being root');
    context.skip('permissions do not bind root');
  }
  process.seteuid!(65_534); // nobody
  onTestFinished(() => process.seteuid!(0));
}
