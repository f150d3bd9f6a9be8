/**
 * The output files of one I/O actor. At most `maxOpenFiles` are open; the one idle longest is closed for the next, and
 * who finds all of them busy waits. What a file was like when it was closed is remembered (some hundred bytes a path),
 * so that it is neither emptied again nor searched for a torn line.
 */
import type { IoContext } from '../../runtime/index.ts';
import { outputFault } from './faults.ts';
import { type Left, openOutput } from './open-output.ts';
import type { FileOptions } from './options.ts';
import type { FileOutput } from './output.ts';
import type { Place } from './place.ts';
import { SyncTimer } from './sync-timer.ts';

export class Outputs {
  readonly #place: Place;
  readonly #options: FileOptions;
  readonly #context: IoContext;
  readonly #timer: SyncTimer | undefined;
  /** Oldest first. */
  readonly #idle = new Map<string, FileOutput>();
  /** Idle, busy, opening and closing. */
  #open = 0;
  readonly #waiting: (() => void)[] = [];
  /** Every path this process has opened; undefined when its end must be looked at again. */
  readonly #left = new Map<string, Left | undefined>();

  constructor(place: Place, options: FileOptions, context: IoContext) {
    this.#place = place;
    this.#options = options;
    this.#context = context;
    const { fsync } = options;
    if (typeof fsync === 'object') this.#timer = new SyncTimer(fsync.everyMs, context);
  }

  /** The output for this file, for the caller alone until it is released. Throws OUTPUT_FULL, OUTPUT_UNWRITABLE, IO_FAILED. */
  async acquire(file: string, lines: boolean): Promise<FileOutput> {
    const idle = this.#idle.get(file);
    if (idle) {
      this.#idle.delete(file);
      return idle;
    }
    await this.#room();
    try {
      return await this.#opened(file, lines);
    } catch (error) {
      this.#leave();
      throw outputFault(error, file);
    }
  }

  async release(output: FileOutput): Promise<void> {
    if (!output.sound) return this.#close(output);
    if (output.unsynced) this.#timer?.add(output);
    this.#idle.set(output.file, output);
    if (this.#waiting.length > 0) await this.#evict();
  }

  /** Syncs, unless the policy is none, and closes. Rejects with what a sync failed with, after closing all. */
  async close(): Promise<void> {
    this.#timer?.stop();
    const ends = await Promise.allSettled([...this.#idle.values()].map(output => this.#close(output)));
    this.#idle.clear();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  async #opened(file: string, lines: boolean): Promise<FileOutput> {
    const known = this.#left.has(file);
    const output = await openOutput({
      file,
      place: this.#place,
      options: this.#options,
      empty: this.#options.mode === 'truncate' && this.#context.first && !known,
      lines,
      left: this.#left.get(file),
      log: this.#context.log,
    });
    this.#left.set(file, undefined);
    return output;
  }

  /** Takes one of the places for open files. */
  async #room(): Promise<void> {
    while (this.#open >= this.#options.maxOpenFiles) {
      if (this.#idle.size > 0) await this.#evict();
      else await new Promise<void>(resolve => this.#waiting.push(resolve));
    }
    this.#open += 1;
  }

  async #evict(): Promise<void> {
    const [oldest] = this.#idle.values();
    if (!oldest) return;
    this.#idle.delete(oldest.file);
    try {
      await this.#close(oldest);
    } catch (error) {
      this.#context.log.error({ file: oldest.file, error }, 'syncing an output before it was closed failed');
    }
  }

  async #close(output: FileOutput): Promise<void> {
    this.#timer?.delete(output);
    this.#left.set(output.file, output.sound ? { length: output.length, tail: output.tail } : undefined);
    try {
      if (this.#options.fsync !== 'none') await output.sync();
    } finally {
      await output.close();
      this.#leave();
    }
  }

  #leave(): void {
    this.#open -= 1;
    this.#waiting.shift()?.();
  }
}
