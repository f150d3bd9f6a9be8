/** Sync on real threads: cache, topic, pub/sub, replica and data managers follow a table, through resyncs too (Y1 to Y3). */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PulsarClient } from '../../actors/pulsar/contract.ts';
import type { RedisClient } from '../../actors/redis/contract.ts';
import type { Row, SqlClient } from '../../actors/sql/contract.ts';
import { type DataIsChanged, DataManager, type DataSyncMessage, type ResyncMessage } from '../../actors/sync/index.ts';
import { type Runtime, start } from '../../runtime/index.ts';
import { tempFolder } from '../support/temp-folder.ts';
import shop from './fixtures/shop.ts';

const TABLE = 'CREATE TABLE IF NOT EXISTS Orders (id INTEGER NOT NULL PRIMARY KEY, item TEXT, amount INTEGER)';

let folder: string;
let runtime: Runtime | null = null;

async function open(
  set: Record<string, unknown> = {},
): Promise<{ sql: SqlClient; replica: SqlClient; redis: RedisClient; bus: PulsarClient }> {
  for (const file of ['shop.db', 'copy.db']) {
    const db = new DatabaseSync(join(folder, file));
    db.exec(TABLE);
    db.close();
  }
  runtime = (await start(shop as never, { dataDir: folder, logLevel: 'silent', set })) as unknown as Runtime;
  return {
    sql: runtime.io('sql'),
    replica: runtime.io('replica'),
    redis: runtime.io('redis'),
    bus: runtime.io('pulsar'),
  };
}

async function close(): Promise<void> {
  const report = await runtime?.stop();
  runtime = null;
  expect(report?.ok ?? true, report?.error?.message).toBe(true);
}

beforeEach(async () => {
  folder = await tempFolder('sync');
});
afterEach(close);

const rowsOf = (sql: SqlClient): Promise<Row[]> => sql.query('SELECT * FROM Orders ORDER BY id');

/** Looks until it holds: nothing tells a test when a replica has caught up. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !(await holds()); )
    if (Date.now() > end) throw new Error(`not reached: ${what}`);
    else await new Promise(resolve => setTimeout(resolve, 5));
}

const equal = async (a: SqlClient, b: SqlClient): Promise<boolean> =>
  JSON.stringify(await rowsOf(a)) === JSON.stringify(await rowsOf(b));

async function published(bus: PulsarClient, topic: string): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const message of bus.read({ topic, from: 'earliest' })) found.push(message.json());
  return found;
}

describe('sync', () => {
  test('cache, topic and replica follow the table', async () => {
    const { sql, replica, redis, bus } = await open();
    await sql.insert('Orders', [
      { id: 1, item: 'pen', amount: 2 },
      { id: 2, item: 'ink', amount: 1 },
    ]);
    await sql.upsert('Orders', [{ id: 1, item: 'pen', amount: 3 }]);
    await sql.remove('Orders', [{ id: 2 }]);
    await until('equal rows', () => equal(sql, replica));
    await until('one row', async () => (await rowsOf(replica)).length === 1);
    const one = await redis.getFields('sync:Orders:1');
    expect(one!.fields).toEqual({ id: '1', item: '"pen"', amount: '3' });
    const messages = (await published(bus, 'data-sync-topic')) as DataSyncMessage[];
    expect(messages.at(-1)).toMatchObject({ tableName: 'Orders', epoch: one!.version.epoch });
    for (const id of ['1', '2']) {
      const versions = messages.filter(message => message.recordId === id).map(message => message.changeVersion);
      expect(versions).toEqual(versions.toSorted((a, b) => a - b));
    }
  });

  test('a row too large is a dead letter, and holds up nothing', async () => {
    const { sql, replica } = await open({ 'actors.rows.maxMessageBytes': 2000 });
    await sql.insert('Orders', [
      { id: 1, item: 'pen', amount: 1 },
      { id: 2, item: 'x'.repeat(5000), amount: 1 },
      { id: 3, item: 'ink', amount: 1 },
    ]);
    await until('the others', async () => (await rowsOf(replica)).length === 2);
    const letters = await runtime!.deadLetters.list();
    expect(letters).toMatchObject([{ actor: 'rows', error: { code: 'MESSAGE_TOO_LARGE' } }]);
    await sql.upsert('Orders', [{ id: 2, item: 'small', amount: 2 }]);
    await until('equal rows', () => equal(sql, replica));
  });

  test('pub/sub tells each change at once', async () => {
    const { sql, redis } = await open();
    const heard: DataSyncMessage[] = [];
    const subscription = redis.subscribe({ channel: 'data-sync:Orders' });
    const listening = (async () => {
      for await (const one of subscription) {
        if ('lost' in one) continue;
        heard.push(JSON.parse(String(one.message)) as DataSyncMessage);
        if (heard.length === 2) return;
      }
    })();
    await sql.insert('Orders', [{ id: 1, item: 'pen', amount: 2 }]);
    await until('the first', async () => heard.length === 1);
    await sql.upsert('Orders', [{ id: 1, item: 'cap', amount: 2 }]);
    await listening;
    expect(heard.map(({ operation, delta }) => [operation, delta?.['item']])).toEqual([
      ['INSERT', 'pen'],
      ['UPDATE', 'cap'],
    ]);
  });

  test('a stop does not wait for who listens', async () => {
    const { redis } = await open();
    const listening = (async () => {
      for await (const one of redis.subscribe({ channel: 'nothing' })) void one;
    })();
    await new Promise(resolve => setImmediate(resolve));
    await close();
    await listening;
  });

  test('a resync takes what is gone out of cache and replica, and is announced', async () => {
    const { sql, replica, redis, bus } = await open();
    await sql.insert(
      'Orders',
      Array.from({ length: 300 }, (_, id) => ({ id, item: 'x', amount: id })),
    );
    await until('equal rows', () => equal(sql, replica));
    await until('all', async () => (await rowsOf(replica)).length === 300);
    await close();
    // While nobody looks: rows go, change and come, and the changes are cleaned up.
    const db = new DatabaseSync(join(folder, 'shop.db'));
    db.exec(`DELETE FROM Orders WHERE id < 250; UPDATE Orders SET item = 'y' WHERE id = 260; INSERT INTO Orders VALUES (999, 'new', 1);
      DELETE FROM keymill_ct_Orders; UPDATE keymill_ct_tables SET min_valid = (SELECT current FROM keymill_ct_state)`);
    db.close();
    const again = await open();
    await until('equal rows', () => equal(again.sql, again.replica));
    expect(await rowsOf(again.replica)).toHaveLength(51);
    let cached = 0;
    for await (const key of again.redis.scan('sync:Orders:')) if (!(await again.redis.getFields(key))!.isGone) cached++;
    expect(cached).toBe(51);
    await until(
      'the end of the resync',
      async () => (await published(again.bus, 'data-sync-control-topic')).length === 4,
    );
    const events = (await published(again.bus, 'data-sync-control-topic')) as ResyncMessage[];
    expect(events.map(({ phase, reason }) => [phase, reason])).toEqual([
      ['begin', 'initial'],
      ['end', 'initial'],
      ['begin', 'cleaned'],
      ['end', 'cleaned'],
    ]);
    expect(events[2]!.epoch).toBeGreaterThan(events[0]!.epoch);
    void redis;
    void bus;
  });

  test('what is older than the cache holds is not published', async () => {
    const { sql, replica, redis, bus } = await open();
    await redis.merge({
      key: 'sync:Orders:5',
      version: { epoch: 8_000_000_000_000, n: 1 },
      fields: { id: '5', item: '"theirs"' },
    });
    await sql.insert('Orders', [
      { id: 5, item: 'ours', amount: 1 },
      { id: 6, item: 'pen', amount: 1 },
    ]);
    await until('the other row', async () => (await rowsOf(replica)).length > 0);
    expect((await published(bus, 'data-sync-topic')).map(one => (one as DataSyncMessage).recordId)).toEqual(['6']);
    expect((await redis.getFields('sync:Orders:5'))!.fields['item']).toBe('"theirs"');
  });

  test('data managers hold a live copy, by patches in the order of each key', async () => {
    const { sql, redis } = await open();
    await sql.insert('Orders', [{ id: 1, item: 'pen', amount: 1 }]);
    await until('cached', async () => (await redis.getFields('sync:Orders:1')) !== null);
    const manager = new DataManager(redis, 'Orders');
    const seen: DataIsChanged[] = [];
    const stop = new AbortController();
    const following = (async () => {
      for await (const change of manager.changes(stop.signal)) seen.push(change);
    })();
    await until('the first row', async () => manager.size === 1);
    for (let amount = 2; amount <= 20; amount++) await sql.upsert('Orders', [{ id: 1, item: 'pen', amount }]);
    await sql.insert('Orders', [{ id: 2, item: 'ink', amount: 7 }]);
    await sql.remove('Orders', [{ id: 2 }]);
    await until('the last', async () => manager.get('1')?.['amount'] === 20 && manager.get('2') === undefined);
    stop.abort();
    await following;
    const ofOne = seen.filter(({ key }) => key === '1').map(({ data }) => Number(data!['amount']));
    expect(ofOne).toEqual(ofOne.toSorted((a, b) => a - b));
    expect(seen.some(({ patchItems }) => patchItems?.some(item => item.path === '/amount'))).toBe(true);
  });

  test('a late subscriber catches up from the cache, then from the topic', async () => {
    const { sql, redis } = await open();
    await sql.insert(
      'Orders',
      Array.from({ length: 50 }, (_, id) => ({ id, item: 'x', amount: id })),
    );
    await until('cached', async () => (await redis.getFields('sync:Orders:49')) !== null);
    const manager = new DataManager(redis, 'Orders');
    const stop = new AbortController();
    const following = (async () => {
      for await (const change of manager.changes(stop.signal)) void change;
    })();
    await until('all', async () => manager.size === 50);
    await sql.remove('Orders', [{ id: 7 }]);
    await until('one fewer', async () => manager.size === 49);
    stop.abort();
    await following;
  });
});
