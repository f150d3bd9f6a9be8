/** Values of every type that the test server keeps, there and back: as rows, as deltas, by JSON and by bulk load, as changes. */
import { afterEach, expect, test } from 'vitest';
import type { Row } from '../../../actors/sql/contract.ts';
import { all } from '../../contract/sql.ts';
import { type MssqlBench, openMssql } from './bench.ts';

const TABLE = `CREATE TABLE [a table; DROP TABLE x --] (
  [it's a ]]key[] varchar(50) NOT NULL, [select] decimal(18, 4) NOT NULL,
  [i] int NULL, [big] bigint NULL, [small] smallint NULL, [tiny] tinyint NULL, [yes] bit NULL, [f] float NULL, [r] real NULL,
  [m] money NULL, [n] nvarchar(max) NULL, [v] varchar(20) NULL, [b] varbinary(max) NULL, [b8] binary(8) NULL,
  [d] date NULL, [t] time(7) NULL, [dt2] datetime2(7) NULL, [dt] datetime NULL, [g] uniqueidentifier NULL,
  PRIMARY KEY ([select], [it's a ]]key[])
)`;
const NAME = 'a table; DROP TABLE x --';
const KEY = "it's a ]key[";

const ROWS: Row[] = [
  {
    [KEY]: "O'Brien]",
    select: '99999999999999.1234',
    i: -2_147_483_648,
    big: 9_223_372_036_854_775_807n,
    small: -32_768,
    tiny: 255,
    yes: true,
    f: 0.1,
    r: 0.5,
    m: '922337203685477.5807',
    n: `naïve ☃ 𝒳 ${'x'.repeat(5000)}`,
    v: 'Zürich €',
    b: new Uint8Array([0, 255, 1]),
    b8: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]),
    d: new Date('2026-01-31T00:00:00Z'),
    t: '23:59:59.1234567',
    dt2: new Date('2026-01-31T23:59:59.123Z'),
    dt: new Date('2026-01-31T23:59:59.123Z'),
    g: '0E984725-C51C-4BF4-9960-E1C80E27ABA0',
  },
  { [KEY]: 'none', select: '-0.0001' },
];

let bench: MssqlBench;
afterEach(() => bench.close());

test.each([
  ['by JSON', 160],
  ['by bulk load', 120],
])('%s: each value is what it was', async (_how, level) => {
  bench = await openMssql();
  const { client, server } = bench;
  await server.setLevel(level);
  await server.run(TABLE);
  await client.track(NAME);
  const since = server.version;
  const columns = (await client.describe(NAME)).columns.map(column => column.name);
  const whole = ROWS.map(row => Object.fromEntries(columns.map(name => [name, row[name] ?? null])));
  const read = async (): Promise<Row[]> => (await all(client.getChanges(NAME, { since }))).map(change => change.data!);
  const byKey = (rows: readonly Row[]): Row[] => [...rows].sort((a, b) => String(a[KEY]).localeCompare(String(b[KEY])));
  await client.insert(NAME, whole);
  expect(byKey(await read())).toEqual(byKey(whole));
  await client.upsert(
    NAME,
    whole.map(row => ({ ...row, i: 7 })),
  );
  expect(byKey(await read())).toEqual(byKey(whole.map(row => ({ ...row, i: 7 }))));
  const keys = whole.map(row => ({ [KEY]: row[KEY]!, select: row['select']! }));
  await client.remove(NAME, keys);
  expect(await client.query(`SELECT * FROM [${NAME}]`)).toEqual([]);
  const deltas = whole.map((data, i) => ({ pk: keys[i]!, version: { epoch: 1, n: 1 }, data }));
  expect(await client.apply(NAME, deltas)).toEqual(['applied', 'applied']);
  expect(await client.apply(NAME, deltas)).toEqual(['same', 'same']);
  expect(byKey(await read())).toEqual(byKey(whole));
  expect(byKey(await all(client.olderThan(NAME, 2)))).toEqual(byKey(keys));
});

test('more rows than go by JSON go by bulk load, all or none', async () => {
  bench = await openMssql();
  await bench.createTable('t');
  const { client } = bench;
  const many = Array.from({ length: 6000 }, (_, k) => ({ k, name: `n${k}`, amount: k / 4 }));
  expect(await client.insert('t', many)).toEqual({ rows: 6000 });
  await expect(
    client.insert('t', [...many.map(row => ({ ...row, k: row.k + 10_000 })), { k: 5, name: 'x', amount: 0 }]),
  ).rejects.toMatchObject({ code: 'SQL_CONSTRAINT' });
  expect(await client.query('SELECT COUNT(*) AS n FROM t')).toEqual([{ n: 6000 }]);
  await client.upsert(
    't',
    many.map(row => ({ ...row, name: 'y' })),
  );
  expect(await client.query("SELECT COUNT(*) AS n FROM t WHERE name = N'y'")).toEqual([{ n: 6000 }]);
});
