/** Types, values and errors: what a value becomes on its way, and what a message of the server means. */
import { describe, expect, test } from 'vitest';
import { addressOf } from '../../../actors/sql/mssql/address.ts';
import { typed } from '../../../actors/sql/mssql/command.ts';
import { isUnsure, mssqlError, serverError } from '../../../actors/sql/mssql/errors.ts';
import { literal, quote } from '../../../actors/sql/mssql/names.ts';
import { mssqlOptionsOf } from '../../../actors/sql/mssql/server-options.ts';
import { converting, declared, plain, reading, textOf } from '../../../actors/sql/mssql/types.ts';
import { parseOptions, sqlSchema } from '../../../actors/sql/options.ts';
import { AWKWARD, columnNamed, TYPES, tableFrom } from './tables.ts';

const types = tableFrom(TYPES);
const of = (base: string, length?: number) =>
  types.columns.find(column => column.base === base && (length === undefined || column.maxLength === length))!;

test('types are spelt with their lengths', () => {
  expect(types.columns.slice(1).map(declared)).toEqual([
    'bigint',
    'smallint',
    'tinyint',
    'bit',
    'decimal(38, 10)',
    'numeric(18, 0)',
    'money',
    'smallmoney',
    'float',
    'real',
    'date',
    'time(7)',
    'datetime',
    'datetime2(7)',
    'smalldatetime',
    'datetimeoffset(7)',
    'char(10)',
    'varchar(50)',
    'varchar(max)',
    'varchar(max)',
    'nchar(10)',
    'nvarchar(50)',
    'nvarchar(max)',
    'nvarchar(max)',
    'binary(8)',
    'varbinary(100)',
    'varbinary(max)',
    'varbinary(max)',
    'uniqueidentifier',
    'xml',
    'sql_variant',
  ]);
});

describe('a value as text', () => {
  test.each([
    ['bigint', 2n ** 63n - 1n, '9223372036854775807'],
    ['decimal', '12345678901234567890.0123456789', '12345678901234567890.0123456789'],
    ['decimal', 1e21, '1000000000000000000000'],
    ['decimal', 1.5e-7, '0.00000015'],
    ['float', 1.5e-7, '1.5e-7'],
    ['bit', true, '1'],
    ['datetime2', new Date('2026-01-02T03:04:05.678Z'), '2026-01-02T03:04:05.678'],
    ['uniqueidentifier', '6f9619ff-8b86-d011-b42d-00c04fc964ff', '6f9619ff-8b86-d011-b42d-00c04fc964ff'],
    ['varbinary', new Uint8Array([0, 255, 16]), '00FF10'],
    ['nvarchar', "o'x\0 😀", "o'x\0 😀"],
    ['int', null, null],
  ] as const)('%s %s', (base, value, text) => {
    expect(textOf(of(base), value)).toBe(text);
  });

  test.each([
    ['varbinary', 'text', 'not bytes'],
    ['nvarchar', new Uint8Array(1), 'bytes'],
    ['nvarchar', 'x'.repeat(51), 'longer than 50'],
    ['varchar', 'x'.repeat(51), 'longer than 50'],
    ['binary', new Uint8Array(9), 'longer than'],
    ['datetime2', new Date(Number.NaN), 'no date'],
    ['decimal', Number.NaN, 'NaN'],
    ['float', Number.POSITIVE_INFINITY, 'Infinity'],
  ] as const)('that the column cannot hold is refused, and never cut: %s', (base, value, says) => {
    expect(() => textOf(of(base), value)).toThrow(
      expect.objectContaining({ code: 'SQL_CONSTRAINT', class: 'poison', message: expect.stringContaining(says) }),
    );
  });

  test('is counted as the code page of its column counts', () => {
    const narrow = { ...of('varchar', 50), maxLength: 4 };
    expect(textOf({ ...narrow, collation: 'Latin1_General_CI_AS' }, 'äöüß')).toBe('äöüß');
    expect(() => textOf({ ...narrow, collation: 'Latin1_General_100_CI_AS_SC_UTF8' }, 'äöüß')).toThrow();
    expect(() => textOf({ ...narrow, collation: 'Japanese_CI_AS' }, '日本語')).toThrow();
    expect(textOf({ ...narrow, collation: 'Japanese_CI_AS' }, '日本')).toBe('日本');
  });

  test('has no exponent', () => {
    for (const value of [0, -0.5, 1e20, 1e21, -1.23e25, 1e-6, 1e-7, -4.5e-10, 123456.789, Number.MAX_SAFE_INTEGER]) {
      const text = plain(value);
      expect(text).toMatch(/^-?\d+(\.\d+)?$/);
      expect(Number(text)).toBe(value);
    }
  });
});

test('what a number cannot hold is read as text, and keys that a Date cannot', () => {
  const key = { ...of('datetime2'), isKey: true };
  expect(reading(of('decimal'), 't.[d]')).toBe('CONVERT(varchar(41), t.[d])');
  expect(reading(of('money'), 't.[m]')).toBe('CONVERT(varchar(30), t.[m], 2)');
  expect(reading(of('datetime2'), 't.[d]')).toBe('t.[d]');
  expect(reading(key, 't.[d]')).toBe('CONVERT(varchar(34), t.[d], 126)');
  expect(reading(of('bigint'), 't.[b]')).toBe('t.[b]');
});

test('text becomes the very type of its column, so that an index on it is used', () => {
  expect(converting(of('varchar'), '@p')).toBe('CONVERT(varchar(50), @p COLLATE Latin1_General_CI_AS)');
  expect(converting(of('nvarchar'), '@p')).toBe('CONVERT(nvarchar(50), @p) COLLATE Latin1_General_CI_AS');
  expect(converting(of('varbinary'), '@p')).toBe('CONVERT(varbinary(100), @p, 2)');
  expect(converting(of('bigint'), '@p')).toBe('CONVERT(bigint, @p)');
});

test('names are quoted whatever they hold', () => {
  expect(quote('a]b[c')).toBe('[a]]b[c]');
  expect(literal("o'x")).toBe("N'o''x'");
  const table = tableFrom(AWKWARD);
  expect(table.quoted).toBe("[od]]d 'schema].[a table; DROP TABLE x --]");
  expect(table.key).toEqual(['version', "it's a ]key["]);
  expect(columnNamed(table, 'row')).toMatchObject({ isComputed: true, type: 'rowversion' });
});

test('parameters that no column tells the type of', () => {
  expect(
    [1, 1.5, 2 ** 60, 2n ** 70n, -(2n ** 63n), 'x', 'x'.repeat(4001), true, null, new Date(), new Uint8Array(8001)].map(
      value => typed(value).kind,
    ),
  ).toEqual(['bigint', 'float', 'float', 'text', 'bigint', 'text', 'longText', 'bit', 'text', 'time', 'longBytes']);
});

describe('an address', () => {
  test.each([
    ['mssql://host/db', { host: 'host', port: 1433, database: 'db', user: null, instance: null }],
    ['mssql://sa:p%40ss%3A@host:1444/my%20db', { port: 1444, user: 'sa', password: 'p@ss:', database: 'my db' }],
    ['mssql://host\\SQLEXPRESS/db', { host: 'host', instance: 'SQLEXPRESS', port: null }],
    ['mssql://[::1]:1433/db', { host: '::1', port: 1433 }],
  ])('%s', (url, expected) => {
    expect(addressOf(url)).toMatchObject(expected);
  });

  test.each([
    'mssql://host',
    'mssql://host/',
    'mssql:///db',
    'mssql://host:0/db',
    'mssql://host:70000/db',
    'mssql://h\\i:1/db',
    'mssql://a:%ZZ@h/db',
  ])('is not %s', url => {
    expect(addressOf(url)).toBeNull();
  });

  test('is told without secrets', () => {
    expect(addressOf('mssql://sa:hush@host:1444/db')!.text).toBe('mssql://host:1444/db');
    const wrong = sqlSchema.safeParse({ url: 'mssql://sa:hush@/db' });
    expect(wrong.success).toBe(false);
    expect(JSON.stringify(wrong.error)).not.toContain('hush');
  });
});

test('certificates are checked, and connections encrypted, unless told otherwise', () => {
  const { connect, pool } = mssqlOptionsOf(parseOptions({ url: 'mssql://sa:hush@host/db' }, 'io.db'), 'io.db');
  expect(connect.tls).toEqual({ ca: undefined, serverName: undefined, mode: 'on', checks: true });
  expect(connect).toMatchObject({ connectMs: 15_000, requestMs: 30_000, user: 'sa' });
  expect(connect.password()).toBe('hush');
  expect(pool.max).toBe(10);
});

describe('messages of the server', () => {
  test.each([
    [1205, 'SQL_UNAVAILABLE', 'transient'],
    [1222, 'SQL_UNAVAILABLE', 'transient'],
    [3960, 'SQL_UNAVAILABLE', 'transient'],
    [3961, 'SQL_UNAVAILABLE', 'transient'],
    [40613, 'SQL_UNAVAILABLE', 'transient'],
    [40501, 'SQL_UNAVAILABLE', 'throttled'],
    [10928, 'SQL_UNAVAILABLE', 'throttled'],
    [2627, 'SQL_CONSTRAINT', 'poison'],
    [2601, 'SQL_CONSTRAINT', 'poison'],
    [547, 'SQL_CONSTRAINT', 'poison'],
    [2628, 'SQL_CONSTRAINT', 'poison'],
    [511, 'SQL_TOO_LARGE', 'poison'],
    [207, 'SQL_IDENTIFIER', 'fatal'],
    [208, 'TABLE_UNKNOWN', 'fatal'],
    [229, 'ACCESS_REFUSED', 'fatal'],
    [18456, 'ACCESS_REFUSED', 'fatal'],
    [22105, 'TRACKING_OFF', 'fatal'],
    [22117, 'TRACKING_OFF', 'fatal'],
    [3952, 'SQL_FAILED', 'fatal'],
    [3906, 'STORE_READ_ONLY', 'fatal'],
    [9002, 'OUTPUT_FULL', 'transient'],
    [4711, 'SQL_FAILED', 'unknown'],
  ])('%i is %s, %s', (number, code, its) => {
    expect(serverError(number, 'text', 'here')).toMatchObject({ code, class: its, number });
  });

  test('say what to do where the code does not', () => {
    expect(serverError(22117, 'text', 'here').message).toContain('readOnlyIntent');
    expect(serverError(3952, 'text', 'here').message).toContain('ALLOW_SNAPSHOT_ISOLATION');
  });

  test('of several the first that is known counts', () => {
    const one = (number: number) => Object.assign(new Error(`m${number}`), { number });
    const both = Object.assign(new Error('both'), { errors: [one(4711), one(2627), one(3621)] });
    expect(mssqlError(both, 'here')).toMatchObject({ number: 2627 });
  });

  test('and without one nobody knows whether it was done', () => {
    expect(isUnsure(mssqlError(Object.assign(new Error('gone'), { code: 'ESOCKET' }), 'here'))).toBe(true);
    expect(isUnsure(serverError(1205, 'deadlock', 'here'))).toBe(false);
  });

  test('a certificate that is not trusted is for good, and says what to set', () => {
    const cause = Object.assign(new Error('self-signed certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    const error = mssqlError(Object.assign(new Error('Failed to connect', { cause }), { code: 'ESOCKET' }), 'here');
    expect(error).toMatchObject({
      code: 'SQL_UNAVAILABLE',
      class: 'fatal',
      message: expect.stringContaining('tls.ca'),
    });
  });
});
