/** Pages of changes on the wire: what of an answer is believed, and what is asked again. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { PageRequest } from '../../../actors/sql/ops.ts';
import { type Answer, type Query, SqlError, type SqlValue } from '../../support/tds/index.ts';
import { catalog, FACTS, fakeServer, give, param, type Scripts } from './support.ts';
import { SMALL, type TableForm } from './tables.ts';

const DATABASE = ['bigint', 'nvarchar(36)', 'nvarchar(36)', 'nvarchar(34)', 'bigint'];
const TABLE = ['bigint', 'bigint', 'nvarchar(4000)', 'bigint'];
const CHANGE = [
  'bigint',
  'bigint',
  'nvarchar(10)',
  'nchar(1)',
  'nvarchar(100)',
  'varbinary(128)',
  'bigint',
  'int',
  'bigint',
  'nvarchar(50)',
  'float',
];

/** What the server of a test is like, and has. */
let state: {
  now: bigint;
  min: bigint | null;
  began: bigint;
  stamp: string;
  fork: string | null;
  again: bigint | null;
  from: bigint;
};
let changes: SqlValue[][];
let asked: Query[];
beforeEach(() => {
  state = { now: 100n, min: 10n, began: 5n, stamp: 'stamp 1', fork: 'fork', again: 10n, from: 50n };
  changes = [];
  asked = [];
});

const change = (
  version: bigint,
  k: bigint,
  operation = 'U',
  more: Partial<Record<number, SqlValue>> = {},
): SqlValue[] => {
  const row: SqlValue[] = [version, null, null, operation, '10', null, 1700n, 1, k, `n${k}`, 0.5];
  for (const [at, value] of Object.entries(more)) row[Number(at)] = value!;
  return row;
};

const look = async (answer: Answer): Promise<void> => {
  await give(answer, DATABASE, [state.now, 'guid', state.fork, '2026-01-01', 1800n]);
  await give(answer, TABLE, [state.min, state.began, state.stamp, state.from]);
};

const scripts = (form: () => TableForm = () => ({ ...SMALL, stamp: state.stamp })): Scripts => ({
  ...catalog(form),
  look: (_query, answer) => look(answer),
  changes: async (query, answer) => {
    asked.push(query);
    await look(answer);
    if (param(query, 'km0_kmStamp') !== state.stamp) return;
    await give(answer, CHANGE, ...changes);
    if (!query.sql.includes('SNAPSHOT')) await give(answer, ['bigint', 'nvarchar(4000)'], [state.again, state.stamp]);
  },
});

const page = (more: Partial<PageRequest> = {}): PageRequest => ({
  table: 't',
  after: { version: 50, pk: null },
  baseline: 50,
  epoch: 3,
  options: {},
  ...more,
});

describe('a page', () => {
  test('is one call, and says what changed', async () => {
    const server = await fakeServer(scripts());
    const driver = server.driver();
    changes = [
      change(60n, 1n),
      change(61n, 2n, 'I', { 4: null, 5: Buffer.from('job 7\0\0') }),
      change(62n, 3n, 'D', { 4: null, 6: null, 7: 0, 9: null, 10: null }),
      change(63n, 4n, 'U', { 7: 0, 9: null }), // gone meanwhile: it comes as D
    ];
    const found = await driver.changes(page());
    expect(found).toMatchObject({ current: 100, minValid: 10, isLast: true, next: { version: 100, pk: null } });
    expect(found.changes).toEqual([
      {
        table: 't',
        versionId: 60,
        epoch: 3,
        operation: 'UPDATE',
        pk: { k: 1 },
        data: { k: 1, name: 'n1', amount: 0.5 },
        changed: ['name'],
        captureTime: 1700,
        context: null,
      },
      {
        table: 't',
        versionId: 61,
        epoch: 3,
        operation: 'INSERT',
        pk: { k: 2 },
        data: { k: 2, name: 'n2', amount: 0.5 },
        changed: null,
        captureTime: 1700,
        context: 'job 7',
      },
      {
        table: 't',
        versionId: 62,
        epoch: 3,
        operation: 'DELETE',
        pk: { k: 3 },
        data: null,
        changed: null,
        captureTime: 1800,
        context: null,
      },
    ]);
    server.asked.length = 0;
    await driver.changes(page());
    expect(server.asked).toEqual(['changes']);
    expect(asked[0]!.sql).toContain('SET TRANSACTION ISOLATION LEVEL SNAPSHOT');
  });

  test('that is full goes on after its last key, and tells what is new to the reader', async () => {
    const server = await fakeServer(scripts());
    const driver = server.driver();
    changes = [change(60n, 1n), change(60n, 2n)];
    const first = await driver.changes(page({ options: { pageSize: 2 } }));
    expect(first.next).toEqual({ version: 60, pk: [2] });
    expect(first.isLast).toBe(false);
    changes = [change(60n, 3n)];
    const second = await driver.changes(page({ after: first.next, options: { pageSize: 2 } }));
    expect(second.next).toEqual({ version: 100, pk: null });
    const values = ['kmVersion', 'kmNeeded', 'kmBase', 'kmKey0'].map(name => String(param(asked[1]!, `km0_${name}`)));
    expect(values).toEqual(['60', '59', '50', '2']);
  });

  test('whose base was cleaned up meanwhile tells no columns: some may have been changed before', async () => {
    state.from = 59n;
    const server = await fakeServer(scripts());
    changes = [change(60n, 3n)];
    const found = await server.driver().changes(page({ after: { version: 60, pk: [2] } }));
    expect(found.changes).toMatchObject([{ operation: 'UPDATE', changed: null }]);
  });

  test('never moves beyond where the database was before it was read', async () => {
    const server = await fakeServer(scripts());
    changes = [change(99n, 1n), change(103n, 2n)];
    const found = await server.driver().changes(page({ options: { pageSize: 2 } }));
    expect(found.changes.map(one => one.versionId)).toEqual([99, 103]);
    expect(found).toMatchObject({ isLast: true, next: { version: 100, pk: null } });
  });

  test.each([
    ['cleaned up', { min: 51n }, { version: 50, pk: null }, '(cleaned)'],
    ['truncated', { min: 60n, began: 60n }, { version: 50, pk: null }, '(truncated)'],
    ['the rest of its version cleaned up', { min: 50n }, { version: 50, pk: [1] }, '(cleaned)'],
    ['ahead of the database', {}, { version: 101, pk: null }, '(went-back)'],
  ] as const)('whose position is %s is refused', async (_what, how, after, says) => {
    Object.assign(state, how);
    const server = await fakeServer(scripts());
    await expect(server.driver().changes(page({ after, baseline: 40 }))).rejects.toMatchObject({
      code: 'TRACKING_LOST',
      message: expect.stringContaining(says),
    });
  });

  test('at the oldest valid position is given', async () => {
    state.min = 50n;
    const server = await fakeServer(scripts());
    expect((await server.driver().changes(page())).isLast).toBe(true);
  });

  test.each([
    [true, 'GRANT VIEW CHANGE TRACKING'],
    [false, 'ENABLE CHANGE_TRACKING'],
  ])('of which the oldest valid version is NULL is an error, never empty (tracked: %s)', async (isTracked, says) => {
    state.min = null;
    const server = await fakeServer(scripts(() => ({ ...SMALL, isTracked })));
    await expect(server.driver().changes(page())).rejects.toMatchObject({
      code: 'TRACKING_OFF',
      message: expect.stringContaining(says),
    });
  });

  test('of a table that was altered is asked again with its new columns', async () => {
    let form: TableForm = SMALL;
    const server = await fakeServer(scripts(() => form));
    const driver = server.driver();
    await driver.changes(page());
    form = {
      columns: [
        ['k', 'bigint', 8],
        ['title', 'nvarchar', 100],
        ['amount', 'float', 8],
      ],
      key: ['k'],
      stamp: 'stamp 2',
    };
    state.stamp = 'stamp 2';
    changes = [change(60n, 1n)];
    const found = await driver.changes(page());
    expect(found.changes[0]!.data).toEqual({ k: 1, title: 'n1', amount: 0.5 });
    await expect(driver.changes(page({ options: { columns: ['name'] } }))).rejects.toMatchObject({
      code: 'SQL_IDENTIFIER',
    });
  });

  test('altered during the snapshot is read again', async () => {
    const all = scripts();
    let fails = 1;
    const server = await fakeServer({
      ...all,
      changes: (query, answer, handler) => {
        if (fails-- > 0)
          throw new SqlError(3961, 'Snapshot isolation transaction failed: the object was modified by DDL.');
        return all['changes']!(query, answer, handler);
      },
    });
    expect((await server.driver().changes(page())).isLast).toBe(true);
  });
});

describe('without snapshots', () => {
  const off: Scripts = { server: (_query, answer) => give(answer, FACTS, [160, 0, false, 0, 'dbo']) };

  test('a clean-up between the look and the changes is noticed after them', async () => {
    const server = await fakeServer({ ...scripts(), ...off });
    state.again = 51n;
    await expect(server.driver().changes(page())).rejects.toMatchObject({ code: 'TRACKING_LOST' });
    expect(asked[0]!.sql).not.toContain('SNAPSHOT');
  });

  test('tracking that is turned off meanwhile is noticed too', async () => {
    const server = await fakeServer({ ...scripts(), ...off });
    state.again = null;
    await expect(server.driver().changes(page())).rejects.toMatchObject({ code: 'TRACKING_OFF' });
  });

  test('the rule is used when the server refuses one, and not where one is required', async () => {
    const all = scripts();
    const refusing: Scripts = {
      ...all,
      changes: (query, answer, handler) => {
        if (query.sql.includes('SNAPSHOT'))
          throw new SqlError(3952, 'Snapshot isolation transaction failed accessing database.');
        return all['changes']!(query, answer, handler);
      },
    };
    const server = await fakeServer(refusing);
    expect((await server.driver().changes(page())).isLast).toBe(true);
    await expect(server.driver({ requireSnapshot: true }).changes(page())).rejects.toMatchObject({
      code: 'SQL_FAILED',
      message: expect.stringContaining('ALLOW_SNAPSHOT_ISOLATION'),
    });
    const other = await fakeServer({ ...scripts(), ...off });
    await expect(other.driver({ requireSnapshot: true }).changes(page())).rejects.toMatchObject({ code: 'SQL_FAILED' });
  });
});

describe('another database', () => {
  test('is told by the fork of its recovery', async () => {
    const server = await fakeServer(scripts());
    const driver = server.driver();
    const first = await driver.tracked('t');
    state.now = 200n;
    expect((await driver.tracked('t')).incarnation).toBe(first.incarnation);
    state.fork = 'another';
    expect((await driver.tracked('t')).incarnation).not.toBe(first.incarnation);
    server.tds.kill();
    await server.tds.listen();
    await expect
      .poll(() =>
        driver.tracked('t').then(
          () => true,
          () => false,
        ),
      )
      .toBe(true);
    expect(driver.connection).toBe(1);
  });

  test('may be behind every lost connection where the fork is not to be seen', async () => {
    state.fork = null;
    const server = await fakeServer(scripts());
    const driver = server.driver();
    await driver.tracked('t');
    server.tds.kill();
    await expect.poll(() => driver.connection).toBe(2);
  });
});

test('a page that is cut at any byte gives no half page', async () => {
  const server = await fakeServer(scripts());
  changes = [change(60n, 1n), change(61n, 2n)];
  const driver = server.driver();
  const whole = await driver.changes(page());
  const on = (seen: { sql: string }): boolean => seen.sql.includes('keymill:changes');
  const measured = server.tds.fault({ on, breaks: { at: 1_000_000, by: 'end' } });
  await driver.changes(page()).catch(() => undefined);
  expect(measured.bytes).toBeGreaterThan(500);
  for (let at = 0; at < measured.bytes; at += 7) {
    const cut = server.tds.fault({ on, breaks: { at, by: 'reset' } });
    const got = await driver.changes(page()).catch((error: Error) => error);
    if (got instanceof Error) expect(got).toMatchObject({ code: 'SQL_UNAVAILABLE' });
    else expect(got).toEqual(whole);
    cut.remove();
    expect(await driver.changes(page())).toEqual(whole);
  }
}, 60_000);
