/** Tables read by CDC, on the server: its capture job can be held, and what it captured is cleaned up. */
import { afterEach, expect, test } from 'vitest';
import { applied, Reading } from '../../contract/sql.ts';
import { type MssqlBench, openMssql } from './bench.ts';

const READ = { table: 't', from: 'cdc', pollMs: { min: 1, max: 2 } };
const CAPTURE = "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N't', @role_name = NULL";

let bench: MssqlBench;
afterEach(() => bench.close());

async function started(mark?: unknown): Promise<Reading> {
  if (mark === undefined) {
    bench = await openMssql();
    await bench.createTable('t');
    await bench.server.run(`EXEC sys.sp_cdc_enable_db; ${CAPTURE}; INSERT INTO t (k, name) VALUES (1, 'one')`);
    await bench.server.capture();
  }
  const reading = new Reading(bench.source(READ), mark, { retries: true });
  if (mark === undefined) await reading.until(records => records.some(one => one.operation === 'RESYNC_END'));
  return reading;
}

test('every change comes, in the order of the commits, as it was and became', async () => {
  const reading = await started();
  await bench.server.run(`BEGIN TRANSACTION;
    INSERT INTO t (k, name) VALUES (2, 'two');
    UPDATE t SET name = 'zwei' WHERE k = 2;
    UPDATE t SET k = 3 WHERE k = 2;
    COMMIT;
    DELETE FROM t WHERE k = 3;
    UPDATE t SET amount = 1 WHERE k = 1`);
  await reading.until(() => reading.changes.length === 6);
  expect(
    reading.changes.map(({ operation, before, after, changed }) => [operation, before ?? null, after ?? null, changed]),
  ).toEqual([
    ['INSERT', null, { k: 2, name: 'two', amount: null }, null],
    ['UPDATE', { k: 2, name: 'two', amount: null }, { k: 2, name: 'zwei', amount: null }, ['name']],
    ['DELETE', { k: 2, name: 'zwei', amount: null }, null, null],
    ['INSERT', null, { k: 3, name: 'zwei', amount: null }, null],
    ['DELETE', { k: 3, name: 'zwei', amount: null }, null, null],
    ['UPDATE', { k: 1, name: 'one', amount: null }, { k: 1, name: 'one', amount: 1 }, ['amount']],
  ]);
  expect(applied(reading.records)).toEqual(await bench.client.query('SELECT * FROM t ORDER BY k'));
  await reading.stop();
});

test('a job that stands still gives nothing, and all of it when it goes on; in pages of any size', async () => {
  const reading = await started();
  bench.server.holdCapture();
  for (let k = 10; k < 40; k++)
    await bench.server.run(`INSERT INTO t (k) VALUES (${k}); UPDATE t SET name = 'x' WHERE k = ${k}`);
  expect(reading.changes).toEqual([]);
  await bench.server.releaseCapture();
  await reading.until(() => reading.changes.length === 60);
  expect(reading.changes.map(({ versionId }) => versionId)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
  await reading.stop();
  for (const pageSize of [2, 3, 5]) {
    const paged = new Reading(bench.source({ ...READ, consumer: `p${pageSize}`, pageSize }));
    await paged.until(records => records.some(one => one.operation === 'RESYNC_END'));
    await bench.server.run("UPDATE t SET name = 'y'");
    await paged.until(() => paged.changes.length === 31);
    expect(applied(paged.records)).toEqual(await bench.client.query('SELECT * FROM t ORDER BY k'));
    await paged.stop();
  }
});

test('it goes on where it was, and reads anew when and only when changes were cleaned up', async () => {
  const first = await started();
  await bench.server.run("INSERT INTO t (k, name) VALUES (2, 'two')");
  await first.until(() => first.changes.length === 1);
  const mark = await first.stop();
  await bench.server.run("INSERT INTO t (k, name) VALUES (3, 'three')");
  const second = await started(mark);
  await second.until(() => second.changes.length === 1);
  expect(second.records).toMatchObject([{ operation: 'INSERT', pk: { k: 3 } }]);
  const later = await second.stop();
  await bench.server.run('DELETE FROM t WHERE k = 2; INSERT INTO t (k) VALUES (4); INSERT INTO t (k) VALUES (5)');
  await bench.server.capture();
  const { rows } = (await bench.server.run('SELECT MAX(__$start_lsn) FROM cdc.dbo_t_CT')).sets[0]!;
  await bench.server.cleanUpCaptured(Buffer.from(rows[0]![0] as Uint8Array).readBigUInt64BE(0));
  const third = await started(later);
  await third.until(records => records.some(one => one.operation === 'RESYNC_END'));
  expect(third.resyncs[0]).toMatchObject({ reason: 'cleaned' });
  expect(applied([...second.records, ...third.records])).toEqual(
    await bench.client.query('SELECT * FROM t ORDER BY k'),
  );
  await third.stop();
});

test('a new column: the new instance is read from where it begins, and nothing is missed', async () => {
  const reading = await started();
  await bench.server.run("INSERT INTO t (k, name) VALUES (2, 'two'); ALTER TABLE t ADD extra int NULL");
  await bench.server.run('INSERT INTO t (k, extra) VALUES (3, 7)');
  await reading.until(() => reading.changes.length === 2);
  expect(reading.changes[1]!.data).toEqual({ k: 3, name: null, amount: null });
  bench.server.holdCapture();
  await bench.server.run('INSERT INTO t (k, extra) VALUES (4, 8)');
  await bench.server.run(`${CAPTURE}, @capture_instance = N't2'`);
  await bench.server.run('INSERT INTO t (k, extra) VALUES (5, 9)');
  await bench.server.releaseCapture();
  await reading.until(() => reading.changes.length === 4);
  expect(reading.changes.slice(2).map(change => change.data)).toEqual([
    { k: 4, name: null, amount: null },
    { k: 5, name: null, amount: null, extra: 9 },
  ]);
  expect(reading.resyncs).toHaveLength(2);
  await reading.stop();
});

test('a page of captured changes that is cut at many bytes: no loss, no half page', async () => {
  const reading = await started();
  const { tds } = bench.server;
  let k = 100;
  for (let at = 0; at < 1200; at += 37) {
    const cut = tds.fault({ on: ({ sql }) => sql.startsWith('/* keymill:captured */'), breaks: { at, by: 'reset' } });
    await bench.server.run(`INSERT INTO t (k) VALUES (${k++}), (${k++})`);
    await reading.until(() => reading.changes.at(-1)?.pk['k'] === k - 1);
    cut.remove();
  }
  expect(applied(reading.records)).toEqual(await bench.client.query('SELECT * FROM t ORDER BY k'));
  const versions = reading.changes.map(change => `${change.versionId} ${String(change.pk['k'])}`);
  expect(new Set(versions).size).toBe(k - 100);
  await reading.stop();
}, 60_000);

test('a table that is not captured, or whose instance may not be seen, is an error', async () => {
  bench = await openMssql();
  await bench.createTable('t');
  const failure = async (): Promise<unknown> => {
    const reading = new Reading(bench.source(READ));
    await reading.ended;
    await reading.stop();
    return reading.failure;
  };
  expect(await failure()).toMatchObject({ code: 'TRACKING_OFF', message: expect.stringContaining('sp_cdc_enable_db') });
  await bench.server.run('EXEC sys.sp_cdc_enable_db');
  expect(await failure()).toMatchObject({
    code: 'TRACKING_OFF',
    message: expect.stringContaining('sp_cdc_enable_table'),
  });
  await bench.server.run(CAPTURE);
  bench.server.deny('SELECT', 'cdc.dbo_t_CT');
  expect(await failure()).toMatchObject({ code: 'TRACKING_OFF', message: expect.stringContaining('GRANT') });
});
