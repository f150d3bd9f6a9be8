/** The readers of the three formats, fed with bytes cut anywhere. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Format } from '../../actors/file/contract.ts';
import { formatRow } from '../../actors/file/csv-rows.ts';
import type { ReaderOptions } from '../../actors/file/records.ts';
import { readerOf } from '../../actors/file/source.ts';
import { isKeymillError } from '../../runtime/errors.ts';
import type { SourceRecord } from '../../runtime/topology/define.ts';
import { picture } from './support.ts';

const OPTIONS: ReaderOptions = {
  file: 'in',
  base: 0,
  from: 0,
  maxLineBytes: 1 << 20,
  csv: { delimiter: ',', header: true },
};

function read(format: Format, chunks: readonly Buffer[], options: Partial<ReaderOptions> = {}): SourceRecord[] {
  const reader = readerOf(format, { ...OPTIONS, ...options });
  return [...chunks.flatMap(chunk => reader.push(chunk)), ...reader.end()];
}

/** The text in chunks whose lengths are the cuts, taken round and round. */
function cut(text: string, cuts: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text);
  const chunks: Buffer[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const length = cuts[index % cuts.length]!;
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

const anyCuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });
const anyMark = fc.constantFrom('', '\ufeff');
const anyText = fc.string({ unit: 'binary' }).filter(text => text.isWellFormed());
const anyValue = fc.jsonValue({ maxDepth: 4 });

/** JSON with the given whitespace around every token. */
function spaced(value: unknown, space: () => string): string {
  const around = (text: string) => space() + text + space();
  if (Array.isArray(value)) return around(`[${value.map(item => spaced(item, space)).join(',') || space()}]`);
  if (typeof value !== 'object' || value === null) return around(JSON.stringify(value));
  const members = Object.entries(value).map(([name, item]) => `${around(JSON.stringify(name))}:${spaced(item, space)}`);
  return around(`{${members.join(',') || space()}}`);
}

/** Whitespace drawn round and round from a list. */
function spaces(list: readonly string[]): () => string {
  let index = 0;
  return () => list[index++ % list.length]!;
}

const anySpaces = (...units: string[]) =>
  fc.array(fc.string({ unit: fc.constantFrom(...units), maxLength: 3 }), { minLength: 1, maxLength: 7 });

function expectSame(records: readonly SourceRecord[], values: readonly unknown[]): void {
  expect(records.every(record => record.broken === undefined)).toBe(true);
  expect(records.map(record => record.position)).toEqual(values.map((_, index) => index));
  expect(records.map(record => record.value)).toEqual(values);
}

const overTheWire = (values: readonly unknown[]): unknown[] => JSON.parse(JSON.stringify(values));

describe('any values come back the same, whatever the whitespace and the cuts', () => {
  test('from a JSON array', () => {
    fc.assert(
      fc.property(
        fc.array(anyValue),
        anySpaces(' ', '\t', '\n', '\r'),
        anyCuts,
        anyMark,
        (values, list, cuts, mark) => {
          const text = mark + spaced(values, spaces(list));
          expectSame(read('json', cut(text, cuts)), overTheWire(values));
        },
      ),
      { numRuns: 500 },
    );
  });

  test('from NDJSON with LF or CRLF, blank lines, and with or without a last newline', () => {
    const anyEnd = fc.constantFrom('\n', '\r\n', '\n\n', '\n \t\r\n');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anyValue, anyEnd)),
        anySpaces(' ', '\t'),
        anyCuts,
        anyMark,
        fc.boolean(),
        (lines, list, cuts, mark, whole) => {
          const space = spaces(list);
          const text = mark + lines.map(([value, end]) => spaced(value, space) + end).join('');
          const values = overTheWire(lines.map(([value]) => value));
          expectSame(read('ndjson', cut(whole ? text : text.trimEnd(), cuts)), values);
        },
      ),
      { numRuns: 500 },
    );
  });

  const anyTable = fc
    .integer({ min: 1, max: 4 })
    .chain(columns => fc.array(fc.array(anyText, { minLength: columns, maxLength: columns }), { minLength: 1 }));
  const anyDelimiter = fc.constantFrom(',', ';', '\t', '|');

  test('from CSV without a header', () => {
    fc.assert(
      fc.property(anyTable, anyDelimiter, anyCuts, anyMark, fc.boolean(), (rows, delimiter, cuts, mark, crlf) => {
        const lines = rows.map(row => formatRow(row, delimiter).slice(0, -1) + (crlf ? '\r\n' : '\n'));
        const records = read('csv', cut(mark + lines.join(''), cuts), { csv: { delimiter, header: false } });
        expectSame(records, rows);
      }),
      { numRuns: 500 },
    );
  });

  test('from CSV with a header', () => {
    const anyRecords = fc
      .uniqueArray(anyText, { minLength: 1, maxLength: 4 })
      .chain(names => fc.tuple(fc.constant(names), fc.array(fc.tuple(...names.map(() => anyText)))));
    fc.assert(
      fc.property(anyRecords, anyCuts, ([names, rows], cuts) => {
        const text = [names, ...rows].map(row => formatRow(row, ',')).join('');
        const records = read('csv', cut(text, cuts));
        expect(records.map(({ value }) => Object.entries(value as object).sort())).toEqual(
          rows.map(row => names.map((name, index) => [name, row[index]]).sort()),
        );
      }),
      { numRuns: 500 },
    );
  });

  test('from any position on, with the same positions', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<Format>('ndjson', 'json', 'csv'),
        fc.array(fc.constantFrom('1', '"a"', '{"b":[1]}', 'oops', '[2', '""x'), { minLength: 1 }),
        fc.nat({ max: 12 }),
        anyCuts,
        (format, elements, from, cuts) => {
          const text = format === 'json' ? `[${elements.join(',')}]` : `h\n${elements.join('\n')}\n`;
          const all = read(format, cut(text, cuts));
          const rest = read(format, cut(text, cuts), { from });
          expect(rest.map(({ position }) => position)).toEqual(
            all.map(({ position }) => position).filter(position => position >= from),
          );
          expect(picture(rest)).toEqual(picture(all.slice(from)));
        },
      ),
    );
  });
});

describe('a broken record keeps its place and is reported with file and line', () => {
  test('in NDJSON', () => {
    const text = '{"a":1}\n\n{"a":\n  oops \r\n{"a":2}\n{"a"';
    expect(picture(read('ndjson', [Buffer.from(text)]))).toEqual([
      { a: 1 },
      ['RECORD_BROKEN', 'in:3', '{"a":'],
      ['RECORD_BROKEN', 'in:4', 'oops'],
      { a: 2 },
      ['RECORD_BROKEN', 'in:6', '{"a"'],
    ]);
  });

  test('in a JSON array, at the line where the element begins', () => {
    const text = '[\n  {"a": 1},\n  {"a":\n    oops},\n  {"a": "\\"],"}, ,\n nul]';
    expect(picture(read('json', [Buffer.from(text)]))).toEqual([
      { a: 1 },
      ['RECORD_BROKEN', 'in:3', '{"a":\n    oops}'],
      { a: '"],' },
      ['RECORD_BROKEN', 'in:5', ''],
      ['RECORD_BROKEN', 'in:6', 'nul'],
    ]);
  });

  test('in CSV: wrong column counts and wrong quotes, at the line where the row begins', () => {
    const text = 'a,b\n1,2\n3\n"4\n4",5\n6,7,8\n"9"x,9\n10,11\n"12';
    expect(picture(read('csv', [Buffer.from(text)]))).toEqual([
      { a: '1', b: '2' },
      ['RECORD_BROKEN', 'in:3', '3'],
      { a: '4\n4', b: '5' },
      ['RECORD_BROKEN', 'in:6', '6,7,8'],
      ['RECORD_BROKEN', 'in:7', '"9"x,9'],
      { a: '10', b: '11' },
      ['RECORD_BROKEN', 'in:9', '"12'],
    ]);
  });

  test('where the bytes are not UTF-8', () => {
    const text = Buffer.concat([Buffer.from('"\ufffd"\n"'), Buffer.from([0xff]), Buffer.from('"\n3\n')]);
    expect(picture(read('ndjson', [text]))).toEqual(['\ufffd', ['RECORD_BROKEN', 'in:2', '"\ufffd"'], 3]);
  });

  test('where it is longer than maxLineBytes; its beginning is kept', () => {
    const long = 'x'.repeat(5000);
    const kept = (text: string) => text.slice(0, 1024);
    const options = { maxLineBytes: 2000, csv: { delimiter: ',', header: false } };
    const texts: Record<Format, string> = {
      ndjson: `1\n"${long}"\n2\n`,
      json: `[1,\n"${long}",\n2]`,
      csv: `1\n"${long}"\n2\n`,
    };
    for (const [format, text] of Object.entries(texts) as [Format, string][])
      for (const cuts of [[1], [700], [100_000]]) {
        const [first, broken, last] = read(format, cut(text, cuts), options);
        expect([String(first!.value), String(last!.value), last!.position]).toEqual(['1', '2', 2]);
        expect(broken).toMatchObject({ position: 1, value: kept(`"${long}`), broken: { place: { at: 'in:2' } } });
        expect(broken!.broken!.message).toContain('5002 bytes, more than maxLineBytes (2000)');
      }
  });
});

describe('a JSON array', () => {
  const faultOf = (text: string): unknown => {
    try {
      read('json', [Buffer.from(text)]);
    } catch (error) {
      return isKeymillError(error, 'RECORD_BROKEN') ? [error.place.at, error.class] : error;
    }
    return 'no error';
  };

  test('is refused when the top level is something else', () => {
    expect(faultOf('\n\n{"a":1}')).toEqual(['in:3', 'fatal']);
    expect(faultOf('1')).toEqual(['in:1', 'fatal']);
    expect(faultOf('')).toEqual(['in:1', 'fatal']);
    expect(faultOf(' \n ')).toEqual(['in:2', 'fatal']);
  });

  test('that was cut off ends with a broken record, even where the rest would parse', () => {
    expect(picture(read('json', [Buffer.from('[1,\n23')]))).toEqual([1, ['RECORD_BROKEN', 'in:2', '23']]);
    expect(picture(read('json', [Buffer.from('[1,')]))).toEqual([1, ['RECORD_BROKEN', 'in:1', '']]);
    expect(picture(read('json', [Buffer.from('[')]))).toEqual([['RECORD_BROKEN', 'in:1', '']]);
  });

  test('that something follows ends with a broken record', () => {
    expect(picture(read('json', [Buffer.from('[1]\n [2]\n')]))).toEqual([1, ['RECORD_BROKEN', 'in:2', '[2]']]);
  });

  test('with a comma too many has a broken record there', () => {
    expect(picture(read('json', [Buffer.from('[1,]')]))).toEqual([1, ['RECORD_BROKEN', 'in:1', '']]);
    expect(picture(read('json', [Buffer.from('[ ]')]))).toEqual([]);
  });
});

describe('a CSV header', () => {
  test('that names a column twice, or has wrong quotes, stops the source', () => {
    for (const text of ['a,b,a\n1,2,3\n', '"a"b\n1\n'])
      expect(() => read('csv', [Buffer.from(text)])).toThrow(/RECORD_BROKEN: in:1: the header cannot be used/);
  });

  test('may name a column __proto__', () => {
    const [record] = read('csv', [Buffer.from('__proto__,a\n1,2\n')]);
    expect(Object.entries(record!.value as object)).toEqual([
      ['__proto__', '1'],
      ['a', '2'],
    ]);
  });

  test('is not a record, and blank lines before and after it are none', () => {
    expect(read('csv', [Buffer.from('\r\na,b\n')])).toEqual([]);
    expect(picture(read('csv', [Buffer.from('\n\na\n\r\n1\n')]))).toEqual([{ a: '1' }]);
  });
});

test('a quote inside an unquoted CSV field is taken as it stands', () => {
  expect(picture(read('csv', [Buffer.from('size,n\n5" pipe,1\n6",2\n')]))).toEqual([
    { size: '5" pipe', n: '1' },
    { size: '6"', n: '2' },
  ]);
});
