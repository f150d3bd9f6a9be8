/** What our wire client does when the network or the broker misbehaves: each has its error or its recovery, and no call waits for ever. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Consumer, PulsarDriver } from '../../actors/pulsar/contract.ts';
import type { ErrorCode } from '../../runtime/index.ts';
import { COMMAND, commandOf, pulsarProxy } from '../support/proxy-pulsar.ts';
import { errorFrom } from '../support/runtimes.ts';
import { pulsarService, signToken, skipped } from '../support/services.ts';
import { admin, terminateTopic, unloadTopic } from '../support/services-admin.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { wireClient } from '../support/wire.ts';

const unique = (): string => `resilience-${randomUUID()}`;
const codeFrom = async (promise: Promise<unknown>): Promise<ErrorCode> => (await errorFrom(promise)).code;
const numbers = (count: number): string[] => Array.from({ length: count }, (_, n) => `m${n}`);
const SOON = { timeout: 10_000 };
const QUICK = { keepAliveMs: 300, operationMs: 1500, connectMs: 1000, sendTimeoutMs: 1500 };

async function payloads(driver: PulsarDriver, topic: string): Promise<string[]> {
  const reader = await driver.createReader({ topic, from: 'earliest' });
  const found: string[] = [];
  while (await reader.hasNext()) found.push(Buffer.from((await reader.next()).payload!).toString());
  return found;
}

describe.skipIf(skipped('pulsar'))('the wire client', () => {
  test('sends again in order what was not confirmed when the connection broke, and nothing else first', async () => {
    const proxy = await pulsarProxy();
    const driver = wireClient({ url: proxy.url, batch: { messages: 1 } });
    const topic = unique();
    const producer = await driver.createProducer({ topic });
    await producer.send({ payload: 'first' });
    proxy.dropReply(3, { of: frame => commandOf(frame) === COMMAND.sendReceipt, cuts: true });
    const sent = numbers(40).map(payload => producer.send({ payload }));
    await proxy.heal();
    await Promise.all(sent);
    const seen = await payloads(wireClient(), topic);
    const firsts = [...new Set(seen)];
    expect(firsts).toEqual(['first', ...numbers(40)]);
  });

  test('a connection on which nothing comes is given up, and what waits goes on with the next one', async () => {
    const proxy = await pulsarProxy();
    const driver = wireClient({ ...QUICK, url: proxy.url, sendTimeoutMs: 30_000 });
    const topic = unique();
    const producer = await driver.createProducer({ topic });
    const consumer = await driver.subscribe({ topics: [topic], subscription: 's', type: 'Exclusive' });
    proxy.halfOpen('toClient');
    const sent = producer.send({ payload: 'm' });
    await expect.poll(() => driver.numbers().attachments.producer.ready, { timeout: 10_000 }).toBe(0);
    await proxy.heal();
    await sent;
    const message = await consumer.receive();
    expect(Buffer.from(message.payload!).toString()).toBe('m');
    await consumer.acknowledge([message.id]);
    expect(driver.numbers().reconnects).toBeGreaterThan(0);
  });

  test('in a black hole every call ends by its deadline', async () => {
    const proxy = await pulsarProxy();
    const driver = wireClient({ ...QUICK, url: proxy.url, keepAliveMs: 60_000 });
    const topic = unique();
    const producer = await driver.createProducer({ topic });
    const consumer = await driver.subscribe({ topics: [topic], subscription: 's', type: 'Shared' });
    const reader = await driver.createReader({ topic, from: 'earliest' });
    const id = await producer.send({ payload: 'm' });
    await consumer.receive();
    await reader.next(); // what a reader has at hand it tells without asking
    proxy.blackhole();
    const codes = await Promise.all([
      codeFrom(producer.send({ payload: 'lost' })),
      codeFrom(driver.createProducer({ topic: unique() })),
      codeFrom(driver.subscribe({ topics: [unique()], subscription: 's', type: 'Shared' })),
      codeFrom(driver.partitionsOf(topic)),
      codeFrom(reader.hasNext()),
      codeFrom(consumer.seek('earliest')),
      codeFrom(consumer.acknowledge([id])),
    ]);
    expect(codes[0]).toBe('PUBLISH_FAILED');
    expect(new Set(codes.slice(1))).toEqual(new Set(['IO_FAILED']));
    await proxy.heal();
  });

  test('a slow broker is waited for', async () => {
    const proxy = await pulsarProxy();
    const driver = wireClient({ url: proxy.url });
    const topic = unique();
    const producer = await driver.createProducer({ topic });
    proxy.delay(200);
    await Promise.all(numbers(20).map(payload => producer.send({ payload })));
    expect(await payloads(driver, topic)).toEqual(numbers(20));
  });

  test('an entry that came broken is passed over and counted; what cannot be read here is left to others', async () => {
    let isDue = true;
    const alter = (frame: Buffer): Buffer => {
      if (commandOf(frame) !== COMMAND.message || !isDue) return frame;
      isDue = false;
      const broken = Buffer.from(frame);
      broken[broken.length - 1]! ^= 1;
      return broken;
    };
    const proxy = await pulsarProxy({ alter });
    const topic = unique();
    const producer = await wireClient({ batch: { messages: 1 } }).createProducer({ topic });
    const driver = wireClient({ url: proxy.url });
    const consumer = await driver.subscribe({ topics: [topic], subscription: 's', type: 'Exclusive' });
    for (const payload of numbers(3)) await producer.send({ payload });
    const seen = [await consumer.receive(), await consumer.receive()];
    expect(seen.map(({ payload }) => Buffer.from(payload!).toString())).toEqual(['m1', 'm2']);
    expect(driver.numbers().corrupt).toBe(1);
    await consumer.acknowledge(seen.map(({ id }) => id));
    await expect.poll(async () => (await driver.stats(topic)).subscriptions['s']!.backlog).toBe(0);
  });

  test('consumers of one subscription may seek at once: those whom the broker refuses ask again', async () => {
    const topic = unique();
    const producer = await wireClient().createProducer({ topic });
    const options = { topics: [topic], subscription: 's', type: 'Shared' } as const;
    const consumers = await Promise.all(numbers(3).map(() => wireClient().subscribe(options)));
    for (const payload of numbers(20)) await producer.send({ payload });
    const first = await consumers[0]!.receive();
    await consumers[0]!.acknowledge([first.id]);
    await Promise.all(consumers.map(consumer => consumer.seek('earliest')));
    const seen = new Set<string>();
    const read = async (consumer: Consumer): Promise<void> => {
      for (;;) {
        const { id, payload } = await consumer.receive();
        seen.add(Buffer.from(payload!).toString());
        await consumer.acknowledge([id]);
      }
    };
    for (const consumer of consumers) read(consumer).catch(() => {}); // it ends with its client
    await expect.poll(() => [...seen].toSorted(), SOON).toEqual(numbers(20).toSorted());
  });

  test('producers share the memory of their client, and wait for one another', async () => {
    const proxy = await pulsarProxy();
    const driver = wireClient({ url: proxy.url, memoryBytes: 100_000, batch: { messages: 10 } });
    const topics = [unique(), unique()];
    const producers = await Promise.all(topics.map(topic => driver.createProducer({ topic })));
    proxy.delay(50);
    const sent = numbers(60).map(name => ({ payload: name.padEnd(10_000), name }));
    await Promise.all(sent.map(({ payload }, n) => producers[n % 2]!.send({ payload })));
    await proxy.heal();
    for (const [i, topic] of topics.entries())
      expect((await payloads(wireClient(), topic)).map(one => one.trim())).toEqual(
        sent.filter((_, n) => n % 2 === i).map(({ name }) => name),
      );
  });

  test('brokers of a cluster are connected to at the address they have', async () => {
    const proxy = await pulsarProxy({ direct: true });
    const driver = wireClient({ url: proxy.url });
    const topic = unique();
    const producer = await driver.createProducer({ topic });
    await producer.send({ payload: 'm0' });
    proxy.cut();
    await producer.send({ payload: 'm1' });
    expect(await payloads(driver, topic)).toEqual(['m0', 'm1']);
  });

  test('of several hosts the first that answers is taken', async () => {
    const { port } = new URL(pulsarService()!.url);
    const driver = wireClient({ url: `pulsar://127.0.0.1:1,127.0.0.1:${port}` });
    const topic = unique();
    await (await driver.createProducer({ topic })).send({ payload: 'm' });
    expect(await payloads(driver, topic)).toEqual(['m']);
  });

  test('a topic that moves is followed; what was received and not acknowledged is not given twice', async () => {
    const driver = wireClient();
    const topic = unique();
    const producer = await driver.createProducer({ topic });
    const consumer = await driver.subscribe({ topics: [topic], subscription: 's', type: 'Failover' });
    await Promise.all(numbers(10).map(payload => producer.send({ payload })));
    const held = [];
    for (let n = 0; n < 5; n++) held.push(await consumer.receive());
    await unloadTopic(topic);
    await producer.send({ payload: 'm10' });
    const rest = [];
    for (let n = 0; n < 6; n++) rest.push(await consumer.receive());
    expect(rest.map(({ payload }) => Buffer.from(payload!).toString())).toEqual(numbers(11).slice(5));
    await consumer.acknowledge([...held, ...rest].map(({ id }) => id));
    await expect.poll(async () => (await driver.stats(topic)).subscriptions['s']!.backlog).toBe(0);
  });

  test('a token that is wrong or over is refused at once, and one that was renewed is found', async () => {
    const wrong = signToken({ sub: 'keymill' }, Buffer.alloc(32, 'w'));
    const over = signToken({ sub: 'keymill', exp: Math.floor(Date.now() / 1000) - 5 });
    for (const token of [wrong, over])
      expect(await codeFrom(wireClient({ auth: { token } }).createProducer({ topic: unique() }))).toBe(
        'ACCESS_REFUSED',
      );
    const file = join(await tempFolder('token'), 'token');
    writeFileSync(file, `${over}\n`);
    const driver = wireClient({ auth: { token: `file:${file}` } });
    expect(await codeFrom(driver.createProducer({ topic: unique() }))).toBe('ACCESS_REFUSED');
    writeFileSync(file, `${signToken({ sub: 'keymill' })}\n`);
    await (await driver.createProducer({ topic: unique() })).send({ payload: 'm' });
  });

  test('a token that ends while connected is asked for anew, and the connection stays', async () => {
    const expires = Math.ceil(Date.now() / 1000) + 2;
    const file = async () => {
      const path = join(await tempFolder('token'), 'token');
      writeFileSync(path, signToken({ sub: 'keymill', exp: expires }));
      return path;
    };
    const [rotated, forgotten] = [await file(), await file()];
    const clients = [rotated, forgotten].map(path => wireClient({ ...QUICK, auth: { token: `file:${path}` } }));
    const producers = await Promise.all(clients.map(client => client.createProducer({ topic: unique() })));
    for (const producer of producers) await producer.send({ payload: 'm' });
    writeFileSync(rotated, signToken({ sub: 'keymill' }));
    // The broker looks every second, and gives the answer as long again.
    await expect.poll(() => clients[1]!.numbers().attachments.producer.connecting, { timeout: 15_000 }).toBe(1);
    await producers[0]!.send({ payload: 'm' });
    expect(clients[0]!.numbers().reconnects).toBe(0);
  });

  test('an access token is got from its issuer by OAuth2, and refused where the issuer refuses', async () => {
    const asked: string[] = [];
    const issuer = createServer((request, response) => {
      const { port } = issuer.address() as AddressInfo;
      if (request.method === 'GET')
        return response.end(JSON.stringify({ token_endpoint: `http://127.0.0.1:${port}/token` }));
      request.setEncoding('utf8').on('data', (body: string) => {
        const form = new URLSearchParams(body);
        asked.push(form.get('grant_type')!);
        if (form.get('client_secret') !== 'secret') return response.writeHead(401).end('{"error":"invalid_client"}');
        response.end(JSON.stringify({ access_token: signToken({ sub: 'keymill' }), expires_in: 3600 }));
      });
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void issuer.close());
    await once(issuer, 'listening');
    const auth = (clientSecret: string) => ({
      issuer: `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/`,
      clientId: 'me',
      clientSecret,
    });
    await (await wireClient({ auth: auth('secret') }).createProducer({ topic: unique() })).send({ payload: 'm' });
    expect(asked).toEqual(['client_credentials']);
    const refused = wireClient({ auth: auth('wrong') }).createProducer({ topic: unique() });
    expect(await codeFrom(refused)).toBe('ACCESS_REFUSED');
  });

  test('user and password, and a certificate, are proofs too', async () => {
    const { basic, tls, ca, certificate, key } = pulsarService()!;
    const [user, password] = basic.split(':') as [string, string];
    await (await wireClient({ auth: { user, password } }).createProducer({ topic: unique() })).send({ payload: 'm' });
    expect(
      await codeFrom(wireClient({ auth: { user, password: `${password}x` } }).createProducer({ topic: unique() })),
    ).toBe('ACCESS_REFUSED');
    const proven = wireClient({ url: tls, tls: { ca, cert: certificate, key }, auth: { tls: true } });
    await (await proven.createProducer({ topic: unique() })).send({ payload: 'm' });
  });

  test('a certificate that nobody trusts is refused', async () => {
    const { tls, ca } = pulsarService()!;
    const fault = await errorFrom(wireClient({ ...QUICK, url: tls }).createProducer({ topic: unique() }));
    expect(fault).toMatchObject({ code: 'IO_FAILED', message: expect.stringMatching(/certificate/) });
    const fine = wireClient({ url: tls, tls: { ca } });
    await (await fine.createProducer({ topic: unique() })).send({ payload: 'm' });
  });

  test('what is not there, is terminated, or has no room left is said', async () => {
    const driver = wireClient();
    expect(await codeFrom(driver.createProducer({ topic: 'public/not-there/t' }))).toBe('TOPIC_MISSING');
    expect(
      await codeFrom(driver.subscribe({ topics: ['public/not-there/t'], subscription: 's', type: 'Shared' })),
    ).toBe('TOPIC_MISSING');
    const ended = unique();
    const producer = await driver.createProducer({ topic: ended });
    await producer.send({ payload: 'm' });
    await terminateTopic(ended);
    expect(await codeFrom(producer.send({ payload: 'late' }))).toBe('TOPIC_TERMINATED');
    expect(await codeFrom(driver.createProducer({ topic: ended }))).toBe('TOPIC_TERMINATED');
    const space = `public/full-${randomUUID()}`;
    await admin('PUT', `namespaces/${space}`, {});
    await admin('POST', `namespaces/${space}/backlogQuota?backlogQuotaType=destination_storage`, {
      limitSize: 1000,
      policy: 'producer_exception',
    });
    const full = `${space}/t`;
    await driver.subscribe({ topics: [full], subscription: 's', type: 'Shared' });
    const filling = await driver.createProducer({ topic: full });
    await filling.send({ payload: 'x'.repeat(10_000) });
    await filling.close();
    expect(await codeFrom(driver.createProducer({ topic: full }))).toBe('QUOTA_EXCEEDED');
  });
});
