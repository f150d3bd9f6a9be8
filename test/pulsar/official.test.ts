/** The driver of the official client: what it makes of options, what it refuses, and what the conformance suite leaves out. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { OutMessage } from '../../actors/pulsar/contract.ts';
import { partitionOfKey } from '../../actors/pulsar/murmur3.ts';
import { nativeFault } from '../../actors/pulsar/official/faults.ts';
import { idText } from '../../actors/pulsar/official/messages.ts';
import { KeymillError } from '../../runtime/index.ts';
import { errorFrom } from '../support/runtimes.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { officialDriver } from './official-support.ts';
import { opened, take, text, texts } from './support.ts';

test('without the package it is said how to add it', async () => {
  const error = await errorFrom(opened({ url: 'pulsar://localhost', driver: 'pulsar-client' }));
  expect(error).toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('npm install pulsar-client'),
  });
});

test('keys go where all clients of Pulsar send them, and batches are by key', async () => {
  const { driver, configs } = await officialDriver();
  await driver.createTopic('t', 4);
  const producer = await driver.createProducer({ topic: 't' });
  expect(configs.at(-1)).toMatchObject({
    hashingScheme: 'Murmur3_32Hash',
    messageRoutingMode: 'RoundRobinDistribution',
    batchingEnabled: true,
    batchingType: 'KeyBasedBatching',
    batchingMaxMessages: 100,
    batchingMaxAllowedSizeInBytes: 128 * 1024,
    batchingMaxPublishDelayMs: 100,
    maxPendingMessages: 500,
    maxPendingMessagesAcrossPartitions: 500_000,
    blockIfQueueFull: false,
    compressionType: 'None',
    sendTimeoutMs: 30_000,
  });
  const keys = ['k1', 'k2', 'key01', 'ключ', '😀'];
  for (const key of keys) await producer.send({ payload: key, key });
  const consumer = await driver.subscribe({
    topics: ['t'],
    subscription: 's',
    type: 'Shared',
    initialPosition: 'Earliest',
  });
  for (const message of await take(consumer, keys.length))
    expect(message.topic).toBe(`persistent://public/default/t-partition-${partitionOfKey(text(message)!, 4)}`);
});

test('options reach the client', async () => {
  const folder = await tempFolder('official');
  const [ca, cert, key] = ['ca', 'cert', 'key'].map(name => join(folder, `${name}.pem`)) as [string, string, string];
  for (const file of [ca, cert, key]) await writeFile(file, 'pem');
  const { driver, configs } = await officialDriver({
    tls: { ca, cert, key, checkHost: false },
    auth: { tls: true },
    profile: 'high-throughput',
    chunking: true,
    maxPending: 7,
    connectMs: 1500,
    operationMs: 2500,
  });
  expect(configs[0]).toMatchObject({
    serviceUrl: 'pulsar://localhost',
    authentication: { params: { certificatePath: cert, privateKeyPath: key } },
    tlsTrustCertsFilePath: ca,
    tlsCertificateFilePath: cert,
    tlsPrivateKeyFilePath: key,
    tlsValidateHostname: false,
    tlsAllowInsecureConnection: false,
    connectionTimeoutMs: 1500,
    operationTimeoutSeconds: 3,
  });
  await driver.createProducer({ topic: 't', schema: { type: 'json', name: 'n', definition: '{}' } });
  expect(configs.at(-1)).toMatchObject({
    chunkingEnabled: true,
    batchingEnabled: false,
    compressionType: 'LZ4',
    maxPendingMessages: 7,
    schema: { schemaType: 'Json', name: 'n', schema: '{}' },
  });
});

test('who we are reaches the client, secrets read', async () => {
  const folder = await tempFolder('official');
  const file = join(folder, 'token');
  await writeFile(file, 'secret\n');
  const paramsOf = async (auth: unknown): Promise<unknown> =>
    ((await officialDriver({ auth })).configs[0]!['authentication'] as { params: unknown }).params;
  expect(await paramsOf({ token: `file:${file}` })).toEqual({ token: 'secret' });
  expect(await paramsOf({ user: 'u', password: 'a:b' })).toEqual({ username: 'u', password: 'a:b' });
  const oauth = { issuer: 'https://issuer.example', clientId: 'id', clientSecret: `file:${file}`, audience: 'a' };
  expect(await paramsOf(oauth)).toEqual({
    type: 'client_credentials',
    issuer_url: 'https://issuer.example',
    client_id: 'id',
    client_secret: 'secret',
    audience: 'a',
  });
  expect(await errorFrom(paramsOf({ tls: true }))).toMatchObject({ code: 'CONFIG_INVALID' });
});

test('a message arrives as it was sent, but for what the client cannot tell', async () => {
  const { driver } = await officialDriver();
  const producer = await driver.createProducer({ topic: 't', name: 'p' });
  const consumer = await driver.subscribe({ topics: ['t'], subscription: 's', type: 'Exclusive' });
  const sent: OutMessage[] = [
    { payload: Uint8Array.of(9, 0, 1, 255).subarray(1) },
    { payload: 'ü', key: 'k', orderingKey: 'o', properties: { x: '1', 0: 'zero' }, eventTime: 1_700_000_000_123 },
  ];
  const ids = await Promise.all(sent.map(message => producer.send(message)));
  const [first, second] = await take(consumer, 2);
  expect([...first!.payload!]).toEqual([0, 1, 255]);
  expect(first).toMatchObject({ id: ids[0], key: null, orderingKey: null, eventTime: null, properties: {} });
  expect(second).toMatchObject({
    id: ids[1],
    topic: 'persistent://public/default/t',
    key: 'k',
    orderingKey: 'o',
    properties: { x: '1', 0: 'zero' },
    eventTime: 1_700_000_000_123,
    producer: 'p',
    sequenceId: -1,
    redeliveryCount: 0,
  });
  expect(Array.isArray(second!.properties)).toBe(false);
});

test('what the client cannot do is refused', async () => {
  const { driver } = await officialDriver();
  const producer = await driver.createProducer({ topic: 't' });
  const id = await producer.send({ payload: 'a' });
  const shared = { topics: ['t', 'u'], subscription: 's', type: 'Shared' } as const;
  const consumer = await driver.subscribe(shared);
  for (const refused of [
    producer.send({ payload: null }),
    driver.createProducer({ topic: 't', access: 'ExclusiveWithFencing', epoch: 1 }),
    consumer.seek({ id }),
    driver.createReader({ topic: 't', from: { id }, isInclusive: true }),
    driver.createReader({ topic: 't', from: 'latest', isInclusive: true }),
    driver.subscribe({ ...shared, ackTimeoutMs: 9999 }),
    driver.subscribe({ ...shared, deadLetter: { maxRedeliver: 0, topic: 'd' } }),
    driver.subscribe({ ...shared, deadLetter: { maxRedeliver: 3 } }),
    driver.subscribe({ ...shared, topics: [] }),
  ])
    expect(await errorFrom(refused)).toMatchObject({ code: 'CONFIG_INVALID', class: 'fatal' });
  const parted = await driver
    .createTopic('parted', 2)
    .then(() => driver.createReader({ topic: 'parted', from: { id } }))
    .catch(error => error);
  expect(parted).toMatchObject({ code: 'CONFIG_INVALID' });
});

test('who waits goes on waiting while all is given again', async () => {
  const { driver } = await officialDriver();
  const producer = await driver.createProducer({ topic: 't' });
  const consumer = await driver.subscribe({ topics: ['t'], subscription: 's', type: 'Exclusive' });
  for (const payload of ['a', 'b']) await producer.send({ payload });
  const [first] = await take(consumer, 2);
  await consumer.acknowledge([first!.id]);
  const waiting = consumer.receive();
  await Promise.all([consumer.redeliver(), consumer.redeliver()]);
  expect(text(await waiting)).toBe('b');
  const last = consumer.receive();
  const moving = consumer.redeliver();
  const closing = consumer.close();
  expect(await errorFrom(last)).toMatchObject({ code: 'CONSUMER_CLOSED' });
  await Promise.all([moving, closing]);
});

test('unsubscribe removes a subscription; that others use it is not told apart', async () => {
  const { driver } = await officialDriver();
  const producer = await driver.createProducer({ topic: 't' });
  const options = { topics: ['t'], subscription: 's', type: 'Shared', initialPosition: 'Earliest' } as const;
  const [one, two] = [await driver.subscribe(options), await driver.subscribe(options)];
  await producer.send({ payload: 'a' });
  expect(await errorFrom(one.unsubscribe())).toMatchObject({ code: 'IO_FAILED' });
  await two.close();
  await one.unsubscribe();
  expect(await driver.stats('t')).toMatchObject({ subscriptions: {} });
  expect(await errorFrom(one.receive())).toMatchObject({ code: 'CONSUMER_CLOSED' });
});

test('a subscription is moved to its start, its end or a time', async () => {
  const { driver } = await officialDriver();
  const producer = await driver.createProducer({ topic: 't' });
  const consumer = await driver.subscribe({ topics: ['t'], subscription: 's', type: 'Exclusive' });
  for (const payload of ['a', 'b']) await producer.send({ payload });
  await take(consumer, 2);
  await consumer.seek('earliest');
  expect(texts(await take(consumer, 2))).toEqual(['a', 'b']);
  await consumer.seek('latest');
  await producer.send({ payload: 'c' });
  expect(texts(await take(consumer, 1))).toEqual(['c']);
  await consumer.seek({ publishedAt: 0 });
  expect(texts(await take(consumer, 1))).toEqual(['a']);
});

test('a reader begins behind a message, at a time, at the end, and goes on', async () => {
  const { driver } = await officialDriver();
  const producer = await driver.createProducer({ topic: 't' });
  const ids: string[] = [];
  for (const payload of ['a', 'b', 'c']) ids.push(await producer.send({ payload }));
  const behind = await driver.createReader({ topic: 't', from: { id: ids[0]! } });
  expect([text(await behind.next()), text(await behind.next()), await behind.hasNext()]).toEqual(['b', 'c', false]);
  const atTime = await driver.createReader({ topic: 't', from: { publishedAt: 0 } });
  expect(text(await atTime.next())).toBe('a');
  const atEnd = await driver.createReader({ topic: 't', from: 'latest' });
  const waiting = [behind.next(), atEnd.next()];
  await producer.send({ payload: 'd' });
  expect(texts(await Promise.all(waiting))).toEqual(['d', 'd']);
});

test('dead letters of a partitioned topic go to one, and a pattern is of a namespace', async () => {
  const { driver, configs } = await officialDriver();
  const options = { subscription: 's', type: 'Shared' } as const;
  await driver.subscribe({ ...options, topics: ['a/b/t-partition-1'], deadLetter: { maxRedeliver: 3 } });
  expect(configs.at(-1)).toMatchObject({
    topic: 'persistent://a/b/t-partition-1',
    deadLetterPolicy: { maxRedeliverCount: 3, deadLetterTopic: 'persistent://a/b/t-s-DLQ' },
  });
  for (const [pattern, native] of [
    ['x.*', 'persistent://public/default/x.*'],
    ['a/b/x.*', 'persistent://a/b/x.*'],
    ['persistent://a/b/(x|y)', 'persistent://a/b/(x|y)'],
  ] as const) {
    await driver.subscribe({ ...options, topics: [], pattern });
    expect(configs.at(-1)).toMatchObject({ topicsPattern: native, regexSubscriptionMode: 'PersistentOnly' });
  }
});

test('it counts what it has open, and a probe asks the broker', async () => {
  const { driver } = await officialDriver();
  await driver.createProducer({ topic: 't' });
  const reader = await driver.createReader({ topic: 't', from: 'latest' });
  expect(driver.numbers().attachments).toEqual({
    producer: { connecting: 0, ready: 1 },
    consumer: { connecting: 0, ready: 1 },
  });
  await reader.close();
  expect(driver.numbers().attachments.consumer.ready).toBe(0);
  await driver.probe();
  await driver.close();
  expect(await errorFrom(driver.probe())).toMatchObject({ code: 'IO_FAILED' });
});

test('what the client rejects with has a code of ours', () => {
  const codeOf = (said: string) => {
    const { code, class: errorClass } = nativeFault(new Error(said), 't', 'PUBLISH_FAILED');
    return [code, errorClass];
  };
  expect(codeOf('Failed to create producer: ProducerBusy')).toEqual(['PRODUCER_BUSY', 'transient']);
  expect(codeOf('Failed to send message: ResultProducerFenced')).toEqual(['PRODUCER_FENCED', 'fatal']);
  expect(codeOf('Failed to create producer: IncompatibleSchema')).toEqual(['SCHEMA_REFUSED', 'fatal']);
  expect(codeOf('Failed to send message: TimeOut')).toEqual(['PUBLISH_FAILED', 'transient']);
  expect(codeOf('constructor')).toEqual(['PUBLISH_FAILED', 'transient']);
  const ours = new KeymillError('TOPIC_INVALID', 'x');
  expect(nativeFault(ours, 't')).toBe(ours);
});

test('ids are read in brackets or without', () => {
  for (const said of ['(12,0,-1,3)', '12:0:-1:3']) expect(idText({ toString: () => said })).toBe('12:0:-1:3');
  expect(() => idText({ toString: () => '12:0' })).toThrow('IO_FAILED');
});
