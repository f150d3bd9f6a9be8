/**
 * The races of reference sql-server-and-tds 1.4 to 1.7, staged between two steps of one page: no row is missed, and a table is
 * read anew when and only when it must be. A database under test says which steps its pages have.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { applied, Reading, type SqlBench, waitFor } from '../contract/sql.ts';

export interface RaceBench extends SqlBench {
  cleanUpTo(table: string, version: number): Promise<void>;
  /** Does something once, just before that step of the next page; resolves when it is done. Default: a page of changes. */
  before(step: string, act: () => Promise<unknown>, of?: 'changes' | 'rows'): Promise<void>;
  /** A copy as an operator makes it. */
  backUp(): Promise<void>;
  /** The database as it was then, under whoever reads it. */
  restore(): Promise<void>;
  /** Closes the I/O actor, does something, and opens one anew on the same database. */
  reopen(meanwhile?: () => Promise<void>): Promise<RaceBench>;
}

export interface Racing {
  open(): Promise<RaceBench>;
  /** Of a page, in order: at least `look`, before anything; `changes`, before they are read; `check`, after that. */
  readonly steps: readonly string[];
  /** From this step on a page sees one moment, and a clean-up does not matter to it; null where there is no such step. */
  readonly fixedFrom: string | null;
  /** Steps before which another program can truncate the table. */
  readonly truncatedBefore: readonly string[];
  readonly only?: 'truncates';
}

const QUICK = { table: 't', track: true, pollMs: { min: 1, max: 5 } };

export function sqlRaces(name: string, { open, steps, fixedFrom, truncatedBefore, only }: Racing): void {
  describe(`races: ${name}`, () => {
    let bench: RaceBench;
    afterEach(() => bench.close());

    const reader = (mark?: unknown): Reading => new Reading(bench.source(QUICK), mark, { retries: true });
    const rows = () => bench.client.query('SELECT * FROM t ORDER BY k');
    const equal = async (reading: Reading): Promise<void> => {
      const wanted = JSON.stringify(await rows());
      await reading.until(records => JSON.stringify(applied(records)) === wanted);
    };
    const begun = async (reading: Reading): Promise<Reading> => {
      await reading.until(records => records.some(one => one.operation === 'RESYNC_END'));
      return reading;
    };
    const started = async (): Promise<Reading> => {
      bench = await open();
      await bench.createTable('t');
      return begun(reader());
    };

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

    /** It has read rows up to where the database is, and nothing else happened since. */
    const standing = async (): Promise<Reading> => {
      const reading = await started();
      await bench.elsewhere("INSERT INTO t (k, name) VALUES (1, 'a'), (2, 'b')");
      await reading.until(() => reading.changes.length === 2);
      return reading;
    };

    if (truncatedBefore.length > 0)
      test.each(truncatedBefore)('truncated before %s: a resync, and no more than that', async step => {
        const reading = await standing();
        await bench.before(step, () => bench.truncate('t'));
        await waitFor(() => reading.resyncs.length === 4);
        expect(applied(reading.records)).toEqual([]);
        await bench.elsewhere("INSERT INTO t (k, name) VALUES (2, 'b'), (3, 'c')");
        await equal(reading);
        expect(reading.resyncs).toHaveLength(4);
        // In the middle of a page it may look like a clean-up.
        expect(['truncated', 'cleaned']).toContain(reading.resyncs[2]!.reason);
        // Among changes.
        await bench.before(step, async () => {
          await bench.elsewhere("UPDATE t SET name = 'x' WHERE k = 2");
          await bench.truncate('t');
          await bench.elsewhere("INSERT INTO t (k, name) VALUES (3, 'again'), (4, 'd')");
        });
        await equal(reading);
        await reading.stop();
      });

    const ofRows = truncatedBefore.filter(step => step !== 'changes' && step !== 'check');
    if (ofRows.length > 0)
      test.each(ofRows)('truncated before %s of the rows of a resync: what they were is gone', async step => {
        bench = await open();
        await bench.createTable('t');
        await bench.client.track('t');
        await bench.elsewhere("INSERT INTO t (k, name) VALUES (1, 'a'), (2, 'b')");
        const truncated = bench.before(step, () => bench.truncate('t'), 'rows');
        const reading = await begun(reader());
        await truncated;
        await equal(reading);
        await bench.elsewhere("INSERT INTO t (k, name) VALUES (2, 'c')");
        await equal(reading);
        await reading.stop();
      });

    test.each<[string, (name: string) => Promise<void>]>([
      ['truncated', table => bench.truncate(table)],
      [
        'not tracked for a while',
        async table => {
          await bench.client.untrack(table);
          await bench.elsewhere(`DELETE FROM ${table} WHERE k = 2`);
          await bench.client.track(table);
        },
      ],
    ])('%s while nobody read it: a resync, also of who stands at the current version', async (_how, act) => {
      for (const isChangedSince of [false, true]) {
        const reading = await standing();
        const { current } = await bench.client.tracked('t');
        await waitFor(() => (reading.half.mark?.() as { version?: number } | undefined)?.version === current);
        const mark = await reading.stop();
        await act('t');
        if (isChangedSince) await bench.elsewhere("INSERT INTO t (k, name) VALUES (9, 'z')");
        const again = await begun(reader(mark));
        expect(again.resyncs[0]!.reason).toBe('truncated');
        expect(applied([...reading.records, ...again.records])).toEqual(await rows());
        // And not once more.
        const last = await again.stop();
        const third = reader(last);
        await bench.elsewhere("INSERT INTO t (k, name) VALUES (10, 'y')");
        await third.until(records => records.length > 0);
        expect(third.resyncs).toEqual([]);
        await third.stop();
        if (!isChangedSince) await bench.close();
      }
    });

    test('truncated under trackChanges: it is said, and nothing is passed over', async () => {
      bench = await open();
      await bench.createTable('t');
      await bench.client.track('t');
      const { current: since } = await bench.client.tracked('t');
      await bench.elsewhere("INSERT INTO t (k, name) VALUES (1, 'a')");
      const pages = bench.client.trackChanges('t', { since, pollMs: QUICK.pollMs })[Symbol.asyncIterator]();
      expect((await pages.next()).value).toHaveLength(1);
      await bench.truncate('t');
      const wanted = { code: 'TRACKING_LOST', message: expect.stringMatching(/\(truncated\)$/) };
      await expect(pages.next()).rejects.toMatchObject(wanted);
    });

    test('a mark of before that does not tell where tracking began is read on', async () => {
      const reading = await standing();
      const { began: _began, ...mark } = (await reading.stop()) as Record<string, unknown>;
      await bench.elsewhere("INSERT INTO t (k, name) VALUES (3, 'c')");
      const again = reader(mark);
      await again.until(() => again.changes.length > 0);
      expect(again.resyncs).toEqual([]);
      expect(applied([...reading.records, ...again.records])).toEqual(await rows());
      await again.stop();
    });

    if (only === 'truncates') return;

    test.each(steps)('a write before %s is read, now or with the next page', async step => {
      const reading = await started();
      for (let k = 0; k < 20; k++) {
        await bench.before(step, () => bench.elsewhere(`INSERT INTO t (k, name) VALUES (${k}, 'x')`));
        if (k % 3 === 0) await bench.elsewhere(`UPDATE t SET name = 'y' WHERE k = ${k}`);
      }
      await equal(reading);
      expect(reading.resyncs).toHaveLength(2);
      await reading.stop();
    });

    test.each(steps.slice(1))('a clean-up before %s of what is being read: nothing is missed', async step => {
      const reading = await started();
      await bench.before('look', () => bench.elsewhere("INSERT INTO t (k, name) VALUES (1, 'a'), (2, 'b')"));
      await reading.until(() => reading.changes.length >= 2);
      // It has read up to a version; changes beyond it are cleaned up in the middle of the page that would read them.
      await bench.before(step, async () => {
        await bench.elsewhere('DELETE FROM t WHERE k = 1');
        await bench.elsewhere("INSERT INTO t (k, name) VALUES (3, 'c')");
        await bench.cleanUpTo('t', (await bench.client.tracked('t')).current);
      });
      await equal(reading);
      // A resync when and only when changes were lost to it.
      // The rows may be equal before the last of it is told.
      await waitFor(() => reading.resyncs.length >= 4);
      expect(reading.resyncs.slice(2).every(one => one.reason === 'cleaned')).toBe(true);
      expect(reading.resyncs.length).toBe(4);
      await reading.stop();
    });

    test.each(steps)('a clean-up before %s of all that the page is to read: nothing is missed', async step => {
      const reading = await started();
      // All in one page: it is written before the page begins, and cleaned up in the middle of it.
      const { current } = await bench.client.tracked('t');
      const written = "INSERT INTO t (k, name) VALUES (1, 'a'), (2, 'b'); DELETE FROM t WHERE k = 1";
      void bench.before('look', () => bench.elsewhere(written));
      const cleaned = bench.before(step, () => bench.cleanUpTo('t', current + 2));
      await cleaned;
      await equal(reading);
      await bench.elsewhere("INSERT INTO t (k, name) VALUES (9, 'z')");
      await equal(reading);
      const isFixed = fixedFrom !== null && steps.indexOf(step) >= steps.indexOf(fixedFrom);
      if (isFixed) expect(reading.resyncs).toHaveLength(2);
      else expect(reading.resyncs.slice(2).every(one => one.reason === 'cleaned')).toBe(true);
      await reading.stop();
    });

    test.each(steps)('a clean-up before %s of what was read already: no resync', async step => {
      const reading = await started();
      await bench.elsewhere("INSERT INTO t (k, name) VALUES (1, 'a')");
      await reading.until(() => reading.changes.length === 1);
      const { current } = await bench.client.tracked('t');
      await bench.before(step, () => bench.cleanUpTo('t', current));
      await bench.elsewhere("INSERT INTO t (k, name) VALUES (2, 'b')");
      await equal(reading);
      expect(reading.resyncs).toHaveLength(2);
      await reading.stop();
    });

    test.each([
      ['of that version: the rest of it is lost, and it is said', 0],
      ['of the one before: all of it comes', 1],
    ])('a clean-up in the middle of a version, %s', async (_what, less) => {
      bench = await open();
      await bench.createTable('t');
      await bench.client.track('t');
      await bench.client.insert('t', [{ k: 0 }]);
      const { current: since } = await bench.client.tracked('t');
      const keys = Array.from({ length: 5 }, (_, k) => k + 1);
      await bench.client.insert(
        't',
        keys.map(k => ({ k })),
      );
      const { current } = await bench.client.tracked('t');
      expect(current).toBe(since + 1);
      const found: unknown[] = [];
      const reading = (async () => {
        for await (const { pk } of bench.client.getChanges('t', { since, pageSize: 2 }))
          if (found.push(pk['k']) === 2) await bench.cleanUpTo('t', current - less);
      })();
      if (less > 0) await reading;
      else
        await expect(reading).rejects.toMatchObject({
          code: 'TRACKING_LOST',
          message: expect.stringMatching(/\(cleaned\)$/),
        });
      expect(found).toEqual(less > 0 ? keys : [1, 2]);
    });

    test.each(steps)('a row that goes before %s comes as a DELETE', async step => {
      const reading = await started();
      await bench.elsewhere("INSERT INTO t (k, name) VALUES (1, 'a'), (2, 'b')");
      await bench.before(step, () => bench.elsewhere('DELETE FROM t WHERE k = 1'));
      await equal(reading);
      expect(reading.resyncs).toHaveLength(2);
      await reading.stop();
    });

    test.each([
      ['and is still behind', 1],
      ['and has grown past what was read', 50],
    ])('a database that went back while nobody read it, %s: a resync', async (_how, writes) => {
      const reading = await started();
      await bench.client.insert('t', [{ k: 1, name: 'a' }]);
      await reading.until(() => reading.changes.length === 1);
      await bench.backUp();
      for (let k = 10; k < 20; k++) await bench.client.insert('t', [{ k, name: 'undone' }]);
      await reading.until(() => reading.changes.length === 11);
      const mark = await reading.stop();
      bench = await bench.reopen(() => bench.restore());
      for (let k = 0; k < writes; k++) await bench.client.insert('t', [{ k: 100 + k, name: 'since' }]);
      const again = await begun(reader(mark));
      expect(['went-back', 'incarnation']).toContain(again.resyncs[0]!.reason);
      expect(applied([...reading.records, ...again.records])).toEqual(await rows());
      await again.stop();
    });

    test('a database that goes back while it is read: a resync', async () => {
      const reading = await started();
      await bench.client.insert('t', [{ k: 1, name: 'a' }]);
      await reading.until(() => reading.changes.length === 1);
      await bench.backUp();
      await bench.client.insert('t', [{ k: 2, name: 'undone' }]);
      await reading.until(() => reading.changes.length === 2);
      await bench.restore();
      await reading.until(() => reading.resyncs.length === 4);
      expect(['went-back', 'incarnation']).toContain(reading.resyncs[2]!.reason);
      expect(applied(reading.records)).toMatchObject([{ k: 1, name: 'a' }]);
      await reading.stop();
    });

    test('another database in its place: a resync', async () => {
      const reading = await started();
      await bench.client.insert('t', [{ k: 1, name: 'a' }]);
      await equal(reading);
      const mark = await reading.stop();
      await bench.close();
      bench = await open();
      await bench.createTable('t');
      await bench.client.track('t');
      await bench.client.insert('t', [{ k: 2, name: 'b' }]);
      const again = await begun(reader(mark));
      expect(again.resyncs[0]!.reason).toBe('incarnation');
      expect(applied([...reading.records, ...again.records])).toMatchObject([{ k: 2 }]);
      await again.stop();
    });
  });
}
