/** What the readers of all formats share: counting positions, passing over what comes before `from`, broken records. */
import { isUtf8 } from 'node:buffer';
import { type ErrorClass, KeymillError, type Position, type SourceRecord } from '../../runtime/index.ts';
import type { FileOptions } from './options.ts';
import { KEPT_BYTES, type Span } from './span.ts';

/** Turns the bytes of a file, cut anywhere, into records. Both calls throw RECORD_BROKEN when there is no going on. */
export interface RecordReader {
  /** Of the next record. */
  readonly position: Position;
  /** The records that these bytes completed. */
  push(chunk: Buffer): SourceRecord[];
  /** The records that the end of the file completed. */
  end(): SourceRecord[];
}

export interface ReaderOptions {
  /** What errors call the file. */
  readonly file: string;
  /** Position of the first record there is. */
  readonly base: Position;
  /** Position of the first record wanted; those before it are passed over without parsing them. */
  readonly from: Position;
  readonly maxLineBytes: number;
  readonly csv: FileOptions['csv'];
}

export class RecordList {
  readonly #file: string;
  readonly #from: Position;
  readonly #maxLineBytes: number;
  #position: Position;
  #records: SourceRecord[] = [];

  constructor(options: ReaderOptions) {
    this.#file = options.file;
    this.#from = options.from;
    this.#maxLineBytes = options.maxLineBytes;
    this.#position = options.base;
  }

  get position(): Position {
    return this.#position;
  }

  /** Whether the next record is only to be passed over. */
  get skipping(): boolean {
    return this.#position < this.#from;
  }

  value(value: unknown): void {
    const position = this.#position++;
    if (position >= this.#from) this.#records.push({ position, value });
  }

  broken(raw: string, line: number, why: string): void {
    const position = this.#position++;
    if (position >= this.#from) this.#records.push({ position, value: raw, broken: this.#error(line, why) });
  }

  /** Takes what the span holds as one JSON value, and empties it. */
  json(span: Span, line: number): void {
    const text = this.text(span, line);
    if (text === undefined) return;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      this.broken(text.trim(), line, `not JSON, ${reasonOf(error)}`);
      return;
    }
    this.value(value);
  }

  /** The text of a span, which is empty afterwards; undefined when it was passed over, too long, or not UTF-8. */
  text(span: Span, line: number): string | undefined {
    const { bytes, tooLong } = span;
    const held = span.take();
    if (this.skipping) {
      this.#position += 1;
      return undefined;
    }
    const text = held.toString('utf8');
    if (tooLong) {
      const why = `${bytes} bytes, more than maxLineBytes (${this.#maxLineBytes}); its first ${KEPT_BYTES} are kept`;
      this.broken(text, line, why);
      return undefined;
    }
    // Only text with the replacement character can have been anything else than UTF-8.
    if (text.includes('\ufffd') && !isUtf8(held)) {
      this.broken(text, line, 'not UTF-8');
      return undefined;
    }
    return text;
  }

  /** What to throw when there is no going on: fatal, since reading the file again would not help. */
  fault(line: number, why: string): KeymillError {
    return this.#error(line, why, { class: 'fatal' });
  }

  #error(line: number, why: string, options: { class?: ErrorClass } = {}): KeymillError {
    const at = `${this.#file}:${line}`;
    return new KeymillError('RECORD_BROKEN', `${at}: ${why}`, { ...options, place: { at } });
  }

  /** The records since the last call. */
  take(): SourceRecord[] {
    const records = this.#records;
    this.#records = [];
    return records;
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
