/** The SQL Server for tests itself: what it runs, what it refuses, and what its transactions see of each other. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { declaration } from '../../../../actors/sql/mssql/command.ts';
import { allStatements } from '../../../sql/mssql/all-statements.ts';
import { tdsClient } from '../client.ts';
import { ServedMssql } from '../served.ts';
import { bindings } from './bindings.ts';
import { type MssqlServer, type MssqlServerOptions, mssqlServer, statementNames } from './index.ts';
import { checkStatement } from './named.ts';

const TABLE = 'CREATE TABLE t (k bigint NOT NULL PRIMARY KEY, name nvarchar(20) NULL, amount float NULL)';
const TRACK = `ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 2 DAYS, AUTO_CLEANUP = ON);
  ALTER TABLE t ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON)`;
const SNAPSHOT = 5;

async function served(options: MssqlServerOptions = {}): Promise<MssqlServer> {
  const server = await mssqlServer(options);
  onTestFinished(() => server.close());
  await server.run(`${TABLE}; ${TRACK}`);
  return server;
}

const login = { user: 'keymill', password: 'Secret-1', database: 'shop' };
const rows = async (server: MssqlServer, sql: string) => (await server.run(sql)).sets.at(-1)!.rows;

describe('a place in an order of several columns', () => {
  const PLACES =
    "VALUES (1, N'a', 1), (1, N'B', 1), (1, N'b', 2), (1, NULL, 3), (2, N'a', NULL), (2, N'A', 5), (NULL, N'z', 9)";
  const from = `FROM (${PLACES}) AS v(x, y, z)`;

  test.each([
    ['of two', "v.x > 1 OR (v.x = 1 AND v.y > N'A')", "v.x > 1 OR (1 = v.x AND v.y > N'A')"],
    [
      'of three',
      "v.x > 1 OR (v.x = 1 AND v.y > N'a') OR (v.x = 1 AND v.y = N'a' AND v.z > 0)",
      "v.x > 1 OR (1 = v.x AND v.y > N'a') OR (1 = v.x AND v.y = N'a' AND v.z > 0)",
    ],
    [
      'nested',
      "v.x > 1 OR (v.x = 1 AND (v.y > N'b' OR (v.y = N'b' AND v.z > 1)))",
      "v.x > 1 OR (1 = v.x AND (v.y > N'b' OR (N'b' = v.y AND v.z > 1)))",
    ],
    [
      'whose ends are unknown',
      'v.x > NULL OR (v.x = NULL AND v.y > NULL)',
      'v.x > NULL OR (NULL = v.x AND v.y > NULL)',
    ],
    ['that is none', "v.x > 1 OR (v.y = N'a' AND v.z > 0)", "NOT (NOT v.x > 1 AND NOT (v.y = N'a' AND v.z > 0))"],
  ])('%s: as spelt out', async (_name, one, same) => {
    const server = await mssqlServer();
    onTestFinished(() => server.close());
    for (const not of ['', 'NOT']) {
      const of = (condition: string) => rows(server, `SELECT v.x, v.y, v.z ${from} WHERE ${not} (${condition})`);
      expect(await of(one)).toEqual(await of(same));
    }
  });
});

describe('CHANGETABLE', () => {
  test('tells a change by itself, or together with others of its key above the version', async () => {
    const server = await served();
    const inMask = (id: number) => `CHANGE_TRACKING_IS_COLUMN_IN_MASK(${id}, c.SYS_CHANGE_COLUMNS)`;
    const since = (version: number) =>
      rows(
        server,
        `SELECT c.k, c.SYS_CHANGE_VERSION, c.SYS_CHANGE_OPERATION, CONCAT(N'', ${inMask(2)}, ${inMask(3)})
         FROM CHANGETABLE(CHANGES t, ${version}) AS c ORDER BY c.k`,
      );
    const [[begun]] = (await rows(server, 'SELECT CHANGE_TRACKING_CURRENT_VERSION()')) as [[bigint]];
    const at = Number(begun);
    await server.run("INSERT INTO t (k, name) VALUES (1, N'a'), (2, N'b')");
    await server.run('UPDATE t SET amount = 1');
    await server.run("UPDATE t SET name = N'c' WHERE k = 1");
    await server.run('DELETE FROM t WHERE k = 2');
    expect(await since(at)).toEqual([
      [1n, BigInt(at + 3), 'I', '11'],
      [2n, BigInt(at + 4), 'D', '11'],
    ]);
    expect(await since(at + 1)).toEqual([
      [1n, BigInt(at + 3), 'U', '11'],
      [2n, BigInt(at + 4), 'D', '11'],
    ]);
    expect(await since(at + 2)).toEqual([
      [1n, BigInt(at + 3), 'U', '10'],
      [2n, BigInt(at + 4), 'D', '11'],
    ]);
    await server.run("BEGIN TRANSACTION; UPDATE t SET name = N'd'; UPDATE t SET amount = 2; COMMIT");
    expect(await since(at + 4)).toEqual([[1n, BigInt(at + 5), 'U', '11']]);
  });
});

describe('statements', () => {
  test('that keymill names are those that are known, each made as it should be', () => {
    const made = new Set<string>();
    for (const { name, sql, params } of allStatements()) {
      checkStatement(sql, bindings(declaration(params)));
      made.add(name);
    }
    expect(statementNames().sort()).toEqual([...made].sort());
  });

  test.each([
    ['/* keymill:nothing */\nSELECT 1', 'unknown statement'],
    ['/* keymill:alive */\nSELECT 1; SELECT 2', 'made of select select'],
    ['/* keymill:bookmark */\nSELECT 1', 'with the parameters'],
    ['/* keymill:untrack */\nDROP TABLE t', 'made of drop-table'],
  ])('%s is refused', async (sql, says) => {
    const client = await tdsClient((await served()).tds, login);
    await expect(client.ask(sql)).rejects.toMatchObject({ number: 50_000, message: expect.stringContaining(says) });
  });

  test.each([
    ['SELEC 1', 102],
    ['SELECT 1 FROM t AS', 102],
    ['MERGE t USING u ON 1 = 1', 102],
    ['SELECT * FROM CHANGETABLE(CHANGES t, 1 + 1) AS c', 102],
    ['SELECT nope FROM t', 207],
    ['SELECT x.k FROM t', 4104],
    ['SELECT k FROM u', 208],
    ['SELECT SOUNDEX(name) FROM t', 195],
    ['SELECT @x', 137],
    ['SELECT k FROM t WHERE name', 4145],
    ["INSERT INTO t (k) VALUES ('x')", 8114],
    ['INSERT INTO t (k) VALUES (NULL)', 515],
    ["INSERT INTO t (k, name) VALUES (1, 'longer than twenty signs')", 2628],
    ['INSERT INTO t (k) VALUES (1), (1)', 2627],
    ['INSERT INTO t (k, name) VALUES (1)', 120],
    ["SELECT CONVERT(int, '99999999999')", 248],
    ["SELECT CONVERT(datetime2(3), 'tomorrow')", 241],
    ['EXEC sp_nothing', 2812],
    ['COMMIT', 3902],
    ["THROW 51000, N'own', 1", 51_000],
    ['SET QUOTED_IDENTIFIER OFF', 50_000],
  ])('%s is the error %d', async (sql, number) => {
    const server = await served();
    await expect(server.run(sql)).rejects.toMatchObject({ number });
    expect(await rows(server, 'SELECT k FROM t')).toEqual([]);
  });

  test('are values of SQL Server', async () => {
    const server = await served();
    expect(
      await rows(
        server,
        `SELECT 7 / 2, 7 % 4, N'a' + N'b', CONCAT(N'x', NULL, 1), COALESCE(NULL, 3), CASE WHEN N'A' = N'a' THEN 1 ELSE 0 END,
           CONVERT(decimal(10, 2), N'12.345'), CONVERT(varchar(30), CONVERT(money, N'1.2345'), 2), CONVERT(varbinary(4), N'0AFF', 2),
           CONVERT(nvarchar(30), CONVERT(datetime2(7), N'2026-01-31T12:00:00.1234567'), 126), LEN(N'ab '), 9007199254740993`,
      ),
    ).toEqual([
      [
        3,
        3,
        'ab',
        'x1',
        3,
        1,
        '12.35',
        '1.2345',
        Buffer.from([10, 255]),
        '2026-01-31T12:00:00.1234567',
        2,
        9_007_199_254_740_993n,
      ],
    ]);
  });

  test('of a batch stop at the first error, and what a transaction did is undone', async () => {
    const server = await served();
    await expect(
      server.run('BEGIN TRANSACTION; INSERT INTO t (k) VALUES (1); INSERT INTO t (k) VALUES (1); COMMIT'),
    ).rejects.toMatchObject({ number: 2627 });
    expect(await rows(server, 'SELECT COUNT(*) FROM t')).toEqual([[0]]);
    // Without XACT_ABORT the statement fails alone.
    const client = await tdsClient(server.tds, login);
    await client
      .ask('SET XACT_ABORT OFF; BEGIN TRANSACTION; INSERT INTO t (k) VALUES (1); INSERT INTO t (k) VALUES (1); COMMIT')
      .catch(() => undefined);
    expect(await rows(server, 'SELECT k FROM t')).toEqual([[1n]]);
  });
});

describe('sessions', () => {
  test('a snapshot sees what was there when it first looked, and no more', async () => {
    const server = await served();
    const client = await tdsClient(server.tds, login);
    await server.run('INSERT INTO t (k) VALUES (1)');
    await client.begin(SNAPSHOT);
    await server.run('INSERT INTO t (k) VALUES (2)'); // it has not looked yet
    const count = async () => (await client.ask('SELECT COUNT(*) FROM t')).rows[0]![0];
    expect(await count()).toBe(2);
    await server.run('INSERT INTO t (k) VALUES (3)');
    expect(await count()).toBe(2);
    await client.commit();
    expect(await count()).toBe(3);
  });

  test('a snapshot that writes what another wrote loses, and one over a table that was altered too', async () => {
    const server = await served();
    const client = await tdsClient(server.tds, login);
    await server.run('INSERT INTO t (k) VALUES (1)');
    for (const [act, ask, number] of [
      ["UPDATE t SET name = 'theirs'", "UPDATE t SET name = 'mine'", 3960],
      ['ALTER TABLE t ADD more int NULL', 'SELECT k FROM t', 3961],
    ] as const) {
      await client.begin(SNAPSHOT);
      await client.ask('SELECT k FROM t');
      await server.run(act);
      await expect(client.ask(ask)).rejects.toMatchObject({ number });
      expect(client.events).toContain('rollbackTransaction');
    }
    await server.allowSnapshots(false);
    await client.begin(SNAPSHOT);
    await expect(client.ask('SELECT k FROM t')).rejects.toMatchObject({ number: 3952 });
  });

  test('who writes waits for who writes, and a connection that goes leaves nothing', async () => {
    const server = await served();
    const [one, two] = [await tdsClient(server.tds, login), await tdsClient(server.tds, login)];
    await one.begin();
    await one.ask('INSERT INTO t (k) VALUES (1)');
    const second = two.ask('INSERT INTO t (k) VALUES (2)');
    expect(await rows(server, 'SELECT k FROM t')).toEqual([]);
    await one.close();
    await second;
    expect(await rows(server, 'SELECT k FROM t')).toEqual([[2n]]);
  });

  test('a reset drops temporary tables and ends a transaction', async () => {
    const server = await served();
    const client = await tdsClient(server.tds, login);
    await client.ask('CREATE TABLE #x (a int); BEGIN TRANSACTION; INSERT INTO t (k) VALUES (1)', {}, (c, r) =>
      c.execSqlBatch(r),
    );
    await client.rollback().catch(() => undefined);
    await client.reset();
    await expect(client.ask('SELECT a FROM #x')).rejects.toMatchObject({ number: 208 });
    expect(await rows(server, 'SELECT k FROM t')).toEqual([]);
  });
});

describe('Change Tracking', () => {
  const changes = (server: MssqlServer, since: number | bigint) =>
    rows(
      server,
      `SELECT c.SYS_CHANGE_OPERATION, c.k FROM CHANGETABLE(CHANGES t, ${since}) AS c ORDER BY c.SYS_CHANGE_VERSION, c.k`,
    );

  test('one version for each transaction that changes a tracked table, none for others', async () => {
    const server = await served();
    const first = server.version;
    await server.run("BEGIN TRANSACTION; INSERT INTO t (k) VALUES (1), (2); UPDATE t SET name = N'x'; COMMIT");
    expect(server.version).toBe(first + 1);
    await server.run(
      "BEGIN TRANSACTION; DELETE FROM t; ROLLBACK; UPDATE t SET name = N'y' WHERE k = 9; CREATE TABLE u (k int)",
    );
    expect(server.version).toBe(first + 1);
    expect(await changes(server, first)).toEqual([
      ['I', 1n],
      ['I', 2n],
    ]);
  });

  test('net changes are relative to the version asked for', async () => {
    const server = await served();
    const v0 = server.version;
    await server.run('INSERT INTO t (k) VALUES (1)');
    const v1 = server.version;
    await server.run("UPDATE t SET name = N'x'; DELETE FROM t; INSERT INTO t (k) VALUES (1)");
    expect(await changes(server, v0)).toEqual([['I', 1n]]);
    expect(await changes(server, v1)).toEqual([['U', 1n]]);
    await server.run('UPDATE t SET k = 5');
    expect(await changes(server, v1)).toEqual([
      ['D', 1n],
      ['I', 5n],
    ]);
  });

  test('the oldest valid version is NULL where it may not be seen, and rises with clean-ups and TRUNCATE', async () => {
    const server = await served();
    const client = await tdsClient(server.tds, login);
    const min = async () => (await client.ask("SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID(N't'))")).rows[0]![0];
    const began = Number(await min());
    await server.run('INSERT INTO t (k) VALUES (1); INSERT INTO t (k) VALUES (2)');
    await server.cleanUp(began + 1);
    expect(Number(await min())).toBe(began + 1);
    expect(await changes(server, 0)).toEqual([['I', 2n]]);
    server.deny('VIEW CHANGE TRACKING', 'dbo.t');
    expect(await min()).toBeNull();
    server.grant('VIEW CHANGE TRACKING', 'dbo.t');
    await server.run('TRUNCATE TABLE t');
    expect(Number(await min())).toBe(server.version);
    expect(await changes(server, 0)).toEqual([]);
    expect((await client.ask('SELECT CHANGE_TRACKING_MIN_VALID_VERSION(7)')).rows).toEqual([[null]]);
  });
});

test('a process of its own keeps what was committed when it is killed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'keymill-served-'));
  const server = new ServedMssql({ folder });
  onTestFinished(async () => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  await server.start();
  const { url } = server;
  await server.run(`${TABLE}; INSERT INTO t (k) VALUES (1)`);
  const open = server.run(
    'BEGIN TRANSACTION; INSERT INTO t (k) VALUES (2); SELECT COUNT(*) FROM t AS a CROSS JOIN t AS b',
  );
  await open;
  await server.kill();
  await server.start();
  expect(server.url).toBe(url);
  expect((await server.run('SELECT k FROM t')).sets[0]!.rows).toEqual([['1']]);
  await expect(server.run('SELECT nope FROM t')).rejects.toThrow('Invalid column name');
});
