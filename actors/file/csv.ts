/**
 * Reads CSV by RFC 4180: fields in quotes may hold delimiters, newlines and doubled quotes; rows end in LF or CRLF.
 * A quote inside an unquoted field is taken as it stands. Lines with nothing on them are no records. With a header the
 * records are objects of strings, else arrays of strings. Every row must have as many fields as the header, or as the
 * first sound row: another number is a broken record. A header that cannot be used throws RECORD_BROKEN.
 */
import type { Position, SourceRecord } from '../../runtime/index.ts';
import { CsvRows, parseRow } from './csv-rows.ts';
import { type ReaderOptions, RecordList, type RecordReader, reasonOf } from './records.ts';
import { ByteOrderMark, Span } from './span.ts';

const CR = 0x0d;

export class CsvReader implements RecordReader {
  readonly #options: ReaderOptions;
  readonly #records: RecordList;
  readonly #mark = new ByteOrderMark();
  readonly #rows: CsvRows;
  readonly #span: Span;
  /** Line on which the row began. */
  #line = 1;
  #columns: readonly string[] | undefined;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#records = new RecordList(options);
    this.#rows = new CsvRows(options.csv.delimiter);
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
    this.#endRow();
    return this.#records.take();
  }

  #scan(bytes: Buffer): void {
    let start = 0;
    for (let end = this.#rows.next(bytes, start); end !== -1; end = this.#rows.next(bytes, start)) {
      this.#span.add(bytes, start, end - 1);
      this.#endRow();
      this.#line = this.#rows.line;
      start = end;
    }
    this.#span.add(bytes, start, bytes.length);
  }

  #endRow(): void {
    const span = this.#span;
    if (span.bytes === 0) return;
    if (span.bytes === 1 && span.peek() === CR) span.take();
    else if (this.#columns === undefined) this.#firstRow();
    else this.#row(this.#columns);
  }

  /** Parsed whatever the position: it says how many fields a row has, and perhaps what they are called. */
  #firstRow(): void {
    const { header } = this.#options.csv;
    const tooLong = this.#span.tooLong;
    const text = this.#span.take().toString('utf8');
    try {
      if (tooLong) throw new SyntaxError(`longer than maxLineBytes (${this.#options.maxLineBytes})`);
      const fields = this.#fieldsOf(text);
      if (header) refuseDoubles(fields);
      else this.#records.value(fields);
      this.#columns = fields;
    } catch (error) {
      if (header) throw this.#records.fault(this.#line, `the header cannot be used: ${reasonOf(error)}`);
      this.#records.broken(text, this.#line, reasonOf(error));
    }
  }

  #row(columns: readonly string[]): void {
    const text = this.#records.text(this.#span, this.#line);
    if (text === undefined) return;
    try {
      const fields = this.#fieldsOf(text);
      if (fields.length !== columns.length)
        throw new SyntaxError(`${fields.length} columns where there should be ${columns.length}`);
      this.#records.value(this.#options.csv.header ? objectOf(columns, fields) : fields);
    } catch (error) {
      this.#records.broken(text, this.#line, reasonOf(error));
    }
  }

  #fieldsOf(text: string): string[] {
    return parseRow(text.endsWith('\r') ? text.slice(0, -1) : text, this.#options.csv.delimiter);
  }
}

function refuseDoubles(names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new SyntaxError(`it names ${JSON.stringify(twice)} twice (csv.header: false helps)`);
}

function objectOf(columns: readonly string[], fields: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let index = 0; index < columns.length; index++) {
    const name = columns[index]!;
    if (name === '__proto__')
      Object.defineProperty(record, name, {
        value: fields[index]!,
        enumerable: true,
        writable: true,
        configurable: true,
      });
    else record[name] = fields[index]!;
  }
  return record;
}
