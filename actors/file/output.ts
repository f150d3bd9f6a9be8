/** One open output file, and what every output can do. The policies it keeps are told in sink.ts. */
import type { FileHandle } from 'node:fs/promises';
import type { KeymillError } from '../../runtime/index.ts';
import type { Addition, Tail } from './encode.ts';
import { outputFault } from './faults.ts';

/** How a commit ended: the first `asks` additions are written, the others failed with `error`. */
export interface Committed {
  readonly asks: number;
  readonly error?: KeymillError;
}

export interface Output {
  readonly file: string;
  readonly tail: Tail;
  /** Writes all additions at once. Never rejects. One call at a time. */
  commit(additions: readonly Addition[], signal: AbortSignal): Promise<Committed>;
}

export class FileOutput implements Output {
  readonly file: string;
  readonly #handle: FileHandle;
  /** False for devices and pipes, which can be neither cut back nor synced. */
  readonly #regular: boolean;
  readonly #syncEach: boolean;
  /** Bytes up to here are whole asks. Everything after them is cut off before a failure is answered. */
  #length: number;
  #tail: Tail;
  #unsynced = false;
  #sound = true;

  constructor(
    file: string,
    handle: FileHandle,
    found: { readonly regular: boolean; readonly length: number; readonly tail: Tail; readonly syncEach: boolean },
  ) {
    this.file = file;
    this.#handle = handle;
    this.#regular = found.regular;
    this.#length = found.length;
    this.#tail = found.tail;
    this.#syncEach = found.syncEach;
  }

  get tail(): Tail {
    return this.#tail;
  }

  get length(): number {
    return this.#length;
  }

  /** False when a failed write could not be undone: close it, and look at its end when it is opened again. */
  get sound(): boolean {
    return this.#sound;
  }

  get unsynced(): boolean {
    return this.#unsynced;
  }

  /** All or nothing, on regular files. */
  async commit(additions: readonly Addition[]): Promise<Committed> {
    const bytes = joined(additions);
    try {
      await this.#write(bytes);
      this.#unsynced ||= this.#regular && bytes.length > 0;
      if (this.#syncEach) await this.sync();
    } catch (error) {
      return { asks: 0, error: outputFault(error, this.file, await this.#cutBack()) };
    }
    this.#length += bytes.length;
    this.#tail = additions.at(-1)?.tail ?? this.#tail;
    return { asks: additions.length };
  }

  /** fdatasync: the bytes and the length, without the times. Rejects with what the system says. */
  async sync(): Promise<void> {
    if (!this.#unsynced) return;
    this.#unsynced = false;
    try {
      await this.#handle.datasync();
    } catch (error) {
      this.#unsynced = true;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** The kernel may take a part only, the last that fits before ENOSPC for one. */
  async #write(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, at, bytes.length - at, null);
      at += bytesWritten;
    }
  }

  /** Says what became of the file. */
  async #cutBack(): Promise<string> {
    if (!this.#regular) return 'not a regular file: what was written of it stays';
    try {
      await this.#handle.truncate(this.#length);
      return `nothing of it stays: the file was cut back to its last good length, ${this.#length} bytes`;
    } catch {
      this.#sound = false;
      return `a part of it may stay after byte ${this.#length}; it is set aside when the file is next opened`;
    }
  }
}

export function sizeOf(additions: readonly Addition[]): number {
  return additions.reduce(
    (sum, { data }) => sum + (typeof data === 'string' ? Buffer.byteLength(data) : data.length),
    0,
  );
}

/** One buffer for one write. */
export function joined(additions: readonly Addition[]): Buffer {
  const parts = additions.map(addition => addition.data);
  if (parts.every(part => typeof part === 'string')) return Buffer.from(parts.join(''));
  return Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part) : part)));
}
