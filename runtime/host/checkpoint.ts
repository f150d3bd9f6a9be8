/**
 * The checkpoint of a source: the position below which everything settled, in a file of the data folder, so that the
 * next process goes on from there (sources.NAME.checkpoint). It may lag by SAVE_EVERY_MS behind what settled, which is
 * given again after a crash; it is never ahead. A new file is written beside the old one, synced and renamed over it.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Environment } from '../environment.ts';
import { asError, KeymillError, toWire } from '../errors.ts';
import type { Log, Position } from '../topology/define.ts';

const VERSION = 1;
const SAVE_EVERY_MS = 200;

export class Checkpoint {
  readonly #path: string;
  readonly #source: string;
  readonly #environment: Environment;
  readonly #log: Log;
  #low: Position;
  #saved: Position;
  #isDue = false;
  #saving: Promise<void> = Promise.resolve();

  private constructor(path: string, source: string, low: Position, environment: Environment, log: Log) {
    this.#path = path;
    this.#source = source;
    this.#environment = environment;
    this.#log = log;
    this.#low = low;
    this.#saved = low;
  }

  /** Reads what an earlier process left. Throws OUTPUT_UNWRITABLE, or CONFIG_INVALID where the file is none of ours. */
  static async open(dataDir: string, source: string, environment: Environment, log: Log): Promise<Checkpoint> {
    const path = join(dataDir, 'checkpoints', `${encodeURIComponent(source)}.json`);
    let low = 0;
    try {
      await mkdir(dirname(path), { recursive: true });
      low = parse(await readFile(path, 'utf8'), path);
    } catch (cause) {
      if (cause instanceof KeymillError) throw cause;
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT')
        throw new KeymillError('OUTPUT_UNWRITABLE', `${path}: ${asError(cause).message}`, {
          cause,
          place: { source, at: path },
        });
    }
    return new Checkpoint(path, source, low, environment, log);
  }

  /** Where to go on; 0 is the start. */
  get low(): Position {
    return this.#low;
  }

  /** Everything below `low` settled. Saved within SAVE_EVERY_MS. */
  note(low: Position): void {
    this.#low = low;
    if (this.#isDue) return;
    this.#isDue = true;
    this.#environment.clock.after(SAVE_EVERY_MS, () => {
      this.#isDue = false;
      void this.save();
    });
  }

  /** Resolves when what was noted is in the file, or was not written and told so to the log. */
  save(): Promise<void> {
    this.#saving = this.#saving
      .then(() => this.#write())
      .catch((error: unknown) => {
        this.#log.error({ source: this.#source, err: toWire(error) }, 'checkpoint not written; tried again');
        this.note(this.#low);
      });
    return this.#saving;
  }

  async #write(): Promise<void> {
    const low = this.#low;
    if (low === this.#saved) return;
    const beside = `${this.#path}.new`;
    const file = await open(beside, 'w');
    try {
      await file.writeFile(
        `${JSON.stringify({ v: VERSION, source: this.#source, low, at: new Date(this.#environment.clock.wall()).toISOString() })}\n`,
      );
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(beside, this.#path);
    this.#saved = low;
  }
}

function parse(text: string, path: string): Position {
  let stored: { v?: unknown; low?: unknown } | null = null;
  try {
    stored = JSON.parse(text);
  } catch {}
  if (stored?.v !== VERSION || !Number.isSafeInteger(stored.low))
    throw new KeymillError(
      'CONFIG_INVALID',
      `${path} is no checkpoint of version ${VERSION}; without it the source is read from its start`,
      { place: { at: path } },
    );
  return stored.low as Position;
}
