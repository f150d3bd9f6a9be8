/** The main job with a real Redis for its cache, which is killed again and again: table, cache, topic and replica agree. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { jsonOf, keymill } from '../support/cli.ts';
import { later } from '../support/later.ts';
import { redisServer } from '../support/redis-server.ts';
import { skipped } from '../support/services.ts';
import { judgeTopic, rowsIn, type SyncAnswer, sumOf, type TopicMessage } from '../support/sync-judge.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { topicOf } from '../support/topic-of.ts';

/** More by hand: KEYMILL_REDIS_KILLS=10. */
const KILLS = Number(process.env['KEYMILL_REDIS_KILLS'] ?? 3);
const RATE = 1000;
/** Between two deaths; and how long it is away. */
const EACH_MS = 1500;
const AWAY_MS = 700;
const START_MS = 1500;
/** That the rounds may last longer by. */
const SLACK_MS = 800;

describe.skipIf(skipped('redis'))('examples/sync', () => {
  test(`with a Redis that is killed ${KILLS} times: equal, and nothing is lost`, { timeout: 600_000 }, async () => {
    const server = await redisServer({ data: true });
    const data = await tempFolder('redis-sync');
    const changes = Math.ceil((RATE * (START_MS + KILLS * (EACH_MS + AWAY_MS + SLACK_MS))) / 1000);
    const run = keymill([
      'start',
      'examples/sync/topology.ts',
      ...['--once', '--json', '--data', data, '--log', 'info'],
      ...['--set', `io.redis.url=${server.url}`, '--set', `feeder.changes=${changes}`, '--set', `feeder.rate=${RATE}`],
    ]);
    let isOver = false;
    void run.ended.then(() => {
      isOver = true;
    });
    let kills = 0;
    for (; kills < KILLS && !isOver; kills++) {
      const keys = Number(await server.ask('DBSIZE'));
      await expect
        .poll(async () => isOver || Number(await server.ask('DBSIZE')) > keys, { timeout: 60_000 })
        .toBe(true);
      await later(EACH_MS);
      await server.kill();
      await later(AWAY_MS);
      await server.start();
    }
    const ended = await run.ended;
    expect(ended.code, ended.stderr).toBe(0);
    const { table, cache, replica, settled } = jsonOf<SyncAnswer>(ended);
    expect(kills).toBe(KILLS);
    expect(cache).toEqual(table);
    expect(replica).toEqual(table);
    expect(settled).toMatchObject({ dead: 0, dropped: 0 });
    const rows = rowsIn(join(data, 'shop.db'));
    expect(sumOf(rowsIn(join(data, 'replica.db')))).toBe(sumOf(rows));
    const messages = (await topicOf(join(data, 'bus'), 'data-sync-topic')) as TopicMessage[];
    const { faults, repeats } = judgeTopic(messages, rows);
    expect(faults).toEqual([]);
    console.log(`killed ${kills} times: ${messages.length} messages, ${repeats} repeats, ${table.rows} rows`);
  });
});
