/** A full garbage collection, for tests of what is let go. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  await nextTurn(); // what a WeakRef gave out in this turn is alive until it ends
  (runInNewContext('gc') as () => void)();
}
