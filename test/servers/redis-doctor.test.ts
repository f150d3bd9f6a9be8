/** `keymill doctor` on a Redis: each finding when what it is about is so, and not when it is not. */
import { describe, expect, test } from 'vitest';
import type { Finding } from '../../runtime/index.ts';
import { jsonOf, keymill } from '../support/cli.ts';
import { redisServer } from '../support/redis-server.ts';
import { redisService, skipped } from '../support/services.ts';

interface Report {
  readonly ok: boolean;
  readonly findings: readonly (Finding & { readonly at: string })[];
}

const TOPOLOGY = new URL('../../examples/flights/durable.ts', import.meta.url).pathname;

async function doctor(url: string, topology = TOPOLOGY): Promise<Report & { code: number | null }> {
  const ended = await keymill(['doctor', topology, '--json', '--set', `io.state.url=${url}`]).ended;
  return { code: ended.code, ...(jsonOf(ended) as Report) };
}

const of = ({ findings }: Report, state: Finding['state']): string[] =>
  findings.filter(one => one.state === state).map(one => one.evidence.replace(/^.*?: /, ''));

describe.skipIf(skipped('redis'))('keymill doctor', () => {
  test('finds nothing wrong with a server that keeps what it has', async () => {
    const { url } = await redisServer({
      data: true,
      args: [
        ['maxmemory', '100mb'],
        ['maxmemory-policy', 'noeviction'],
      ],
    });
    const report = await doctor(url);
    expect([of(report, 'wrong'), of(report, 'doubtful'), report.code]).toEqual([[], [], 0]);
    expect(of(report, 'fine').join()).toMatch(
      /version 7.*noeviction.*appendonly yes, appendfsync always.*median of 5 pings.*no epoch yet/,
    );
  });

  test('says that durable states may be lost, and what to do', async () => {
    const { url } = await redisServer({
      args: [
        ['maxmemory', '100mb'],
        ['maxmemory-policy', 'allkeys-lru'],
      ],
    });
    const report = await doctor(url);
    expect(report).toMatchObject({ ok: false, code: 1 });
    expect(of(report, 'wrong')).toEqual(['maxmemory-policy allkeys-lru, maxmemory 104857600', 'appendonly no']);
    for (const { state, fix } of report.findings) if (state !== 'fine') expect(fix).toMatch(/./);
  });

  test('finds a replica, a full one, one that nobody may use, and one that is not there', async () => {
    const master = await redisServer();
    const replica = await redisServer({ args: [['replicaof', '127.0.0.1', String(master.port)]] });
    expect(of(await doctor(replica.url), 'wrong')).toContain('role slave');
    await master.ask('CONFIG', 'SET', 'maxmemory', 1024 * 1024);
    await master.ask('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    expect(of(await doctor(master.url), 'doubtful').join()).toMatch(/of 1048576 bytes used/);
    await expect
      .poll(async () => of(await doctor(master.url), 'doubtful').join(), { timeout: 15_000, interval: 500 })
      .toMatch(/1 replicas, min-replicas-to-write 0/);
    await master.kill();
    const gone = await doctor(master.url);
    expect(gone).toMatchObject({ ok: false, code: 1 });
    expect(gone.findings.find(one => one.state === 'wrong')).toMatchObject({
      evidence: expect.stringMatching(/IO_FAILED/),
    });
  }, 60_000);

  test('looks at all masters of a cluster', async () => {
    const { cluster } = redisService()!;
    const report = await doctor(cluster);
    expect(of(report, 'fine').filter(one => one.startsWith('version'))).toHaveLength(3);
    expect(of(report, 'fine').join()).toMatch(/cluster_state ok, 16384 of 16384 slots, 3 masters/);
  });

  test('has no secret in what it says', async () => {
    const { url } = await redisServer({ args: [['requirepass', 'not-for-your-eyes']] });
    const { host } = new URL(url);
    for (const secret of ['not-for-your-eyes', 'wrong-and-not-either']) {
      const ended = await keymill(['doctor', TOPOLOGY, '--set', `io.state.url=redis://:${secret}@${host}`]).ended;
      expect(ended.stdout + ended.stderr).not.toContain(secret);
      expect(ended.stdout).toMatch(/\d wrong, \d doubtful, \d fine/);
    }
  });
});
