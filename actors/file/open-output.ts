/** Opens an output file: makes or empties it, sets a torn last line aside, and finds out what its end is like. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, extname } from 'node:path';
import { KeymillError, type Log, syncFolder } from '../../runtime/index.ts';
import { EMPTY_TAIL, type Tail } from './encode.ts';
import { codeOf } from './faults.ts';
import type { FileOptions } from './options.ts';
import { FileOutput } from './output.ts';
import { formatOf, leadsOut, type Place } from './place.ts';
import { endOfLines, endOfRows, firstRow, setAside } from './torn.ts';

/** What this process left a file like when it closed it. */
export interface Left {
  readonly length: number;
  readonly tail: Tail;
}

export interface Opening {
  readonly file: string;
  readonly place: Place;
  readonly options: FileOptions;
  readonly empty: boolean;
  /** Whether it is known to hold lines: its end is then checked. */
  readonly lines: boolean;
  readonly left: Left | undefined;
  readonly log: Log;
}

/** Extensions of files that hold lines whoever writes them. */
const LINES = new Set(['.ndjson', '.jsonl', '.csv']);

/** Whether a file is one of lines by what the options or its name say. */
export function holdsLines(file: string, options: FileOptions): boolean {
  return options.format === undefined ? LINES.has(extname(file).toLowerCase()) : options.format !== 'json';
}

/** Throws what the system says, or OUTPUT_UNWRITABLE. */
export async function openOutput(opening: Opening): Promise<FileOutput> {
  const { file, place, options } = opening;
  if (await leadsOut(place, dirname(file)))
    throw new KeymillError('OUTPUT_UNWRITABLE', `a link in ${file} leaves the folder ${place.path}`, {
      place: { at: file },
    });
  // In a folder a link at the very end is refused by the system (ELOOP): following it could leave the folder.
  const handle = await openOrMake(file, place.kind === 'folder' ? constants.O_NOFOLLOW : 0, options);
  const syncEach = options.fsync === 'batch';
  try {
    const found = await handle.stat();
    if (!found.isFile()) return new FileOutput(file, handle, { regular: false, length: 0, tail: EMPTY_TAIL, syncEach });
    if (opening.empty) await handle.truncate(0);
    const left = await leftIn(opening, handle, opening.empty ? 0 : found.size);
    return new FileOutput(file, handle, { regular: true, ...left, syncEach });
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** A file that was made is lost in a crash unless its folder is synced too. */
async function openOrMake(file: string, flags: number, options: FileOptions): Promise<FileHandle> {
  const append = constants.O_RDWR | constants.O_APPEND | flags;
  try {
    return await open(file, append);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  const handle = await open(file, append | constants.O_CREAT);
  try {
    if (options.fsync !== 'none') await syncFolder(dirname(file));
  } catch (error) {
    // Folders that cannot be opened for reading, and file systems that do not sync folders.
    if (codeOf(error) !== 'EACCES' && codeOf(error) !== 'EINVAL') {
      await handle.close();
      throw error;
    }
  }
  return handle;
}

async function leftIn(opening: Opening, handle: FileHandle, size: number): Promise<Left> {
  const { file, options, left } = opening;
  if (size === 0) return { length: 0, tail: EMPTY_TAIL };
  if (left?.length === size) return left;
  const format = formatOf(file, options.format);
  const length = opening.lines ? await withoutTorn(opening, handle, size) : size;
  const columns = format === 'csv' && length > 0 ? await firstRow(file, handle, length, options) : undefined;
  const midLine = !opening.lines && (await endOfLines(handle, size)) < size;
  return { length, tail: { columns, midLine } };
}

async function withoutTorn(opening: Opening, handle: FileHandle, size: number): Promise<number> {
  const { file, options, log } = opening;
  const isCsv = formatOf(file, options.format) === 'csv';
  const end = isCsv ? await endOfRows(handle, size, options.csv.delimiter) : await endOfLines(handle, size);
  if (end === size) return size;
  // No crash leaves that much: rather a quote that was never closed, or another delimiter.
  if (isCsv && size - end > options.maxLineBytes)
    throw new KeymillError(
      'OUTPUT_UNWRITABLE',
      `${file} cannot be appended to: its last row begins at byte ${end} and does not end`,
      {
        place: { at: file },
      },
    );
  const aside = await setAside(file, handle, end, size);
  log.warn({ file, aside, bytes: size - end }, 'the last line was torn by an earlier crash; it was set aside');
  return end;
}
