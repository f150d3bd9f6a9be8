/** Writes of many threads at once, each by a connection of its own, some of whose answers are lost: each is done once. */
import { expect, it } from 'vitest';
import type { WriteOp } from '../../../actors/sql/ops.ts';
import type { IoReply } from '../../../runtime/index.ts';
import { openMssql } from './bench.ts';

const THREADS = 8;
const BATCHES = 30;
const ROWS = 3;

const insertOf = (thread: number, batch: number): WriteOp => ({
  op: 'insert',
  table: 'numbers',
  rows: {
    columns: ['k', 'name'],
    values: Array.from({ length: ROWS }, (_, i) => [thread * 10_000 + batch * ROWS + i, `${thread}`]),
  },
  context: undefined,
});

it.each([0, 7])('each insert is done once; every so many-th answer is lost: %i', { timeout: 60_000 }, async every => {
  const { server, driver, close } = await openMssql();
  await server.run('CREATE TABLE numbers (k bigint NOT NULL PRIMARY KEY, name nvarchar(100) NULL)');
  const { signal } = new AbortController();
  const isInsert = ({ sql }: { sql: string }): boolean => sql.includes('keymill:insert');
  let asked = 0;
  // Some overtake others.
  server.tds.fault({
    on: seen => isInsert(seen) && ++asked % 3 === 0,
    times: Number.POSITIVE_INFINITY,
    delayMs: 10,
  });
  let lost = 0;
  if (every > 0)
    server.tds.fault({
      on: seen => isInsert(seen) && ++lost % every === 0,
      times: Number.POSITIVE_INFINITY,
      breaks: { at: 0, by: 'reset' },
    });
  const thread = async (n: number): Promise<void> => {
    for (let batch = 0; batch < BATCHES; batch++) {
      const op = insertOf(n, batch);
      let reply: IoReply | undefined;
      for (let tries = 0; tries < 10 && (reply === undefined || 'error' in reply); tries++)
        [reply] = await driver.write([op], signal);
      expect(reply).toEqual({ value: { rows: ROWS } });
    }
  };
  await Promise.all(Array.from({ length: THREADS }, (_, n) => thread(n)));
  const { sets } = await server.run('SELECT COUNT(*), COUNT(DISTINCT k) FROM numbers');
  expect(sets[0]!.rows[0]!.map(Number)).toEqual([THREADS * BATCHES * ROWS, THREADS * BATCHES * ROWS]);
  if (every > 0) expect(lost).toBeGreaterThan(THREADS * BATCHES);
  await close();
});
