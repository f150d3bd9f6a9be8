/**
 * The main job with a SQL Server (the one of the tests), a Redis and a Pulsar at once, each killed in turn, and keymill too:
 * table, cache, topic and replica agree.
 */
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { jsonOf, keymill, type Running } from '../support/cli.ts';
import { later } from '../support/later.ts';
import { type RedisServer, redisServer } from '../support/redis-server.ts';
import { killBroker, pulsarService, skipped, startBroker } from '../support/services.ts';
import { deleteTopic } from '../support/services-admin.ts';
import { judgeTopic, rowsIn, rowsOf, type SyncAnswer, sumOf, type TopicMessage } from '../support/sync-judge.ts';
import { ServedMssql } from '../support/tds/served.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { wireClient } from '../support/wire.ts';

/** Of each server; and of keymill. More by hand: 10 and 20. */
const SERVER_KILLS = Number(process.env['KEYMILL_SERVER_KILLS'] ?? 1);
const KILLS = Number(process.env['KEYMILL_SERVERS_SYNC_KILLS'] ?? 2);
const RATE = 400;
/** A server is away for so long, and back for so long, before the next one goes. */
const AWAY_MS = 700;
const BACK_MS = 2000;
/** For all three, with what a broker needs to start. */
const ROUND_MS = 20_000;
const TOPIC = 'data-sync-topic';
/** What the first run logs when its sources begin. */
const BEGUN = 'the table is read anew';

class World {
  readonly data: string;
  readonly mssql: ServedMssql;
  readonly redis: RedisServer;

  private constructor(data: string, mssql: ServedMssql, redis: RedisServer) {
    this.data = data;
    this.mssql = mssql;
    this.redis = redis;
  }

  static async open(): Promise<World> {
    await deleteTopic(TOPIC).catch(() => undefined); // of a run before
    const folder = await tempFolder('sync-servers');
    const mssql = await new ServedMssql({ folder: join(folder, 'mssql') }).start();
    onTestFinished(() => mssql.close());
    return new World(join(folder, 'data'), mssql, await redisServer({ data: true }));
  }

  sync(changes: number, rate: number): Running {
    const { url, admin } = pulsarService()!;
    const sets = {
      'feeder.changes': changes,
      'feeder.rate': rate,
      'io.sql.url': this.mssql.url,
      'io.sql.tls.disabled': true,
      'io.redis.url': this.redis.url,
      'io.pulsar.url': url,
      'io.pulsar.adminUrl': admin,
    };
    return keymill([
      ...['start', 'examples/sync/topology.ts', '--once', '--json', '--data', this.data, '--log', 'info'],
      ...Object.entries(sets).flatMap(([path, value]) => ['--set', `${path}=${value}`]),
    ]);
  }

  /** Looked at by others than keymill. */
  async judged(run: Running): Promise<{ repeats: number; messages: number; rows: number }> {
    const ended = await run.ended;
    expect(ended.code, ended.stderr).toBe(0);
    const { table, cache, replica, settled } = jsonOf<SyncAnswer>(ended);
    expect(cache).toEqual(table);
    expect(replica).toEqual(table);
    expect(settled).toMatchObject({ dead: 0, dropped: 0 });
    const found = await Promise.all(
      ['Airports', 'Flights'].map(async name => {
        const { sets } = await this.mssql.run(`SELECT * FROM ${name}`);
        const [{ names, rows }] = sets as [(typeof sets)[number]];
        return [name, rows.map(row => Object.fromEntries(names.map((column, i) => [column, row[i]])))] as const;
      }),
    );
    const rows = rowsOf(Object.fromEntries(found));
    expect(rows.size).toBe(table.rows);
    expect(sumOf(rowsIn(join(this.data, 'replica.db')))).toBe(sumOf(rows));
    const messages = await messagesOf(TOPIC);
    const { faults, repeats } = judgeTopic(messages, rows);
    expect(faults).toEqual([]);
    return { repeats, messages: messages.length, rows: rows.size };
  }
}

/** By a client of its own. */
async function messagesOf(topic: string): Promise<TopicMessage[]> {
  const reader = await wireClient().createReader({ topic, from: 'earliest' });
  const found: TopicMessage[] = [];
  while (await reader.hasNext())
    found.push(JSON.parse(Buffer.from((await reader.next()).payload!).toString()) as TopicMessage);
  return found;
}

describe.skipIf(skipped('redis') || skipped('pulsar'))('examples/sync with three servers', () => {
  test(`each killed ${SERVER_KILLS} times in turn, and keymill ${KILLS} times: equal after each`, {
    timeout: 3_600_000,
  }, async () => {
    const world = await World.open();
    const first = (SERVER_KILLS * ROUND_MS * RATE) / 1000;
    await killServers(world, world.sync(first, RATE));
    for (let kill = 1; kill <= KILLS; kill++) {
      const changes = first + kill * 4000;
      const run = world.sync(changes, 1500);
      await later(1200 + ((kill * 7919) % 1900));
      run.kill('SIGKILL');
      expect((await run.ended).signal).toBe('SIGKILL');
      const { messages, repeats } = await world.judged(world.sync(changes, 0));
      console.log(`keymill killed ${kill} times: ${messages} messages, ${repeats} repeats`);
    }
  });
});

async function killServers(world: World, run: Running): Promise<void> {
  let isOver = false;
  void run.ended.then(() => {
    isOver = true;
  });
  const deaths: [name: string, kill: () => Promise<unknown>, start: () => Promise<unknown>][] = [
    ['SQL Server', () => world.mssql.kill(), () => world.mssql.start()],
    ['Redis', () => world.redis.kill(), () => world.redis.start()],
    ['Pulsar', killBroker, startBroker],
  ];
  let kills = 0;
  await run.says(BEGUN);
  for (let round = 0; round < SERVER_KILLS; round++)
    for (const [name, kill, start] of deaths) {
      await later(BACK_MS);
      expect(isOver, `before ${name} was killed, ${kills} deaths in`).toBe(false);
      await kill();
      await later(AWAY_MS);
      await start();
      kills++;
    }
  const { messages, repeats, rows } = await world.judged(run);
  console.log(`${kills} deaths of servers: ${messages} messages, ${repeats} repeats, ${rows} rows`);
}
