/** The races of reference sql-server-and-tds 1.4 to 1.7, each staged between two steps of one page. */
import { copyFileSync, mkdtempSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { applied, Reading, waitFor } from '../contract/sql.ts';
import { openSqlite, type SqliteBench } from './support.ts';

const QUICK = { table: 't', track: true, pollMs: { min: 1, max: 5 } };
type Step = 'look' | 'changes' | 'check';

describe.each([true, false])('races of a page, snapshot %s', snapshot => {
  let bench: SqliteBench;
  let at: { step: Step; do: () => void } | null = null;
  const open = async (): Promise<SqliteBench> => {
    bench = await openSqlite({
      snapshot,
      onStep: step => {
        if (at?.step !== step) return;
        const { do: act } = at;
        at = null;
        act();
      },
    });
    await bench.createTable('t');
    return bench;
  };
  /** Does something once, just before that step of the next page. */
  const justBefore = (step: Step, act: () => Promise<unknown>): Promise<void> =>
    new Promise(resolve => {
      at = { step, do: () => void act().then(() => resolve()) };
    });
  const equal = async (reading: Reading): Promise<void> => {
    const rows = await bench.client.query('SELECT * FROM t ORDER BY k');
    await reading.until(records => JSON.stringify(applied(records)) === JSON.stringify(rows));
  };
  const started = async (): Promise<Reading> => {
    await open();
    const reading = new Reading(bench.source(QUICK));
    await reading.until(records => records.some(one => one.operation === 'RESYNC_END'));
    return reading;
  };
  afterEach(() => bench.close());

  test.each(['look', 'changes', 'check'] as const)(
    'a write before %s is read, now or with the next page',
    async step => {
      const reading = await started();
      for (let k = 0; k < 20; k++) {
        await justBefore(step, () => bench.elsewhere(`INSERT INTO t (k, name) VALUES (${k}, 'x')`));
        if (k % 3 === 0) await bench.elsewhere(`UPDATE t SET name = 'y' WHERE k = ${k}`);
      }
      await equal(reading);
      expect(reading.resyncs).toHaveLength(2);
      await reading.stop();
    },
  );

  test.each(['changes', 'check'] as const)(
    'a clean-up before %s of what is being read: nothing is missed',
    async step => {
      const reading = await started();
      await justBefore('look', () => bench.elsewhere("INSERT INTO t (k, name) VALUES (1, 'a'), (2, 'b')"));
      await reading.until(() => reading.changes.length >= 2);
      // It has read up to a version; changes beyond it are cleaned up in the middle of the page that would read them.
      await justBefore(step, async () => {
        await bench.elsewhere('DELETE FROM t WHERE k = 1');
        await bench.elsewhere("INSERT INTO t (k, name) VALUES (3, 'c')");
        const { n } = { n: Number((await lookAt(bench)).current) };
        await bench.cleanUpTo('t', n);
      });
      await equal(reading);
      // A resync when and only when changes were lost to it.
      expect(reading.resyncs.slice(2).every(one => one.reason === 'cleaned')).toBe(true);
      expect(reading.resyncs.length).toBe(4);
      await reading.stop();
    },
  );

  test('a clean-up of what was read already: no resync', async () => {
    const reading = await started();
    await bench.elsewhere("INSERT INTO t (k, name) VALUES (1, 'a')");
    await reading.until(() => reading.changes.length === 1);
    await bench.cleanUpTo('t', (await lookAt(bench)).current);
    await bench.elsewhere("INSERT INTO t (k, name) VALUES (2, 'b')");
    await equal(reading);
    expect(reading.resyncs).toHaveLength(2);
    await reading.stop();
  });

  test('a row that goes before it is read comes as a DELETE', async () => {
    const reading = await started();
    await bench.elsewhere("INSERT INTO t (k, name) VALUES (1, 'a'), (2, 'b')");
    await justBefore('changes', () => bench.elsewhere('DELETE FROM t WHERE k = 1'));
    await equal(reading);
    expect(reading.resyncs).toHaveLength(2);
    await reading.stop();
  });

  test('truncated between two pages: a resync', async () => {
    const reading = await started();
    await bench.elsewhere("INSERT INTO t (k, name) VALUES (1, 'a'), (2, 'b')");
    await reading.until(() => reading.changes.length === 2);
    await bench.truncate('t');
    await equal(reading);
    await waitFor(() => reading.resyncs.length === 4);
    expect(reading.resyncs[2]!.reason).toBe('truncated');
    await reading.stop();
  });
});

describe('a database that went back', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'keymill-back-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  /** A copy as an operator makes it, with the log written into the file. */
  const backUp = async (bench: SqliteBench, to: string): Promise<void> => {
    await bench.elsewhere('PRAGMA wal_checkpoint(TRUNCATE)');
    copyFileSync(bench.path, to);
  };
  const restore = (bench: { path: string }, from: string): void => {
    for (const end of ['-wal', '-shm'])
      try {
        unlinkSync(bench.path + end);
      } catch {}
    copyFileSync(from, `${bench.path}.new`);
    renameSync(`${bench.path}.new`, bench.path);
  };

  test.each([
    ['and is still behind', 1],
    ['and has grown past what was read', 50],
  ])('while nobody read it, %s: a resync', async (_how, writes) => {
    const first = await openSqlite({ path: join(folder, 'shop.db') });
    await first.createTable('t');
    await first.client.track('t');
    await first.client.insert('t', [{ k: 1, name: 'a' }]);
    const reading = new Reading(first.source(QUICK));
    await reading.until(records => records.some(one => one.operation === 'RESYNC_END'));
    await backUp(first, join(folder, 'backup.db'));
    for (let k = 10; k < 20; k++) await first.client.insert('t', [{ k, name: 'undone' }]);
    await reading.until(() => reading.changes.length === 10);
    const mark = await reading.stop();
    await first.close();
    restore(first, join(folder, 'backup.db'));
    const second = await openSqlite({ path: join(folder, 'shop.db') });
    for (let k = 0; k < writes; k++) await second.client.insert('t', [{ k: 100 + k, name: 'since' }]);
    const again = new Reading(second.source(QUICK), mark);
    await again.until(records => records.some(one => one.operation === 'RESYNC_END'));
    expect(again.resyncs[0]).toMatchObject({ reason: 'went-back' });
    expect(applied([...reading.records, ...again.records])).toEqual(
      await second.client.query('SELECT * FROM t ORDER BY k'),
    );
    await again.stop();
    await second.close();
  });

  test('while it is read: a resync', async () => {
    const bench = await openSqlite();
    await bench.createTable('t');
    await bench.client.track('t');
    await bench.client.insert('t', [{ k: 1, name: 'a' }]);
    const backup = join(folder, 'backup.db');
    await backUp(bench, backup);
    const reading = new Reading(bench.source(QUICK));
    await reading.until(records => records.some(one => one.operation === 'RESYNC_END'));
    await bench.client.insert('t', [{ k: 2, name: 'undone' }]);
    await reading.until(() => reading.changes.length === 1);
    restore(bench, backup);
    await reading.until(() => reading.resyncs.length === 4);
    expect(reading.resyncs[2]).toMatchObject({ reason: 'went-back' });
    expect(applied(reading.records)).toMatchObject([{ k: 1, name: 'a' }]);
    await reading.stop();
    await bench.close();
  });

  test('another database in its place: a resync', async () => {
    const first = await openSqlite();
    const other = await openSqlite();
    for (const bench of [first, other]) {
      await bench.createTable('t');
      await bench.client.track('t');
    }
    await first.client.insert('t', [{ k: 1, name: 'a' }]);
    await other.client.insert('t', [{ k: 2, name: 'b' }]);
    const reading = new Reading(first.source(QUICK));
    await reading.until(records => records.some(one => one.operation === 'RESYNC_END'));
    const mark = await reading.stop();
    const again = new Reading(other.source(QUICK), mark);
    await again.until(records => records.some(one => one.operation === 'RESYNC_END'));
    expect(again.resyncs[0]!.reason).toBe('incarnation');
    expect(applied([...reading.records, ...again.records])).toMatchObject([{ k: 2 }]);
    await again.stop();
    await first.close();
    await other.close();
  });
});

async function lookAt(bench: SqliteBench): Promise<{ current: number }> {
  return bench.client.tracked('t');
}
