/**
 * Reads one JSON array, element by element, never the whole of it. A small automaton finds where elements end: it
 * follows strings, escapes and the depth of brackets, nothing else; JSON.parse judges each element. So an element that
 * is no JSON is one broken record, as long as its quotes and brackets pair up.
 *
 * A file that ends inside the array was cut off: what is left of the last element is a broken record even where it
 * would parse (`[1, 23` may have been 234). So is whatever follows the array. Anything but an array throws.
 */
import type { Position, SourceRecord } from '../../runtime/index.ts';
import { type ReaderOptions, RecordList, type RecordReader } from './records.ts';
import { ByteOrderMark, Span } from './span.ts';

const LF = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

export class JsonArrayReader implements RecordReader {
  readonly #records: RecordList;
  readonly #mark = new ByteOrderMark();
  readonly #span: Span;
  #state: 'before' | 'inside' | 'after' = 'before';
  #line = 1;
  /** Line on which the element began; 0 while it has had nothing but whitespace. */
  #began = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Whether a comma calls for one more element. */
  #afterComma = false;

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
    if (this.#state === 'before')
      throw this.#records.fault(this.#line, 'expected a JSON array, found the end of the file');
    if (this.#state === 'inside') this.#breakOff('the file ends before its array does');
    else if (this.#began > 0) this.#breakOff('something follows the array');
    return this.#records.take();
  }

  #scan(bytes: Buffer): void {
    /** Where the part of the element that lies in these bytes begins. */
    let start = 0;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (this.#inString) {
        this.#inQuotes(byte);
        continue;
      }
      if (byte === LF) this.#line += 1;
      if (isSpace(byte)) continue;
      if (this.#state === 'before') {
        this.#open(byte);
        continue;
      }
      const ends = this.#state === 'inside' && this.#depth === 0 && (byte === COMMA || byte === CLOSE_ARRAY);
      if (ends) {
        if (this.#began > 0) this.#span.add(bytes, start, at);
        this.#endElement(byte);
        continue;
      }
      if (this.#began === 0) {
        this.#began = this.#line;
        start = at;
      }
      if (this.#state === 'inside') this.#inElement(byte);
    }
    if (this.#began > 0) this.#span.add(bytes, start, bytes.length);
  }

  #inQuotes(byte: number): void {
    if (byte === LF) this.#line += 1;
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inString = false;
  }

  #inElement(byte: number): void {
    if (byte === QUOTE) this.#inString = true;
    else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) this.#depth += 1;
    else if ((byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) && this.#depth > 0) this.#depth -= 1;
  }

  #open(byte: number): void {
    if (byte !== OPEN_ARRAY) throw this.#records.fault(this.#line, 'expected a JSON array at the top');
    this.#state = 'inside';
  }

  #endElement(by: number): void {
    if (this.#began > 0) this.#records.json(this.#span, this.#began);
    else if (by === COMMA || this.#afterComma) this.#records.broken('', this.#line, 'an element is missing here');
    this.#began = 0;
    this.#afterComma = by === COMMA;
    if (by === CLOSE_ARRAY) this.#state = 'after';
  }

  #breakOff(why: string): void {
    this.#records.broken(this.#span.take().toString('utf8').trim(), this.#began || this.#line, why);
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === LF || byte === 0x0d || byte === 0x09;
}
