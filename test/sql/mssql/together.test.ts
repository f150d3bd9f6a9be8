/** Many tables of one database: their looks are one call, and what becomes of one is nothing to the others. */
import { afterEach, describe, expect, test } from 'vitest';
import type { ChangePage } from '../../../actors/sql/driver.ts';
import type { PageRequest } from '../../../actors/sql/ops.ts';
import { applied, Reading, waitFor } from '../../contract/sql.ts';
import type { Step } from '../../support/tds/database/index.ts';
import { type MssqlBench, type MssqlBenchOptions, openMssql, tableText } from './bench.ts';
import { Calls } from './calls.ts';

const TABLES = Array.from({ length: 20 }, (_, i) => `t${String(i).padStart(2, '0')}`);

/** Longer than a call takes: what takes longer than a tick goes in turns. */
const TICK = { min: 80, max: 80 };

let bench: MssqlBench;
afterEach(() => bench.close());

async function opened(tables: readonly string[], options: MssqlBenchOptions = {}): Promise<MssqlBench> {
  bench = await openMssql(options);
  await bench.server.run('ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON');
  for (const table of tables)
    await bench.server.run(`${tableText(table, 1)}; ALTER TABLE ${table} ENABLE CHANGE_TRACKING`);
  return bench;
}

async function reading(tables: readonly string[], read: Record<string, unknown> = {}): Promise<Map<string, Reading>> {
  const readings = new Map(tables.map(table => [table, new Reading(bench.source({ table, pollMs: TICK, ...read }))]));
  for (const one of readings.values())
    await one.until(records => records.some(({ operation }) => operation === 'RESYNC_END'));
  return readings;
}

const stop = async (readings: ReadonlyMap<string, Reading>): Promise<void> => {
  for (const one of readings.values()) await one.stop();
};

const request = (table: string, version: number, options: PageRequest['options'] = {}): PageRequest => ({
  table,
  after: { version, pk: null },
  baseline: version,
  epoch: 1,
  options,
});

/** Pages of one turn. */
const pages = (requests: readonly PageRequest[]): Promise<PromiseSettledResult<ChangePage>[]> =>
  Promise.allSettled(requests.map(one => bench.driver.changes(one)));

/** How many looks fall into one turn is a matter of the machine too: on a busy one they are asked to once more. */
const BUSY = 3;

const rowsOf = (table: string) => bench.client.query(`SELECT * FROM ${table} ORDER BY k`);

describe.each([true, false])('twenty tables, snapshot %s', snapshot => {
  test('idle: one round trip a tick for all of them', { retry: BUSY }, async () => {
    await opened(TABLES, { io: { snapshot } });
    const calls = new Calls(bench.server);
    const readings = await reading(TABLES);
    // The last of what was read first is kept, and all wait for the same ticks.
    await waitFor(() => calls.tables.length > 5 && calls.tables.slice(-5, -1).every(tables => tables === 20));
    const [before, requests] = [calls.tables.length, bench.server.requests()];
    await waitFor(() => calls.tables.length >= before + 10);
    expect(bench.server.requests() - requests).toBe(calls.tables.length - before);
    expect(calls.tables.slice(before, -1).every(tables => tables === 20)).toBe(true);
    await stop(readings);
  });

  test('all changes of each come, in their order', async () => {
    await opened(TABLES, { io: { snapshot } });
    const calls = new Calls(bench.server);
    const readings = await reading(TABLES, { pollMs: { min: 1, max: 4 } });
    for (let i = 0; i < 300; i++) {
      const [one, other] = [TABLES[(i * 7) % 20]!, TABLES[(i * 11 + 3) % 20]!];
      await bench.elsewhere(`BEGIN TRANSACTION; INSERT INTO ${one} (k, name) VALUES (${i}, 'a');
        UPDATE ${other} SET name = 'b${i}' WHERE k = ${i - 40}; DELETE FROM ${one} WHERE k = ${i - 100}; COMMIT`);
    }
    for (const [table, one] of readings) {
      const wanted = JSON.stringify(await rowsOf(table));
      await one.until(records => JSON.stringify(applied(records)) === wanted);
      const versions = one.changes.map(change => change.versionId);
      expect(versions.length).toBeGreaterThan(10);
      expect(one.resyncs).toHaveLength(2);
      // Without a snapshot what is later than the look comes once more.
      if (snapshot) expect(versions).toEqual([...versions].sort((a, b) => a - b));
    }
    expect(Math.max(...calls.tables)).toBeGreaterThan(5);
    await stop(readings);
  });
});

test('tables that can be read no more among others that can: each has its error, and the others nothing of it', {
  retry: BUSY,
}, async () => {
  await opened(TABLES);
  const { server } = bench;
  const calls = new Calls(server);
  const readings = await reading(TABLES);
  const [hidden, refused, dropped, untracked, ...good] = TABLES as [string, string, string, string, ...string[]];
  server.deny('VIEW CHANGE TRACKING', `dbo.${hidden}`);
  server.deny('SELECT', `dbo.${refused}`);
  await server.run(`DROP TABLE ${dropped}; ALTER TABLE ${untracked} DISABLE CHANGE_TRACKING`);
  for (const table of [hidden, refused, dropped, untracked]) await readings.get(table)!.ended;
  const codes = [hidden, refused, dropped, untracked].map(
    table => (readings.get(table)!.failure as { code: string }).code,
  );
  expect(codes).toEqual(['TRACKING_OFF', 'ACCESS_REFUSED', 'TABLE_UNKNOWN', 'TRACKING_OFF']);
  // One that goes on asking costs one request with each look, and not one for each table.
  const again = (): Promise<string> =>
    bench.driver.changes(request(refused, server.version)).then(
      () => 'read',
      (error: { code: string }) => error.code,
    );
  expect(await again()).toBe('ACCESS_REFUSED');
  const isWhole = (): boolean => calls.tables.at(-2) === good.length;
  await waitFor(isWhole);
  const before = calls.tables.length;
  for (const table of good) {
    await bench.elsewhere(`INSERT INTO ${table} (k, name) VALUES (1, 'x')`);
    await readings.get(table)!.until(() => readings.get(table)!.changes.length === 1);
    expect(await again()).toBe('ACCESS_REFUSED');
  }
  await waitFor(isWhole);
  // Nothing of it was looked at.
  expect(calls.tables.slice(before).filter(tables => tables === 0)).toHaveLength(good.length);
  expect(calls.tables.slice(before, -1).every(tables => tables <= good.length)).toBe(true);
  // And with all others once it is answered.
  server.grant('SELECT', `dbo.${refused}`);
  expect(await again()).toBe('read');
  const answers = await pages([refused, ...good].map(table => request(table, bench.server.version)));
  expect(answers.every(({ status }) => status === 'fulfilled')).toBe(true);
  expect(calls.tables).toContain(good.length + 1);
  for (const table of good) expect(readings.get(table)!.failure).toBeUndefined();
  await stop(readings);
});

test('one that failed by itself is asked by itself until it is answered, and costs the others nothing', async () => {
  await opened(['a', 'b', 'c']);
  const { server } = bench;
  const { version } = server;
  const calls = new Calls(server);
  /** How many tables were looked at in each call. */
  const ask = async (): Promise<number[]> => {
    const before = calls.tables.length;
    await pages(['a', 'b', 'c'].map(table => request(table, version)));
    return calls.tables.slice(before).sort((one, other) => one - other);
  };
  server.deny('SELECT', 'dbo.b');
  // The call stops where it is refused, at the changes of the second; then each by itself.
  expect(await ask()).toEqual([0, 1, 1, 2]);
  expect(await ask()).toEqual([0, 2]);
  expect(await ask()).toEqual([0, 2]);
  server.grant('SELECT', 'dbo.b');
  expect(await ask()).toEqual([1, 2]);
  expect(await ask()).toEqual([3]);
});

test('a condition of one that fails, a column of one that is not there: the others are read', async () => {
  await opened(['a', 'b', 'c']);
  const { version } = bench.server;
  for (const table of ['a', 'b', 'c']) await bench.elsewhere(`INSERT INTO ${table} (k, name) VALUES (7, 'x')`);
  const bad = { filter: { sql: 't.nope = @n', params: { n: 1 } } };
  const fine = { filter: { sql: 't.k > @n', params: { n: 6 } } };
  for (let round = 0; round < 3; round++) {
    const [a, b, c, d] = await pages([
      request('a', version, fine),
      request('b', version, bad),
      request('c', version, { columns: ['name'] }),
      request('c', version, { columns: ['nope'] }),
    ]);
    expect(a).toMatchObject({ value: { changes: [{ pk: { k: 7 } }] } });
    expect(b).toMatchObject({ reason: { code: 'SQL_IDENTIFIER' } });
    expect(c).toMatchObject({ value: { changes: [{ data: { k: 7, name: 'x' } }] } });
    expect(d).toMatchObject({ reason: { code: 'SQL_IDENTIFIER' } });
  }
});

test('positions that cannot be read on are refused each for itself', async () => {
  await opened(['a', 'b', 'c', 'd']);
  const { server } = bench;
  const { version } = server;
  for (const table of ['a', 'b', 'c', 'd']) await bench.elsewhere(`INSERT INTO ${table} (k) VALUES (1)`);
  await server.cleanUp(version + 2);
  await server.run('TRUNCATE TABLE b');
  const [a, b, c, d] = await pages([
    request('a', version),
    request('b', version + 3),
    request('c', version + 2),
    request('d', version + 100),
  ]);
  expect(a).toMatchObject({ reason: { code: 'TRACKING_LOST', message: expect.stringMatching(/\(cleaned\)$/) } });
  expect(b).toMatchObject({ reason: { code: 'TRACKING_LOST', message: expect.stringMatching(/\(truncated\)$/) } });
  expect(c).toMatchObject({ value: { changes: [{ pk: { k: 1 }, versionId: version + 3 }] } });
  expect(d).toMatchObject({ reason: { code: 'TRACKING_LOST', message: expect.stringMatching(/\(went-back\)$/) } });
});

test('all of a call are of one moment', async () => {
  await opened(['a', 'b']);
  const { server } = bench;
  const { version } = server;
  await bench.elsewhere('INSERT INTO a (k) VALUES (1)');
  let reads = 0;
  server.at(
    step => step.name === 'changes' && step.text.includes('CHANGETABLE') && ++reads === 2,
    () => bench.elsewhere('BEGIN TRANSACTION; INSERT INTO a (k) VALUES (2); INSERT INTO b (k) VALUES (2); COMMIT'),
  );
  const [a, b] = await pages([request('a', version), request('b', version)]);
  expect(a).toMatchObject({
    value: { current: version + 1, changes: [{ pk: { k: 1 } }], next: { version: version + 1 } },
  });
  expect(b).toMatchObject({ value: { current: version + 1, changes: [], next: { version: version + 1 } } });
});

test('a call that is cut at any byte fails all of it, to be made again; none has half a page', async () => {
  await opened(['a', 'b', 'c']);
  const { tds, version } = bench.server;
  for (const table of ['a', 'b', 'c'])
    await bench.elsewhere(`INSERT INTO ${table} (k, name) VALUES (1, 'x'), (2, 'y')`);
  const ask = () => pages(['a', 'b', 'c'].map(table => request(table, version)));
  const whole = await ask();
  const on = ({ sql }: { sql: string }): boolean => sql.startsWith('/* keymill:changes */');
  const measured = tds.fault({ on, breaks: { at: 1_000_000, by: 'end' } });
  await ask();
  expect(measured.bytes).toBeGreaterThan(1000);
  for (let at = 0; at < measured.bytes; at += 13) {
    const cut = tds.fault({ on, breaks: { at, by: 'reset' } });
    const found = await ask();
    expect(cut.hits).toBe(1);
    if (found.every(({ status }) => status === 'fulfilled')) expect(found).toEqual(whole);
    else
      for (const one of found) expect(one).toMatchObject({ reason: { code: 'SQL_UNAVAILABLE', class: 'transient' } });
  }
}, 60_000);

test('a call that is not answered in time is cancelled, and fails all of it', async () => {
  await opened(['a', 'b'], { io: { requestMs: 200 } });
  const { tds, version } = bench.server;
  const ask = () => pages(['a', 'b'].map(table => request(table, version)));
  await ask();
  tds.fault({ on: ({ sql }) => sql.startsWith('/* keymill:changes */'), delayMs: 20_000 });
  for (const one of await ask()) expect(one).toMatchObject({ reason: { code: 'SQL_UNAVAILABLE', class: 'transient' } });
  for (const one of await ask()) expect(one.status).toBe('fulfilled');
});

test('a table with much to read is read on by itself, and the others wait for a part of it at most', async () => {
  await opened(TABLES);
  const calls = new Calls(bench.server);
  const readings = await reading(TABLES, { pageSize: 5000 });
  const [big, ...others] = TABLES as [string, ...string[]];
  await waitFor(() => calls.tables.at(-2) === 20);
  // Its second page stands still, however long.
  const gate = Promise.withResolvers<void>();
  const stands = Promise.withResolvers<void>();
  const isOn = (step: Step): boolean =>
    step.name === 'changes' && step.text.includes('@kmKey0') && calls.place(step) === 0;
  bench.server.at(isOn, () => {
    stands.resolve();
    return gate.promise;
  });
  const values = Array.from({ length: 3000 }, (_, k) => `(${k})`).join(', ');
  await bench.elsewhere(`INSERT INTO ${big} (k) VALUES ${values}`);
  await stands.promise;
  // 10,000 rows among 20.
  expect(readings.get(big)!.changes).toHaveLength(500);
  for (const table of others) await bench.elsewhere(`INSERT INTO ${table} (k) VALUES (1)`);
  for (const table of others) await readings.get(table)!.until(() => readings.get(table)!.changes.length === 1);
  expect(readings.get(big)!.changes).toHaveLength(500);
  gate.resolve();
  await readings.get(big)!.until(() => readings.get(big)!.changes.length === 3000);
  await waitFor(() => calls.tables.at(-1) === 20);
  await stop(readings);
});

test('more tables than one call takes are several', async () => {
  const many = Array.from({ length: 70 }, (_, i) => `m${i}`);
  await opened(many);
  const calls = new Calls(bench.server);
  const { version } = bench.server;
  const found = await pages(many.map(table => request(table, version)));
  expect(found.every(({ status }) => status === 'fulfilled')).toBe(true);
  expect([...calls.tables].sort((a, b) => b - a)).toEqual([32, 32, 6]);
});
