/**
 * What every driver of the `sql` I/O actor must do, over the client that handlers see and the source half that the engine
 * reads. A driver brings a fresh database, a way to make tables, and a connection of its own to play another program.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ChangeItem, ChangeRecord, ResyncEvent, Row, SqlClient } from '../../actors/sql/contract.ts';
import type { Position, SourceHalf, SourceRecord } from '../../runtime/index.ts';

/** What is said in other words by another database. */
export interface SqlDialect {
  renameColumn(table: string, from: string, to: string): string;
  /** Which columns an UPDATE changed is known of a table that was altered before it, too. */
  readonly hasMasksAcrossAlter: boolean;
}

export interface SqlBench {
  readonly dialect: SqlDialect;
  readonly client: SqlClient;
  /** A source half on a table, as the engine would make it. */
  source(read: Record<string, unknown>): SourceHalf<ChangeRecord>;
  /** Columns: `k` whole-number key, `b` second key where `keys` is 2, `name` text, `amount` number, all but the keys nullable. */
  createTable(name: string, keys?: 0 | 1 | 2): Promise<void>;
  /** As another program with a connection of its own. */
  elsewhere(sql: string): Promise<void>;
  /** What the clean-up of old changes does, up to a version; null where it goes by time alone. */
  readonly cleanUpTo: ((table: string, version: number) => Promise<void>) | null;
  /** Turns tracking off and on again after emptying the table: TRUNCATE. */
  truncate(table: string): Promise<void>;
  close(): Promise<void>;
}

export async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of iterable) found.push(one);
  return found;
}

/** Reads a source half as the engine does: in order, acknowledged as the test says. */
export class Reading {
  readonly half: SourceHalf<ChangeRecord>;
  readonly records: ChangeRecord[] = [];
  #position: Position = 0;
  #low: Position = 0;
  readonly #stop = new AbortController();
  #arrived: (() => void) | null = null;
  #holds = false;
  failure: unknown;
  readonly ended: Promise<void>;
  readonly #retries: boolean;

  /** `retries`: what may heal is tried again at once. */
  constructor(
    half: SourceHalf<ChangeRecord>,
    mark?: unknown,
    { retries = false }: { readonly retries?: boolean } = {},
  ) {
    this.half = half;
    this.#retries = retries;
    this.ended = this.#run(mark);
  }

  async #run(mark: unknown): Promise<void> {
    try {
      if (mark !== undefined) await this.half.recognise?.(mark);
      while (!(await this.#readOn()));
    } catch (error) {
      this.failure = error;
    }
    this.#arrived?.();
  }

  /** False: again. */
  async #readOn(): Promise<boolean> {
    try {
      for await (const chunk of this.half.read(this.#position, this.#stop.signal)) this.#take(chunk);
      return true;
    } catch (error) {
      const { class: its } = error as { class?: string };
      if (!this.#retries || this.#stop.signal.aborted || (its !== 'transient' && its !== 'throttled')) throw error;
      await new Promise(resolve => setTimeout(resolve, 1));
      return false;
    }
  }

  #take(chunk: readonly SourceRecord<ChangeRecord>[]): void {
    for (const { position, value } of chunk) {
      expect(position).toBe(this.#position++);
      this.records.push(value!);
    }
    this.#arrived?.();
    if (!this.#holds) this.settle();
  }

  /** From now on nothing is settled by itself. */
  hold(): void {
    this.#holds = true;
  }

  /** Settles all that was given. */
  settle(): void {
    if (this.#low === this.#position) return;
    this.#low = this.#position;
    void this.half.ack?.({ low: this.#low, positions: [] });
  }

  /** Resolves when `is` holds of what was read. */
  async until(is: (records: readonly ChangeRecord[]) => boolean): Promise<readonly ChangeRecord[]> {
    while (!is(this.records)) {
      if (this.failure !== undefined) throw this.failure;
      await new Promise<void>(resolve => {
        this.#arrived = resolve;
      });
    }
    return this.records;
  }

  /** The changes after the last RESYNC_END. */
  get changes(): ChangeItem[] {
    const from = this.records.findLastIndex(record => record.operation === 'RESYNC_END');
    return this.records.slice(from + 1).filter(isChange);
  }

  get resyncs(): ResyncEvent[] {
    return this.records.filter(record => !isChange(record)) as ResyncEvent[];
  }

  /** Stops as a process does that ends well: what is settled is kept. Gives the mark. */
  async stop(): Promise<unknown> {
    this.#stop.abort();
    await this.ended;
    await this.half.close?.();
    return this.half.mark?.();
  }
}

export function isChange(record: ChangeRecord): record is ChangeItem {
  return record.operation !== 'RESYNC_BEGIN' && record.operation !== 'RESYNC_END';
}

/** What a reader that applies changes in order would hold of the table. */
export function applied(records: readonly ChangeRecord[]): Row[] {
  const rows = new Map<string, { row: Row; epoch: number; n: number }>();
  const tombs = new Map<string, { epoch: number; n: number }>();
  for (const record of records) {
    if (!isChange(record)) {
      if (record.operation === 'RESYNC_END')
        for (const [key, one] of rows) if (one.epoch < record.epoch) rows.delete(key);
      continue;
    }
    const key = JSON.stringify(record.pk);
    const at = rows.get(key) ?? tombs.get(key);
    const { epoch, versionId: n } = record;
    if (at && (at.epoch > epoch || (at.epoch === epoch && at.n > n))) continue;
    if (record.data === null) {
      rows.delete(key);
      tombs.set(key, { epoch, n });
    } else rows.set(key, { row: record.data, epoch, n });
  }
  return [...rows.values()].map(({ row }) => row).sort((a, b) => Number(a['k']) - Number(b['k']));
}

const BY_TIME = 'its clean-up goes by time';
const QUICK = { pollMs: { min: 1, max: 5 } };

export function sqlContract(name: string, open: () => Promise<SqlBench>): void {
  describe(`sql contract: ${name}`, () => {
    let bench: SqlBench;
    let client: SqlClient;
    beforeEach(async () => {
      bench = await open();
      ({ client } = bench);
    });
    afterEach(() => bench.close());

    const rows = (table: string): Promise<Row[]> => client.query(`SELECT * FROM ${table} ORDER BY k`);
    const fill = async (table: string, count: number): Promise<void> => {
      await client.insert(
        table,
        Array.from({ length: count }, (_, k) => ({ k, name: `n${k}`, amount: k / 2 })),
      );
    };

    describe('statements', () => {
      test('read and write with parameters', async () => {
        await bench.createTable('t');
        expect(await client.execute('INSERT INTO t (k, name) VALUES (@k, @name)', { k: 1, name: "o'; DROP" })).toEqual({
          rows: 1,
        });
        expect(await client.query('SELECT k, name FROM t WHERE name = @name', { name: "o'; DROP" })).toEqual([
          { k: 1, name: "o'; DROP" },
        ]);
      });

      test('a transaction is all or nothing', async () => {
        await bench.createTable('t');
        const insert = (k: number) => ({ sql: 'INSERT INTO t (k) VALUES (@k)', params: { k } });
        await client.transaction([insert(1), insert(2)]);
        await expect(client.transaction([insert(3), insert(1)])).rejects.toMatchObject({ code: 'SQL_CONSTRAINT' });
        expect((await rows('t')).map(row => row['k'])).toEqual([1, 2]);
      });

      test('expected rows are demanded', async () => {
        await bench.createTable('t');
        await fill('t', 2);
        const update = (k: number) => ({
          sql: 'UPDATE t SET name = @name WHERE k = @k',
          params: { k, name: 'x' },
          expectRows: 1,
        });
        await expect(client.transaction([update(1), update(9)])).rejects.toMatchObject({ code: 'SQL_CONSTRAINT' });
        expect((await rows('t')).map(row => row['name'])).toEqual(['n0', 'n1']);
      });

      test('one write that fails leaves those asked for at once alone', async () => {
        await bench.createTable('t');
        const done = await Promise.allSettled([
          client.insert('t', [{ k: 1 }]),
          client.insert('t', [{ k: 1 }]),
          client.insert('t', [{ k: 2 }]),
        ]);
        expect(done.map(one => one.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
        expect((await rows('t')).map(row => row['k'])).toEqual([1, 2]);
      });

      test('names are looked up, never taken as SQL', async () => {
        await bench.createTable('t');
        for (const call of [
          client.insert('t; DROP TABLE t', [{ k: 1 }]),
          client.describe("t' OR 1=1 --"),
          client.getChanges('"t"', { since: 0 })[Symbol.asyncIterator]().next(),
        ])
          await expect(call).rejects.toMatchObject({ code: 'TABLE_UNKNOWN' });
        for (const call of [
          client.insert('t', [{ k: 1, 'name) VALUES (1); --': 'x' }]),
          client.upsert('t', [{ k: 1, 'nam"e': 'x' }]),
          client.upsert('t', [{ name: 'no key' }]),
          client.remove('t', [{ name: 'x' }]),
        ])
          await expect(call).rejects.toMatchObject({ code: 'SQL_IDENTIFIER' });
        expect(await rows('t')).toEqual([]);
      });

      test('whole numbers beyond 2⁵³ are exact', async () => {
        await bench.createTable('t');
        await client.insert('t', [
          { k: 9_007_199_254_740_993n, name: 'big' },
          { k: 2n, name: 'small' },
        ]);
        expect((await rows('t')).map(row => row['k'])).toEqual([2, 9_007_199_254_740_993n]);
        expect((await all(client.stream('SELECT k FROM t ORDER BY k'))).map(row => row['k'])).toEqual([
          2,
          9_007_199_254_740_993n,
        ]);
      });

      test('streams rows as they are asked for, from one moment', async () => {
        await bench.createTable('t');
        await fill('t', 1000);
        const seen: number[] = [];
        for await (const row of client.stream('SELECT k FROM t ORDER BY k', {}, { chunk: 100 })) {
          if (seen.length === 150) await client.execute('DELETE FROM t WHERE k > 500');
          seen.push(Number(row['k']));
        }
        expect(seen).toHaveLength(1000);
        expect(await rows('t')).toHaveLength(501);
      });

      test('a stream that is left is closed', async () => {
        await bench.createTable('t');
        await fill('t', 1000);
        for await (const row of client.stream('SELECT k FROM t ORDER BY k', {}, { chunk: 10 })) {
          expect(row['k']).toBe(0);
          break;
        }
        await bench.elsewhere('DELETE FROM t');
      });

      test('upserts and removes by key', async () => {
        await bench.createTable('t', 2);
        await client.upsert('t', [
          { k: 1, b: 1, name: 'a' },
          { k: 1, b: 2, name: 'b' },
        ]);
        await client.upsert('t', [{ k: 1, b: 2, name: 'c' }]);
        expect(
          await client.remove('t', [
            { k: 1, b: 1 },
            { k: 9, b: 9 },
          ]),
        ).toEqual({ rows: 1 });
        expect(await rows('t')).toEqual([{ k: 1, b: 2, name: 'c', amount: null }]);
      });
    });

    describe('deltas', () => {
      const v = (n: number, epoch = 1) => ({ epoch, n });

      test('are applied once, and never an older one over a newer', async () => {
        await bench.createTable('t');
        const pk = { k: 7 };
        const put = (n: number, name: string, epoch = 1) => ({ pk, version: v(n, epoch), data: { k: 7, name } });
        expect(await client.apply('t', [put(1, 'a'), put(3, 'c'), put(2, 'b'), put(3, 'C')])).toEqual([
          'applied',
          'applied',
          'older',
          'same',
        ]);
        expect(await client.apply('t', [{ pk, version: v(4), data: null }, put(2, 'b')])).toEqual(['applied', 'older']);
        expect(await rows('t')).toEqual([]);
        expect(await client.apply('t', [put(1, 'z', 2)])).toEqual(['applied']);
        expect(await rows('t')).toMatchObject([{ k: 7, name: 'z' }]);
      });

      test('of a resync leave behind what is gone', async () => {
        await bench.createTable('t', 2);
        const put = (k: number, b: number, epoch: number) => ({
          pk: { k, b },
          version: v(1, epoch),
          data: { k, b, name: 'x' },
        });
        await client.apply('t', [
          put(1, 1, 1),
          put(1, 2, 1),
          put(2, 1, 1),
          { pk: { k: 3, b: 3 }, version: v(1), data: null },
        ]);
        await client.apply('t', [put(1, 2, 2)]);
        const gone = await all(client.olderThan('t', 2));
        expect(gone.sort((a, b) => Number(a['k']) - Number(b['k']))).toEqual([
          { k: 1, b: 1 },
          { k: 2, b: 1 },
        ]);
      });
    });

    describe('changes', () => {
      beforeEach(async () => {
        await bench.createTable('t');
        await client.track('t');
      });
      const now = async (): Promise<number> => (await client.tracked('t')).current;
      const changes = (since: number, options = {}): Promise<ChangeItem[]> =>
        all(client.getChanges('t', { since, ...options }));

      test('are net: the last of each row, as it is now', async () => {
        const before = await now();
        await fill('t', 3);
        await client.execute("UPDATE t SET name = 'x' WHERE k = 1");
        await client.execute('DELETE FROM t WHERE k = 2');
        expect((await changes(before)).map(({ pk, operation, data }) => [pk['k'], operation, data?.['name']])).toEqual([
          [0, 'INSERT', 'n0'],
          [1, 'INSERT', 'x'],
          [2, 'DELETE', undefined],
        ]);
      });

      test('are told relative to the position', async () => {
        await fill('t', 1);
        const inserted = await now();
        await client.execute("UPDATE t SET name = 'x' WHERE k = 0");
        expect(await changes(inserted)).toMatchObject([{ operation: 'UPDATE', changed: ['name'], pk: { k: 0 } }]);
        expect(await changes(inserted - 1)).toMatchObject([{ operation: 'INSERT', changed: null }]);
        expect(await changes(await now())).toEqual([]);
      });

      test('a key that changes is one gone and one new', async () => {
        await fill('t', 1);
        const before = await now();
        await client.execute('UPDATE t SET k = 5 WHERE k = 0');
        const found = await changes(before);
        expect(found.map(({ pk, operation }) => [pk['k'], operation])).toEqual([
          [0, 'DELETE'],
          [5, 'INSERT'],
        ]);
        expect(new Set(found.map(change => change.versionId)).size).toBe(1);
      });

      test('deleted and inserted again is an UPDATE of all columns', async () => {
        await fill('t', 1);
        const before = await now();
        await client.execute('DELETE FROM t WHERE k = 0');
        await client.insert('t', [{ k: 0, name: 'again' }]);
        expect(await changes(before)).toMatchObject([{ operation: 'UPDATE', changed: null, data: { name: 'again' } }]);
      });

      test('inserted and deleted is a DELETE of what was never seen', async () => {
        const before = await now();
        await fill('t', 1);
        await client.execute('DELETE FROM t');
        expect(await changes(before)).toMatchObject([{ operation: 'DELETE', pk: { k: 0 }, data: null }]);
      });

      test('a transaction has one version, whatever it touches, and rolled back none', async () => {
        await bench.createTable('u');
        await client.track('u');
        const before = await now();
        await client.transaction([
          { sql: "INSERT INTO t (k, name) VALUES (1, 'a')" },
          { sql: "INSERT INTO t (k, name) VALUES (2, 'b')" },
          { sql: "INSERT INTO u (k, name) VALUES (1, 'c')" },
          { sql: "UPDATE t SET name = 'd' WHERE k = 1" },
        ]);
        await client
          .transaction([{ sql: 'INSERT INTO t (k) VALUES (8)' }, { sql: 'INSERT INTO t (k) VALUES (8)' }])
          .catch(() => {});
        const found = [...(await changes(before)), ...(await all(client.getChanges('u', { since: before })))];
        expect(found).toHaveLength(3);
        expect(new Set(found.map(change => change.versionId)).size).toBe(1);
        expect(found[0]).toMatchObject({ operation: 'INSERT', data: { name: 'd' } });
      });

      test('of another program are seen', async () => {
        const before = await now();
        await bench.elsewhere("INSERT INTO t (k, name) VALUES (1, 'theirs')");
        await bench.elsewhere("UPDATE t SET name = 'theirs too' WHERE k = 1");
        await bench.elsewhere('INSERT INTO t (k) VALUES (2), (3)');
        expect((await changes(before)).map(change => change.pk['k'])).toEqual([1, 2, 3]);
      });

      test('carry the context of their write', async () => {
        const before = await now();
        await client.upsert('t', [{ k: 1, name: 'a' }], { context: 'job 7' });
        await client.upsert('t', [{ k: 2, name: 'a' }]);
        expect((await changes(before)).map(change => change.context)).toEqual(['job 7', null]);
      });

      test('are read page by page, with every version whole at the end', async () => {
        const before = await now();
        await fill('t', 10);
        await fill('t', 0);
        await client.transaction([{ sql: "UPDATE t SET name = 'y' WHERE k >= 5" }]);
        for (const pageSize of [1, 2, 3, 7, 100]) {
          const found = await changes(before, { pageSize });
          expect(found.map(change => change.pk['k'])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        }
      });

      test('columns, filter and overrides', async () => {
        const before = await now();
        await fill('t', 4);
        const found = await changes(before, {
          columns: ['NAME'],
          filter: { sql: 't.amount >= @least', params: { least: 1 } },
          operationSelect: "'U'",
          versionSelect: 'ct.version + 1000',
        });
        expect(found.map(({ data, operation }) => [data, operation])).toEqual([
          [{ k: 2, name: 'n2' }, 'UPDATE'],
          [{ k: 3, name: 'n3' }, 'UPDATE'],
        ]);
        expect(found[0]!.versionId).toBe((await now()) + 1000);
        await expect(changes(before, { columns: ['nope'] })).rejects.toMatchObject({ code: 'SQL_IDENTIFIER' });
      });

      test('a position below the oldest valid one is refused, and so is one beyond the end', async context => {
        const cleanUpTo = bench.cleanUpTo ?? context.skip(BY_TIME);
        const before = await now();
        await fill('t', 3);
        const filled = await now();
        await client.execute('DELETE FROM t WHERE k = 1');
        await cleanUpTo('t', filled);
        await expect(changes(before)).rejects.toMatchObject({ code: 'TRACKING_LOST' });
        expect(await changes(filled)).toMatchObject([{ operation: 'DELETE' }]);
        await expect(changes((await now()) + 1)).rejects.toMatchObject({ code: 'TRACKING_LOST' });
      });

      test('a table that is not tracked is an error, never an empty answer', async () => {
        await bench.createTable('u');
        await expect(client.tracked('u')).rejects.toMatchObject({ code: 'TRACKING_OFF' });
        await expect(all(client.getChanges('u', { since: 0 }))).rejects.toMatchObject({ code: 'TRACKING_OFF' });
        await client.untrack('t');
        await expect(changes(0)).rejects.toMatchObject({ code: 'TRACKING_OFF' });
      });

      test('a table without a key cannot be tracked', async () => {
        await bench.createTable('bare', 0);
        await expect(client.track('bare')).rejects.toMatchObject({ code: 'TABLE_NO_KEY' });
      });

      test('trackChanges gives what comes, and ends where it is told to', async () => {
        const seen: unknown[] = [];
        const stop = new AbortController();
        const tracking = client.trackChanges('t', { ...QUICK, signal: stop.signal });
        const reading = (async () => {
          for await (const page of tracking) {
            seen.push(...page.map(change => change.pk['k']));
            if (seen.length >= 3) stop.abort();
          }
        })();
        // It begins from where the table is when it first looks.
        for (let k = 0; !stop.signal.aborted; k++) await client.insert('t', [{ k }]);
        await reading;
        expect(seen.length).toBeGreaterThanOrEqual(3);
        const idle = client.trackChanges('t', { since: await now(), emptyLimit: 3, awaitMs: () => 1 });
        expect(await all(idle)).toEqual([]);
      });
    });

    describe('source', () => {
      beforeEach(async () => {
        await bench.createTable('t');
        await fill('t', 3);
      });
      const read = (more: Record<string, unknown> = {}): Record<string, unknown> => ({ table: 't', ...QUICK, ...more });
      const ended = (records: readonly ChangeRecord[]): boolean => records.some(one => one.operation === 'RESYNC_END');
      const state = async (reading: Reading): Promise<void> => {
        const wanted = await rows('t');
        expect(applied(reading.records)).toEqual(wanted);
      };

      test('begins with the whole table and goes on with what changes', async () => {
        const reading = new Reading(bench.source(read({ track: true, pageSize: 2 })));
        await reading.until(ended);
        await client.execute("UPDATE t SET name = 'x' WHERE k = 1");
        await client.execute('DELETE FROM t WHERE k = 2');
        await reading.until(() => reading.changes.length === 2);
        expect(reading.resyncs.map(one => [one.operation, one.reason])).toEqual([
          ['RESYNC_BEGIN', 'initial'],
          ['RESYNC_END', 'initial'],
        ]);
        const { epoch } = reading.resyncs[0]!;
        expect(reading.records.every(record => record.epoch === epoch)).toBe(true);
        await state(reading);
        await reading.stop();
      });

      test('RESYNC_END waits until all rows are settled', async () => {
        const reading = new Reading(bench.source(read({ track: true })));
        reading.hold();
        await reading.until(records => records.length === 4);
        await new Promise(resolve => setImmediate(resolve));
        expect(reading.resyncs).toHaveLength(1);
        reading.settle();
        await reading.until(ended);
        await reading.stop();
      });

      test('a second reader of the same name is refused, another is not', async () => {
        const reading = new Reading(bench.source(read({ track: true })));
        expect(() => bench.source(read())).toThrow(expect.objectContaining({ code: 'TABLE_TRACKED_TWICE' }));
        await reading.until(ended);
        const other = new Reading(bench.source(read({ consumer: 'other' })));
        await other.until(ended);
        await other.stop();
        await reading.stop();
        bench.source(read());
      });

      test('goes on from its mark, and gives nothing twice that was settled', async () => {
        const first = new Reading(bench.source(read({ track: true })));
        await first.until(ended);
        await client.insert('t', [{ k: 10 }]);
        await first.until(() => first.changes.length === 1);
        const mark = await first.stop();
        await client.insert('t', [{ k: 11 }]);
        const second = new Reading(bench.source(read()), mark);
        await second.until(() => second.changes.length === 1);
        expect(second.records).toMatchObject([{ operation: 'INSERT', pk: { k: 11 }, epoch: first.resyncs[0]!.epoch }]);
        await second.stop();
      });

      test('what was not settled is given again', async () => {
        const first = new Reading(bench.source(read({ track: true })));
        await first.until(ended);
        first.hold();
        await client.insert('t', [{ k: 10 }]);
        await first.until(() => first.changes.length === 1);
        const mark = await first.stop();
        const second = new Reading(bench.source(read()), mark);
        await second.until(() => second.changes.length === 1);
        expect(second.records).toMatchObject([{ pk: { k: 10 } }]);
        await second.stop();
      });

      test('a resync that was cut short is made again, in a later epoch', async () => {
        const first = new Reading(bench.source(read({ track: true })));
        first.hold();
        await first.until(records => records.length === 4);
        const mark = await first.stop();
        expect(mark).toBeUndefined();
        const second = new Reading(bench.source(read()), mark);
        await second.until(ended);
        expect(second.resyncs[0]!.epoch).toBeGreaterThan(first.resyncs[0]!.epoch);
        await second.stop();
      });

      test('the position moves over quiet times', async context => {
        const cleanUpTo = bench.cleanUpTo ?? context.skip(BY_TIME);
        await bench.createTable('u');
        await client.track('u');
        const first = new Reading(bench.source(read({ track: true })));
        await first.until(ended);
        await client.insert('u', [{ k: 1 }, { k: 2 }]);
        await client.insert('u', [{ k: 3 }]);
        const { current } = await client.tracked('t');
        await waitFor(() => (first.half.mark?.() as { version?: number } | undefined)?.version === current);
        const mark = await first.stop();
        // A clean-up that comes close behind loses nothing.
        await cleanUpTo('t', current);
        const second = new Reading(bench.source(read()), mark);
        await client.insert('t', [{ k: 20 }]);
        await second.until(() => second.changes.length === 1);
        expect(second.resyncs).toEqual([]);
        await second.stop();
      });

      test('changes cleaned up before they were read: a resync, and what is gone goes', async context => {
        const cleanUpTo = bench.cleanUpTo ?? context.skip(BY_TIME);
        const first = new Reading(bench.source(read({ track: true })));
        await first.until(ended);
        const mark = await first.stop();
        await client.execute('DELETE FROM t WHERE k = 1');
        await client.insert('t', [{ k: 30 }]);
        await cleanUpTo('t', (await client.tracked('t')).current);
        // The first one is cut short; what it was for is not forgotten.
        const cut = new Reading(bench.source(read()), mark);
        cut.hold();
        await cut.until(records => records.length > 0);
        const kept = await cut.stop();
        const second = new Reading(bench.source(read()), kept);
        await second.until(ended);
        for (const { resyncs } of [cut, second])
          expect(resyncs[0]).toMatchObject({ reason: 'cleaned', operation: 'RESYNC_BEGIN' });
        expect(applied([...first.records, ...second.records])).toEqual(await rows('t'));
        await second.stop();
      });

      test('truncated while it is read: a resync', async () => {
        const reading = new Reading(bench.source(read({ track: true })));
        await reading.until(ended);
        await bench.truncate('t');
        await client.insert('t', [{ k: 5 }]);
        await reading.until(() => reading.resyncs.length === 4);
        expect(reading.resyncs[2]).toMatchObject({ reason: 'truncated' });
        await reading.until(records => applied(records).length === 1);
        await state(reading);
        await reading.stop();
      });

      test('tracking that is turned off is an error', async () => {
        const reading = new Reading(bench.source(read({ track: true })));
        await reading.until(ended);
        await client.untrack('t');
        await reading.ended;
        expect(reading.failure).toMatchObject({ code: 'TRACKING_OFF' });
        await reading.stop();
      });

      test('a column that is added is read, one that is wanted and gone is an error', async () => {
        const reading = new Reading(bench.source(read({ track: true })));
        await reading.until(ended);
        const chosen = new Reading(bench.source(read({ consumer: 'chosen', columns: ['amount'] })));
        await chosen.until(ended);
        await bench.elsewhere('ALTER TABLE t ADD extra INTEGER');
        await client.execute('UPDATE t SET extra = 7 WHERE k = 1');
        await reading.until(() => reading.changes.length === 1);
        const changed = bench.dialect.hasMasksAcrossAlter ? ['extra'] : null;
        expect(reading.changes[0]).toMatchObject({ data: { k: 1, extra: 7 }, changed });
        await chosen.until(() => chosen.changes.length === 1);
        await bench.elsewhere(bench.dialect.renameColumn('t', 'amount', 'total'));
        await client.execute('UPDATE t SET total = 9 WHERE k = 2');
        await reading.until(() => reading.changes.length === 2);
        expect(reading.changes[1]).toMatchObject({ data: { k: 2, total: 9 } });
        await chosen.ended;
        expect(chosen.failure).toMatchObject({ code: 'SQL_IDENTIFIER' });
        await chosen.stop();
        await reading.stop();
      });

      test('asked to finish it reads what is there and ends', async () => {
        const reading = new Reading(bench.source(read({ track: true })));
        await reading.until(ended);
        for (let k = 100; k < 150; k++) await client.insert('t', [{ k }]);
        reading.half.finish!();
        await reading.ended;
        expect(reading.failure).toBeUndefined();
        await state(reading);
        await reading.stop();
      });

      test('its lag is what is not settled', async () => {
        const reading = new Reading(bench.source(read({ track: true })));
        await reading.until(ended);
        await waitFor(() => reading.half.lag?.() === 0);
        reading.hold();
        for (let k = 40; k < 45; k++) await client.insert('t', [{ k }]);
        await reading.until(() => reading.changes.length === 5);
        await waitFor(() => reading.half.lag?.() === 5);
        reading.settle();
        await waitFor(() => reading.half.lag?.() === 0);
        await reading.stop();
      });

      test('start: now passes over what is there', async () => {
        await client.track('t');
        const reading = new Reading(bench.source(read({ start: 'now' })));
        await waitFor(() => reading.half.mark?.() !== undefined);
        await client.insert('t', [{ k: 9 }]);
        await reading.until(records => records.length === 1);
        expect(reading.records).toMatchObject([{ pk: { k: 9 }, operation: 'INSERT' }]);
        await reading.stop();
      });
    });
  });
}

/** For what shows no event: looks again with each turn of the event loop. */
export async function waitFor(is: () => boolean): Promise<void> {
  while (!is()) await new Promise(resolve => setTimeout(resolve, 1));
}
