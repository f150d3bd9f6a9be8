/** The page that is asked for while the one before is given away: on each driver, with pages taken by hand. */
import { afterEach, describe, expect, test } from 'vitest';
import { trackChanges } from '../../actors/sql/changes/track.ts';
import type { ChangeItem, ChangeRecord } from '../../actors/sql/contract.ts';
import type { LeaseState, Leases, SqlDriver } from '../../actors/sql/driver.ts';
import { KeymillError, type SourceHalf, type SourceRecord } from '../../runtime/index.ts';
import { applied, isChange, type SqlBench, waitFor } from '../contract/sql.ts';
import { openMssql } from './mssql/bench.ts';
import { openSqlite } from './support.ts';

interface PagedBench extends SqlBench {
  readonly driver: SqlDriver;
}

/** What a driver is asked for, seen as it happens. */
class Asked {
  readonly after: unknown[] = [];
  answered = 0;
  /** Before the answer to the nth ask from 1. */
  before: (nth: number) => Promise<void> | undefined = () => undefined;

  watch(driver: SqlDriver, method: 'changes' | 'rows'): SqlDriver {
    const ask = driver[method].bind(driver) as (request: { readonly after: unknown }) => Promise<unknown>;
    const watched = async (request: { readonly after: unknown }): Promise<unknown> => {
      const nth = this.after.push(request.after);
      await this.before(nth);
      const answer = await ask(request);
      this.answered++;
      return answer;
    };
    return Object.assign(driver, { [method]: watched });
  }

  /** From now on. */
  again(): void {
    this.after.length = 0;
    this.answered = 0;
  }
}

const READ = { table: 't', track: true, pageSize: 2, pollMs: { min: 1, max: 2 } };
const CAPTURE = "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N't', @role_name = NULL";

interface Paged {
  readonly name: string;
  open(asked: Asked): Promise<PagedBench>;
  readonly read: Record<string, unknown>;
  /** Each in a transaction of its own; done when a page would have them. */
  change(bench: PagedBench, statements: readonly string[]): Promise<void>;
}

async function one(bench: PagedBench, statements: readonly string[]): Promise<void> {
  for (const sql of statements) await bench.elsewhere(sql);
}

const DRIVERS: readonly Paged[] = [
  {
    name: 'sqlite',
    read: READ,
    change: one,
    async open(asked) {
      const bench = await openSqlite();
      asked.watch(bench.driver, 'changes');
      await bench.createTable('t');
      return bench;
    },
  },
  {
    name: 'change tracking',
    read: READ,
    change: one,
    async open(asked) {
      const bench = await openMssql();
      asked.watch(bench.driver, 'changes');
      await bench.createTable('t');
      return bench;
    },
  },
  {
    name: 'cdc',
    read: { ...READ, from: 'cdc', track: false },
    async change(bench, statements) {
      await one(bench, statements);
      await (bench as Awaited<ReturnType<typeof openMssql>>).server.capture();
    },
    async open(asked) {
      const bench = await openMssql();
      const captured = bench.driver.captured.bind(bench.driver);
      Object.assign(bench.driver, {
        captured: (...of: Parameters<typeof captured>) => asked.watch(captured(...of), 'changes'),
      });
      await bench.createTable('t');
      await bench.elsewhere(`EXEC sys.sp_cdc_enable_db; ${CAPTURE}`);
      return bench;
    },
  },
];

type Chunk = readonly SourceRecord<ChangeRecord>[];

/** Takes what a source gives, chunk by chunk, and settles nothing by itself. */
class Taking {
  readonly half: SourceHalf<ChangeRecord>;
  readonly records: ChangeRecord[] = [];
  readonly stop = new AbortController();
  #chunks: AsyncIterator<Chunk>;

  constructor(half: SourceHalf<ChangeRecord>) {
    this.half = half;
    this.#chunks = this.half.read(0, this.stop.signal)[Symbol.asyncIterator]() as AsyncIterator<Chunk>;
  }

  /** Keys, or what a resync says; null at the end. */
  async take(): Promise<unknown[] | null> {
    const { value, done } = await this.#chunks.next();
    if (done) return null;
    const records = (value as Chunk).map(record => record.value!);
    this.records.push(...records);
    return records.map(record => (isChange(record) ? record.pk['k'] : record.operation));
  }

  settle(): void {
    void this.half.ack?.({ low: this.records.length, positions: [] });
  }

  /** As the engine does after an error. */
  anew(): void {
    this.#chunks = this.half
      .read(this.records.length, this.stop.signal)
      [Symbol.asyncIterator]() as AsyncIterator<Chunk>;
  }

  async leave(): Promise<void> {
    await this.#chunks.return?.();
  }

  /** The version that the source goes on from. */
  get kept(): number | undefined {
    return (this.half.mark?.() as { version?: number } | undefined)?.version;
  }
}

const INSERTS = [1, 2, 3, 4, 5].map(k => `INSERT INTO t (k, name) VALUES (${k}, 'n${k}')`);
const open: { taking: Taking | null; bench: PagedBench }[] = [];
afterEach(async () => {
  for (const { taking, bench } of open.splice(0)) {
    taking?.stop.abort();
    await taking?.leave();
    await taking?.half.close?.();
    await bench.close();
  }
});

describe.each(DRIVERS)('of changes: $name', ({ open: openBench, read, change }) => {
  /** It stands behind a resync of an empty table; then there are changes, and it has looked at none. */
  async function started(
    statements: readonly string[] = INSERTS,
    more: Record<string, unknown> = {},
    prepare: (driver: SqlDriver) => void = () => undefined,
  ) {
    const asked = new Asked();
    const bench = await openBench(asked);
    prepare(bench.driver);
    const taking = new Taking(bench.source({ ...read, ...more }));
    open.push({ taking, bench });
    for (let last: unknown; last !== 'RESYNC_END'; taking.settle()) last = (await taking.take())!.at(-1);
    await change(bench, statements);
    asked.again();
    const since = (taking.records.at(-1) as { versionId: number }).versionId;
    return { asked, bench, taking, since };
  }

  test('is under way, and no other, before the one in hand is given back', async () => {
    const { asked, bench, taking } = await started();
    expect(await taking.take()).toEqual([1, 2]);
    await waitFor(() => asked.answered === 2);
    await bench.client.query('SELECT 1 AS one');
    expect(asked.after).toHaveLength(2);
    expect(await taking.take()).toEqual([3, 4]);
    await waitFor(() => asked.answered === 3);
    expect(await taking.take()).toEqual([5]);
    expect(asked.after).toHaveLength(3);
  });

  test('moves no position: what was not given is given after a restart', async () => {
    const { asked, bench, taking, since } = await started(INSERTS.slice(0, 3));
    expect(await taking.take()).toEqual([1, 2]);
    taking.settle();
    await waitFor(() => asked.answered === 2);
    await taking.leave();
    await taking.half.close?.();
    expect(taking.kept).toBe(since);
    const again = new Taking(bench.source(read));
    open.push({ taking: again, bench: { ...bench, close: async () => undefined } });
    open.reverse();
    await again.half.recognise?.(taking.half.mark?.());
    expect([await again.take(), await again.take()]).toEqual([[1, 2], [3]]);
  });

  test('and moves it when it was given and settled, and not before', async () => {
    const { asked, taking, since } = await started(INSERTS.slice(0, 3));
    const { lag } = taking.half;
    await taking.take();
    await waitFor(() => asked.answered === 2);
    taking.settle();
    await taking.take();
    expect(lag?.call(taking.half)).toBeGreaterThan(0);
    const next = taking.take(); // the last page is given whole when the next is asked for
    await waitFor(() => asked.answered > 2);
    expect(taking.kept).toBe(since);
    taking.settle();
    await waitFor(() => taking.kept! > since);
    taking.stop.abort();
    expect(await next).toBe(null);
  });

  test.each(['comes', 'fails'])('that %s late is waited for when reading ends, and dropped', async how => {
    const { asked, taking } = await started();
    const late = Promise.withResolvers<void>();
    asked.before = nth => (nth === 2 ? late.promise : undefined);
    await taking.take();
    expect(asked.after).toHaveLength(2);
    let isOver = false;
    const left = taking.leave().then(() => {
      isOver = true;
    });
    await new Promise(resolve => setImmediate(resolve));
    expect(isOver).toBe(false);
    if (how === 'comes') late.resolve();
    else late.reject(new KeymillError('SQL_UNAVAILABLE', 'by a test'));
    await left;
    expect(asked.after).toHaveLength(2);
  });

  test('that fails is told after the page before, and all comes when it is read anew', async () => {
    const { asked, bench, taking, since } = await started();
    asked.before = nth => (nth === 2 ? Promise.reject(new KeymillError('SQL_UNAVAILABLE', 'by a test')) : undefined);
    expect(await taking.take()).toEqual([1, 2]);
    await waitFor(() => taking.kept === since);
    await expect(taking.take()).rejects.toMatchObject({ code: 'SQL_UNAVAILABLE' });
    taking.anew();
    expect([await taking.take(), await taking.take(), await taking.take()]).toEqual([[1, 2], [3, 4], [5]]);
    expect(applied(taking.records)).toEqual(await bench.client.query('SELECT * FROM t ORDER BY k'));
  });

  test('of a connection before this one is asked for again', async () => {
    const { asked, bench, taking, since } = await started();
    await taking.take();
    await waitFor(() => asked.answered === 2 && taking.kept === since);
    Object.assign(bench.driver, { connection: bench.driver.connection + 1 });
    expect(await taking.take()).toEqual([1, 2]); // from where it was kept
    expect(asked.after[2]).toEqual(asked.after[1]);
    expect([await taking.take(), await taking.take()]).toEqual([[3, 4], [5]]);
    expect(taking.records.filter(record => !isChange(record))).toHaveLength(2);
  });

  test('is not given by who leads no more', async () => {
    let isLost = false;
    const leader = { in: 'database', leaseMs: 60_000, renewMs: 20 };
    const { asked, taking, since } = await started(INSERTS, { leader }, driver => {
      const { leases } = driver;
      const another: LeaseState = { isMine: false, owner: 'another', token: 9, leftMs: 60_000, mark: null };
      const lost: Leases = {
        ...leases,
        take: async (...of) => (isLost ? another : leases.take(...of)),
        renew: async (...of) => !isLost && leases.renew(...of),
      };
      Object.assign(driver, { leases: lost });
    });
    expect(await taking.take()).toEqual([1, 2]);
    await waitFor(() => asked.answered === 2 && taking.kept === since);
    isLost = true;
    await waitFor(() => taking.half.waiting?.() !== undefined);
    taking.settle();
    const next = taking.take();
    taking.stop.abort();
    expect(await next).toBe(null);
    expect(taking.kept).toBe(since);
  });
});

describe.each(DRIVERS.slice(0, 2))('of rows: $name', ({ open: openBench, read, change }) => {
  test('is under way while one is given, and an end before the last leaves no position', async () => {
    const bench = await openBench(new Asked());
    const asked = new Asked();
    asked.watch(bench.driver, 'rows');
    await change(bench, INSERTS);
    const taking = new Taking(bench.source(read));
    open.push({ taking, bench });
    expect([await taking.take(), await taking.take()]).toEqual([['RESYNC_BEGIN'], [1, 2]]);
    await waitFor(() => asked.answered === 2);
    expect(await taking.take()).toEqual([3, 4]);
    await waitFor(() => asked.answered === 3);
    taking.settle();
    await taking.leave();
    await taking.half.close?.();
    expect([asked.after, taking.kept]).toEqual([[null, [2], [4]], undefined]);
  });
});

describe('of trackChanges', () => {
  const { promise: late, resolve: comes } = Promise.withResolvers<void>();
  const asked: [version: number, baseline: number][] = [];
  const database = { current: 3, minValid: 0, incarnation: 'one' };
  /** One change in each of three pages; the second comes late. */
  const pages = (): AsyncGenerator<{ readonly versionId: number }[]> =>
    trackChanges(
      {
        tracked: async () => database,
        async page({ version }, baseline) {
          if (asked.push([version, baseline]) === 2) await late;
          const versionId = version + 1;
          const changes = [{ versionId }] as unknown as ChangeItem[];
          return { ...database, changes, next: { version: versionId, pk: null }, isLast: versionId === 3 };
        },
      },
      { since: 0, pollMs: { min: 1, max: 1 } },
    );

  test('is under way while one is handled, and an end waits for it', async () => {
    const reading = pages();
    expect((await reading.next()).value).toEqual([{ versionId: 1 }]);
    expect(asked).toEqual([
      [0, 0],
      [1, 0],
    ]);
    let isOver = false;
    const left = reading.return(undefined).then(() => {
      isOver = true;
    });
    await new Promise(resolve => setImmediate(resolve));
    expect(isOver).toBe(false);
    comes();
    await left;
    const again = pages();
    for (const versionId of [1, 2, 3]) expect((await again.next()).value).toEqual([{ versionId }]);
    await again.return(undefined);
    expect(asked.slice(2)).toEqual([0, 1, 2].map(version => [version, 0]));
  });
});
