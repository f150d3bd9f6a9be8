/** Waiting for what a server must come to. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Asks until the answer is yes. Throws at the end of the time. */
export async function until(timeoutMs: number, what: string, ask: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + timeoutMs; !(await ask().catch(() => false)); await sleep(50))
    if (Date.now() > end) throw new Error(`not after ${timeoutMs / 1000} s: ${what}`);
}
