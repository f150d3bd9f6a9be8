/** Connections that break: at any byte of a page, before, in and after a COMMIT, and with the whole server. */
import { afterEach, expect, test } from 'vitest';
import type { WriteOp } from '../../../actors/sql/ops.ts';
import type { IoReply } from '../../../runtime/index.ts';
import { applied, isChange, Reading } from '../../contract/sql.ts';
import type { Step } from '../../support/tds/database/index.ts';
import { errors, type Seen, SqlError } from '../../support/tds/index.ts';
import { type MssqlBench, openMssql } from './bench.ts';

const QUICK = { table: 't', track: true, pollMs: { min: 1, max: 2 } };
const named =
  (name: string) =>
  ({ sql }: Seen): boolean =>
    sql.startsWith(`/* keymill:${name} */`);

let bench: MssqlBench;
afterEach(() => bench.close());

async function started(io = {}): Promise<Reading> {
  bench = await openMssql({ io });
  await bench.createTable('t');
  const reading = new Reading(bench.source(QUICK), undefined, { retries: true });
  await reading.until(records => records.some(one => one.operation === 'RESYNC_END'));
  return reading;
}

/** As the engine asks: those that may heal again, as the same objects. Throws what does not. */
async function write(ops: readonly WriteOp[]): Promise<void> {
  for (let left = ops; left.length > 0; ) {
    const replies: readonly IoReply[] = await bench.driver.write(left, new AbortController().signal);
    for (const reply of replies)
      if ('error' in reply && !['transient', 'throttled'].includes((reply.error as { class: string }).class))
        throw reply.error;
    left = left.filter((_, i) => 'error' in replies[i]!);
  }
}

const ROWS = 3;
const page = (round: number): string =>
  `INSERT INTO t (k, name) VALUES ${Array.from({ length: ROWS }, (_, i) => `(${round * ROWS + i}, 'name ${i}')`).join(', ')}`;

test.each([true, false])(
  'a page that is cut at every byte: no loss, no half page (snapshot %s)',
  async snapshot => {
    const reading = await started({ snapshot });
    let round = 0;
    /** One page with rows, whose answer breaks. It is committed in the very request that is cut. */
    const cutAt = async (at: number): Promise<{ bytes: number; hits: number }> => {
      const rows = page(round++);
      const begins = ({ name, text }: Step): boolean => name === 'changes' && text.startsWith('DECLARE @kmNow');
      bench.server.at(begins, () => bench.elsewhere(rows));
      const cut = bench.server.tds.fault({ on: named('changes'), breaks: { at, by: at % 2 === 0 ? 'reset' : 'end' } });
      await reading.until(records => {
        const last = records.at(-1)!;
        return isChange(last) && last.pk['k'] === round * ROWS - 1;
      });
      expect(cut.hits).toBe(1);
      return cut;
    };
    // From here on a page begins only when the one before has been given.
    await bench.elsewhere(page(round++));
    await reading.until(() => reading.changes.length === ROWS);
    const { bytes } = await cutAt(1_000_000);
    expect(bytes).toBeGreaterThan(500);
    for (let at = 0; at <= bytes; at += snapshot ? 1 : 7) await cutAt(at);
    // What was not kept yet may come again, in whole pages and in the order of its commits.
    const keys = reading.changes.map(change => Number(change.pk['k']));
    for (let i = 0; i < keys.length; i += ROWS) {
      expect(keys[i]! % ROWS).toBe(0);
      expect(keys.slice(i, i + ROWS)).toEqual([keys[i]!, keys[i]! + 1, keys[i]! + 2]);
      const before = keys[i - 1] ?? -1;
      expect(keys[i]).toBeLessThanOrEqual(before + 1);
    }
    expect(new Set(keys).size).toBe(round * ROWS);
    expect(reading.resyncs).toHaveLength(2);
    await reading.stop();
  },
  120_000,
);

test('a table that is read anew over connections that break: all of it, in the end', async () => {
  bench = await openMssql();
  await bench.createTable('t');
  await bench.server.run(
    `INSERT INTO t (k, name) VALUES ${Array.from({ length: 200 }, (_, k) => `(${k}, 'n')`).join(', ')}`,
  );
  let nth = 0;
  const cut = bench.server.tds.fault({
    on: seen => named('rows')(seen) && nth++ % 3 !== 0,
    times: 60,
    breaks: { at: 900, by: 'reset' },
  });
  const reading = new Reading(bench.source({ ...QUICK, pageSize: 20 }), undefined, { retries: true });
  await reading.until(() => reading.records.at(-1)?.operation === 'RESYNC_END');
  expect(cut.hits).toBeGreaterThan(2);
  expect(applied(reading.records)).toHaveLength(200);
  const { epoch } = reading.records.at(-1)!;
  expect(reading.records.filter(record => isChange(record) && record.epoch === epoch)).toHaveLength(200);
  await reading.stop();
});

test('a connection that is cut where a COMMIT is: rows exactly once', async () => {
  bench = await openMssql();
  // Without a key a row that is written twice would be there twice.
  await bench.createTable('bare', 0);
  const { server } = bench;
  let k = 0;
  const wanted: number[] = [];
  const ops = (): WriteOp[] => {
    const op = (key: number): WriteOp[] => [
      {
        op: 'insert',
        table: 'bare',
        rows: {
          columns: ['k', 'name'],
          values: [
            [key, 'a'],
            [key + 1, 'b'],
          ],
        },
      },
      {
        op: 'transaction',
        statements: [
          { sql: `INSERT INTO bare (k) VALUES (${key + 2})` },
          { sql: 'UPDATE bare SET amount = 1 WHERE k = @k', params: { k: key + 2 } },
        ],
      },
    ];
    wanted.push(k, k + 1, k + 2);
    k += 3;
    return op(k - 3);
  };
  await write(ops());
  for (const name of ['insert', 'transaction']) {
    const isIt = (step: Step): boolean => step.name === name;
    const whole = server.tds.fault({ on: named(name), breaks: { at: 1_000_000, by: 'end' } });
    await write(ops());
    const { bytes } = whole;
    expect(bytes).toBeGreaterThan(10);
    for (const kind of ['begin', 'commit'] as const) {
      server.at(
        step => isIt(step) && step.kind === kind,
        ({ cut }) => cut(),
      );
      await write(ops());
    }
    server.tds.fault({ on: named(name), before: 'reset' });
    await write(ops());
    // It is committed, and its answer is lost at every byte.
    for (let at = 0; at < bytes; at++) {
      const cut = server.tds.fault({ on: named(name), breaks: { at, by: at % 2 === 0 ? 'reset' : 'end' } });
      await write(ops());
      expect(cut.hits).toBe(1);
    }
    // And again while it is asked what became of it.
    server.tds.fault({ on: named(name), breaks: { at: 0, by: 'reset' } });
    server.tds.fault({ on: named(name), nth: 2, breaks: { at: 0, by: 'reset' } });
    server.tds.fault({ on: named('done'), breaks: { at: 3, by: 'reset' } });
    await write(ops());
  }
  const { sets } = await server.run('SELECT k FROM bare ORDER BY k');
  expect(sets[0]!.rows.map(([key]) => Number(key))).toEqual(wanted);
}, 60_000);

test('upserts and deltas that are cut anywhere leave what making them once leaves', async () => {
  bench = await openMssql();
  await bench.createTable('t');
  const { server } = bench;
  for (const [epoch, name] of ['upsert', 'apply', 'remove'].entries()) {
    for (let at = 0; at < 60; at += 3) {
      const ops: WriteOp[] = [
        {
          op: 'upsert',
          table: 't',
          rows: {
            columns: ['k', 'name'],
            values: [
              [at, `${name} ${at}`],
              [at + 1, 'gone'],
            ],
          },
        },
        {
          op: 'apply',
          table: 't',
          deltas: [
            {
              pk: { k: at + 2 },
              version: { epoch, n: at + 1 },
              data: { k: at + 2, name: `${name} ${at}` },
            },
          ],
        },
        { op: 'remove', table: 't', rows: { columns: ['k'], values: [[at + 1]] } },
      ];
      server.tds.fault({ on: named(name), breaks: { at, by: 'reset' } });
      await write(ops);
      const { sets } = await server.run(`SELECT k, name FROM t WHERE k BETWEEN ${at} AND ${at + 2} ORDER BY k`);
      expect(sets[0]!.rows).toEqual([
        [BigInt(at), `${name} ${at}`],
        [BigInt(at + 2), `${name} ${at}`],
      ]);
    }
  }
}, 60_000);

test('the server dies and is started again, again and again, while it is read and written: nothing is lost', async () => {
  const reading = await started();
  for (let round = 0; round < 10; round++) {
    const writes = write([
      {
        op: 'insert',
        table: 't',
        rows: {
          columns: ['k', 'name'],
          values: [
            [round * 2, 'x'],
            [round * 2 + 1, 'y'],
          ],
        },
      },
    ]);
    if (round % 2 === 0)
      bench.server.at(
        step => step.name === 'insert' && step.kind === 'commit',
        () => bench.server.restart(),
      );
    else await bench.server.restart();
    await writes;
  }
  // What was not kept before a death comes again.
  await reading.until(() => new Set(reading.changes.map(change => change.pk['k'])).size === 20);
  expect(applied(reading.records).map(row => row['k'])).toEqual(Array.from({ length: 20 }, (_, k) => k));
  expect(reading.resyncs).toHaveLength(2);
  await reading.stop();
}, 60_000);

test.each([
  ['a deadlock', () => errors.deadlock(51)],
  [
    'an update conflict',
    () => new SqlError(3960, 'Snapshot isolation transaction aborted due to update conflict.', { rollsBack: true }),
  ],
  ['throttling, which ends the connection', () => errors.throttled()],
])('%s in the middle of a transaction: it is undone, and made again', async (_what, error) => {
  bench = await openMssql();
  await bench.createTable('bare', 0);
  const { server } = bench;
  for (const name of ['insert', 'transaction'])
    server.at(
      step => step.name === name && step.kind === 'commit',
      () => {
        throw error();
      },
    );
  const ops: WriteOp[] = [
    { op: 'insert', table: 'bare', rows: { columns: ['k'], values: [[1], [2]] } },
    { op: 'transaction', statements: [{ sql: 'INSERT INTO bare (k) VALUES (3)' }] },
  ];
  const first = await bench.driver.write(ops, new AbortController().signal);
  expect(first).toMatchObject([{ error: { code: 'SQL_UNAVAILABLE' } }, { error: { code: 'SQL_UNAVAILABLE' } }]);
  expect((await server.run('SELECT k FROM bare')).sets[0]!.rows).toEqual([]);
  await write(ops);
  expect((await server.run('SELECT k FROM bare ORDER BY k')).sets[0]!.rows).toEqual([[1n], [2n], [3n]]);
});
