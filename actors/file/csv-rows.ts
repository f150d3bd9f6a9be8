/** CSV row by row, by RFC 4180: where rows end, what their fields are, and how a row is written. */

const LF = 0x0a;
const QUOTE = 0x22;

/** Where a field stands; `closing` is a quote inside quotes, which either ends them or begins a doubled one. */
type State = 'fieldStart' | 'plain' | 'quoted' | 'closing';

/** Finds the ends of rows in bytes that come in chunks. A newline inside quotes ends no row. */
export class CsvRows {
  readonly #delimiter: number;
  #state: State = 'fieldStart';
  #line = 1;

  /** `delimiter` is one ASCII character, so that no byte of another character can be taken for it. */
  constructor(delimiter: string) {
    this.#delimiter = delimiter.charCodeAt(0);
  }

  /** Number of the line after the last newline seen, 1 for the first; right after `next` it is the next row's. */
  get line(): number {
    return this.#line;
  }

  /** Index just after the newline that ends the row which goes on at `from`; -1 when the bytes end first. */
  next(bytes: Buffer, from: number): number {
    let state = this.#state;
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (byte === LF) {
        this.#line += 1;
        if (state !== 'quoted') {
          this.#state = 'fieldStart';
          return at + 1;
        }
      } else if (state === 'quoted') {
        if (byte === QUOTE) state = 'closing';
      } else if (byte === this.#delimiter) state = 'fieldStart';
      else if (byte === QUOTE && state !== 'plain') state = 'quoted';
      else state = 'plain';
    }
    this.#state = state;
    return -1;
  }
}

/** The fields of one row, given without its line end. Throws a SyntaxError where quotes are used wrongly. */
export function parseRow(text: string, delimiter: string): string[] {
  if (!text.includes('"')) return text.split(delimiter);
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      const end = closingQuote(text, at + 1, fields.length + 1);
      fields.push(text.slice(at + 1, end).replaceAll('""', '"'));
      at = end + 1;
      if (at < text.length && text[at] !== delimiter)
        throw new SyntaxError(`column ${fields.length} goes on after its closing quote`);
    } else {
      const end = text.indexOf(delimiter, at);
      fields.push(text.slice(at, end === -1 ? text.length : end));
      at = end === -1 ? text.length : end;
    }
    if (at === text.length) return fields;
    at += 1;
  }
}

function closingQuote(text: string, from: number, column: number): number {
  for (let at = text.indexOf('"', from); at !== -1; at = text.indexOf('"', at + 2)) if (text[at + 1] !== '"') return at;
  throw new SyntaxError(`column ${column} has an opening quote and no closing one`);
}

/** One row with its line end, a single LF. Quotes only what needs it. */
export function formatRow(fields: readonly string[], delimiter: string): string {
  // A row of one empty field would be a blank line, which is no record.
  if (fields.length === 1 && fields[0] === '') return '""\n';
  return `${fields.map(field => quoted(field, delimiter)).join(delimiter)}\n`;
}

/** A byte order mark is quoted too, lest the first one of a file be taken for the file's own. */
function quoted(field: string, delimiter: string): string {
  const plain = !/["\r\n\ufeff]/.test(field) && !field.includes(delimiter);
  return plain ? field : `"${field.replaceAll('"', '""')}"`;
}
