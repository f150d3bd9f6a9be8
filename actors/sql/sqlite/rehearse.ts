/** What `check` finds out about a database without opening it, which would make it. */
import { accessSync, closeSync, constants, existsSync, openSync, readSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { asError, KeymillError } from '../../../runtime/index.ts';

const HEAD = 'SQLite format 3\0';

/** Throws STORE_READ_ONLY where it cannot be written or made, STORE_CORRUPT where it is no database. */
export function rehearseFile(path: string): void {
  const place = { at: path };
  let folder = dirname(path);
  while (!existsSync(folder)) folder = dirname(folder);
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    if (!statSync(folder).isDirectory()) throw new Error(`${folder} is not a folder`);
    if (!existsSync(path)) return;
    accessSync(path, constants.R_OK | constants.W_OK);
  } catch (cause) {
    throw new KeymillError('STORE_READ_ONLY', `${path} cannot be written (${asError(cause).message})`, {
      cause,
      place,
    });
  }
  const bytes = Buffer.alloc(HEAD.length);
  const file = openSync(path, 'r');
  const read = readSync(file, bytes);
  closeSync(file);
  if (read > 0 && bytes.toString('latin1') !== HEAD)
    throw new KeymillError('STORE_CORRUPT', `${path} is not a database`, { place });
}
