/**
 * What a file was like as far as it was read: kept in the checkpoint of a source, so that a later process reads on in the
 * same file and in no other. A file may grow, and may be moved; its bytes up to there must be the same. Checked are its
 * length and both ends of these bytes.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describe, KeymillError, type Position, type SourceRecord } from '../../runtime/index.ts';
import type { RecordReader } from './records.ts';

/** How much of each end is compared. */
const EDGE_BYTES = 4096;

const LF = 0x0a;
const CR = 0x0d;
const NOTHING: Buffer = Buffer.alloc(0);

export interface FileMark {
  /** Where the file was, for people. */
  readonly file: string;
  /** How many bytes of it were read. */
  readonly bytes: number;
  /** Fingerprints of the first and the last EDGE_BYTES of them. */
  readonly head: string;
  readonly tail: string;
  /** The record that only the end of the file ended, and whether it was broken: it may have been half written. */
  readonly open?: { readonly position: Position; readonly broken: boolean } | undefined;
}

/** Follows one reading of a file from its start. */
export class MarkMaker {
  readonly #file: string;
  #bytes = 0;
  #head = NOTHING;
  #tail = NOTHING;
  #open: FileMark['open'];

  constructor(file: string) {
    this.#file = resolve(file);
  }

  push(chunk: Buffer): void {
    if (this.#head.length < EDGE_BYTES)
      this.#head = Buffer.concat([this.#head, chunk.subarray(0, EDGE_BYTES - this.#head.length)]);
    this.#tail = chunk.length < EDGE_BYTES ? Buffer.concat([this.#tail, chunk]) : chunk;
    this.#tail = this.#tail.subarray(-EDGE_BYTES);
    this.#bytes += chunk.length;
  }

  /** The records of the end of the file. Their reader takes a last record without an end of its own for a whole one. */
  end(reader: RecordReader): SourceRecord[] {
    const position = reader.position;
    const records = reader.end();
    if (reader.position > position) this.#open = { position, broken: records.some(record => record.broken) };
    return records;
  }

  mark(): FileMark | undefined {
    if (this.#bytes === 0) return undefined;
    return {
      file: this.#file,
      bytes: this.#bytes,
      head: fingerprint(this.#head),
      tail: fingerprint(this.#tail),
      ...(this.#open ? { open: this.#open } : {}),
    };
  }
}

/**
 * Throws CHECKPOINT_UNUSABLE where the file is not the one that the mark was made of, and what the system says where it
 * cannot be read. Resolves with the position of its then last record if that has grown since: it is to be given again.
 */
export async function recogniseFile(file: string, mark: unknown): Promise<Position | undefined> {
  if (!isMark(mark)) throw unusable(file, `was not made of a file, but of ${describe(mark)}`);
  const { bytes, head, tail, open: last } = mark;
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    if (size < bytes) throw unusable(file, `was made when ${mark.file} had ${bytes} bytes or more; it has ${size} now`);
    const edge = Math.min(bytes, EDGE_BYTES);
    const same =
      fingerprint(await bytesAt(handle, 0, edge)) === head &&
      fingerprint(await bytesAt(handle, bytes - edge, edge)) === tail;
    if (!same) throw unusable(file, `was made of ${mark.file} when its first ${bytes} bytes were others`);
    if (!last || size === bytes) return undefined;
    const [next] = await bytesAt(handle, bytes, 1);
    return last.broken || (next !== LF && next !== CR) ? last.position : undefined;
  } finally {
    await handle.close();
  }
}

function unusable(file: string, why: string): KeymillError {
  return new KeymillError('CHECKPOINT_UNUSABLE', `${file}: the checkpoint ${why}`, { place: { at: file } });
}

function isMark(mark: unknown): mark is FileMark {
  if (typeof mark !== 'object' || mark === null) return false;
  const { bytes, head, tail } = mark as Partial<Record<keyof FileMark, unknown>>;
  return Number.isSafeInteger(bytes) && typeof head === 'string' && typeof tail === 'string';
}

function fingerprint(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

async function bytesAt(handle: FileHandle, from: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, from);
  return buffer.subarray(0, bytesRead);
}
