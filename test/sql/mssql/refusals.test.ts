/** What a SQL Server refuses, and what its tables do to those who read them: each has its error, and says what to do. */
import { afterEach, describe, expect, test } from 'vitest';
import { applied, Reading } from '../../contract/sql.ts';
import { SqlError } from '../../support/tds/index.ts';
import { type MssqlBench, type MssqlBenchOptions, openMssql } from './bench.ts';

const READ = { table: 't', pollMs: { min: 1, max: 2 } };

let bench: MssqlBench;
afterEach(() => bench.close());

async function opened(options: MssqlBenchOptions = {}): Promise<MssqlBench> {
  bench = await openMssql(options);
  await bench.createTable('t');
  return bench;
}

/** Reads until it fails, or as long as `until` says. */
async function failure(read: Record<string, unknown> = {}): Promise<unknown> {
  const reading = new Reading(bench.source({ ...READ, ...read }));
  await reading.ended;
  await reading.stop();
  return reading.failure;
}

const begun = async (read: Record<string, unknown> = {}): Promise<Reading> => {
  const reading = new Reading(bench.source({ ...READ, track: true, ...read }));
  await reading.until(records => records.some(one => one.operation === 'RESYNC_END'));
  return reading;
};

describe('a table cannot be read', () => {
  test('that is not tracked', async () => {
    await opened();
    expect(await failure()).toMatchObject({
      code: 'TRACKING_OFF',
      message: expect.stringContaining('ENABLE CHANGE_TRACKING'),
    });
  });

  test('whose changes may not be seen: the oldest valid version is NULL, and that passes for nothing', async () => {
    const { server, client } = await opened();
    await client.track('t');
    server.deny('VIEW CHANGE TRACKING', 'dbo.t');
    expect(await failure()).toMatchObject({
      code: 'TRACKING_OFF',
      message: expect.stringContaining('GRANT VIEW CHANGE TRACKING'),
    });
    server.grant('VIEW CHANGE TRACKING', 'dbo.t');
    const reading = await begun();
    server.deny('VIEW CHANGE TRACKING', 'dbo.t');
    await reading.ended;
    expect(reading.failure).toMatchObject({ code: 'TRACKING_OFF' });
    await reading.stop();
  });

  test('that may not be selected from', async () => {
    const { server, client } = await opened();
    await client.track('t');
    server.deny('SELECT', 'dbo.t');
    expect(await failure()).toMatchObject({ code: 'ACCESS_REFUSED', message: expect.stringContaining('SELECT') });
  });

  test('that has no key', async () => {
    await opened();
    await bench.createTable('bare', 0);
    await bench.client.track('t');
    expect(await failure({ table: 'bare', track: true })).toMatchObject({ code: 'TABLE_NO_KEY' });
    await expect(bench.server.run('ALTER TABLE bare ENABLE CHANGE_TRACKING')).rejects.toThrow('primary key');
  });

  test('that is not there, or goes', async () => {
    await opened();
    expect(await failure({ table: 'nope' })).toMatchObject({ code: 'TABLE_UNKNOWN' });
    const reading = await begun();
    await bench.server.run('DROP TABLE t');
    await reading.ended;
    expect(reading.failure).toMatchObject({ code: 'TABLE_UNKNOWN' });
    await reading.stop();
  });

  test('on a readable secondary', async () => {
    const { client } = await opened({ io: { readOnlyIntent: true } });
    await bench.server.run(`ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON;
      ALTER TABLE t ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON)`);
    await expect(client.tracked('t')).rejects.toMatchObject({
      code: 'TRACKING_OFF',
      message: expect.stringContaining('22117'),
    });
    await expect(client.insert('t', [{ k: 1 }])).rejects.toMatchObject({ code: 'STORE_READ_ONLY' });
  });

  test('in a snapshot where the database allows none: by the rule for that, unless one is required', async () => {
    await opened();
    const { server } = bench;
    const reading = await begun();
    await server.allowSnapshots(false);
    await bench.client.insert('t', [{ k: 1, name: 'a' }]);
    await reading.until(() => reading.changes.length === 1);
    expect(await bench.client.query('SELECT k FROM t')).toEqual([{ k: 1 }]);
    await reading.stop();
    await bench.close();
    await opened({ io: { requireSnapshot: true } });
    await bench.client.track('t');
    await bench.server.allowSnapshots(false);
    expect(await failure()).toMatchObject({
      code: 'SQL_FAILED',
      class: 'fatal',
      message: expect.stringContaining('ALLOW_SNAPSHOT_ISOLATION'),
    });
  });
});

describe('while it is read, a column', () => {
  test('is added, dropped, renamed and made longer: each row comes as the table has it', async () => {
    await opened();
    const reading = await begun();
    /** All rows change, so that all have the columns that there are. */
    const next = async (sql: string, name: string, value = name): Promise<void> => {
      await bench.elsewhere(sql);
      await bench.elsewhere(`UPDATE t SET ${name} = '${value}'`);
      await bench.elsewhere(`INSERT INTO t (k) SELECT COUNT(*) + 1 FROM t`);
      const wanted = JSON.stringify(await bench.client.query('SELECT * FROM t ORDER BY k'));
      await reading.until(
        records =>
          JSON.stringify(applied(records).map(sorted)) === JSON.stringify((JSON.parse(wanted) as object[]).map(sorted)),
      );
    };
    await next("INSERT INTO t (k, name) VALUES (1, 'a')", 'name');
    await next('ALTER TABLE t ADD extra nvarchar(200) NULL', 'extra');
    await next('ALTER TABLE t ALTER COLUMN name nvarchar(500) NULL', 'name', 'x'.repeat(200));
    await next("EXEC sp_rename 't.name', 'title', 'COLUMN'", 'title');
    // A row that does not change has the column until it does.
    await bench.elsewhere('ALTER TABLE t DROP COLUMN amount; UPDATE t SET extra = NULL');
    await reading.until(
      () => reading.changes.at(-1)?.data !== null && !('amount' in (reading.changes.at(-1)?.data ?? {})),
    );
    expect(reading.resyncs).toHaveLength(2);
    await reading.stop();
  });

  test('is altered in the middle of a page, with and without a snapshot', async () => {
    for (const snapshot of [true, false]) {
      await opened({ io: { snapshot } });
      const reading = await begun();
      for (const text of ['DECLARE @kmMin', 'DECLARE @kmSeen', 'SELECT TOP']) {
        const column = `c${text.length}`;
        bench.server.at(
          step => step.name === 'changes' && step.text.startsWith(text),
          () =>
            bench.elsewhere(
              `ALTER TABLE t ADD ${column} int NULL; INSERT INTO t (k, ${column}) VALUES (${text.length}, 7)`,
            ),
        );
        await bench.elsewhere(`INSERT INTO t (k) VALUES (${100 + text.length})`);
        await reading.until(() => reading.changes.some(change => change.pk['k'] === text.length));
        expect(reading.changes.find(change => change.pk['k'] === text.length)!.data).toMatchObject({ [column]: 7 });
      }
      expect(reading.resyncs).toHaveLength(2);
      await reading.stop();
      if (snapshot) await bench.close();
    }
  });
});

describe('a write is refused', () => {
  test('that is too large', async () => {
    const { client, server } = await opened();
    const long = 'x'.repeat(101);
    await expect(client.insert('t', [{ k: 1, name: long }])).rejects.toMatchObject({ code: 'SQL_CONSTRAINT' });
    await expect(client.execute('INSERT INTO t (k, name) VALUES (1, @long)', { long })).rejects.toMatchObject({
      code: 'SQL_CONSTRAINT',
      message: expect.stringContaining('2628'),
    });
    for (const number of [511, 1946])
      server.at(
        step => step.name === 'insert' && step.kind === 'insert',
        () => {
          throw new SqlError(number, 'Cannot create a row which is greater than the allowable maximum row size.');
        },
      );
    for (let i = 0; i < 2; i++)
      await expect(client.insert('t', [{ k: 1 }])).rejects.toMatchObject({ code: 'SQL_TOO_LARGE' });
    expect(await client.query('SELECT k FROM t')).toEqual([]);
  });

  test('whose names are SQL', async () => {
    const { client, server } = await opened();
    for (const table of ['t]; DROP TABLE t; --', "t' OR 1=1 --", 't;DROP TABLE t', '[t]'])
      await expect(client.insert(table, [{ k: 1 }])).rejects.toMatchObject({ code: 'TABLE_UNKNOWN' });
    for (const column of ['name]) VALUES (1); --', "name'", '[name]', 'k; --'])
      await expect(client.insert('t', [{ k: 1, [column]: 'x' }])).rejects.toMatchObject({ code: 'SQL_IDENTIFIER' });
    await expect(client.query('SELECT @x', { 'x; DROP TABLE t': 1 })).rejects.toMatchObject({ code: 'SQL_IDENTIFIER' });
    expect(server.tds.failures).toEqual([]);
    expect(await client.query('SELECT k FROM t')).toEqual([]);
  });

  test('by a database that is read-only, and one where no table may be made keeps no numbers', async () => {
    const { client, server } = await opened();
    await server.setReadOnly(true);
    await expect(client.insert('t', [{ k: 1 }])).rejects.toMatchObject({ code: 'STORE_READ_ONLY' });
    await server.setReadOnly(false);
    await bench.close();
    await opened();
    bench.server.deny('CREATE TABLE');
    expect(await bench.client.insert('t', [{ k: 1 }])).toEqual({ rows: 1 });
    await expect(
      bench.client.apply('t', [{ pk: { k: 1 }, version: { epoch: 1, n: 1 }, data: null }]),
    ).rejects.toMatchObject({
      code: 'STORE_READ_ONLY',
    });
  });

  test('as another row of an ask is wrong, and those of others stand', async () => {
    const { client } = await opened();
    const done = await Promise.allSettled([
      client.insert('t', [{ k: 1 }, { k: 2 }]),
      client.insert('t', [{ k: 3 }, { k: 1 }]),
      client.insert('t', [{ k: 4 }]),
    ]);
    expect(done.map(one => one.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((await client.query('SELECT k FROM t ORDER BY k')).map(row => row['k'])).toEqual([1, 2, 4]);
  });
});

test('an incarnation that may not be seen: a lost connection counts as another database', async () => {
  await opened();
  const reading = new Reading(bench.source({ ...READ, track: true }), undefined, { retries: true });
  await reading.until(records => records.some(one => one.operation === 'RESYNC_END'));
  await bench.client.insert('t', [{ k: 1 }]);
  await reading.until(() => reading.changes.length === 1);
  await bench.server.restart();
  // Each connection that the pool had is found out when it is used.
  for (let isDone = false; !isDone; )
    isDone = await bench.client.insert('t', [{ k: 2 }]).then(
      () => true,
      (error: { code: string }) => {
        expect(error.code).toBe('SQL_UNAVAILABLE');
        return false;
      },
    );
  await reading.until(records => applied(records).length === 2);
  // The bookmark in the database says that it is the same.
  expect(reading.resyncs).toHaveLength(2);
  await reading.stop();
});

function sorted(row: object): [string, unknown][] {
  return Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1));
}
