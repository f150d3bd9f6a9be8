/** What `check` and the start find out about files: whether a source can be read and an output written. */
import { constants } from 'node:fs';
import { access, mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf, inputFault, outputFault } from './faults.ts';
import { leadsOut, type Place, STDIO } from './place.ts';
import { outOf, sourceFile } from './source.ts';

const ENTER = constants.W_OK | constants.X_OK;

/** Throws CONFIG_INVALID where `said` names no file of the place, SOURCE_MISSING where that cannot be read. */
export async function checkReadable(name: string, place: Place, said: Record<string, unknown>): Promise<void> {
  const file = sourceFile(name, place, said);
  if (file === STDIO) return;
  try {
    if (await leadsOut(place, file)) throw outOf(place, file);
    const found = await stat(file);
    if (found.isDirectory()) throw Object.assign(new Error('EISDIR: it is a folder'), { code: 'EISDIR' });
    if (found.isFile()) await (await open(file, 'r')).close();
    else await access(file, constants.R_OK); // to open a pipe would wait for who writes it
  } catch (error) {
    throw inputFault(error, file);
  }
}

/** An output that cannot be written must stop the start, not the first message. Makes its folder. Throws OUTPUT_UNWRITABLE. */
export async function makeWritable(place: Place): Promise<void> {
  if (place.kind === 'stdio') return;
  const folder = folderOf(place);
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, ENTER);
  } catch (error) {
    throw outputFault(error, folder);
  }
  await checkFile(place);
}

/** As `makeWritable`, but changes nothing: a folder that is not there must have one above it where it can be made. */
export async function checkWritable(place: Place): Promise<void> {
  if (place.kind === 'stdio') return;
  let folder = folderOf(place);
  for (;;) {
    try {
      await access(folder, ENTER);
      if ((await stat(folder)).isDirectory()) return await checkFile(place);
      throw Object.assign(new Error('ENOTDIR: it is not a folder'), { code: 'ENOTDIR' });
    } catch (error) {
      const above = dirname(folder);
      if (codeOf(error) !== 'ENOENT' || above === folder) throw outputFault(error, folder);
      folder = above;
    }
  }
}

/** Where the url names one file, and it is there, it must be one that can be written. */
async function checkFile(place: Place): Promise<void> {
  if (place.kind !== 'file') return;
  try {
    await access(place.path, constants.W_OK);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw outputFault(error, place.path);
  }
}

function folderOf(place: Place): string {
  return place.kind === 'folder' ? place.path : dirname(place.path);
}
