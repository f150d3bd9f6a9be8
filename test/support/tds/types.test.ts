/** Every type both ways: what tedious sends is read exactly, and what is sent comes out of tedious as from a SQL Server. */
import fc from 'fast-check';
import { TYPES } from 'tedious';
import { describe, expect, it } from 'vitest';
import type { NullForm } from './answer.ts';
import { Reader, Writer } from './bytes.ts';
import { type Client, type ClientParam, tdsClient } from './client.ts';
import { readType, readValue, writeType, writeValue } from './codec.ts';
import { type Param, type SqlValue, sqlType, tdsServer } from './index.ts';
import { Scripted } from './scripted.ts';

interface Echo {
  readonly client: Client;
  /** What the server read last. */
  readonly read: () => readonly Param[];
  /** Sends these as one row and gives what tedious makes of it. */
  send(...columns: readonly (readonly [type: string, value: SqlValue])[]): Promise<readonly unknown[]>;
  /** Sends a parameter and gives what the server read of it. */
  give(param: ClientParam): Promise<readonly [type: string, value: SqlValue]>;
}

async function echo(nulls: NullForm = 'shorter'): Promise<Echo> {
  let read: readonly Param[] = [];
  let row: readonly (readonly [string, SqlValue])[] = [];
  const server = await tdsServer({
    nulls,
    open: session =>
      new Scripted(session, {
        give: ({ params }) => void (read = params),
        send: async (_query, answer) => {
          answer.columns(row.map(([type], index) => ({ name: `c${index}`, type })));
          await answer.row(row.map(([, value]) => value));
          answer.done();
        },
      }),
  });
  const client = await tdsClient(server);
  return {
    client,
    read: () => read,
    send: async (...columns) => {
      row = columns;
      return (await client.ask('send')).rows[0]!;
    },
    give: async param => {
      await client.ask('give', { p: param });
      return [read[0]!.type.text, read[0]!.value];
    },
  };
}

/** Of every type one value as it is here, and as tedious has it in a row. */
const SAMPLES: readonly (readonly [type: string, value: SqlValue, seen: unknown])[] = [
  ['bigint', -9_223_372_036_854_775_808n, '-9223372036854775808'],
  ['int', -2_147_483_648, -2_147_483_648],
  ['smallint', -32_768, -32_768],
  ['tinyint', 255, 255],
  ['bit', true, true],
  ['float', 0.1, 0.1],
  ['real', 0.5, 0.5],
  ['decimal(9,2)', '-1234567.89', -1_234_567.89],
  ['decimal(18,4)', '12.3400', 12.34],
  ['numeric(38,10)', '0.0000000001', 1e-10],
  ['money', '-922337203685477.5808', -922_337_203_685_477.6],
  ['money', '12.3456', 12.3456],
  ['smallmoney', '-214748.3648', -214_748.3648],
  ['nvarchar(20)', 'déjà \u{1f600} vu', 'déjà \u{1f600} vu'],
  ['nvarchar(20)', '', ''],
  ['nvarchar(max)', 'ä'.repeat(20_000), 'ä'.repeat(20_000)],
  ['nchar(4)', 'ab', 'ab  '],
  ['varchar(20)', 'naïve €', 'naïve €'],
  ['varchar(max)', 'x'.repeat(20_000), 'x'.repeat(20_000)],
  ['char(3)', 'é', 'é  '],
  ['varbinary(10)', Buffer.from([1, 2, 3]), Buffer.from([1, 2, 3])],
  ['varbinary(max)', Buffer.alloc(20_000, 7), Buffer.alloc(20_000, 7)],
  ['binary(4)', Buffer.from([9]), Buffer.from([9, 0, 0, 0])],
  ['datetime2(7)', '2026-11-22 21:14:41.1234567', '2026-11-22T21:14:41.123Z'],
  ['datetime2(0)', '0001-01-01 00:00:00', '0001-01-01T00:00:00.000Z'],
  ['datetime2(3)', '9999-12-31 23:59:59.999', '9999-12-31T23:59:59.999Z'],
  ['datetime', '1899-12-31 23:59:59.997', '1899-12-31T23:59:59.997Z'],
  ['smalldatetime', '2026-02-28 23:59:00', '2026-02-28T23:59:00.000Z'],
  ['date', '2024-02-29', '2024-02-29T00:00:00.000Z'],
  ['time(5)', '23:59:59.99999', '1970-01-01T23:59:59.999Z'],
  ['time(2)', '00:00:00.01', '1970-01-01T00:00:00.010Z'],
  ['datetimeoffset(7)', '2026-01-01 00:30:00.0000001 +02:00', '2025-12-31T22:30:00.000Z'],
  ['datetimeoffset(0)', '2025-12-31 23:30:00 -05:30', '2026-01-01T05:00:00.000Z'],
  ['uniqueidentifier', '00112233-4455-6677-8899-AABBCCDDEEFF', '00112233-4455-6677-8899-AABBCCDDEEFF'],
  ['xml', '<a>é</a>', '<a>é</a>'],
];

const plain = (value: unknown): unknown => (value instanceof Date ? value.toISOString() : value);

describe('a column', () => {
  it('of every type comes as tedious has it', async () => {
    const { send } = await echo();
    const got = await send(...SAMPLES.map(([type, value]) => [type, value] as const));
    expect(got.map(plain)).toEqual(SAMPLES.map(([, , seen]) => seen));
  });

  it.each<NullForm>(['row', 'bitmap', 'shorter'])('of every type may be null, told by %s', async nulls => {
    const { send } = await echo(nulls);
    const types = [...new Set(SAMPLES.map(([type]) => type))];
    expect(await send(...types.map(type => [type, null] as const))).toEqual(types.map(() => null));
    // Each null between others, so that a wrong length would show.
    const mixed = SAMPLES.flatMap(([type, value]) => [[type, value] as const, [type, null] as const]);
    const got = await send(...mixed);
    expect(got.map(plain)).toEqual(SAMPLES.flatMap(([, , seen]) => [seen, null]));
    expect(await send(['int', 1])).toEqual([1]);
  });

  it('with fractions of a second keeps all of them', async () => {
    const { send } = await echo();
    const [value] = (await send(['datetime2(7)', '2026-11-22 21:14:41.1234567'])) as [
      Date & { nanosecondsDelta: number },
    ];
    expect(value.nanosecondsDelta).toBeCloseTo(0.0004567, 10);
  });

  it('that is exact as a text is exact', async () => {
    const { send } = await echo();
    const text = fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }).map(String);
    await fc.assert(
      fc.asyncProperty(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        text,
        fc.string({ unit: 'binary', maxLength: 30 }),
        async (number, digits, any) => {
          expect(await send(['bigint', number], ['varchar(41)', digits], ['nvarchar(100)', any])).toEqual([
            String(number),
            digits,
            any,
          ]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it.each<[string, SqlValue]>([
    ['tinyint', -1],
    ['int', 1.5],
    ['int', 'text'],
    ['bigint', 2n ** 63n],
    ['decimal(4,2)', '123.45'],
    ['decimal(4,2)', '1.234'],
    ['decimal(4,2)', 'x'],
    ['smallmoney', '214748.3648'],
    ['nvarchar(2)', 'abc'],
    ['varbinary(1)', Buffer.alloc(2)],
    ['nvarchar(2)', 5],
    ['date', '2023-02-29'],
    ['time(3)', '24:00:00.000'],
    ['datetime2(3)', '2026-01-01 00:00:00.1234'],
    ['smalldatetime', '2026-01-01 00:00:01'],
    ['uniqueidentifier', 'x'],
  ])('of type %s refuses %s', async (type, value) => {
    const { send } = await echo();
    await expect(send([type, value])).rejects.toMatchObject({ number: 50_000 });
    expect(await send(['int', 1])).toEqual([1]);
  });
});

describe('a parameter', () => {
  const date = new Date('2026-11-22T21:14:41.123Z');
  it.each<[string, ClientParam, string, SqlValue]>([
    ['bigint', { type: TYPES.BigInt, value: 9_007_199_254_740_993n }, 'bigint', 9_007_199_254_740_993n],
    ['int', { type: TYPES.Int, value: -7 }, 'int', -7],
    ['smallint', { type: TYPES.SmallInt, value: -7 }, 'smallint', -7],
    ['tinyint', { type: TYPES.TinyInt, value: 255 }, 'tinyint', 255],
    ['bit', { type: TYPES.Bit, value: true }, 'bit', true],
    ['float', { type: TYPES.Float, value: 0.1 }, 'float', 0.1],
    ['real', { type: TYPES.Real, value: 0.5 }, 'real', 0.5],
    [
      'decimal',
      { type: TYPES.Decimal, value: -12.34, options: { precision: 30, scale: 4 } },
      'decimal(30,4)',
      '-12.3400',
    ],
    ['numeric', { type: TYPES.Numeric, value: 12_345, options: { precision: 9, scale: 0 } }, 'numeric(9,0)', '12345'],
    ['money', { type: TYPES.Money, value: -12.25 }, 'money', '-12.2500'],
    ['smallmoney', { type: TYPES.SmallMoney, value: 12.34 }, 'smallmoney', '12.3400'],
    ['nvarchar', { type: TYPES.NVarChar, value: 'é\u{1f600}', options: { length: 40 } }, 'nvarchar(40)', 'é\u{1f600}'],
    ['nvarchar of no chars', { type: TYPES.NVarChar, value: '' }, 'nvarchar(1)', ''],
    ['nvarchar(max)', { type: TYPES.NVarChar, value: 'ä'.repeat(10_000) }, 'nvarchar(max)', 'ä'.repeat(10_000)],
    ['varchar', { type: TYPES.VarChar, value: 'naïve €', options: { length: 40 } }, 'varchar(40)', 'naïve €'],
    ['varchar(max)', { type: TYPES.VarChar, value: 'x'.repeat(10_000) }, 'varchar(max)', 'x'.repeat(10_000)],
    ['nchar', { type: TYPES.NChar, value: 'ab', options: { length: 2 } }, 'nchar(2)', 'ab'],
    ['char', { type: TYPES.Char, value: 'ab', options: { length: 2 } }, 'char(2)', 'ab'],
    [
      'varbinary',
      { type: TYPES.VarBinary, value: Buffer.from([1, 2]), options: { length: 10 } },
      'varbinary(10)',
      Buffer.from([1, 2]),
    ],
    [
      'varbinary(max)',
      { type: TYPES.VarBinary, value: Buffer.alloc(9000, 3) },
      'varbinary(max)',
      Buffer.alloc(9000, 3),
    ],
    [
      'binary',
      { type: TYPES.Binary, value: Buffer.from([1, 2]), options: { length: 2 } },
      'binary(2)',
      Buffer.from([1, 2]),
    ],
    [
      'datetime2',
      { type: TYPES.DateTime2, value: Object.assign(new Date(date), { nanosecondDelta: 0.0004567 }) },
      'datetime2(7)',
      '2026-11-22 21:14:41.1234567',
    ],
    [
      'datetime2(3)',
      { type: TYPES.DateTime2, value: date, options: { scale: 3 } },
      'datetime2(3)',
      '2026-11-22 21:14:41.123',
    ],
    ['datetime', { type: TYPES.DateTime, value: date }, 'datetime', '2026-11-22 21:14:41.123'],
    [
      'smalldatetime',
      { type: TYPES.SmallDateTime, value: new Date('2026-11-22T21:14:00Z') },
      'smalldatetime',
      '2026-11-22 21:14:00',
    ],
    ['date', { type: TYPES.Date, value: new Date('0001-01-01T00:00:00Z') }, 'date', '0001-01-01'],
    ['time', { type: TYPES.Time, value: date, options: { scale: 3 } }, 'time(3)', '21:14:41.123'],
    [
      'datetimeoffset',
      { type: TYPES.DateTimeOffset, value: date, options: { scale: 3 } },
      'datetimeoffset(3)',
      '2026-11-22 21:14:41.123 +00:00',
    ],
    [
      'uniqueidentifier',
      { type: TYPES.UniqueIdentifier, value: '00112233-4455-6677-8899-aabbccddeeff' },
      'uniqueidentifier',
      '00112233-4455-6677-8899-AABBCCDDEEFF',
    ],
  ])('%s is read as it is', async (_name, param, type, value) => {
    const { give, client } = await echo();
    expect(await give(param)).toEqual([type, value]);
    const { value: _value, ...rest } = param;
    const [, nothing] = await give({ ...rest, value: null });
    expect(nothing).toBeNull();
    expect(client.connection.closed).toBe(false);
  });

  it('that is exact is exact, and a text is any text', async () => {
    const { client, read } = await echo();
    await fc.assert(
      fc.asyncProperty(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.string({ unit: 'binary', maxLength: 40 }),
        fc.date({
          min: new Date('0001-01-01T00:00:00Z'),
          max: new Date('9999-12-31T23:59:59.999Z'),
          noInvalidDate: true,
        }),
        async (number, text, moment) => {
          await client.ask('give', {
            a: { type: TYPES.BigInt, value: number },
            b: { type: TYPES.NVarChar, value: text },
            c: { type: TYPES.DateTime2, value: moment },
          });
          const iso = moment.toISOString();
          expect(read().map(({ value }) => value)).toEqual([
            number,
            text,
            `${iso.slice(0, 10)} ${iso.slice(11, 23)}0000`,
          ]);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('the codec', () => {
  it.each(SAMPLES)('reads what it writes: %s', (text, value) => {
    const type = sqlType(text);
    const writer = new Writer(1);
    writeType(writer, type);
    for (const one of [value, null]) writeValue(writer, one, type);
    const reader = new Reader(writer.written);
    const read = readType(reader);
    expect(read.type.text).toBe(type.text);
    const [back, nothing] = [readValue(reader, read), readValue(reader, read)];
    expect(typeof value === 'string' && type.length > 0 ? String(back).trimEnd() : back).toEqual(
      type.name === 'binary' ? Buffer.from([9, 0, 0, 0]) : value,
    );
    expect([nothing, reader.rest]).toEqual([null, 0]);
  });

  it('keeps decimals of 38 digits', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 10n ** 38n - 1n }),
        fc.boolean(),
        fc.integer({ min: 1, max: 37 }),
        (units, isNegative, scale) => {
          const digits = String(units).padStart(scale + 1, '0');
          const text = `${isNegative && units > 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
          const type = sqlType(`decimal(38,${scale})`);
          const writer = new Writer();
          writeValue(writer, text, type);
          expect(readValue(new Reader(writer.written), { type, isFixed: false })).toBe(text);
        },
      ),
    );
  });

  it.each([
    'text',
    'int(4)',
    'nvarchar(0)',
    'nvarchar(4001)',
    'varbinary(8001)',
    'nchar(max)',
    'decimal(39,0)',
    'decimal(4,5)',
    'time(8)',
    '',
  ])('knows no type %j', text => {
    expect(() => sqlType(text)).toThrow('no type');
  });
});
