/**
 * What the `file` I/O actor can be asked. Asks cross threads, so they are plain data: records must be JSON-like, bytes
 * a Uint8Array.
 */

import { normalize } from 'node:path';

/** The formats it knows. `json` (one array in one file) is for reading only: an array cannot be appended to safely. */
export const FORMATS = ['ndjson', 'csv', 'json'] as const;
export type Format = (typeof FORMATS)[number];

/**
 * The typed face of a `file` I/O actor, as `ctx.io<FileClient>('out')` gives it.
 *
 * `path` is relative to the folder that the url names and stays in it: a folder in it that is a link out of there is
 * refused, and so is a file that is a link. Where the url names one file, `path` is '' or that file's name; where it is
 * `-`, everything goes to stdout and `path` is only a name. Calls for one path are written in the order they were made;
 * folders are not made.
 *
 * Both resolve when the bytes are in the file (and, with `fsync: 'batch'`, on the disk). Both reject with OUTPUT_FULL
 * (transient: nothing of the call stays in the file, ask again), OUTPUT_UNWRITABLE (fatal) or IO_FAILED (transient).
 */
export interface FileClient {
  /**
   * Appends one line per record: JSON, or a CSV row. All records of a call or none.
   * Rejects with RECORD_BROKEN (fatal) where a record cannot be written in the file's format, CONFIG_INVALID for a
   * file whose format is `json`.
   */
  append(path: string, records: readonly unknown[]): Promise<void>;
  /** Appends text or bytes as they are. End them with a newline: see "torn last line" in sink.ts. */
  write(path: string, data: string | Uint8Array): Promise<void>;
}

/** An ask as it travels. Each is answered with no value. */
export type FileOp =
  | { readonly op: 'append'; readonly path: string; readonly records: readonly unknown[] }
  | { readonly op: 'write'; readonly path: string; readonly data: string | Uint8Array };

/** What `read` of a source entry may say: which file of the folder. Needed when the url names a folder. */
export interface FileRead {
  path?: string | undefined;
}

export function clientOf(ask: (op: unknown) => Promise<unknown>): FileClient {
  return {
    async append(path, records) {
      await ask({ op: 'append', path, records } satisfies FileOp);
    },
    async write(path, data) {
      await ask({ op: 'write', path, data } satisfies FileOp);
    },
  };
}

/** The path of an ask, spelt in one way: what is asked for one path is done in order. The same whatever the url is. */
export function keyOf(ask: unknown): string {
  return isFileOp(ask) ? normalize(ask.path) : '';
}

export function isFileOp(ask: unknown): ask is FileOp {
  if (typeof ask !== 'object' || ask === null) return false;
  const op = ask as Partial<Record<'op' | 'path' | 'records' | 'data', unknown>>;
  if (typeof op.path !== 'string') return false;
  if (op.op === 'append') return Array.isArray(op.records);
  return op.op === 'write' && (typeof op.data === 'string' || op.data instanceof Uint8Array);
}
