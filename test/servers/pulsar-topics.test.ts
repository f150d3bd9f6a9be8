/** `keymill topics` and `keymill check` on a real Pulsar. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type Ended, jsonOf, keymill } from '../support/cli.ts';
import { pulsarService, skipped } from '../support/services.ts';
import { createPartitions } from '../support/services-admin.ts';

const FILE = 'test/servers/fixtures/topics.ts';

interface Found {
  ok: boolean;
  topics: { topic: string; state: string; what: string }[];
}

describe.skipIf(skipped('pulsar'))('on a real Pulsar', () => {
  const run = (topic: string, ...args: string[]): Promise<Ended> => {
    const { url, admin } = pulsarService()!;
    const sets = ['--set', `io.pulsar.url=${url}`, '--set', `io.pulsar.adminUrl=${admin}`];
    return keymill([...args, '--json', ...sets], { env: { TOPIC: topic } }).ended;
  };
  const states = (ended: Ended): string[] => jsonOf<Found>(ended).topics.map(({ state }) => state);

  test('topics are missing, are made, and are fine then', async () => {
    const topic = `t${randomUUID().replaceAll('-', '')}`;
    const missing = await run(topic, 'topics', 'check', FILE);
    expect([missing.code, states(missing)]).toEqual([1, ['missing', 'missing']]);
    const made = await run(topic, 'topics', 'apply', FILE);
    expect([made.code, states(made)], made.stderr + made.stdout).toEqual([0, ['made', 'made']]);
    await expect
      .poll(async () => states(await run(topic, 'topics', 'check', FILE)), { timeout: 20_000 })
      .toEqual(['fine', 'fine']);
  });

  test('a topic with other partitions is left alone', async () => {
    const topic = `t${randomUUID().replaceAll('-', '')}`;
    await createPartitions(`${topic}-made`, 3);
    const applied = await run(topic, 'topics', 'apply', FILE);
    expect([applied.code, states(applied)]).toEqual([1, ['differs', 'made']]);
    expect(jsonOf<Found>(applied).topics[0]!.what).toContain('has 3 partitions, 4 partitions are declared');
  });

  test('check reaches the broker, and says so when it cannot', async () => {
    const fine = await run('x', 'check', FILE);
    expect(fine.code, fine.stdout).toBe(0);
    const wrong = await keymill(['check', FILE, '--json', '--set', 'io.pulsar.url=pulsar://127.0.0.1:1']).ended;
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toContain('"path":"io.pulsar"');
    expect(wrong.stdout).toContain('ECONNREFUSED');
  });
});
