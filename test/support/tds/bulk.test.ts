/** Bulk load: the batch that announces it, and rows of every type, by tedious. */
import { type BulkLoad, type Connection, TYPES } from 'tedious';
import { describe, expect, it } from 'vitest';
import { bulkTarget } from './bulk.ts';
import { asBatch, type Client, tdsClient } from './client.ts';
import { SqlError, tdsServer } from './index.ts';
import { Scripted } from './scripted.ts';

type Columns = Readonly<Record<string, Parameters<BulkLoad['addColumn']>[1]>>;
type Options = Parameters<Connection['newBulkLoad']>[1] & object;

async function pair(): Promise<{ client: Client; handler: Scripted; breaches: readonly unknown[] }> {
  const handlers: Scripted[] = [];
  const server = await tdsServer({
    open: session => {
      handlers.push(new Scripted(session, { ping: (_query, answer) => answer.done(1) }));
      return handlers[0]!;
    },
  });
  return { client: await tdsClient(server), handler: handlers[0]!, breaches: server.breaches };
}

function load(
  { connection }: Client,
  columns: Columns,
  rows: Iterable<readonly unknown[]>,
  options: Options = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    const bulk = connection.newBulkLoad('[dbo].[t]', options, (error, count) =>
      error ? reject(error) : resolve(count!),
    );
    for (const [name, type] of Object.entries(columns))
      bulk.addColumn(name, type, { nullable: true, length: 50, precision: 30, scale: 4 });
    connection.execBulkLoad(bulk, rows as Iterable<unknown[]>);
  });
}

describe('a bulk load', () => {
  it('of 10,000 rows brings each of them', async () => {
    const { client, handler } = await pair();
    const rows = Array.from({ length: 10_000 }, (_, id) => [id, `row ${id}`]);
    const columns = { id: TYPES.Int, text: TYPES.NVarChar };
    expect(await load(client, columns, rows, { checkConstraints: true, lockTable: true })).toBe(10_000);
    const [{ target, rows: got }] = handler.loaded as [(typeof handler.loaded)[number]];
    expect(target).toEqual({
      table: '[dbo].[t]',
      columns: [
        { name: 'id', declaration: 'int' },
        { name: 'text', declaration: 'nvarchar(50)' },
      ],
      options: ['CHECK_CONSTRAINTS', 'TABLOCK'],
    });
    expect(got.columns.map(({ name, type }) => [name, type.text])).toEqual([
      ['id', 'int'],
      ['text', 'nvarchar(50)'],
    ]);
    expect(got.rows).toEqual(rows);
  });

  it('brings values of all types, and nulls', async () => {
    const { client, handler } = await pair();
    const moment = new Date('2026-11-22T21:14:41.123Z');
    const values: readonly (readonly [Columns[string], unknown, unknown])[] = [
      [TYPES.BigInt, 9_007_199_254_740_993n, 9_007_199_254_740_993n],
      [TYPES.Bit, true, true],
      [TYPES.Float, 0.1, 0.1],
      [TYPES.Decimal, 12.5, '12.5000'],
      [TYPES.NVarChar, 'é\u{1f600}', 'é\u{1f600}'],
      [TYPES.VarChar, 'naïve', 'naïve'],
      [TYPES.VarBinary, Buffer.from([1, 2]), Buffer.from([1, 2])],
      [TYPES.DateTime2, moment, '2026-11-22 21:14:41.1230'],
      [TYPES.Date, moment, '2026-11-22'],
      [TYPES.UniqueIdentifier, '00112233-4455-6677-8899-aabbccddeeff', '00112233-4455-6677-8899-AABBCCDDEEFF'],
    ];
    const columns = Object.fromEntries(values.map(([type], index) => [`c${index}`, type]));
    await load(client, columns, [values.map(([, value]) => value), values.map(() => null)]);
    expect(handler.loaded[0]!.rows.rows).toEqual([values.map(([, , read]) => read), values.map(() => null)]);
  });

  it('that is refused, or whose rows never come, leaves the connection usable', async () => {
    const { client, handler } = await pair();
    const { bulk } = handler;
    handler.bulk = () => {
      throw new SqlError(208, 'no such table');
    };
    await expect(load(client, { id: TYPES.Int }, [[1]])).rejects.toMatchObject({ number: 208 });
    handler.bulk = () => () => {
      throw new SqlError(2627, 'a key twice', { class: 14 });
    };
    await expect(load(client, { id: TYPES.Int }, [[1]])).rejects.toMatchObject({ number: 2627 });
    handler.bulk = bulk;
    await client.ask('insert bulk [t]([id] int)', {}, asBatch);
    await expect(client.ask('ping')).rejects.toMatchObject({ number: 4022 });
    expect(await client.ask('ping')).toMatchObject({ count: 1 });
    expect(await load(client, { id: TYPES.Int }, [])).toBe(0);
  });
});

describe('the text of a bulk load', () => {
  it.each<[string, unknown]>([
    ['insert bulk t(a int)', { table: 't', columns: [{ name: 'a', declaration: 'int' }], options: [] }],
    [
      'INSERT BULK [my db].[dbo].[odd]]name] ([a,(b]]] decimal(18, 4), c nvarchar(max) COLLATE Latin1_General_BIN) WITH (KEEP_NULLS, ORDER ([a] ASC, c DESC));',
      {
        table: '[my db].[dbo].[odd]]name]',
        columns: [
          { name: 'a,(b]', declaration: 'decimal(18, 4)' },
          { name: 'c', declaration: 'nvarchar(max)' },
        ],
        options: ['KEEP_NULLS', 'ORDER ([A] ASC, C DESC)'],
      },
    ],
    ['insert bulk t(a int', null],
    ['insert bulk (a int)', null],
    ['insert bulk t(a)', null],
    ['insert bulk t(a int) drop table t', null],
  ])('%s', (sql, target) => {
    expect(bulkTarget(sql)).toEqual(target);
  });
});
