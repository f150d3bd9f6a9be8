/** Where a checkpoint is kept: a file of the data folder, or the store that keeps durable states. */
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { replaceFile } from '../delivery/replace-file.ts';
import { asError, KeymillError } from '../errors.ts';
import type { StateStore } from '../io/contract.ts';

export interface CheckpointPlace {
  /** For errors. */
  readonly path: string;
  /** Null where none was written. Throws what the place throws, OUTPUT_UNWRITABLE. */
  read(): Promise<string | null>;
  /** Durable when it resolves. */
  write(text: string): Promise<void>;
}

export function inFile(dataDir: string, source: string): CheckpointPlace {
  const path = join(dataDir, 'checkpoints', `${encodeURIComponent(source)}.json`);
  return {
    path,
    async read() {
      try {
        await mkdir(dirname(path), { recursive: true });
      } catch (cause) {
        throw new KeymillError('OUTPUT_UNWRITABLE', `${path}: ${asError(cause).message}`, {
          cause,
          place: { source, at: path },
        });
      }
      try {
        return await readFile(path, 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
    },
    write: text => replaceFile(path, [text]),
  };
}

/** `io` names the I/O actor behind the store. */
export function inStore(store: StateStore, io: string, source: string): CheckpointPlace {
  const name = `checkpoint:${source}`;
  const path = `${name} in ${io}`;
  let rev = 0;
  return {
    path,
    async read() {
      const [found] = await store.load([name]);
      rev = found?.rev ?? 0;
      return found ? Buffer.from(found.bytes).toString('utf8') : null;
    },
    async write(text) {
      rev++; // also where the write fails: its reply may be all that was lost
      const [isSaved] = await store.save([{ name, rev, bytes: Buffer.from(text) }]);
      if (!isSaved)
        throw new KeymillError('STATE_TAKEN', `${path} was written by another process`, { place: { source } });
    },
  };
}
