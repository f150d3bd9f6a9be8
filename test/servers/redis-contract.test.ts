/** The conformance suite on real servers; redis-tls.test.ts has it for groups and clusters with TLS. */
import { describe } from 'vitest';
import { redisContract } from '../contract/redis.ts';
import { openTarget, type Target } from '../support/redis-target.ts';
import { redisService, skipped } from '../support/services.ts';

const TARGETS: Readonly<Record<string, Target>> = {
  'redis:': {
    options: () => ({ url: redisService()!.url }),
    prefix: name => `${name}:`,
  },
  'rediss:, as a user with a certificate': {
    options: () => {
      const { tls, user, ca, certificate, key } = redisService()!;
      const [username, password] = user.split(':');
      return { url: tls, username, password, tls: { ca, cert: certificate, key } };
    },
    prefix: name => `${name}:`,
  },
  'redis+sentinel:': {
    options: () => ({ url: redisService()!.sentinel }),
    prefix: name => `${name}:`,
  },
  'redis+cluster:': {
    options: () => ({ url: redisService()!.cluster }),
    prefix: name => `{${name}}:`,
  },
};

describe.skipIf(skipped('redis'))('a real Redis', () => {
  for (const [name, target] of Object.entries(TARGETS))
    redisContract(name, { open: () => openTarget(target), keeps: true });
});
