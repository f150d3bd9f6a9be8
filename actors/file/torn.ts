/** What an existing file holds when it is opened for appending: where its whole lines end, and its first CSV row. */
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { KeymillError } from '../../runtime/index.ts';
import { CHUNK_BYTES } from './bytes.ts';
import { CsvReader } from './csv.ts';
import { CsvRows } from './csv-rows.ts';
import { codeOf } from './faults.ts';
import type { FileOptions } from './options.ts';

const LF = 0x0a;

/** Length of the file up to the end of its last whole line. Looks back from the end. */
export async function endOfLines(handle: FileHandle, size: number): Promise<number> {
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const at = (await bytesBetween(handle, start, end)).lastIndexOf(LF);
    if (at !== -1) return start + at + 1;
    end = start;
  }
  return 0;
}

/**
 * Length of the file up to the end of its last whole CSV row. Reads the file from its start: whether a newline ends a
 * row depends on every quote before it.
 */
export async function endOfRows(handle: FileHandle, size: number, delimiter: string): Promise<number> {
  const rows = new CsvRows(delimiter);
  let end = 0;
  for (let start = 0; start < size; start += CHUNK_BYTES) {
    const bytes = await bytesBetween(handle, start, Math.min(size, start + CHUNK_BYTES));
    for (let at = rows.next(bytes, 0); at !== -1; at = rows.next(bytes, at)) end = start + at;
  }
  return end;
}

/** The first row of a CSV file; undefined when it has none. Throws OUTPUT_UNWRITABLE when it cannot be read. */
export async function firstRow(file: string, handle: FileHandle, size: number, options: FileOptions) {
  const csv = { ...options.csv, header: false };
  const reader = new CsvReader({ file, base: 0, from: 0, maxLineBytes: options.maxLineBytes, csv });
  let records = reader.push(await bytesBetween(handle, 0, Math.min(size, CHUNK_BYTES)));
  for (let start = CHUNK_BYTES; records.length === 0 && start < size; start += CHUNK_BYTES)
    records = reader.push(await bytesBetween(handle, start, Math.min(size, start + CHUNK_BYTES)));
  const [first] = records;
  if (first?.broken)
    throw new KeymillError('OUTPUT_UNWRITABLE', `${file} has a broken first row, so its columns are not known`, {
      cause: first.broken,
      place: { at: file },
    });
  return first?.value as readonly string[] | undefined;
}

/**
 * Moves what follows byte `from` to the first free `FILE.torn-<n>` and returns its name. The copy is on the disk
 * before the file is cut, so a crash in between leaves the bytes twice and never not at all.
 */
export async function setAside(file: string, handle: FileHandle, from: number, size: number): Promise<string> {
  const [name, copy] = await openFree(file);
  try {
    for (let start = from; start < size; start += CHUNK_BYTES)
      await copy.writeFile(await bytesBetween(handle, start, Math.min(size, start + CHUNK_BYTES)));
    await copy.sync();
  } catch (error) {
    await copy.close();
    await unlink(name);
    throw error;
  }
  await copy.close();
  await handle.truncate(from);
  await handle.sync();
  return name;
}

async function openFree(file: string): Promise<[string, FileHandle]> {
  for (let n = 1; ; n++) {
    const name = `${file}.torn-${n}`;
    try {
      return [name, await open(name, 'wx')];
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
  }
}

async function bytesBetween(handle: FileHandle, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(end - start);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length, start + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}
