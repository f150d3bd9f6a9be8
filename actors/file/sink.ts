/**
 * The I/O actor itself: its asks write, its source half reads. What is decided here:
 *
 * - **One write.** The asks of one drained batch for one file are joined to one write, in order, and each is answered
 *   for itself: a record that cannot be written fails its own ask only. One process writes a file.
 * - **fsync.** `batch`: an ask is answered when its bytes are on the disk, one fdatasync per file and batch; the folder
 *   is synced when a file is made in it. `{ everyMs }`: answered when written, synced that often; a power cut loses at
 *   most that much, a crash of the process nothing. `none`: never synced by keymill.
 * - **Disk full.** What did not fit is cut off again, back to the last good length, and only then every ask of the
 *   write fails with OUTPUT_FULL, which says so: nothing half-written stays, and the same asks can be made again. The
 *   same holds for any other failed write or sync. Stdout and devices cannot be cut back (stdout.ts).
 *   A breaker that opened for it looks every second whether there is room (trouble.ts).
 * - **Torn last line.** A file of lines (`format`, or .ndjson, .jsonl, .csv, or one whose first ask is an append) that
 *   does not end with a newline when it is opened was torn by a crash. The torn end moves to `FILE.torn-<n>` beside
 *   it, with a warning in the log, so no line is ever half a record. Its asks were never answered, so they come again.
 *   For CSV that end begins after the last row that ended outside of quotes. A `write` should end with a newline, else
 *   its last line is taken for torn by the next process; in this one an append after it starts a line of its own.
 * - **truncate.** Each file is emptied when this process first opens it, never again, and never after the I/O thread
 *   was replaced: a file first opened only then is appended to.
 * - **Twice.** An append is not idempotent: after a crash, asks that were written but not answered are written again.
 */
import { resolve } from 'node:path';
import {
  describe,
  type IoContext,
  type IoReply,
  type IoResource,
  KeymillError,
  type SourceHalf,
} from '../../runtime/index.ts';
import { type FileOp, isFileOp } from './contract.ts';
import { type Addition, additionOf, type Target } from './encode.ts';
import { holdsLines } from './open-output.ts';
import type { FileOptions } from './options.ts';
import { type Output, sizeOf } from './output.ts';
import { Outputs } from './outputs.ts';
import { fileAt, formatOf, type Place, STDIO } from './place.ts';
import { fileSource } from './source.ts';
import { Stdout } from './stdout.ts';
import { Trouble } from './trouble.ts';
import { Turns } from './turns.ts';

/** An ask with its index in the batch. */
interface Item {
  readonly index: number;
  readonly op: FileOp;
}

const DONE: IoReply = { value: undefined };

export class FileResource implements IoResource {
  readonly #place: Place;
  readonly #options: FileOptions;
  readonly #context: IoContext;
  readonly #outputs: Outputs;
  readonly #trouble: Trouble;
  /** Two keys may be one file: '' and its name, or any two paths of stdout. */
  readonly #turns = new Turns();
  #stdout: Stdout | undefined;
  #stdinTaken = false;

  constructor(place: Place, options: FileOptions, context: IoContext) {
    this.#place = place;
    this.#options = options;
    this.#context = context;
    this.#outputs = new Outputs(place, options, context);
    this.#trouble = new Trouble(context.name);
  }

  async handleBatch(asks: readonly unknown[], signal: AbortSignal): Promise<IoReply[]> {
    const replies = new Array<IoReply>(asks.length).fill(DONE);
    const byFile = new Map<string, Item[]>();
    for (const [index, op] of asks.entries()) {
      try {
        const file = this.#fileOf(op);
        const items = byFile.get(file);
        if (items) items.push({ index, op: op as FileOp });
        else byFile.set(file, [{ index, op: op as FileOp }]);
      } catch (error) {
        replies[index] = { error };
      }
    }
    await Promise.all(
      Array.from(byFile, ([file, items]) => this.#turns.take(file, () => this.#write(file, items, replies, signal))),
    );
    return replies;
  }

  source(read: Record<string, unknown>): SourceHalf {
    const half = fileSource(this.#context.name, this.#place, this.#options, read);
    if (this.#place.kind !== 'stdio') return half;
    if (this.#stdinTaken)
      throw new KeymillError('CONFIG_INVALID', `io.${this.#context.name}: stdin can feed one source only`);
    this.#stdinTaken = true;
    return half;
  }

  probe(): Promise<void> {
    return this.#trouble.probe();
  }

  close(): Promise<void> {
    return this.#outputs.close();
  }

  #fileOf(ask: unknown): string {
    if (!isFileOp(ask))
      throw new KeymillError('RECORD_BROKEN', `not an ask of a file I/O actor: ${describe(ask)}`, { class: 'fatal' });
    const file = fileAt(this.#place, ask.path);
    return file === STDIO ? file : resolve(file);
  }

  async #write(file: string, items: readonly Item[], replies: IoReply[], signal: AbortSignal): Promise<void> {
    if (file === STDIO) return this.#commit(this.#standardOutput(), file, items, replies, signal);
    const lines = holdsLines(file, this.#options) || items.some(({ op }) => op.op === 'append');
    try {
      const output = await this.#outputs.acquire(file, lines);
      try {
        await this.#commit(output, file, items, replies, signal);
      } finally {
        await this.#outputs.release(output);
      }
    } catch (error) {
      this.#trouble.failed(file, 1);
      for (const { index } of items) replies[index] = { error };
    }
  }

  async #commit(
    output: Output,
    file: string,
    items: readonly Item[],
    replies: IoReply[],
    signal: AbortSignal,
  ): Promise<void> {
    const target: Target = { file: output.file, format: formatOf(file, this.#options.format), csv: this.#options.csv };
    const written: number[] = [];
    const additions: Addition[] = [];
    let tail = output.tail;
    for (const { index, op } of items) {
      try {
        const addition = additionOf(op, target, tail);
        tail = addition.tail;
        additions.push(addition);
        written.push(index);
      } catch (error) {
        replies[index] = { error };
      }
    }
    if (additions.length === 0) return;
    const { asks, error } = await output.commit(additions, signal);
    if (error) this.#trouble.failed(file, sizeOf(additions));
    else this.#trouble.written(file);
    for (const index of written.slice(asks)) replies[index] = { error };
  }

  #standardOutput(): Stdout {
    this.#stdout ??= new Stdout(this.#context.environment, this.#options.fsync === 'batch');
    return this.#stdout;
  }
}
