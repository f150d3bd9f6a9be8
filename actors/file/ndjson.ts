/**
 * Reads NDJSON: one JSON value per line, LF or CRLF, the last line with or without one. Blank lines are no records.
 * A line that is not JSON, not UTF-8 or too long is a broken record and keeps its place among the positions.
 */
import type { Position, SourceRecord } from '../../runtime/index.ts';
import { type ReaderOptions, RecordList, type RecordReader } from './records.ts';
import { ByteOrderMark, Span } from './span.ts';

const LF = 0x0a;

export class NdjsonReader implements RecordReader {
  readonly #records: RecordList;
  readonly #mark = new ByteOrderMark();
  readonly #span: Span;
  #line = 1;
  /** Whether the line has had nothing but blanks so far. */
  #blank = true;

  constructor(options: ReaderOptions) {
    this.#records = new RecordList(options);
    this.#span = new Span(options.maxLineBytes);
  }

  get position(): Position {
    return this.#records.position;
  }

  push(chunk: Buffer): SourceRecord[] {
    this.#scan(this.#mark.strip(chunk));
    return this.#records.take();
  }

  end(): SourceRecord[] {
    this.#scan(this.#mark.end());
    this.#endLine();
    return this.#records.take();
  }

  #scan(bytes: Buffer): void {
    let start = 0;
    for (let end = bytes.indexOf(LF); end !== -1; end = bytes.indexOf(LF, start)) {
      this.#add(bytes, start, end);
      this.#endLine();
      this.#line += 1;
      start = end + 1;
    }
    this.#add(bytes, start, bytes.length);
  }

  /** Blanks before a value are not kept: they do not count toward maxLineBytes. */
  #add(bytes: Buffer, start: number, end: number): void {
    let at = start;
    if (this.#blank) {
      while (at < end && isBlank(bytes[at]!)) at++;
      if (at === end) return;
      this.#blank = false;
    }
    this.#span.add(bytes, at, end);
  }

  #endLine(): void {
    if (!this.#blank) this.#records.json(this.#span, this.#line);
    this.#blank = true;
  }
}

/** Space, tab and CR: the whitespace of JSON that can stand in a line. */
function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d;
}
