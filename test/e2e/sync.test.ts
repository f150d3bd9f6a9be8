/** The main job from outside: tables, cache, topic and replica agree, after one run and after many that were killed. */
import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { jsonOf, keymill, type Running } from '../support/cli.ts';
import { judgeTopic, rowsIn, type SyncAnswer, sumOf, type TopicMessage } from '../support/sync-judge.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { topicOf } from '../support/topic-of.ts';

/** More of them by hand: KEYMILL_SYNC_KILLS=50. */
const KILLS = Number(process.env['KEYMILL_SYNC_KILLS'] ?? 8);

/** Of the table of flights and of airports while it is read anew. */
const RESYNC_KILLS = Number(process.env['KEYMILL_RESYNC_KILLS'] ?? 4);

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

/** What each of the two sources may have given and not seen settled, in the tests that kill. */
const WINDOW = 60;
const RATE = 1500;
/** A checkpoint may lag by this behind what settled (host/checkpoint.ts), with as much again for a machine that is busy. */
const CHECKPOINT_SECONDS = 0.4;
const SMALL_WINDOWS = ['airports', 'flights'].flatMap(name => ['--set', `sources.${name}.window.messages=${WINDOW}`]);

/** Deaths of hosts that a process told of. */
function deathsIn({ stderr }: { stderr: string }): number {
  return stderr.match(/host \d+ died/g)?.length ?? 0;
}

describe('killed', () => {
  test(`kill -9, ${KILLS} times, every other time with hosts dying twice a second: equal after each`, {
    timeout: 3_600_000,
  }, async () => {
    const data = await tempFolder('sync');
    let kills = 0;
    let before = 0;
    let most = 0;
    let deaths = 0;
    for (let seed = 1; kills < KILLS; seed++) {
      const feeding = ['--set', `feeder.changes=${4000 * seed}`, '--set', `feeder.rate=${RATE}`];
      const chaos = seed % 2 === 0 ? [] : ['--chaos', `kill-host=500ms,seed=${seed}`];
      chaos.push('--log', 'info');
      const run = sync(data, ...feeding, ...SMALL_WINDOWS, ...chaos);
      const over = await Promise.race([run.ended, later(900 + ((seed * 7919) % 1900))]);
      if (over === undefined) {
        run.kill('SIGKILL');
        kills++;
      } else expect(over.code, over.stderr).toBe(0);
      const killed = await run.ended;
      const last = await sync(data, ...feeding, '--set', 'feeder.rate=0', ...SMALL_WINDOWS, ...chaos).ended;
      expect(last.code, last.stderr).toBe(0);
      const { table, cache, replica } = jsonOf<SyncAnswer>(last);
      expect(cache).toEqual(table);
      expect(replica).toEqual(table);
      const { repeats } = await judged(data);
      const dead = deathsIn(killed) + deathsIn(last);
      expect(repeats - before).toBeLessThanOrEqual((dead + 1) * 2 * WINDOW + RATE * CHECKPOINT_SECONDS);
      most = Math.max(most, repeats - before);
      before = repeats;
      deaths += dead;
    }
    const { messages } = await judged(data);
    console.log(
      `kill -9, ${kills} times, and ${deaths} hosts: ${messages} messages, ${before} repeats, at most ${most} a round`,
    );
  });

  test(`kill -9 while a table is read anew, ${RESYNC_KILLS} times: equal after it`, { timeout: 600_000 }, async () => {
    const data = await tempFolder('sync');
    const shop = join(data, 'shop.db');
    const first = await sync(data, '--set', 'feeder.changes=6000', '--set', 'feeder.rate=0').ended;
    expect(first.code, first.stderr).toBe(0);
    await copyFile(shop, join(data, 'backup.db'));
    const second = await sync(data, '--set', 'feeder.changes=9000', '--set', 'feeder.rate=0').ended;
    expect(second.code, second.stderr).toBe(0);
    for (const rest of ['-wal', '-shm']) await rm(shop + rest, { force: true });
    await copyFile(join(data, 'backup.db'), shop); // the database of an earlier day: what came since then is gone
    for (let kill = 0; kill < RESYNC_KILLS; kill++) {
      const run = sync(data, '--set', 'feeder.changes=9000', '--log', 'info', ...SMALL_WINDOWS);
      await run.says('the table is read anew');
      await later((kill * 37) % 150);
      run.kill('SIGKILL');
      expect((await run.ended).signal).toBe('SIGKILL');
    }
    const last = await sync(data, '--set', 'feeder.changes=9000', '--log', 'info').ended;
    expect(last.code, last.stderr).toBe(0);
    expect(last.stderr).toContain('the table is read anew');
    const { table, cache, replica } = jsonOf<SyncAnswer>(last);
    expect(cache).toEqual(table);
    expect(replica).toEqual(table);
    await judged(data);
  });
});

function later(ms: number): Promise<undefined> {
  return new Promise(resolve => setTimeout(() => resolve(undefined), ms));
}
