/** Whether a store's file can be where it should be: before it is opened, and for `check`. */
import { accessSync, closeSync, constants, mkdirSync, openSync, readSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { KeymillError } from '../../../runtime/index.ts';
import { APPLICATION_ID } from './codec.ts';
import { corrupt, sqliteFault } from './faults.ts';

const ENTER = constants.W_OK | constants.X_OK;
/** The first page of a database begins with this; the application's id is at 68, big-endian (sqlite.org/fileformat2.html). */
const MAGIC = 'SQLite format 3\0';
const ID_AT = 68;

/** Makes the folder. Throws STORE_READ_ONLY, OUTPUT_FULL, CONFIG_INVALID where a folder is in its place. */
export function prepareFolder(path: string): void {
  guarded(path, () => {
    const folder = checkFolder(path);
    mkdirSync(folder, { recursive: true });
    checkFile(path);
  });
}

/** Throws what opening it would, as far as can be told without leaving anything behind. */
export function rehearseFile(path: string): void {
  guarded(path, () => {
    checkFolder(path);
    if (checkFile(path)) checkHead(path);
  });
}

/** The folder, or the one above it where it can be made, must be writable: SQLite's log is a file beside the store's. */
function checkFolder(path: string): string {
  const folder = dirname(resolve(path));
  let found = folder;
  while (!exists(found)) found = dirname(found);
  if (!statSync(found).isDirectory()) throw Object.assign(new Error(`${found} is no folder`), { code: 'ENOTDIR' });
  accessSync(found, ENTER);
  return folder;
}

/** False where there is none yet. */
function checkFile(path: string): boolean {
  if (!exists(path)) return false;
  if (statSync(path).isDirectory())
    throw new KeymillError('CONFIG_INVALID', `${path} is a folder, expected the path of a file`, {
      place: { at: path },
    });
  accessSync(path, constants.R_OK | constants.W_OK);
  return true;
}

/** Throws STORE_CORRUPT. An empty file is a new store. */
function checkHead(path: string): void {
  const head = Buffer.alloc(ID_AT + 4);
  const file = openSync(path, 'r');
  let read: number;
  try {
    read = readSync(file, head);
  } finally {
    closeSync(file); // with it go the locks that this process has on the file: none, as this is `check`
  }
  if (read === 0) return;
  if (head.toString('latin1', 0, MAGIC.length) !== MAGIC) throw corrupt(path, 'file is not a database');
  if (exists(`${path}-wal`)) return; // the page may be newer there
  if (head.readUInt32BE(ID_AT) !== APPLICATION_ID) throw corrupt(path, 'it is a database, but no store of keymill');
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function guarded(path: string, fn: () => void): void {
  try {
    fn();
  } catch (error) {
    throw sqliteFault(error, path, true);
  }
}
