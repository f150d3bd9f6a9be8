/** The servers themselves, seen by the official Python client: what other tests rest on. */
import { randomUUID } from 'node:crypto';
import { createConnection } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { Direction, Splitter } from '../support/proxy-lane.ts';
import { COMMAND, commandOf, pulsarProxy } from '../support/proxy-pulsar.ts';
import { pulsarFrames } from '../support/proxy-splitters.ts';
import { PeerError, type PeerOptions, type PulsarPeer, pulsarPeer } from '../support/pulsar-peer.ts';
import { brokerLog, pulsarService, redisService, restartBroker, signToken, skipped } from '../support/services.ts';
import { createPartitions, setDeduplication, topicStats, unloadTopic } from '../support/services-admin.ts';

const unique = (): string => `harness-${randomUUID()}`;

describe.skipIf(skipped('pulsar', 'peer'))('Pulsar', () => {
  const service = pulsarService()!;
  const earliest = { initialPosition: 'Earliest' } as const;

  /** Keyed messages there and back by one connection. */
  async function roundTrip(options: Partial<PeerOptions>): Promise<void> {
    const peer = pulsarPeer(options);
    const topic = unique();
    const ids = await peer.produce(topic, [
      { payload: 'a', key: 'k1', properties: { x: '1', ü: '€' } },
      { payload: Uint8Array.of(0, 255), key: 'k2', orderingKey: 'o', eventTime: 1_700_000_000_123 },
      { payload: null, key: 'k1' },
    ]);
    const consumer = await peer.subscribe(topic, 's', { ...earliest, type: 'Key_Shared' });
    const messages = await consumer.receive(3);
    await consumer.acknowledge(ids);
    expect(
      messages.map(({ id, key, orderingKey, properties, eventTime, payload }) => ({
        id,
        key,
        orderingKey,
        properties,
        eventTime,
        payload: payload && [...payload],
      })),
    ).toEqual([
      { id: ids[0], key: 'k1', orderingKey: null, properties: { x: '1', ü: '€' }, eventTime: null, payload: [97] },
      { id: ids[1], key: 'k2', orderingKey: 'o', properties: {}, eventTime: 1_700_000_000_123, payload: [0, 255] },
      { id: ids[2], key: 'k1', orderingKey: null, properties: {}, eventTime: null, payload: null },
    ]);
    await expect.poll(async () => (await topicStats(topic)).subscriptions['s']!.msgBacklog).toBe(0);
  }

  test('keyed messages go there and back', () => roundTrip({}));

  test('over TLS, with a token', () =>
    roundTrip({ url: service.tls, ca: service.ca, validateHost: true, token: service.token }));

  test('over TLS, with a certificate as proof', () =>
    roundTrip({ url: service.tls, ca: service.ca, certificate: service.certificate, key: service.key }));

  test.each(['none', 'lz4', 'zlib', 'zstd', 'snappy'] as const)('a batch, compressed by %s', async codec => {
    const peer = pulsarPeer();
    const topic = unique();
    const sent = Array.from({ length: 5 }, (_, n) => ({ payload: `${n}`.repeat(100), key: `k${n}` }));
    const ids = await peer.produce(topic, sent, { codec, batching: true });
    expect(new Set(ids.map(id => id.split(':').slice(0, 2).join(':'))).size).toBe(1);
    const messages = await peer.read(topic);
    expect(messages.map(({ payload, key }) => ({ payload: payload!.toString(), key }))).toEqual(sent);
    expect(messages.map(({ id }) => id)).toEqual(ids);
  });

  test('a part of a batch is acknowledged, and only the rest comes again', async () => {
    const peer = pulsarPeer();
    const topic = unique();
    const options = { ...earliest, type: 'Shared', batchIndexAck: true } as const;
    const ids = await peer.produce(
      topic,
      ['a', 'b', 'c'].map(payload => ({ payload })),
      { batching: true },
    );
    const first = await peer.subscribe(topic, 's', options);
    await first.receive(3);
    await first.acknowledge([ids[1]!]);
    await first.close();
    const second = await peer.subscribe(topic, 's', options);
    expect((await second.receive(2)).map(({ id }) => id)).toEqual([ids[0], ids[2]]);
  });

  test('partitions, unloading and deduplication of a topic', async () => {
    const peer = pulsarPeer();
    const topic = unique();
    await createPartitions(topic, 2);
    expect(await peer.partitions(topic)).toEqual(
      [0, 1].map(n => `persistent://public/default/${topic}-partition-${n}`),
    );
    const single = unique();
    const consumer = await peer.subscribe(single, 's');
    await unloadTopic(single);
    await setDeduplication(single, true);
    const again = { name: 'p', batching: false };
    // What was set reaches the broker by a topic of its own, and so at some time.
    await expect
      .poll(
        async () => {
          await peer.produce(single, [{ payload: 'm', sequenceId: 5 }], again);
          return peer.produce(single, [{ payload: 'm', sequenceId: 5 }], again);
        },
        { timeout: 20_000 },
      )
      .toEqual(['-1:-1:-1:-1']);
    expect((await consumer.receive())[0]!.payload!.toString()).toBe('m');
  });

  test.each([false, true])('a client goes through the proxy, and comes back after a cut (direct: %s)', async direct => {
    const sent: Buffer[] = [];
    const splitters = new Map<number, Splitter>();
    const watch = (direction: Direction, bytes: Buffer, connection: number) => {
      if (!splitters.has(connection)) splitters.set(connection, pulsarFrames());
      if (direction === 'toServer') sent.push(...splitters.get(connection)!(bytes));
    };
    const proxy = await pulsarProxy({ watch, direct });
    const peer = pulsarPeer({ url: proxy.url });
    const topic = unique();
    const consumer = await peer.subscribe(topic, 's');
    proxy.dropReply(1, { of: frame => commandOf(frame) === COMMAND.sendReceipt, cuts: true });
    const producing = peer.produce(topic, [{ payload: 'm' }]);
    await expect.poll(() => sent.map(commandOf)).toContain(COMMAND.send);
    const broker = new URL(service.url).host;
    const connects = sent.filter(frame => commandOf(frame) === COMMAND.connect);
    expect(connects.some(frame => frame.includes(broker))).toBe(!direct);
    await expect
      .poll(() => sent.filter(frame => commandOf(frame) === COMMAND.connect).length)
      .toBeGreaterThan(connects.length);
    await proxy.heal();
    await producing;
    // Stored each time, since the receipts did not reach the producer.
    expect((await consumer.receive(2)).map(({ payload }) => payload!.toString())).toEqual(['m', 'm']);
  });

  describe('refuses', () => {
    const wrong = (): string => signToken({ sub: 'keymill' }, Buffer.alloc(32, 'w'));
    const expired = (): string => signToken({ sub: 'keymill', exp: Math.floor(Date.now() / 1000) - 5 });

    test.each([
      ['a token of another key', wrong],
      ['a token that expired', expired],
    ])('%s', async (_, token) => {
      expect(await greeting(token())).toContain('Failed to authenticate');
      const peer = pulsarPeer({ token: token(), operationTimeoutS: 1 });
      await expect(peer.produce(unique(), [{ payload: 'm' }])).rejects.toMatchObject({ name: 'Timeout' });
    });

    test('a role that may nothing', async () => {
      const peer = pulsarPeer({ token: signToken({ sub: 'stranger' }) });
      await expect(peer.produce(unique(), [{ payload: 'm' }])).rejects.toMatchObject({ name: 'AuthorizationError' });
    });

    test('a client that does not know the authority', async () => {
      const peer = pulsarPeer({ url: service.tls, operationTimeoutS: 1 });
      await expect(peer.produce(unique(), [{ payload: 'm' }])).rejects.toThrow();
    });

    test('nobody whose token holds', async () => {
      expect(await greeting(service.token)).toContain('Pulsar Server');
    });
  });

  test('a broker that was killed and started again has its messages and its ports', { timeout: 120_000 }, async () => {
    const peer = pulsarPeer();
    const topic = unique();
    const consumer = await peer.subscribe(topic, 's');
    const ids = await peer.produce(
      topic,
      ['a', 'b', 'c'].map(payload => ({ payload, key: 'k' })),
    );
    await consumer.receive(1);
    await consumer.acknowledge([ids[0]!]);
    await expect.poll(async () => (await topicStats(topic)).subscriptions['s']!.msgBacklog).toBe(2);
    const before = pulsarService()!;
    const { pid, ...rest } = await restartBroker();
    expect(pid).not.toBe(before.pid);
    expect({ ...rest, pid: before.pid }).toEqual(before);
    expect((await readAgain(topic)).map(({ id, payload }) => [id, payload!.toString()])).toEqual([
      [ids[0], 'a'],
      [ids[1], 'b'],
      [ids[2], 'c'],
    ]);
    // Once or twice for each start; scripts/services/pulsar/pom.xml says when it was for ever.
    expect(brokerLog().split('was invalidated').length).toBeLessThan(100);
  });

  /** The official client gives up where a broker that has just started takes its time on a busy machine. */
  async function readAgain(topic: string): ReturnType<PulsarPeer['read']> {
    for (let left = 5; ; left--)
      try {
        return await pulsarPeer({ operationTimeoutS: 10 }).read(topic);
      } catch (error) {
        if (left === 0 || !(error instanceof PeerError)) throw error;
      }
  }

  /** What the broker answers to CONNECT with a token (reference/pulsar.md 2.2), as text. */
  async function greeting(token: string): Promise<string> {
    const bytes = (field: number, value: string): Buffer =>
      Buffer.concat([Buffer.from([(field << 3) | 2]), varint(value.length), Buffer.from(value)]);
    const connect = Buffer.concat([bytes(1, 'test'), bytes(3, token), Buffer.from([4 << 3, 19]), bytes(5, 'token')]);
    const command = Buffer.concat([Buffer.from([8, 2, (2 << 3) | 2]), varint(connect.length), connect]);
    const sizes = Buffer.alloc(8);
    sizes.writeUInt32BE(command.length + 4, 0);
    sizes.writeUInt32BE(command.length, 4);
    const socket = createConnection(Number(new URL(service.url).port), '127.0.0.1');
    socket.write(Buffer.concat([sizes, command]));
    for await (const reply of socket) return String(reply);
    return '';
  }
});

const varint = (value: number): Buffer =>
  value < 128 ? Buffer.from([value]) : Buffer.from([(value & 127) | 128, value >> 7]);

describe.skipIf(skipped('redis'))('Redis', () => {
  test('answers', async () => {
    const socket = createConnection(Number(new URL(redisService()!.url).port), '127.0.0.1');
    socket.write('SET a 1\r\nGET a\r\n');
    let text = '';
    for await (const chunk of socket) if ((text += chunk).endsWith('$1\r\n1\r\n')) break;
    expect(text).toBe('+OK\r\n$1\r\n1\r\n');
  });
});
