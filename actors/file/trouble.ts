/**
 * What could not be written lately, and whether it could be now: the probe of the breaker (rule 5), so that a disk that has
 * room again is used again at once. Nothing is written into an output: the trial goes into a file of its own beside it.
 */
import { constants } from 'node:fs';
import { access, open, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { KeymillError } from '../../runtime/index.ts';
import { codeOf, outputFault } from './faults.ts';
import { STDIO } from './place.ts';

/** Files remembered; those beyond are tried when they are next written. */
const MAX_FILES = 64;
/** Bytes written in a trial at most. More is believed of what the system says is free. */
const MAX_TRIAL_BYTES = 1 << 20;
const TRIAL = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

export class Trouble {
  readonly #trial: string;
  /** Bytes of the write that failed last, by file. */
  readonly #failed = new Map<string, number>();

  /** `name`: the I/O actor's. */
  constructor(name: string) {
    this.#trial = `.keymill-probe-${encodeURIComponent(name)}`;
  }

  failed(file: string, bytes: number): void {
    this.#failed.set(file, bytes);
    if (this.#failed.size > MAX_FILES) this.#failed.delete(this.#failed.keys().next().value!);
  }

  written(file: string): void {
    if (this.#failed.size > 0) this.#failed.delete(file);
  }

  /** Throws OUTPUT_FULL, OUTPUT_UNWRITABLE or IO_FAILED while one of them could not be written. */
  async probe(): Promise<void> {
    for (const [file, bytes] of this.#failed) {
      if (file !== STDIO) await this.#tryOut(file, bytes);
      this.#failed.delete(file);
    }
  }

  async #tryOut(file: string, bytes: number): Promise<void> {
    const folder = dirname(file);
    try {
      const found = await stat(file).catch(error => {
        if (codeOf(error) !== 'ENOENT') throw error;
      });
      if (found && !found.isFile()) return; // a device or a pipe is only known by writing to it
      if (found) await access(file, constants.W_OK);
      const { blocks, bavail, bsize } = await statfs(folder);
      if (blocks > 0 && bavail * bsize < bytes)
        throw new KeymillError(
          'OUTPUT_FULL',
          `no room for ${file}: ${bavail * bsize} bytes are free, ${bytes} needed`,
          {
            place: { at: file },
          },
        );
      await writeTrial(join(folder, this.#trial), Math.min(bytes, MAX_TRIAL_BYTES));
    } catch (error) {
      throw outputFault(error, file);
    }
  }
}

/** Only a write tells of a quota. */
async function writeTrial(path: string, bytes: number): Promise<void> {
  const handle = await open(path, TRIAL, 0o600);
  try {
    await handle.writeFile(Buffer.alloc(bytes));
    await handle.datasync();
  } finally {
    await handle.close();
    await rm(path, { force: true });
  }
}
