/** Retry letters on a real Pulsar. */
import { randomUUID } from 'node:crypto';
import { describe } from 'vitest';
import { lettersContract } from '../contract/pulsar-letters.ts';
import { opened } from '../pulsar/support.ts';
import { pulsarService, skipped } from '../support/services.ts';

describe.skipIf(skipped('pulsar'))('a real Pulsar', () => {
  lettersContract('pulsar:', async () => {
    const { url, admin: adminUrl } = pulsarService()!;
    return { client: (await opened({ url, adminUrl })).client, topic: `t-${randomUUID()}` };
  });
});
