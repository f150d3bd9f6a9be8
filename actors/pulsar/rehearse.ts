/** What `check` finds out about a bus without opening it, which would make it, or take it from who has it open. */
import { accessSync, closeSync, constants, existsSync, openSync, readSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { asError, KeymillError } from '../../runtime/index.ts';

const HEAD = 'SQLite format 3\0';
const ENTER = constants.W_OK | constants.X_OK;

/** Throws STORE_READ_ONLY where the file or its folder cannot be written or made, STORE_CORRUPT where it is no database. */
export function rehearseFile(file: string): void {
  if (file === ':memory:') return;
  let folder = dirname(file);
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    accessSync(folder, ENTER);
    if (!statSync(folder).isDirectory()) throw new Error(`${folder} is not a folder`);
    if (!existsSync(file)) return;
    accessSync(file, constants.R_OK | constants.W_OK);
  } catch (cause) {
    throw new KeymillError('STORE_READ_ONLY', `the bus ${file} cannot be written (${asError(cause).message})`, {
      cause,
      place: { at: file },
    });
  }
  const head = headOf(file);
  if (head !== '' && head !== HEAD)
    throw new KeymillError('STORE_CORRUPT', `${file} is not a database`, { place: { at: file } });
}

/** To close a file gives up the locks that this process has on it: only for a process that has no bus open. */
function headOf(file: string): string {
  const handle = openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(HEAD.length);
    return bytes.toString('latin1', 0, readSync(handle, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(handle);
  }
}
