/** What comes to a consumer and cannot be read: by nobody, or only not here. */
import { expect, test } from 'vitest';
import { Arrivals } from '../../actors/pulsar/wire/arrivals.ts';
import type { FramedMessage } from '../../actors/pulsar/wire/codec/frames.ts';
import type { MessageMetadata } from '../../actors/pulsar/wire/codec/metadata.ts';
import { Held } from '../../actors/pulsar/wire/held.ts';
import { Inbox } from '../../actors/pulsar/wire/inbox.ts';
import type { KeymillError } from '../../runtime/index.ts';

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

function world() {
  const seen = { given: 0, refused: [] as unknown[], faults: [] as KeymillError[] };
  const inbox = new Inbox();
  const arrivals = new Arrivals({
    topic: 'persistent://public/default/t',
    partition: -1,
    held: new Held(),
    owner: { taken: () => true },
    inbox,
    log: SILENT,
    bury: undefined,
    give: count => {
      seen.given += count;
    },
    acknowledge: async () => undefined,
    again: () => undefined,
    refuse: ack => seen.refused.push(ack),
    ledgerSeen: () => undefined,
    fail: fault => seen.faults.push(fault),
  });
  const come = (metadata: Partial<MessageMetadata>, payload = Buffer.from('x'), isIntact = true): void =>
    arrivals.take({ type: 'message', consumerId: 1, messageId: { ledgerId: 1, entryId: 2 } }, {
      metadata: { producerName: 'p', sequenceId: 0, publishTime: 1, ...metadata },
      payload,
      isIntact,
    } as FramedMessage);
  return { seen, inbox, arrivals, come };
}

test('what is encrypted, or in a codec of the future, is not acknowledged away', () => {
  for (const metadata of [{ encryptionKeys: [{ key: 'k', value: Buffer.of(1) }] }, { compression: 17 }]) {
    const { seen, inbox, come } = world();
    come(metadata);
    expect(seen.faults).toMatchObject([{ code: 'RECORD_BROKEN', class: 'fatal' }]);
    expect(seen.refused).toEqual([]);
    expect(inbox.isEmpty).toBe(true);
  }
});

test('what is corrupt is acknowledged as such, and its permits are given back', () => {
  const { seen, arrivals, come } = world();
  come({}, Buffer.from('x'), false);
  come({ numMessagesInBatch: 5 }, Buffer.of(0, 0, 0, 99, 1));
  come({ compression: 2, uncompressedSize: 3 }, Buffer.from('not zlib'));
  expect(seen.refused).toHaveLength(3);
  expect(seen.faults).toEqual([]);
  expect(seen.given).toBe(7);
  expect(arrivals.corrupt).toBe(3);
});
