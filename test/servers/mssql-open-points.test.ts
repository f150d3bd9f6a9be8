/**
 * What no document says of SQL Server (reference sql-server-and-tds, section 5), asked of a real one. What it answers is written
 * beside the name of the test, so that the test server and the driver can be held against it; what the driver needs to be so is
 * demanded.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SqlValue } from '../../actors/sql/contract.ts';
import type { Connection } from '../../actors/sql/mssql/connection.ts';
import { emptied, realConnection, runOn, withoutReal } from '../sql/mssql/real.ts';

describe.skipIf(withoutReal())('SQL Server, open points', () => {
  let one: Connection;
  let other: Connection;
  beforeEach(async () => {
    one = await realConnection();
    other = await realConnection();
    await emptied(one);
    await run(`IF NOT EXISTS (SELECT 1 FROM sys.change_tracking_databases WHERE database_id = DB_ID())
      ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 1 DAYS, AUTO_CLEANUP = OFF)`);
    await run('CREATE TABLE t (k bigint NOT NULL PRIMARY KEY, a int NULL, b int NULL, c int NULL)');
    await run('ALTER TABLE t ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON)');
  });
  afterEach(async () => {
    await emptied(one);
    one.close();
    other.close();
  });

  const run = async (sql: string, on = one): Promise<readonly (readonly SqlValue[])[]> =>
    (await runOn(on, sql)).at(-1)?.rows ?? [];
  const value = async (sql: string, on = one): Promise<SqlValue> => (await run(`SELECT ${sql}`, on))[0]?.[0] ?? null;
  const now = async (): Promise<number> => Number(await value('CHANGE_TRACKING_CURRENT_VERSION()'));
  const min = async (): Promise<number> => Number(await value("CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('t'))"));
  const changes = (since: number): Promise<readonly (readonly SqlValue[])[]> =>
    run(`SELECT c.SYS_CHANGE_OPERATION, c.SYS_CHANGE_VERSION, c.SYS_CHANGE_COLUMNS, c.k
      FROM CHANGETABLE(CHANGES t, ${since}) AS c ORDER BY c.SYS_CHANGE_VERSION, c.k`);
  const numberOf = (error: unknown): unknown => (error as { number?: number }).number;
  /** Keeps the answer where a report shows it. */
  const record = (context: { annotate(text: string): unknown }, answer: unknown): void => {
    void context.annotate(JSON.stringify(answer, (_key, v) => (typeof v === 'bigint' ? String(v) : v)));
  };

  test('1: CHANGETABLE below the oldest valid version', async context => {
    await run('INSERT INTO t (k) VALUES (1); TRUNCATE TABLE t; INSERT INTO t (k) VALUES (2)');
    const answer = await changes(0).catch(error => ({ error: numberOf(error) }));
    record(context, answer);
    expect(await min()).toBeGreaterThan(0);
  });

  test('2: inserted and deleted inside the window', async context => {
    const since = await now();
    await run('INSERT INTO t (k) VALUES (1); DELETE FROM t WHERE k = 1');
    const found = await changes(since);
    record(context, found);
    for (const [operation] of found) expect(operation).toBe('D');
  });

  test('3: the mask of an UPDATE after an INSERT, and of one by columns', async context => {
    const since = await now();
    await run('INSERT INTO t (k) VALUES (1); UPDATE t SET a = 1 WHERE k = 1');
    const both = await changes(since);
    const later = await now();
    await run('UPDATE t SET b = 1 WHERE k = 1');
    const [, , mask] = (await changes(later))[0]!;
    record(context, { both, mask });
    const inMask = `CHANGE_TRACKING_IS_COLUMN_IN_MASK(COLUMNPROPERTY(OBJECT_ID('t'), 'b', 'ColumnId'), SYS_CHANGE_COLUMNS)`;
    expect(Number((await run(`SELECT ${inMask} FROM CHANGETABLE(CHANGES t, ${later}) AS c`))[0]![0])).toBe(1);
  });

  test('4: CDC functions out of their range', async context => {
    await run('EXEC sys.sp_cdc_enable_db');
    await run("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N't', @role_name = NULL");
    try {
      const bad = await run(
        "SELECT * FROM cdc.fn_cdc_get_all_changes_dbo_t(0x00000000000000000001, 0x00000000000000000002, N'all')",
      ).catch(error => ({ error: numberOf(error) }));
      record(context, bad);
      expect(Buffer.from((await value("sys.fn_cdc_get_min_lsn('nope')")) as Uint8Array)).toEqual(Buffer.alloc(10));
    } finally {
      await run('EXEC sys.sp_cdc_disable_db');
    }
  });

  test('5: the update mask of CDC beyond eight columns', async context => {
    await run('DROP TABLE t');
    const names = Array.from({ length: 10 }, (_, i) => `c${i} int NULL`).join(', ');
    await run(`CREATE TABLE t (k bigint NOT NULL PRIMARY KEY, ${names})`);
    await run('EXEC sys.sp_cdc_enable_db');
    await run("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N't', @role_name = NULL");
    try {
      await run('INSERT INTO t (k) VALUES (1); UPDATE t SET c9 = 1 WHERE k = 1');
      const masks = async () => run('SELECT __$update_mask FROM cdc.dbo_t_CT WHERE __$operation = 4');
      await expect.poll(async () => (await masks()).length, { timeout: 60_000, interval: 500 }).toBe(1);
      const [[mask]] = (await masks()) as [[Uint8Array]];
      record(context, Buffer.from(mask).toString('hex'));
      // Ordinal 11: the third bit of the first of two bytes.
      expect(Buffer.from(mask).toString('hex')).toBe('0400');
    } finally {
      await run('EXEC sys.sp_cdc_disable_db');
    }
  }, 120_000);

  test('6: what a reset does to the isolation level', async context => {
    const level = '(SELECT transaction_isolation_level FROM sys.dm_exec_sessions WHERE session_id = @@SPID)';
    await run('SET TRANSACTION ISOLATION LEVEL SNAPSHOT');
    const before = await value(level);
    await one.reset();
    const after = await value(level);
    record(context, { before, after });
    expect(before).toBe(5);
  });

  test('7: the oldest valid version after TRUNCATE, and after tracking was off', async context => {
    await run('INSERT INTO t (k) VALUES (1)');
    const began = async () =>
      value("(SELECT begin_version FROM sys.change_tracking_tables WHERE object_id = OBJECT_ID('t'))");
    const before = { now: await now(), min: await min(), began: await began() };
    await run('TRUNCATE TABLE t');
    const truncated = { now: await now(), min: await min(), began: await began() };
    await run('ALTER TABLE t DISABLE CHANGE_TRACKING; ALTER TABLE t ENABLE CHANGE_TRACKING');
    const again = { now: await now(), min: await min(), began: await began() };
    record(context, { before, truncated, again });
    // A reader that stands at the version of before must be able to tell.
    expect(truncated.min > before.now || truncated.began !== before.began).toBe(true);
  });

  test('8: the current version inside a snapshot that began before', async context => {
    await run('SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION; SELECT COUNT(*) FROM t');
    const first = await now();
    await run('INSERT INTO t (k) VALUES (1)', other);
    const inside = { current: await now(), min: await min() };
    const seen = await changes(first);
    await run('COMMIT');
    const outside = await now();
    record(context, { first, inside, outside });
    expect(seen).toEqual([]);
    expect(outside).toBe(first + 1);
  });

  test('9: a cancel while rows stream leaves the connection good', async context => {
    const stream = one.stream({
      name: 'test',
      sql: 'SELECT a.object_id, b.object_id FROM sys.all_columns AS a CROSS JOIN sys.all_columns AS b',
      params: [],
    });
    expect(await stream.next(10)).toHaveLength(10);
    await stream.close();
    record(context, { isOpen: one.isOpen });
    expect(await value('1')).toBe(1);
  });

  test('10: the fork of the recovery, which a restore changes', async context => {
    const fork = '(SELECT recovery_fork_guid FROM sys.database_recovery_status WHERE database_id = DB_ID())';
    record(context, {
      fork: await value(fork),
      guid: await value(fork.replace('recovery_fork_guid', 'database_guid')),
    });
    // Restoring needs a second database and the server's disk: by hand, as the README says.
    expect(await value(fork)).toMatch(/^[0-9A-F-]{36}$/);
  });

  test('11: an UPDATE to the same value is a change', async context => {
    await run('INSERT INTO t (k, a) VALUES (1, 1)');
    const since = await now();
    await run('UPDATE t SET a = 1 WHERE k = 1');
    const found = await changes(since);
    record(context, found);
    expect(found.map(([operation]) => operation)).toEqual(['U']);
  });

  test('12: the version does not fall with another session or a checkpoint', async context => {
    await run('INSERT INTO t (k) VALUES (1)');
    const before = await now();
    await run('CHECKPOINT');
    const after = Number(await value('CHANGE_TRACKING_CURRENT_VERSION()', other));
    record(context, { before, after });
    expect(after).toBe(before);
  });
});
