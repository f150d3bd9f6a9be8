/** What a driver says of a server that does not let it in, or is none: at its first ask, and in `keymill check`. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { RedisOptionsInput } from '../../actors/redis/index.ts';
import { type Answer, jsonOf, keymill } from '../support/cli.ts';
import { QUICK } from '../support/redis-client.ts';
import { openDriver } from '../support/redis-driver.ts';
import { redisServer } from '../support/redis-server.ts';
import { errorFrom } from '../support/runtimes.ts';
import { redisService, skipped } from '../support/services.ts';

interface Refusal {
  readonly name: string;
  /** Options beside QUICK. */
  options(): RedisOptionsInput | Promise<RedisOptionsInput>;
  readonly code: string;
  readonly says: RegExp;
  /** Told by `check` too. */
  readonly isChecked?: boolean;
}

const SECRET = 'not-the-password';
/** A connection, a command, and a busy machine. */
const LONGEST_MS = 5000;

async function webServer(): Promise<string> {
  const server = createServer((_, reply) => reply.end('<h1>hello</h1>')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `redis://127.0.0.1:${(server.address() as { port: number }).port}`;
}

const REFUSALS: readonly Refusal[] = [
  {
    name: 'a wrong password',
    options: () => ({ url: `redis://keymill:${SECRET}@${new URL(redisService()!.url).host}` }),
    code: 'ACCESS_REFUSED',
    says: /WRONGPASS/,
    isChecked: true,
  },
  {
    name: 'a wrong password, and a cluster',
    options: () => ({ url: redisService()!.cluster.replace('//', `//keymill:${SECRET}@`) }),
    code: 'ACCESS_REFUSED',
    says: /WRONGPASS/,
  },
  {
    name: 'no password where one is wanted',
    options: async () => ({ url: (await redisServer({ args: [['requirepass', SECRET]] })).url }),
    code: 'ACCESS_REFUSED',
    says: /NOAUTH/,
  },
  {
    name: 'a user who may only read',
    options: async () => {
      const server = await redisServer({
        args: [['user', 'reader', 'on', `>${SECRET}`, '~*', '&*', '+@read', '+@connection']],
      });
      return { url: server.url, username: 'reader', password: SECRET };
    },
    code: 'ACCESS_REFUSED',
    says: /NOPERM/,
    isChecked: true,
  },
  {
    name: 'a certificate that nobody trusts',
    options: () => ({ url: redisService()!.tls }),
    code: 'IO_FAILED',
    says: /certificate/,
    isChecked: true,
  },
  {
    name: 'a certificate of another host',
    options: () => ({ url: redisService()!.tls, tls: { ca: redisService()!.ca, serverName: 'elsewhere.example' } }),
    code: 'IO_FAILED',
    says: /elsewhere\.example/,
  },
  {
    name: 'TLS where none is spoken',
    options: () => ({ url: redisService()!.url.replace('redis:', 'rediss:'), tls: { ca: redisService()!.ca } }),
    code: 'IO_FAILED',
    says: /127\.0\.0\.1:\d+/,
  },
  {
    name: 'a web server',
    options: async () => ({ url: await webServer() }),
    code: 'IO_FAILED',
    says: /127\.0\.0\.1:\d+/,
  },
  {
    name: 'nobody',
    options: () => ({ url: 'redis://127.0.0.1:1' }),
    code: 'IO_FAILED',
    says: /127\.0\.0\.1:1\b/,
  },
  {
    name: 'sentinels of another group',
    options: () => ({ url: redisService()!.sentinel.replace('/keymill', '/other') }),
    code: 'IO_FAILED',
    says: /other/,
  },
  {
    name: 'a server alone where a cluster is expected',
    options: () => ({ url: redisService()!.url.replace('redis:', 'redis+cluster:') }),
    code: 'IO_FAILED',
    says: /127\.0\.0\.1:\d+.*cluster support disabled/,
  },
];

describe.skipIf(skipped('redis'))('a driver that meets', () => {
  test.for(REFUSALS)('$name says so, in time', { timeout: 20_000 }, async ({ options, code, says }) => {
    const its = await options();
    const began = performance.now();
    const error = await errorFrom(
      (async () => {
        const driver = await openDriver({ ...QUICK, ...its });
        onTestFinished(() => driver.close());
        await driver.client.set('a', '1');
      })(),
    );
    expect(performance.now() - began).toBeLessThan(LONGEST_MS);
    expect(error).toMatchObject({ code, message: expect.stringMatching(says) });
    expect(JSON.stringify([error.message, error.place, String(error.cause)])).not.toContain(SECRET);
  });

  test('what check tells before a start', { timeout: 60_000 }, async () => {
    const told = REFUSALS.filter(({ isChecked }) => isChecked).map(async ({ options, code, says }) => {
      const set = Object.entries(await options()).flatMap(([name, value]) => [
        '--set',
        `io.redis.${name}=${String(value)}`,
      ]);
      const ended = await keymill(['check', 'examples/sync/topology.ts', '--json', ...set]).ended;
      expect(ended.code).toBe(1);
      const { errors } = jsonOf<Answer>(ended);
      expect(errors).toMatchObject([{ code, message: expect.stringMatching(says) }]);
      expect(ended.stdout + ended.stderr).not.toContain(SECRET);
    });
    await Promise.all(told);
    const fine = ['--set', `io.redis.url=${redisService()!.url}`];
    const ended = await keymill(['check', 'examples/sync/topology.ts', '--json', ...fine]).ended;
    expect(ended.code, ended.stdout).toBe(0);
  });
});
