/**
 * A group under sentinels and a cluster of three that speak TLS: among themselves, and to a driver that is a user with few
 * rights. They are this file's own, and its last tests break them.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { RedisOptionsInput } from '../../actors/redis/index.ts';
import { USER, userDirective } from '../../scripts/services/redis.ts';
import { CLUSTER_ROLES } from '../../scripts/services/redis-cluster.ts';
import { GROUP_ROLES, SENTINELS } from '../../scripts/services/redis-group.ts';
import { messagesContract } from '../contract/redis-messages.ts';
import { stepsContract } from '../contract/redis-steps.ts';
import { valuesContract } from '../contract/redis-values.ts';
import { jsonOf, keymill } from '../support/cli.ts';
import { QUICK, redisDriver } from '../support/redis-client.ts';
import { openDriver } from '../support/redis-driver.ts';
import { listen, published, SOON, toldOf } from '../support/redis-listening.ts';
import { type RedisCluster, type RedisGroup, redisCluster, redisGroup } from '../support/redis-server.ts';
import { openTarget } from '../support/redis-target.ts';
import { Traffic } from '../support/redis-traffic.ts';
import { errorFrom } from '../support/runtimes.ts';
import { redisService, skipped } from '../support/services.ts';

type Mode = 'rediss+sentinel:' | 'rediss+cluster:';

const MODES: readonly Mode[] = ['rediss+sentinel:', 'rediss+cluster:'];
/** Both take some three seconds where nothing else runs. */
const START_MS = 60_000;
const PASSWORD = randomBytes(12).toString('hex');
const TOPOLOGY = new URL('../../examples/flights/durable.ts', import.meta.url).pathname;
interface Report {
  readonly findings: readonly { readonly symptom: string }[];
}

const WRONG = ['ACCESS_REFUSED', /WRONGPASS/] as const;
const CUT = ['CLIENT', 'KILL', 'TYPE', 'pubsub'] as const;
/** Of a driver, once there is a master again. */
const RECOVERY_MS = 5000;

const isSkipped = skipped('redis');

describe.skipIf(isSkipped || redisService()!.tls === '')('with TLS', () => {
  const ends: (() => Promise<void>)[] = [];
  let group: RedisGroup;
  let cluster: RedisCluster;

  beforeAll(async () => {
    const onEnd = (end: () => Promise<void>): void => void ends.push(end);
    const how = { isTls: true, directives: [userDirective(PASSWORD)], onEnd };
    [group, cluster] = await Promise.all([redisGroup(how), redisCluster(how)]);
  }, START_MS);

  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
  });

  const serversOf = (mode: Mode): RedisGroup | RedisCluster => (mode === 'rediss+cluster:' ? cluster : group);

  function optionsOf(mode: Mode): RedisOptionsInput {
    const { url, certificates } = serversOf(mode);
    return { url, username: USER, password: PASSWORD, tls: certificates };
  }

  // What is left out of the whole suite are versions and fields: the work of scripts, on whatever way they come.
  for (const mode of MODES) {
    const target = { options: () => optionsOf(mode), prefix: (name: string) => `{${name}}:` };
    for (const contract of [valuesContract, stepsContract, messagesContract])
      contract(mode, { open: () => openTarget(target), keeps: true });
  }

  test.for(MODES)('%s who does not belong is refused', { timeout: 20_000 }, async mode => {
    const its = optionsOf(mode);
    const elsewhere = 'elsewhere.example';
    const refused: readonly (readonly [Partial<RedisOptionsInput>, code: string, says: RegExp])[] = [
      [{ tls: {} }, 'IO_FAILED', /certificate/],
      [{ tls: { ca: redisService()!.ca } }, 'IO_FAILED', /certificate/],
      [{ tls: { ...its.tls, serverName: elsewhere } }, 'IO_FAILED', /elsewhere\.example/],
      [{ tls: {}, url: its.url.replace('rediss', 'redis') }, 'IO_FAILED', /127\.0\.0\.1:\d+/],
      [{ password: 'not-the-password' }, ...WRONG],
    ];
    const isGroup = mode === 'rediss+sentinel:';
    if (isGroup)
      await Promise.all(SENTINELS.map(role => group.ask(role, 'ACL', 'SETUSER', 'me', 'on', `>${PASSWORD}`)));
    const toSentinels: RedisOptionsInput['sentinel'] = { username: 'me', password: 'not-the-password' };
    const fates = [...refused, ...(isGroup ? [[{ sentinel: toSentinels }, ...WRONG] as const] : [])].map(
      async ([options, code, says]) => {
        const driver = await openDriver({ ...QUICK, ...its, ...options });
        onTestFinished(() => driver.close());
        const error = await errorFrom(driver.client.set('a', '1'));
        expect([options, error]).toMatchObject([options, { code, message: expect.stringMatching(says) }]);
        expect(error.message).not.toContain('not-the-password');
      },
    );
    await Promise.all(fates);
  });

  test.for(MODES)('%s pub/sub hears all, and goes on where it was cut', { timeout: 30_000 }, async mode => {
    const options = { ...QUICK, ...optionsOf(mode), prefix: `${mode}pubsub:` };
    const { client } = await redisDriver(options, { guarded: true });
    const { client: other } = await redisDriver(options, { guarded: true });
    const channels = Array.from({ length: 20 }, (_, n) => `c${n}`);
    const one = listen(client, { channel: 'c' });
    const many = listen(client, { pattern: 'c*' });
    await published(other, 'c', one);
    await Promise.all(channels.map(channel => other.publish(channel, channel)));
    await expect.poll(() => channels.filter(channel => !many.includes(channel)), SOON).toEqual([]);
    expect([...one, ...many].filter(text => text.startsWith('lost'))).toEqual([]);
    const isCluster = mode === 'rediss+cluster:';
    const nodes = isCluster ? CLUSTER_ROLES.map(node => cluster.ask(node, ...CUT)) : [group.ask('master', ...CUT)];
    await Promise.all(nodes);
    toldOf(one, await published(other, 'c', one));
  });

  test('nobody comes without it: no driver, replica or sentinel', async () => {
    for (const mode of MODES) {
      const { client } = await redisDriver(optionsOf(mode));
      await Promise.all(Array.from({ length: 30 }, (_, n) => client.set(`k${n}`, '1')));
      listen(client, { channel: 'c' });
      const heard = listen(client, { channel: 'd' });
      await published(client, 'd', heard);
      const plain =
        mode === 'rediss+cluster:'
          ? CLUSTER_ROLES.map(node => () => cluster.plain(node))
          : GROUP_ROLES.map(role => () => group.plain(role));
      for (const look of plain) await expect.poll(look).toEqual([]);
    }
  });

  test('doctor looks at all masters', { timeout: 60_000 }, async () => {
    const reports = MODES.map(async mode => {
      const { url, username, password, tls } = optionsOf(mode);
      const given = { url, username, password, 'tls.ca': tls!.ca };
      const set = Object.entries(given).flatMap(([name, value]) => ['--set', `io.state.${name}=${value}`]);
      const { findings } = jsonOf<Report>(await keymill(['doctor', TOPOLOGY, '--json', ...set]).ended);
      const versions = findings.filter(({ symptom }) => symptom.includes('of a version that is tested'));
      expect(versions, JSON.stringify(findings)).toHaveLength(mode === 'rediss+cluster:' ? 3 : 1);
    });
    await Promise.all(reports);
  });

  test('a sentinel that is silent keeps nobody out', async () => {
    group.pause('sentinel-1');
    try {
      const { client } = await redisDriver({ ...QUICK, ...optionsOf('rediss+sentinel:') });
      expect(await client.set('a', 'in time')).toBe(true);
    } finally {
      group.resume('sentinel-1');
    }
  });

  test('a cluster whose nodes tell their names is found by them', async () => {
    for (const node of CLUSTER_ROLES) {
      await cluster.ask(node, 'CONFIG', 'SET', 'cluster-announce-hostname', 'localhost');
      await cluster.ask(node, 'CONFIG', 'SET', 'cluster-preferred-endpoint-type', 'hostname');
    }
    const slots = () =>
      Promise.all(CLUSTER_ROLES.map(async node => String(await cluster.ask(node, 'CLUSTER', 'SLOTS'))));
    // A node that does not know another's name yet says `?`.
    await expect.poll(async () => (await slots()).filter(text => text.includes('?')), SOON).toEqual([]);
    const { client } = await redisDriver(optionsOf('rediss+cluster:'));
    await Promise.all(Array.from({ length: 30 }, (_, n) => client.set(`k${n}`, 'named')));
    expect(await client.get('k7')).toBe('named');
  });

  test('who was there before a failover goes on, and hears on', { timeout: 60_000 }, async () => {
    await Promise.all(MODES.map(outlives));
  });

  async function outlives(mode: Mode): Promise<void> {
    const { client } = await redisDriver({ ...QUICK, ...optionsOf(mode), prefix: 'failover:' }, { guarded: true });
    const traffic = new Traffic('k').by(client);
    const heard = listen(client, { channel: 'c' });
    await published(client, 'c', heard);
    await expect.poll(() => traffic.written, { timeout: 10_000 }).toBeGreaterThan(40);
    // What the replica did not get yet may be lost.
    traffic.mayLose = true;
    await serversOf(mode).failover();
    const served = performance.now();
    const before = traffic.written;
    await expect.poll(() => traffic.written, { timeout: 20_000, interval: 20 }).toBeGreaterThan(before + 40);
    expect(performance.now() - served).toBeLessThan(RECOVERY_MS);
    await published(client, 'c', heard);
    const seen = await traffic.end();
    expect(seen.faults).toEqual([]);
    expect(seen.codes.filter(code => code !== 'IO_FAILED' && code !== 'BREAKER_OPEN')).toEqual([]);
  }
});
