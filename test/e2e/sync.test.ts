/** The main job from outside: tables, cache, topic and replica agree, after one run and after many that were killed. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Answer, jsonOf, keymill, type Running } from '../support/cli.ts';
import { judgeTopic, rowsIn, sumOf, type TopicMessage } from '../support/sync-judge.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { topicOf } from '../support/topic-of.ts';

interface Contents {
  rows: number;
  checksum: string;
}

interface SyncAnswer extends Answer {
  lag: { p50: number; p99: number };
  table: Contents;
  cache: Contents;
  replica: Contents;
  topic: { messages: number };
}

/** More of them by hand: KEYMILL_SYNC_KILLS=50. */
const KILLS = Number(process.env['KEYMILL_SYNC_KILLS'] ?? 8);

function sync(data: string, ...more: string[]): Running {
  return keymill(['start', 'examples/sync/topology.ts', '--once', '--json', '--data', data, ...more]);
}

async function judged(data: string): Promise<{ repeats: number; messages: number }> {
  const table = rowsIn(join(data, 'shop.db'));
  expect(sumOf(rowsIn(join(data, 'replica.db')))).toBe(sumOf(table));
  const messages = (await topicOf(join(data, 'bus'), 'data-sync-topic')) as TopicMessage[];
  const { faults, repeats } = judgeTopic(messages, table);
  expect(faults).toEqual([]);
  return { repeats, messages: messages.length };
}

test('one run: table, cache and replica are equal, and the topic has every change', async () => {
  const data = await tempFolder('sync');
  const ended = await sync(data, '--set', 'feeder.changes=5000', '--set', 'feeder.rate=0').ended;
  expect(ended.code, ended.stderr).toBe(0);
  const { ok, table, cache, replica, topic, settled } = jsonOf<SyncAnswer>(ended);
  expect(ok).toBe(true);
  expect(settled).toMatchObject({ dead: 0, dropped: 0 });
  expect(table.rows).toBeGreaterThan(1000);
  expect(cache).toEqual(table);
  expect(replica).toEqual(table);
  expect(topic.messages).toBe((await judged(data)).messages);

  // It goes on from there: the same operations are done already, some more are not.
  const again = await sync(data, '--set', 'feeder.changes=6000', '--set', 'feeder.rate=0').ended;
  const second = jsonOf<SyncAnswer>(again);
  expect(second.cache).toEqual(second.table);
  expect(second.replica).toEqual(second.table);
  expect(second.perActor['feeder']!.handled).toBe(1000);
  await judged(data);
});

describe('killed', () => {
  test(`kill -9, ${KILLS} times, with hosts dying twice a second: equal at the end`, { timeout: 600_000 }, async () => {
    const data = await tempFolder('sync');
    const settings = ['--set', 'feeder.changes=20000', '--set', 'feeder.rate=1500'];
    let kills = 0;
    for (let seed = 1; kills < KILLS; seed++) {
      const run = sync(
        data,
        ...settings,
        '--set',
        `feeder.changes=${20_000 + 2000 * kills}`,
        '--chaos',
        `kill-host=500ms,seed=${seed}`,
      );
      const over = await Promise.race([run.ended, later(1200 + ((seed * 7919) % 1500))]);
      if (over === undefined) {
        run.kill('SIGKILL');
        await run.ended;
        kills++;
      } else expect(over.code, over.stderr).toBe(0);
    }
    const last = await sync(data, '--set', `feeder.changes=${20_000 + 2000 * kills}`, '--set', 'feeder.rate=0').ended;
    expect(last.code, last.stderr).toBe(0);
    const { table, cache, replica } = jsonOf<SyncAnswer>(last);
    expect(cache).toEqual(table);
    expect(replica).toEqual(table);
    const { repeats, messages } = await judged(data);
    console.log(`kill -9, ${kills} times: ${table.rows} rows, ${messages} messages, ${repeats} repeats`);
  });
});

function later(ms: number): Promise<undefined> {
  return new Promise(resolve => setTimeout(() => resolve(undefined), ms));
}
