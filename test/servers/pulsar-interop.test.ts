/** Our wire client beside the official C++ client, through its Python face: what one writes the other reads, and they agree on what is acknowledged. */
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { InMessage, OutMessage, PulsarDriver } from '../../actors/pulsar/contract.ts';
import { partitionOfKey } from '../../actors/pulsar/murmur3.ts';
import { COMPRESSIONS } from '../../actors/pulsar/wire/codec/enums.ts';
import { type PeerMessage, type PeerOutMessage, pulsarPeer } from '../support/pulsar-peer.ts';
import { javaClasses, pulsarService, skipped } from '../support/services.ts';
import { wireClient } from '../support/wire.ts';

const unique = (): string => `interop-${randomUUID()}`;

/** What a message is to both; the peer takes absent and empty keys for the same. */
function picture(message: InMessage | PeerMessage) {
  const { id, key, orderingKey, properties, eventTime, payload } = message;
  return {
    id,
    key: key || null,
    orderingKey: orderingKey || null,
    properties: { ...properties },
    eventTime,
    payload: payload && Buffer.from(payload).toString('base64'),
  };
}

const LETTER: readonly (Omit<OutMessage, 'payload'> & { payload: string | Uint8Array | null } & PeerOutMessage)[] = [
  { payload: 'plain' },
  { payload: 'letters '.repeat(300), key: 'k1', properties: { x: '1', ü: '€ 😀' } },
  { payload: Uint8Array.of(0, 1, 127, 128, 255), key: 'ключ', orderingKey: 'order' },
  { payload: '', key: 'k1' },
  { payload: 'at a time', eventTime: 1_700_000_000_123 },
  { payload: null, key: 'gone' },
];

async function readAll(driver: PulsarDriver, topic: string): Promise<InMessage[]> {
  const reader = await driver.createReader({ topic, from: 'earliest' });
  const messages: InMessage[] = [];
  while (await reader.hasNext()) messages.push(await reader.next());
  return messages;
}

const CASES = COMPRESSIONS.flatMap(codec => [true, false].map(batching => ({ codec, batching })));

describe.skipIf(skipped('pulsar', 'peer'))('our client and the official one', () => {
  test.each(CASES)('what we write is read there: $codec, batching $batching', async ({ codec, batching }) => {
    const driver = wireClient({
      compression: codec,
      compressFrom: 0,
      batch: { messages: batching ? 100 : 1, by: 'any' },
    });
    const topic = unique();
    const producer = await driver.createProducer({ topic });
    const ids = await Promise.all(LETTER.map(message => producer.send(message)));
    expect(new Set(ids.map(id => id.split(':')[1])).size).toBe(batching ? 1 : LETTER.length);
    const messages = await pulsarPeer().read(topic);
    expect(messages.map(picture)).toEqual(LETTER.map((message, i) => expected(message, ids[i]!)));
    expect(messages.map(({ payload }) => payload === null)).toEqual(LETTER.map(({ payload }) => payload === null));
  });

  test.each(CASES)('what is written there we read: $codec, batching $batching', async ({ codec, batching }) => {
    const topic = unique();
    const ids = await pulsarPeer().produce(topic, LETTER, { codec, batching });
    const messages = await readAll(wireClient(), topic);
    expect(messages.map(picture)).toEqual(LETTER.map((message, i) => expected(message, ids[i]!)));
  });

  test.each([true, false])(
    'of a batch that one acknowledged in part the other gets the rest (ours first: %s)',
    async oursFirst => {
      const topic = unique();
      const peer = pulsarPeer();
      const driver = wireClient();
      const letters = ['a', 'b', 'c', 'd'].map(payload => ({ payload }));
      const ids = await peer.produce(topic, letters, { batching: true });
      const ours = { topics: [topic], subscription: 's', type: 'Shared', initialPosition: 'Earliest' } as const;
      const theirs = { type: 'Shared', initialPosition: 'Earliest', batchIndexAck: true } as const;
      if (oursFirst) {
        const consumer = await driver.subscribe(ours);
        for (let n = 0; n < 4; n++) await consumer.receive();
        await consumer.acknowledge([ids[1]!, ids[3]!]);
        await consumer.close();
        const rest = await (await peer.subscribe(topic, 's', theirs)).receive(2);
        expect(rest.map(({ id }) => id)).toEqual([ids[0], ids[2]]);
        return;
      }
      const consumer = await peer.subscribe(topic, 's', theirs);
      await consumer.receive(4);
      await consumer.acknowledge([ids[1]!, ids[3]!]);
      await consumer.close();
      const rest = await driver.subscribe(ours);
      expect([(await rest.receive()).id, (await rest.receive()).id]).toEqual([ids[0], ids[2]]);
    },
  );

  test.each(['none', 'zstd'] as const)(
    'a message in chunks is read by both, and acknowledged whole: %s',
    async codec => {
      const topic = unique();
      const driver = wireClient({ chunking: true, compression: codec });
      const producer = await driver.createProducer({ topic });
      const large = randomBytes(12 * 1024 * 1024);
      const ids = await Promise.all(
        [{ payload: 'before' }, { payload: large, key: 'k' }, { payload: 'after' }].map(one => producer.send(one)),
      );
      const read = await pulsarPeer().read(topic);
      expect(read.map(({ payload }) => payload!.length)).toEqual([6, large.length, 5]);
      expect(read[1]!.payload!.equals(large)).toBe(true);
      const consumer = await driver.subscribe({
        topics: [topic],
        subscription: 's',
        type: 'Shared',
        initialPosition: 'Earliest',
      });
      for (const id of ids) {
        const message = await consumer.receive();
        expect(message.id).toBe(id);
        if (message.key === 'k') expect(Buffer.from(message.payload!).equals(large)).toBe(true);
      }
      await consumer.acknowledge(ids);
      await expect.poll(async () => (await driver.stats(topic)).subscriptions['s']!.backlog).toBe(0);
    },
  );

  test('a batch by key comes to one consumer of a Key_Shared subscription, theirs and ours together', async () => {
    const topic = unique();
    const driver = wireClient();
    const peer = pulsarPeer();
    const theirs = await peer.subscribe(topic, 's', { type: 'Key_Shared', initialPosition: 'Earliest' });
    const ours = await driver.subscribe({
      topics: [topic],
      subscription: 's',
      type: 'Key_Shared',
      initialPosition: 'Earliest',
    });
    const producer = await driver.createProducer({ topic });
    const sent = Array.from({ length: 400 }, (_, n) => ({ payload: `${n}`, key: `k${n % 40}` }));
    await Promise.all(sent.map(message => producer.send(message)));
    const taken: { by: string; key: string; n: number }[] = [];
    const stop = new AbortController();
    const take = (by: string, key: string | null, payload: Uint8Array | null): void => {
      taken.push({ by, key: key!, n: Number(Buffer.from(payload!).toString()) });
      if (taken.length === sent.length) stop.abort();
    };
    const mine = (async () => {
      for (;;) {
        const { key, payload } = await ours.receive(stop.signal);
        take('ours', key, payload);
      }
    })().catch(() => undefined);
    while (!stop.signal.aborted)
      for (const { key, payload } of await theirs.receive(1, 300).catch(() => [])) take('theirs', key, payload);
    await mine;
    const byKey = Map.groupBy(taken, ({ key }) => key);
    expect(byKey.size).toBe(40);
    for (const its of byKey.values()) {
      expect(new Set(its.map(({ by }) => by)).size).toBe(1);
      expect(its.map(({ n }) => n)).toEqual(its.map(({ n }) => n).toSorted((a, b) => a - b));
    }
    expect(new Set(taken.map(({ by }) => by)).size).toBe(2);
  });
});

function expected(message: PeerOutMessage, id: string) {
  return {
    id,
    key: message.key ?? null,
    orderingKey: message.orderingKey ?? null,
    properties: { ...message.properties },
    eventTime: message.eventTime ?? null,
    payload: message.payload === null ? null : Buffer.from(message.payload as string).toString('base64'),
  };
}

describe.skipIf(skipped('pulsar'))('the official Java client', () => {
  test('puts a key into the partition that we do, by Murmur3', { timeout: 60_000 }, async () => {
    const topic = unique();
    const driver = wireClient();
    await driver.createTopic(topic, 4);
    const keys = ['k1', 'k2', 'key01', 'key02', 'ключ', '😀', 'a', 'polygenelubricants', 'order-4711'];
    const program = fileURLToPath(new URL('./fixtures/KeyedProducer.java', import.meta.url));
    await promisify(execFile)('java', ['-cp', javaClasses(), program, pulsarService()!.url, topic, ...keys], {
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    });
    const producer = await driver.createProducer({ topic });
    await Promise.all(keys.map(key => producer.send({ payload: key, key })));
    const partitions = new Map<string, Set<string>>();
    for (const message of await readAll(driver, topic)) {
      const { key, topic: partition } = message;
      partitions.set(key!, (partitions.get(key!) ?? new Set()).add(partition));
    }
    expect([...partitions.keys()].toSorted()).toEqual(keys.toSorted());
    for (const [key, found] of partitions)
      expect([...found]).toEqual([`persistent://public/default/${topic}-partition-${partitionOfKey(key, 4)}`]);
  });
});
