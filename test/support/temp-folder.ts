/** A folder of its own, gone when the test is over, or when what `onEnd` took is called. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

export type OnEnd = (end: () => Promise<void>) => void;

export async function tempFolder(name = 'e2e', onEnd: OnEnd = onTestFinished): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `keymill-${name}-`));
  onEnd(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}
