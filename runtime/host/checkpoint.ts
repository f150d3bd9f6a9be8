/**
 * The checkpoint of a source: the position below which everything settled, so that the next process goes on from there
 * (sources.NAME.checkpoint). It may lag by SAVE_EVERY_MS behind what settled, which is given again after a crash; it is
 * never ahead.
 */
import type { Environment } from '../environment.ts';
import { asError, isKeymillError, KeymillError, toWire } from '../errors.ts';
import type { Log, Position, SourceHalf } from '../topology/define.ts';
import type { CheckpointPlace } from './checkpoint-place.ts';

const VERSION = 1;
const SAVE_EVERY_MS = 200;
const RETRY_MS = 1000;

interface Stored {
  readonly low: Position;
  /** What the source half said of its input (SourceHalf.mark). */
  readonly mark?: unknown;
}

export class Checkpoint {
  readonly #place: CheckpointPlace;
  readonly #source: string;
  readonly #environment: Environment;
  readonly #log: Log;
  readonly #found: Stored;
  #half: Pick<SourceHalf, 'mark' | 'marked'> = {};
  #low: Position;
  #changed = false;
  #isDue = false;
  #saving: Promise<void> = Promise.resolve();

  private constructor(place: CheckpointPlace, source: string, found: Stored, environment: Environment, log: Log) {
    this.#place = place;
    this.#source = source;
    this.#environment = environment;
    this.#log = log;
    this.#found = found;
    this.#low = found.low;
  }

  /** Reads what an earlier process left. Throws CHECKPOINT_UNUSABLE where that cannot be read, OUTPUT_UNWRITABLE. */
  static async open(place: CheckpointPlace, source: string, environment: Environment, log: Log): Promise<Checkpoint> {
    let found: Stored = { low: 0 };
    try {
      const text = await place.read();
      if (text !== null) found = parse(text, source);
    } catch (cause) {
      if (isKeymillError(cause)) throw cause;
      const { path } = place;
      throw new KeymillError('CHECKPOINT_UNUSABLE', `${path}: ${asError(cause).message}`, {
        cause,
        place: { source, at: path },
      });
    }
    return new Checkpoint(place, source, found, environment, log);
  }

  /** For errors: where it is. */
  get path(): string {
    return this.#place.path;
  }

  /** Where to go on; 0 is the start. */
  get low(): Position {
    return this.#low;
  }

  /** What the source half of an earlier process said of its input. */
  get mark(): unknown {
    return this.#found.mark;
  }

  /** The source half whose input is marked from now on. */
  follow(half: Pick<SourceHalf, 'mark' | 'marked'>): void {
    this.#half = half;
    half.marked = () => this.note(this.#low);
  }

  /** Everything below `low` settled. Saved within SAVE_EVERY_MS. */
  note(low: Position): void {
    this.#low = low;
    this.#changed = true;
    this.#saveSoon(SAVE_EVERY_MS);
  }

  /** Resolves when what was noted is in the file, or was not written and told so to the log. */
  save(): Promise<void> {
    this.#saving = this.#saving
      .then(() => this.#write())
      .catch((error: unknown) => {
        this.#changed = true;
        this.#log.error({ source: this.#source, err: toWire(error) }, 'checkpoint not written; tried again');
        this.#saveSoon(RETRY_MS);
      });
    return this.#saving;
  }

  #saveSoon(ms: number): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#environment.clock.after(ms, () => {
      this.#isDue = false;
      void this.save();
    });
  }

  async #write(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    const mark = this.#half.mark?.() ?? this.#found.mark;
    const at = new Date(this.#environment.clock.wall()).toISOString();
    await this.#place.write(JSON.stringify({ v: VERSION, source: this.#source, low: this.#low, at, mark }));
  }
}

/** Throws an Error that says what is wrong. */
function parse(text: string, source: string): Stored {
  let stored: { v?: unknown; source?: unknown; low?: unknown; mark?: unknown } | null = null;
  try {
    stored = JSON.parse(text);
  } catch {}
  if (stored?.v !== VERSION || !Number.isSafeInteger(stored.low) || (stored.low as number) < 0)
    throw new Error(`not a checkpoint of version ${VERSION}`);
  if (stored.source !== source) throw new Error(`the checkpoint of the source ${String(stored.source)}`);
  return { low: stored.low as Position, mark: stored.mark };
}
