/**
 * Two replicas on one database, on SQLite and on SQL Server over TDS: one reads, the other stands by; what fail-over keeps, and
 * what a former leader can not do.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { redis } from '../../actors/redis/index.ts';
import type { ChangeRecord } from '../../actors/sql/contract.ts';
import type { IoResource } from '../../runtime/index.ts';
import { applied, waitFor } from '../contract/sql.ts';
import { type Kept, type LeaderShop, SHOPS } from './leader-shops.ts';
import { type In, LEASE, Replica as ReplicaOf } from './replica.ts';
import { contextOf, environment as real } from './support.ts';

let folder = '';
let shop: LeaderShop;
let store: IoResource;
const open: Replica[] = [];

class Replica extends ReplicaOf {
  constructor(name: string, where: In, more: Record<string, unknown> = {}) {
    super({ shop, store, folder }, name, where, more);
    open.push(this);
  }
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keymill-leader-'));
  // By hand: a real one, of which each test takes keys of its own.
  const url = process.env['KEYMILL_LEADER_REDIS'] ?? 'memory:';
  const spec = redis(url === 'memory:' ? { url } : { url, prefix: `${basename(folder)}:` });
  store = await spec.open(spec.options, contextOf(folder));
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  await store.close();
  await shop.close();
  rmSync(folder, { recursive: true, force: true });
});

const ended = (records: readonly ChangeRecord[]): boolean => records.some(one => one.operation === 'RESYNC_END');
const rows = (): Promise<unknown[]> => shop.rows();
const bookmark = (): Kept => shop.bookmark();
/** All that was settled is kept. */
const kept = (): Promise<void> => waitFor(() => bookmark().version === shop.current());

describe.each(SHOPS)('on %s', (_shop, openShop) => {
  beforeEach(async () => {
    shop = await openShop(folder);
  });

  describe.each<[string, In]>([
    ['the database', 'database'],
    ['Redis', { redis: 'redis' }],
  ])('lease in %s', (_name, where) => {
    /** One that leads and has read the table, one that stands by. */
    const two = async (): Promise<[Replica, Replica]> => {
      const a = new Replica('a', where);
      await a.reading.until(ended);
      await kept();
      const b = new Replica('b', where, { track: false }); // turning it on is a version, and settled at once
      await waitFor(() => b.says('stands by') === 1);
      return [a, b];
    };
    /** By whichever leads: on a busy machine that may be the other. */
    const begun = (reason: string, ...of: Replica[]): Promise<void> =>
      waitFor(() => of.some(one => one.reading.resyncs.some(resync => resync.reason === reason)));
    const both = (a: Replica, b: Replica): ChangeRecord[] => [...a.reading.records, ...b.reading.records];

    test('one reads and the other stands by; given back, the other goes on where it stood, in a later epoch', async () => {
      const [a, b] = await two();
      expect([a.leads, b.leads]).toEqual([true, false]);
      expect(b.reading.half.waiting!()).toBe('not the leader');
      await shop.exec("INSERT INTO t VALUES (4, 'd')");
      await a.reading.until(() => a.reading.changes.length === 1);
      await a.stop();
      await shop.exec("UPDATE t SET name = 'x' WHERE k = 1");
      await b.reading.until(records => records.length > 0);
      expect(b.reading.records).toMatchObject([{ operation: 'UPDATE', pk: { k: 1 } }]);
      expect(b.reading.records[0]!.epoch).toBeGreaterThan(a.reading.records.at(-1)!.epoch);
      expect(applied(both(a, b))).toEqual(await rows());
      expect(b.says('this replica leads')).toBe(1);
    });

    test('a leader that dies is followed when its lease ran out, and nothing is lost or read anew', async () => {
      const [a, b] = await two();
      a.reading.hold();
      await shop.exec("UPDATE t SET name = 'unsettled' WHERE k = 2");
      await a.reading.until(() => a.reading.changes.length === 1);
      a.freeze();
      const died = real.clock.now();
      await shop.exec("INSERT INTO t VALUES (5, 'e')");
      await b.reading.until(records => records.length >= 2);
      expect(real.clock.now() - died).toBeLessThan(LEASE + LEASE / 3 + 500);
      expect(b.reading.resyncs).toEqual([]);
      expect(b.reading.records.map(one => 'pk' in one && one.pk['k'])).toEqual([2, 5]);
      expect(applied(both(a, b))).toEqual(await rows());
    });

    test('a frozen one that is woken stands by, and what it settles late moves nothing', async () => {
      const [a, b] = await two();
      a.reading.hold();
      await shop.exec("UPDATE t SET name = 'x' WHERE k = 2");
      await a.reading.until(() => a.reading.changes.length === 1);
      a.freeze();
      await shop.exec("INSERT INTO t VALUES (5, 'e')");
      await b.reading.until(records => records.length >= 2);
      await kept();
      const before = bookmark();
      a.thaw();
      a.reading.settle();
      await waitFor(() => a.says('stands by') === 1);
      expect(a.says('does not lead any more')).toBe(1);
      expect(a.leads).toBe(false);
      await shop.exec('DELETE FROM t WHERE k = 3');
      await b.reading.until(records => records.length >= 3);
      await kept();
      expect(bookmark().epoch).toBe(before.epoch);
      expect(a.reading.records.filter(one => one.operation !== 'INSERT' && 'pk' in one)).toHaveLength(1);
      expect(applied(both(b, a))).toEqual(await rows()); // whoever comes late
    });

    test('one that cannot know that its lease ran out is refused: SQL_FENCED in its log, and the position stays', async () => {
      const [a, b] = await two();
      a.deceive();
      await waitFor(() => b.leads);
      expect(a.leads).toBe(true);
      b.reading.hold();
      await shop.exec("UPDATE t SET name = 'seen by both' WHERE k = 1");
      await a.reading.until(() => a.reading.changes.length === 1);
      await b.reading.until(records => records.length === 1);
      const before = bookmark();
      await waitFor(() => a.logged.some(one => one.fields['code'] === 'SQL_FENCED'));
      expect(bookmark()).toEqual(before); // a settled it, b did not yet
      expect([a.leads, b.leads]).toEqual([false, true]);
      // The former leader's message is dropped by whoever has the later one.
      const [late] = a.reading.changes;
      const [now] = b.reading.records;
      expect(late!.epoch).toBeLessThan(now!.epoch);
      a.undeceive();
      b.reading.settle();
      await kept();
      expect(bookmark().epoch).toBe(now!.epoch);
      await b.stop();
      await shop.exec("INSERT INTO t VALUES (6, 'f')");
      await a.reading.until(records => records.at(-1)!.operation === 'INSERT' && records.at(-1)!.epoch > now!.epoch);
      expect(a.reading.resyncs).toHaveLength(2);
      expect(applied(both(a, b))).toEqual(await rows());
    });

    test('a deceived leader cannot begin a resync either', async () => {
      const [a, b] = await two();
      a.deceive();
      await waitFor(() => b.leads);
      await waitFor(() => b.says('this replica leads') === 1);
      await shop.exec("UPDATE t SET name = 'y' WHERE k = 1");
      await b.reading.until(records => records.length === 1);
      await kept();
      const before = bookmark();
      const records = a.reading.records.length;
      // Both look at once, and both must read anew.
      await shop.cleanUpAll();
      await b.reading.until(ended);
      await waitFor(() => !a.leads);
      expect(a.reading.records.slice(records).filter(one => one.operation === 'RESYNC_BEGIN')).toEqual([]);
      expect(bookmark().epoch).toBeGreaterThan(before.epoch);
      expect(applied(both(a, b))).toEqual(await rows());
    });

    test('a resync that a dead leader began is made anew by the next', async () => {
      const a = new Replica('a', where);
      a.reading.hold();
      await a.reading.until(records => records.length === 4);
      a.freeze();
      const b = new Replica('b', where);
      await b.reading.until(ended);
      expect(b.reading.resyncs[0]!.epoch).toBeGreaterThan(a.reading.resyncs[0]!.epoch);
      expect(applied(both(a, b))).toEqual(await rows());
    });

    test('what the table was when it was truncated between two leaders is gone', async context => {
      const truncate = shop.truncate ?? context.skip('a truncate is a version of its own there');
      const [a, b] = await two();
      await shop.exec("INSERT INTO t VALUES (4, 'd')");
      await a.reading.until(() => a.reading.changes.length === 1);
      await kept();
      a.freeze();
      await truncate();
      await b.reading.until(ended);
      expect(b.reading.resyncs[0]).toMatchObject({ reason: 'truncated' });
      expect(applied(both(a, b))).toEqual([]);
    });

    test('a resync that the former leader began is made again for the same reason: truncated', async context => {
      const truncate = shop.truncate ?? context.skip('a truncate is a version of its own there');
      const [a, b] = await two();
      await shop.exec("INSERT INTO t VALUES (4, 'd')"); // else tracking begins where it began
      await a.reading.until(() => a.reading.changes.length === 1);
      await kept();
      a.reading.hold();
      await truncate();
      await begun('truncated', a, b);
      a.freeze();
      await b.reading.until(ended);
      expect(b.reading.resyncs[0]).toMatchObject({ reason: 'truncated' });
      expect(b.reading.resyncs[0]!.epoch).toBeGreaterThan(a.reading.resyncs.at(-1)!.epoch);
      expect(applied(both(a, b))).toEqual([]);
    });

    test('a resync that the former leader began is made again for the same reason: cleaned', async () => {
      const [a, b] = await two();
      a.reading.hold();
      await shop.cleanUpAll();
      await begun('cleaned', a, b);
      a.freeze();
      await b.reading.until(ended);
      expect(b.reading.resyncs[0]).toMatchObject({ reason: 'cleaned' });
      expect(applied(both(a, b))).toEqual(await rows());
    });

    test('a leader that cannot read gives its lease back, and the other goes on', async () => {
      const [a, b] = await two();
      a.breakReading();
      await shop.exec("UPDATE t SET name = 'x' WHERE k = 2");
      await b.reading.until(records => records.length === 1);
      expect(a.reading.failure).toMatchObject({ code: 'SQL_FAILED' });
      expect([a.leads, b.leads]).toEqual([false, true]);
      expect(a.says('the lease is given back')).toBe(1);
      expect(applied(both(a, b))).toEqual(await rows());
    });

    test('asked to finish, the one that stands by ends when the other is alive', async () => {
      const [a, b] = await two();
      b.reading.half.finish!();
      await b.reading.ended;
      expect(b.reading.records).toEqual([]);
      await shop.exec("INSERT INTO t VALUES (7, 'g')");
      a.reading.half.finish!();
      await a.reading.ended;
      expect(applied(a.reading.records)).toEqual(await rows());
    });

    test('six fail-overs, each with changes that were not settled: nothing lost, one resync in all', async () => {
      let leader = new Replica('r0', where);
      await leader.reading.until(ended);
      await kept();
      const all: Replica[] = [leader];
      for (let round = 1; round <= 6; round++) {
        const next = new Replica(`r${round}`, where);
        all.push(next);
        if (round % 2 === 0) leader.reading.hold();
        const before = leader.reading.records.length;
        await shop.exec(`INSERT INTO t VALUES (${100 + round}, 'n'); UPDATE t SET name = 'r${round}' WHERE k = 1`);
        await leader.reading.until(records => records.length >= before + 2);
        if (round % 2 === 0) leader.freeze();
        else await leader.stop();
        await shop.exec(`UPDATE t SET name = 'after ${round}' WHERE k = 2`);
        await waitFor(() => next.leads);
        await next.reading.until(records => records.length > 0);
        leader = next;
      }
      const wanted = JSON.stringify(await rows());
      await waitFor(() => JSON.stringify(applied(all.flatMap(one => one.reading.records))) === wanted);
      expect(all.flatMap(one => one.reading.resyncs)).toHaveLength(2);
      const epochs = all.map(one => one.reading.records.at(-1)!.epoch);
      expect(epochs).toEqual(epochs.toSorted((x, y) => x - y));
      expect(new Set(epochs).size).toBe(epochs.length);
    }, 60_000);
  });

  test('a leader that dies between its two places begins no resync: the mark says which epoch was before', async () => {
    const where = { redis: 'redis' };
    const a = new Replica('a', where);
    await a.reading.until(ended);
    await kept();
    await a.stop();
    const before = bookmark();
    const b = new Replica('b', where, { track: false });
    b.breakBookmarks();
    await waitFor(() => b.says('the epoch of this leader was not written') === 1);
    b.freeze();
    expect(bookmark()).toEqual(before);
    const c = new Replica('c', where);
    await shop.exec("INSERT INTO t VALUES (4, 'd')");
    await c.reading.until(records => records.length > 0);
    expect(c.reading.resyncs).toEqual([]);
    expect(b.reading.records).toEqual([]);
    expect(applied([...a.reading.records, ...c.reading.records])).toEqual(await rows());
  });

  test('a Redis that lost its last writes costs nothing while a replica lives that saw them', async () => {
    const a = new Replica('a', { redis: 'redis' });
    await a.reading.until(ended);
    await kept();
    const b = new Replica('b', { redis: 'redis' });
    await waitFor(() => b.says('stands by') === 1);
    const looks = real.clock.now() + LEASE;
    await waitFor(() => real.clock.now() > looks);
    a.freeze();
    const keys = ['keymill:leader:{db%20t}:mark', 'keymill:leader:{db%20t}'];
    const lost = await store.handleBatch([{ op: 'delete', keys }], new AbortController().signal);
    expect(lost).toEqual([{ value: 2 }]);
    await shop.exec("INSERT INTO t VALUES (4, 'd')");
    await b.reading.until(records => records.length > 0);
    expect(b.reading.resyncs).toEqual([]);
    expect(applied([...a.reading.records, ...b.reading.records])).toEqual(await rows());
  });

  test('a database that was put back while a replica lived: it saw a later position, and reads anew', async () => {
    const a = new Replica('a', 'database');
    await a.reading.until(ended);
    await kept();
    const b = new Replica('b', 'database');
    await waitFor(() => b.says('stands by') === 1);
    const before = shop.mark();
    const marked = bookmark();
    await shop.exec("INSERT INTO t VALUES (4, 'd')");
    await a.reading.until(() => a.reading.changes.length === 1);
    await kept();
    const looks = real.clock.now() + LEASE;
    await waitFor(() => real.clock.now() > looks); // b has looked since
    a.freeze();
    // What a restore in place amounts to: all of keymill's rows are of an earlier time, with versions enough by now.
    await shop.putBack(before, marked);
    await b.reading.until(ended);
    expect(b.reading.resyncs[0]).toMatchObject({ reason: 'went-back' });
  });

  test('leases of different consumers and tables are their own', async () => {
    const a = new Replica('a', 'database');
    const b = new Replica('b', 'database', { consumer: 'other' });
    await a.reading.until(ended);
    await b.reading.until(ended);
    expect([a.leads, b.leads]).toEqual([true, true]);
  });
});
