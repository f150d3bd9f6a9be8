/** What a database file does to those who use it: corrupt, read-only, full, locked, gone. Each has its code, and nothing is lost. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, expect, test } from 'vitest';
import { sql } from '../../actors/sql/index.ts';
import { applied, Reading } from '../contract/sql.ts';
import { contextOf, openSqlite, type SqliteBench } from './support.ts';

const QUICK = { table: 't', track: true, pollMs: { min: 1, max: 5 } };
let bench: SqliteBench | undefined;
afterEach(async () => {
  await bench?.close();
  bench = undefined;
});

async function withTable(given: Parameters<typeof openSqlite>[0] = {}): Promise<SqliteBench> {
  bench = await openSqlite(given);
  await bench.createTable('t');
  return bench;
}

test('a file that is not a database', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'keymill-sql-'));
  writeFileSync(join(folder, 'shop.db'), 'this is no database, whatever its name says'.repeat(100));
  const spec = sql({ url: 'sqlite:shop.db' });
  await expect(spec.open(spec.options, contextOf(folder))).rejects.toMatchObject({
    code: 'STORE_CORRUPT',
    class: 'fatal',
    message: expect.stringContaining('not a database'),
    place: { at: join(folder, 'shop.db') },
  });
  rmSync(folder, { recursive: true });
});

test('a full disk: the writes of that moment fail and can be made again, nothing is half there', async () => {
  const { client } = await withTable();
  await client.track('t');
  await client.insert('t', [{ k: 0, name: 'before' }]);
  const [{ page_count: pages }] = (await client.query('SELECT page_count FROM pragma_page_count')) as [
    { page_count: number },
  ];
  await client.execute(`PRAGMA max_page_count = ${pages + 2}`);
  const rows = Array.from({ length: 500 }, (_, k) => ({ k: k + 1, name: 'x'.repeat(200) }));
  await expect(client.insert('t', rows)).rejects.toMatchObject({ code: 'OUTPUT_FULL', class: 'transient' });
  expect(await client.query('SELECT k FROM t')).toEqual([{ k: 0 }]);
  await client.execute('PRAGMA max_page_count = 1000000');
  await client.insert('t', rows);
  expect(await client.query('SELECT count(*) AS n FROM t')).toEqual([{ n: 501 }]);
});

test('locked by another program: SQL_UNAVAILABLE, which is tried again', async () => {
  const { client, path } = await withTable({ busyMs: 10 });
  const other = new DatabaseSync(path);
  other.exec('BEGIN IMMEDIATE');
  await expect(client.insert('t', [{ k: 1 }])).rejects.toMatchObject({ code: 'SQL_UNAVAILABLE', class: 'transient' });
  expect(await client.query('SELECT * FROM t')).toEqual([]);
  other.exec('COMMIT');
  await client.insert('t', [{ k: 1 }]);
  other.close();
});

test('read-only: reads go on, writes say so, and changes are read without a bookmark', async () => {
  const { client, source } = await withTable();
  await client.track('t');
  await client.insert('t', [{ k: 1, name: 'a' }]);
  await client.execute('PRAGMA query_only = ON').catch(() => {}); // it takes effect at once, on this very transaction
  await expect(client.insert('t', [{ k: 2 }])).rejects.toMatchObject({ code: 'STORE_READ_ONLY', class: 'fatal' });
  const reading = new Reading(source({ ...QUICK, track: false }));
  await reading.until(records => records.some(one => one.operation === 'RESYNC_END'));
  expect(applied(reading.records)).toMatchObject([{ k: 1 }]);
  const mark = (await reading.stop()) as { isBookmarked: boolean };
  expect(mark.isBookmarked).toBe(false);
});

test('a file that is gone: SQL_UNAVAILABLE, and on when it is back', async () => {
  const { client, path } = await withTable();
  await client.track('t');
  renameSync(path, `${path}.away`);
  await expect(client.tracked('t')).rejects.toMatchObject({ code: 'SQL_UNAVAILABLE', class: 'transient' });
  renameSync(`${path}.away`, path);
  expect((await client.tracked('t')).minValid).toBeGreaterThanOrEqual(0);
});

test('a folder that cannot be made', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'keymill-sql-'));
  writeFileSync(join(folder, 'file'), '');
  const spec = sql({ url: `sqlite:${join(folder, 'file', 'shop.db')}` });
  await expect(spec.open(spec.options, contextOf(folder))).rejects.toMatchObject({ code: 'SQL_UNAVAILABLE' });
  rmSync(folder, { recursive: true });
});

test('old changes are cleaned up in portions, whole versions, and say so as the oldest valid version', async () => {
  const { client, driver } = await withTable({ retentionMs: 1000 });
  await client.track('t');
  const rows = Array.from({ length: 7000 }, (_, k) => ({ k, name: 'x' }));
  await client.insert('t', rows.slice(0, 6500));
  const { current } = await client.tracked('t');
  await client.insert('t', rows.slice(6500));
  const later = Date.now() + 2000;
  expect(driver.cleanUp(Date.now())).toBe(false);
  expect((await client.tracked('t')).minValid).toBeLessThan(current);
  while (driver.cleanUp(later));
  expect((await client.tracked('t')).minValid).toBe(current + 1);
  await expect(client.getChanges('t', { since: current })[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    code: 'TRACKING_LOST',
  });
});

test.each([
  ['postgres://x/y', 'sqlite:PATH'],
  ['sqlite:', 'sqlite:PATH'],
  ['sqlite::memory:', 'sqlite:PATH'],
])('the url %s', (url, says) => {
  expect(sql({ url }).check({ url })).toMatchObject([{ path: 'url', message: expect.stringContaining(says) }]);
});
