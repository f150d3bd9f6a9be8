/**
 * A file of lines that only grows: what dead letters and parked messages rest in. A write counts when it is on the disk
 * (fdatasync). A torn last line, from a crash in the middle of a write, was never answered and is cut off at opening.
 */
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KeymillError } from '../errors.ts';

const READ_BYTES = 1 << 20;

export interface LinePlace {
  readonly offset: number;
  readonly length: number;
}

export class AppendLog {
  readonly path: string;
  readonly #file: FileHandle;
  #end: number;

  private constructor(path: string, file: FileHandle, end: number) {
    this.path = path;
    this.#file = file;
    this.#end = end;
  }

  /** Opens or makes the file and shows each line to `visit`. Throws OUTPUT_UNWRITABLE, and IO_FAILED at the line that `visit` could not read. */
  static async open(path: string, visit: (line: string, place: LinePlace) => void): Promise<AppendLog> {
    let file: FileHandle;
    try {
      await mkdir(dirname(path), { recursive: true });
      file = await open(path, 'a+');
    } catch (cause) {
      throw new KeymillError('OUTPUT_UNWRITABLE', `${path}: ${(cause as Error).message}`, {
        cause,
        place: { at: path },
      });
    }
    let line = 0;
    try {
      const end = await scan(file, (text, place) => {
        line++;
        visit(text, place);
      });
      await file.truncate(end);
      return new AppendLog(path, file, end);
    } catch (cause) {
      await file.close();
      const at = `${path}:${line}`;
      throw new KeymillError('IO_FAILED', `${at}: ${(cause as Error).message}`, {
        cause,
        place: { at },
        class: 'fatal',
      });
    }
  }

  /** Writes lines in one go and resolves when they are on the disk. Nothing half-written stays after a failure. */
  async append(lines: readonly string[]): Promise<LinePlace[]> {
    const places: LinePlace[] = [];
    const parts = lines.map(line => Buffer.from(`${line}\n`));
    let offset = this.#end;
    for (const part of parts) {
      places.push({ offset, length: part.length - 1 });
      offset += part.length;
    }
    try {
      await this.#file.appendFile(Buffer.concat(parts));
      await this.#file.datasync();
    } catch (cause) {
      await this.#file.truncate(this.#end).catch(() => undefined);
      const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
      throw new KeymillError(full ? 'OUTPUT_FULL' : 'IO_FAILED', `${this.path}: ${(cause as Error).message}`, {
        cause,
        place: { at: this.path },
      });
    }
    this.#end = offset;
    return places;
  }

  async read(place: LinePlace): Promise<string> {
    const buffer = Buffer.alloc(place.length);
    await this.#file.read(buffer, 0, place.length, place.offset);
    return buffer.toString('utf8');
  }

  /** Empties the file: nothing in it is of use any more. */
  async clear(): Promise<void> {
    await this.#file.truncate(0);
    await this.#file.datasync();
    this.#end = 0;
  }

  get bytes(): number {
    return this.#end;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Offset behind the last whole line. */
async function scan(file: FileHandle, visit: (line: string, place: LinePlace) => void): Promise<number> {
  let rest = Buffer.alloc(0);
  let lineStart = 0;
  const buffer = Buffer.alloc(READ_BYTES);
  for (let position = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, READ_BYTES, position);
    if (bytesRead === 0) return lineStart;
    position += bytesRead;
    let data = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
    for (let newline = data.indexOf(10); newline >= 0; newline = data.indexOf(10)) {
      visit(data.toString('utf8', 0, newline), { offset: lineStart, length: newline });
      lineStart += newline + 1;
      data = data.subarray(newline + 1);
    }
    rest = Buffer.from(data);
  }
}

/** Keys in JSON: a bigint as `{"bigint":"…"}`. */
export function keyToJson(key: string | number | bigint): unknown {
  return typeof key === 'bigint' ? { bigint: String(key) } : key;
}

export function keyFromJson(json: unknown): string | number | bigint {
  return typeof json === 'object' && json !== null
    ? BigInt((json as { bigint: string }).bigint)
    : (json as string | number);
}
