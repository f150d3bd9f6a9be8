/** Files that are replaced as a whole. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Puts a new file in the place of `path`: written beside it, synced, renamed over it, and the folder synced, so a crash or a
 * power cut leaves the old one or the new one, whole. Throws what the system says, and leaves the old one then.
 */
export async function replaceFile(path: string, lines: Iterable<string>): Promise<void> {
  const beside = `${path}.new`;
  const file = await open(beside, 'w');
  try {
    for (const line of lines) await file.writeFile(`${line}\n`);
    await file.datasync();
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  await rename(beside, path);
  await syncFolder(dirname(path));
}

/**
 * A name that was made or changed is on the disk when its folder is. Throws what the system says. Windows has no handles of
 * folders to sync; there the file system journals names by itself.
 */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
