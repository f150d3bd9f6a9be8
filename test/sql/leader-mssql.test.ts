/** Leases on SQL Server over the wire: what is asked for, in which transaction, and what its answers mean. */
import { expect, test } from 'vitest';
import { inDatabase } from '../../actors/sql/changes/leader-places.ts';
import { examineServer } from '../../actors/sql/mssql/doctor.ts';
import { SqlError, type SqlValue } from '../support/tds/index.ts';
import { catalog, type FakeServer, fakeServer, give, param, type Scripts } from './mssql/support.ts';
import { environment, SILENT } from './support.ts';

const NAME = 'c t';
const bookmark = (version: number) => ({ consumer: 'c', table: 't', version, epoch: 7 });

interface Row {
  owner: string;
  token: number;
  isOver: boolean;
  mark: SqlValue;
}

/** What the statements of leaders.ts do, on one row. */
async function server(): Promise<{ fake: FakeServer; row: () => Row | null; set: (row: Row) => void; sent: string[] }> {
  let row: Row | null = null;
  const kept: unknown[] = [];
  const sent: string[] = [];
  const fence: Scripts[string] = query => {
    sent.push(query.sql);
    const token = Number(param(query, 'kmToken'));
    if (row && row.token > token) throw new SqlError(51_004, 'keymill: the lease was taken over', { rollsBack: true });
    row = { owner: '', isOver: true, ...row, token, mark: param(query, 'kmMark') ?? row?.mark ?? null };
    kept.push(param(query, 'kmVersion'));
  };
  const fake = await fakeServer({
    ...catalog(),
    'ensure-leaders': () => undefined,
    'ensure-captured': () => undefined,
    'take-lead': async (query, answer) => {
      const owner = String(param(query, 'kmOwner'));
      const isFree = row === null || row.isOver || row.owner === owner;
      if (isFree) row = { owner, token: (row?.token ?? 0) + 1, isOver: false, mark: row?.mark ?? null };
      await give(
        answer,
        ['nvarchar(200)', 'bigint', 'bigint', 'nvarchar(1000)', 'bit'],
        [row!.owner, BigInt(row!.token), 1000n, row!.mark, isFree],
      );
    },
    'renew-lead': async (query, answer) => {
      const isMine = row?.token === Number(param(query, 'kmToken'));
      if (isMine) row!.isOver = Number(param(query, 'kmLeaseMs')) === 0;
      await give(answer, ['int'], [isMine ? 1 : 0]);
    },
    'see-token': fence,
    'set-bookmark-fenced': fence,
    'set-bookmark': () => undefined,
  });
  return { fake, row: () => row, set: next => void (row = next), sent };
}

test('a lease is taken, renewed, given back, and taken by another with a higher token and the mark of the first', async () => {
  const { fake } = await server();
  const a = inDatabase(fake.driver(), NAME);
  const b = inDatabase(fake.driver(), NAME);
  const first = await a.take('a', 1000);
  expect(first).toMatchObject({ isMine: true, token: 1, mark: null });
  expect(await b.take('b', 1000)).toMatchObject({ isMine: false, owner: 'a', leftMs: 1000 });
  expect(await a.renew(1, 1000)).toBe(true);
  await a.keep(1, bookmark(5), { mark: '{"v":5}' });
  await a.release(1);
  expect(await b.take('b', 1000)).toMatchObject({ isMine: true, token: 2, mark: '{"v":5}' });
  expect(await a.renew(1, 1000)).toBe(false);
});

test('a late write is SQL_FENCED, and the fence stands first in the transaction of what it fences', async () => {
  const { fake, set, sent } = await server();
  const place = inDatabase(fake.driver(), NAME);
  await place.take('a', 1000);
  set({ owner: 'b', token: 2, isOver: false, mark: null });
  await expect(place.keep(1, bookmark(5), { mark: 'x' })).rejects.toMatchObject({ code: 'SQL_FENCED', class: 'fatal' });
  const [sql] = sent;
  const at = (text: string): number => {
    expect(sql).toContain(text);
    return sql!.indexOf(text);
  };
  expect(at('SET XACT_ABORT ON')).toBeLessThan(at('BEGIN TRANSACTION'));
  expect(at('BEGIN TRANSACTION')).toBeLessThan(at('l.token <= @kmToken'));
  expect(at('l.token <= @kmToken')).toBeLessThan(at('SET b.version = @kmVersion'));
  expect(at('SET b.version = @kmVersion')).toBeLessThan(at('COMMIT TRANSACTION'));
});

test('a token that was given elsewhere is remembered', async () => {
  const { fake, row } = await server();
  const { leases } = fake.driver();
  await leases.see(NAME, 41);
  expect(row()).toMatchObject({ token: 41 });
  await expect(leases.see(NAME, 40)).rejects.toMatchObject({ code: 'SQL_FENCED' });
});

test.each([
  [{ bookmarks: false }, 'bookmarks are turned off'],
  [{ readOnlyIntent: true }, 'readOnlyIntent'],
])('with %j there is no leader: it could keep no position', async (more, why) => {
  const { fake } = await server();
  const place = inDatabase(fake.driver(more), NAME);
  const error = await place.take('a', 1000).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'STORE_READ_ONLY', class: 'fatal', message: expect.stringContaining(why) });
});

test('a table that was dropped is made again, and tried again', async () => {
  let isThere = false;
  const fake = await fakeServer({
    ...catalog(),
    'ensure-leaders': () => void (isThere = true),
    'renew-lead': async (_query, answer) => {
      if (!isThere) throw new SqlError(208, "Invalid object name 'dbo.keymill_leaders'.");
      await give(answer, ['int'], [0]);
    },
  });
  const { leases } = fake.driver();
  expect(await leases.renew(NAME, 1, 10)).toBe(false);
  isThere = false;
  await expect(leases.renew(NAME, 1, 10)).rejects.toMatchObject({ code: 'SQL_UNAVAILABLE' });
  expect(await leases.renew(NAME, 1, 10)).toBe(false);
});

test('the doctor says who leads, and where nobody does', async () => {
  const facts = [
    'nvarchar(128)',
    'nvarchar(128)',
    'nvarchar(128)',
    'int',
    'bit',
    'int',
    'bit',
    'bit',
    'int',
    'nvarchar(20)',
  ];
  const fake = await fakeServer({
    health: (_query, answer) => give(answer, facts, ['16.0', 'x', 'READ_WRITE', 160, true, 0, false, null, null, null]),
    leaders: (_query, answer) =>
      give(
        answer,
        ['nvarchar(500)', 'nvarchar(200)', 'bigint', 'bigint'],
        ['c t', 'pod-1:7:x', 3n, 4000n],
        ['c u', 'pod-2:7:y', 9n, -60_000n],
      ),
  });
  const findings = await examineServer(fake.options(), environment, SILENT);
  expect(findings.filter(one => one.symptom.includes(' for c '))).toMatchObject([
    { state: 'fine', evidence: expect.stringContaining('pod-1:7:x leads, 4.0 s') },
    { state: 'doubtful', evidence: expect.stringContaining('ended 60.0 s ago') },
  ]);
});
