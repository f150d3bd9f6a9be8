/** One start or stop at a time in one folder of services. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export async function locked<T>(root: string, task: () => Promise<T>): Promise<T> {
  mkdirSync(root, { recursive: true });
  const file = join(root, 'lock');
  while (!take(file)) await sleep(100);
  try {
    return await task();
  } finally {
    rmSync(file, { force: true });
  }
}

/** A lock whose owner is gone is nobody's. */
function take(file: string): boolean {
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  try {
    process.kill(Number(readFileSync(file, 'utf8')), 0);
  } catch {
    rmSync(file, { force: true });
  }
  return false;
}
