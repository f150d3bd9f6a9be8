/** The client over asks: publishes, and loops whose consumers live in the I/O thread. */
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { keyOf } from '../../actors/pulsar/asks.ts';
import { EmbeddedBus } from '../../actors/pulsar/bus/bus.ts';
import { Store } from '../../actors/pulsar/bus/store.ts';
import { clientOf } from '../../actors/pulsar/client.ts';
import type { ConsumeOptions, Delivery, PulsarClient } from '../../actors/pulsar/index.ts';
import { KeymillError } from '../../runtime/index.ts';
import { errorFrom } from '../support/runtimes.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';
import { asker, opened, settled } from './support.ts';

const EARLY: ConsumeOptions = { topic: 't', subscription: 's', type: 'Exclusive', initialPosition: 'Earliest' };

/** The next `count` messages of a loop, as text. */
async function next(loop: AsyncIterator<Delivery>, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) {
    const { done, value } = await loop.next();
    if (done) break;
    found.push(value.text());
  }
  return found;
}

const loopOf = (client: PulsarClient, options: Partial<ConsumeOptions> = {}): AsyncIterator<Delivery> =>
  client.consume({ ...EARLY, ...options })[Symbol.asyncIterator]();

async function backlogOf(client: PulsarClient): Promise<number> {
  return (await client.stats('t')).subscriptions['s']!.backlog;
}

/** 0 also while there is no topic yet. */
const consumersOf = (client: PulsarClient): Promise<number> =>
  client.stats('t').then(
    stats => stats.subscriptions['s']?.consumers ?? 0,
    () => 0,
  );

test('publishes keep their order, travel as bytes, text or JSON, and come back with ids', async () => {
  const { client } = await opened({ url: 'memory:' });
  const first = await client.publish('t', { payload: 'text', key: 'k', properties: { x: '1' } });
  const rest = await client.publishBatch('t', [
    { json: { n: 1 } },
    { payload: Uint8Array.of(0xff) },
    { payload: null },
    { payload: '{"broken"' },
  ]);
  expect(await client.publishBatch('t', [])).toEqual([]);
  const found: Delivery[] = [];
  for await (const delivery of client.read({ topic: 't', from: 'earliest' })) found.push(delivery);
  expect(found.map(delivery => delivery.id)).toEqual([first, ...rest]);
  expect(found[0]).toMatchObject({ key: 'k', properties: { x: '1' } });
  expect(found.map(delivery => delivery.text())).toEqual(['text', '{"n":1}', '\ufffd', '', '{"broken"']);
  expect(found[1]!.json()).toEqual({ n: 1 });
  expect(found[3]!.json()).toBeNull();
  expect(() => found[4]!.json()).toThrow(/^RECORD_BROKEN: not JSON: message \S+ of persistent:/);
  await expect(client.publish('t', { json: undefined })).rejects.toThrow('RECORD_BROKEN');
  await expect(client.publish('t', { json: 1n })).rejects.toThrow('RECORD_BROKEN');
});

test('what is published in one turn is one transaction, whatever the topics', async () => {
  const { client } = await opened({ url: 'memory:' });
  for (const topic of ['t', 'u']) await client.publish(topic, { payload: 'first' });
  const transactions = vi.spyOn(Store.prototype, 'transaction');
  onTestFinished(() => transactions.mockRestore());
  const ids = await Promise.all(
    Array.from({ length: 40 }, (_, n) => client.publish(n % 2 === 0 ? 't' : 'public/default/u', { payload: `${n}` })),
  );
  expect(transactions).toHaveBeenCalledTimes(1);
  expect(new Set(ids).size).toBe(40);
});

test('publishes of a topic have one key, however it is spelt; polls have one each', () => {
  const publish = (topic: string) => keyOf({ op: 'publish', topic, messages: [] });
  expect(new Set(['t', 'public/default/t', 'persistent://public/default/t'].map(publish)).size).toBe(1);
  expect(publish('u')).not.toBe(publish('t'));
  expect(publish('not a topic')).toBe('topic not a topic');
  const poll = (session: string) => keyOf({ op: 'poll', session, isUpToEnd: false });
  expect(poll('a')).not.toBe(poll('b'));
  expect(keyOf({ op: 'settle', session: 'a', ids: [], isLast: false })).not.toBe(poll('a'));
  for (const nonsense of [null, undefined, 5, {}, { op: 'x' }]) expect(keyOf(nonsense)).toBe('');
});

test('faults come with their codes, and an ask that is none is refused', async () => {
  const { client, ask } = await opened({ url: 'memory:', maxMessageBytes: 1024, autoCreate: false });
  await client.createTopic('t', { partitions: 2 });
  expect(await errorFrom(client.createTopic('t'))).toMatchObject({ code: 'CONFIG_INVALID' });
  expect(await errorFrom(client.publish('a/b', { payload: '' }))).toMatchObject({ code: 'TOPIC_INVALID' });
  expect(await errorFrom(client.publish('u', { payload: '' }))).toMatchObject({ code: 'TOPIC_MISSING' });
  expect(await errorFrom(client.stats('u'))).toMatchObject({ code: 'TOPIC_MISSING' });
  const large = client.publishBatch('t', [{ payload: 'a' }, { payload: 'x'.repeat(1025) }, { payload: 'b' }]);
  expect(await errorFrom(large)).toMatchObject({ code: 'MESSAGE_TOO_LARGE', class: 'fatal' });
  expect(await client.stats('t')).toMatchObject({ messages: 2 });
  expect(await errorFrom(ask('nonsense'))).toMatchObject({ code: 'RECORD_BROKEN', class: 'fatal' });
});

test('asking for the next message acknowledges the one before; leaving the loop leaves it', async () => {
  const { client } = await opened({ url: 'memory:' });
  await client.publishBatch(
    't',
    Array.from({ length: 6 }, (_, n) => ({ payload: `${n}` })),
  );
  for await (const delivery of client.consume(EARLY)) if (delivery.text() === '2') break;
  expect(await backlogOf(client)).toBe(4);
  const failing = async (): Promise<void> => {
    for await (const delivery of client.consume(EARLY)) if (delivery.text() === '4') throw new Error('no');
  };
  await expect(failing()).rejects.toThrow('no');
  expect(await client.stats('t')).toMatchObject({ subscriptions: { s: { backlog: 2, consumers: 0 } } });
  const loop = loopOf(client);
  expect(await next(loop, 2)).toEqual(['4', '5']);
  await loop.return!();
  expect(await backlogOf(client)).toBe(1);
  expect(await loop.next()).toEqual({ done: true, value: undefined });
});

test('a loop waits for messages while others publish, and ends when its signal is aborted', async () => {
  const { client } = await opened({ url: 'memory:' });
  const abort = new AbortController();
  const seen: string[] = [];
  const looping = (async () => {
    for await (const delivery of client.consume({ ...EARLY, signal: abort.signal })) {
      seen.push(delivery.text());
      if (seen.length === 3) queueMicrotask(() => abort.abort());
    }
  })();
  await expect.poll(() => consumersOf(client), { timeout: 10_000 }).toBe(1);
  for (const payload of ['a', 'b', 'c']) await client.publish('t', { payload });
  await looping;
  expect(seen).toEqual(['a', 'b', 'c']);
  expect(await client.stats('t')).toMatchObject({ subscriptions: { s: { backlog: 0, consumers: 0 } } });
  const late = client.consume({ ...EARLY, signal: AbortSignal.abort() });
  for await (const _ of late) expect.unreachable();
});

test('a subscription that is busy is said to be so, by a value that no breaker counts', async () => {
  const { client, resource } = await opened({ url: 'memory:' });
  const first = loopOf(client);
  const waiting = first.next();
  await expect.poll(() => consumersOf(client), { timeout: 10_000 }).toBe(1);
  expect(await errorFrom(loopOf(client).next())).toMatchObject({ code: 'CONSUMER_BUSY', class: 'transient' });
  const { topic, ...rest } = EARLY;
  const ask = { op: 'consume', options: { ...rest, topics: [topic] } };
  const [reply] = await resource.handleBatch([ask], new AbortController().signal);
  expect(reply).toMatchObject({ value: { refused: { code: 'CONSUMER_BUSY' } } });
  await client.publish('t', { payload: 'a' });
  await waiting;
  await first.return!();
});

test('loops over several topics, and over a pattern', async () => {
  const { client } = await opened({ url: 'memory:' });
  const several = loopOf(client, { topic: ['t', 'u'], type: 'Shared' });
  const matching = loopOf(client, { topic: [], pattern: 'p.*', type: 'Shared' });
  const both = [next(several, 2), next(matching, 2)];
  for (const topic of ['t', 'p1', 'u', 'p2']) await client.publish(topic, { payload: topic });
  expect((await Promise.all(both)).map(texts => texts.toSorted())).toEqual([
    ['t', 'u'],
    ['p1', 'p2'],
  ]);
  await several.return!();
  await matching.return!();
});

test('batches: what has come together, acknowledged when the next one is asked for', async () => {
  const { client } = await opened({ url: 'memory:' });
  await client.publishBatch(
    't',
    Array.from({ length: 10 }, (_, n) => ({ payload: `${n}` })),
  );
  const batches: string[][] = [];
  for await (const batch of client.consumeBatches({ ...EARLY, max: 4 })) {
    batches.push(batch.map(one => one.text()));
    if (batches.length === 3) break; // the third is left unacknowledged
  }
  expect(batches).toEqual([
    ['0', '1', '2', '3'],
    ['4', '5', '6', '7'],
    ['8', '9'],
  ]);
  expect(await backlogOf(client)).toBe(2);
});

test('a typed message says what it is, and is compressed where that helps', async () => {
  const { ask } = await opened({ url: 'memory:' });
  const client = clientOf(ask);
  const large = { letters: 'abc'.repeat(1000) };
  await client.publishBatch('t', [
    { json: { n: 1 }, type: 'Small', properties: { x: 'y' } },
    { json: large, type: 'Large', key: 'k' },
    { payload: 'not gzip', properties: { type: 'Broken', compression: 'gzip' } },
    { payload: 'plain', properties: { compression: 'gzip' } },
  ]);
  const found: Delivery[] = [];
  for await (const message of client.read({ topic: 't', from: 'earliest' })) found.push(message);
  expect(found[0]).toMatchObject({ properties: { x: 'y', type: 'Small', compression: 'none' } });
  expect(Date.now() - Date.parse(found[0]!.properties['timestamp']!)).toBeLessThan(60_000);
  expect(found[0]!.json()).toEqual({ n: 1 });
  expect(found[1]).toMatchObject({ key: 'k', properties: { type: 'Large', compression: 'gzip' } });
  expect(found[1]!.payload!.length).toBeLessThan(200);
  expect(found[1]!.json()).toEqual(large);
  expect(() => found[2]!.json()).toThrow(/^RECORD_BROKEN: not compressed by gzip: message \S+ of persistent:/);
  expect(found[3]!.text()).toBe('plain');
});

test('when the I/O thread is replaced a loop goes on, and nothing is lost', async () => {
  const url = `file:${join(await tempFolder('pulsar'), 'bus.db')}`;
  let current = opened({ url });
  // As the engine does: what is asked meanwhile waits for the new thread.
  const client = clientOf(
    asker(() => ({
      handleBatch: async (asks, signal) => (await current).resource.handleBatch(asks, signal),
      close: () => undefined,
    })),
  );
  const replace = async (): Promise<void> => {
    const { resource } = await current;
    current = Promise.resolve(resource.close()).then(() => opened({ url }, { first: false }));
    await current;
  };
  await client.publishBatch(
    't',
    Array.from({ length: 10 }, (_, n) => ({ payload: `${n}` })),
  );
  const loop = loopOf(client);
  const reading = client.read({ topic: 't', from: 'earliest', follow: true })[Symbol.asyncIterator]();
  expect(await next(loop, 4)).toEqual(['0', '1', '2', '3']);
  expect(await next(reading, 4)).toEqual(['0', '1', '2', '3']);
  await replace();
  // The fourth is acknowledged on the new thread before anything is given there.
  expect(await next(loop, 3)).toEqual(['4', '5', '6']);
  expect(await next(reading, 3)).toEqual(['4', '5', '6']);
  await replace();
  await client.publish('t', { payload: '10' });
  expect(await next(loop, 4)).toEqual(['7', '8', '9', '10']);
  expect(await next(reading, 4)).toEqual(['7', '8', '9', '10']);
  await replace();
  await loop.return!(); // the last message is left, those before are acknowledged
  await reading.return!();
  expect(await backlogOf(client)).toBe(1);
});

test('a poll is answered in time though nothing comes', async () => {
  const environment = virtualEnvironment();
  const { ask } = await opened({ url: 'memory:' }, { environment });
  const { topic, ...rest } = EARLY;
  const opening = ask({ op: 'consume', options: { ...rest, topics: [topic] } });
  const { session } = (await settled(environment, opening)) as { session: string };
  let answer: unknown;
  void ask({ op: 'poll', session, isUpToEnd: false }).then(value => (answer = value));
  await environment.advance(9_999);
  expect(answer).toBeUndefined();
  await environment.advance(1);
  expect(answer).toEqual({ messages: [], isEnd: false });
  expect(await settled(environment, ask({ op: 'poll', session: 'of before', isUpToEnd: false }))).toEqual({
    isGone: true,
  });
});

test('a consumer whose client is gone is closed after a while, and its messages go to others', async () => {
  const environment = virtualEnvironment();
  const { client } = await opened({ url: 'memory:', consumerIdleMs: 5000 }, { environment });
  const now = <T>(promise: Promise<T>): Promise<T> => settled(environment, promise);
  await now(client.publishBatch('t', [{ payload: 'a' }, { payload: 'b' }, { payload: 'c' }]));
  const dead = loopOf(client);
  expect(await now(next(dead, 2))).toEqual(['a', 'b']);
  await environment.advance(4_999);
  await expect(now(loopOf(client).next())).rejects.toThrow('CONSUMER_BUSY');
  await environment.advance(1);
  const other = loopOf(client);
  expect(await now(next(other, 2))).toEqual(['b', 'c']);
  await now(other.return!());
  // The one that was taken for gone, but only slow, opens another and goes on with what is left.
  expect(await now(next(dead, 1))).toEqual(['c']);
  await now(dead.return!());
});

test('a slow loop that asks in time is not taken for gone', async () => {
  const environment = virtualEnvironment();
  const { client } = await opened({ url: 'memory:', consumerIdleMs: 5000 }, { environment });
  const now = <T>(promise: Promise<T>): Promise<T> => settled(environment, promise);
  await now(
    client.publishBatch(
      't',
      Array.from({ length: 8 }, (_, n) => ({ payload: `${n}` })),
    ),
  );
  const subscribing = vi.spyOn(EmbeddedBus.prototype, 'subscribe');
  onTestFinished(() => subscribing.mockRestore());
  const loop = loopOf(client);
  for (let n = 0; n < 8; n++) {
    expect(await now(next(loop, 1))).toEqual([`${n}`]);
    await environment.advance(4000);
  }
  expect(subscribing).toHaveBeenCalledTimes(1);
  await now(loop.return!());
});

test('an acknowledgement that fails ends the loop with its fault', async () => {
  const url = `file:${join(await tempFolder('pulsar'), 'bus.db')}`;
  const { resource, client } = await opened({ url });
  await client.publishBatch('t', [{ payload: 'a' }, { payload: 'b' }]);
  const full = new KeymillError('OUTPUT_FULL', 'no room');
  const handle = resource.handleBatch.bind(resource);
  const refuses = asker(() => ({
    ...resource,
    close: () => undefined,
    handleBatch: (asks, signal) =>
      asks.some(ask => (ask as { op: string }).op === 'settle' && (ask as { ids: string[] }).ids.length > 0)
        ? asks.map(() => ({ error: full }))
        : handle(asks, signal),
  }));
  const loop = loopOf(clientOf(refuses));
  expect(await next(loop, 1)).toEqual(['a']);
  const ending = (async () => {
    while (!(await loop.next()).done);
  })();
  expect(await errorFrom(ending)).toMatchObject({ code: 'OUTPUT_FULL' });
  expect(await client.stats('t')).toMatchObject({ subscriptions: { s: { backlog: 2, consumers: 0 } } });
});

test('reading ends where the topic ends, follows it when told to, and begins where it is told to', async () => {
  const { client } = await opened({ url: 'memory:' });
  const ids = await client.publishBatch(
    't',
    Array.from({ length: 600 }, (_, n) => ({ payload: `${n}` })),
  );
  const read = async (options: Partial<Parameters<PulsarClient['read']>[0]>): Promise<string[]> => {
    const found: string[] = [];
    for await (const delivery of client.read({ topic: 't', from: 'earliest', ...options })) found.push(delivery.text());
    return found;
  };
  expect(await read({})).toEqual(ids.map((_, n) => `${n}`));
  expect(await read({ from: { id: ids[597]! } })).toEqual(['598', '599']);
  expect(await read({ from: { id: ids[597]! }, isInclusive: true })).toEqual(['597', '598', '599']);
  expect(await read({ from: 'latest' })).toEqual([]);
  const following = client.read({ topic: 't', from: 'latest', follow: true })[Symbol.asyncIterator]();
  const coming = next(following, 1);
  await client.publish('t', { payload: 'new' });
  expect(await coming).toEqual(['new']);
  await following.return!();
});

test('a topic has one producer however many publish, and none when it was idle for long', async () => {
  const environment = virtualEnvironment();
  const making = vi.spyOn(EmbeddedBus.prototype, 'createProducer');
  onTestFinished(() => making.mockRestore());
  const { client } = await opened({ url: 'memory:', producerIdleMs: 60_000, producerName: 'me' }, { environment });
  const publish = () => settled(environment, client.publish('t', { payload: 'x' }));
  await Promise.all([publish(), publish()]);
  await environment.advance(50_000);
  await publish();
  await environment.advance(50_000);
  expect(making).toHaveBeenCalledTimes(1);
  await environment.advance(70_000);
  await publish(); // under the same name: the one before was closed
  expect(making).toHaveBeenCalledTimes(2);
  for await (const { producer } of client.read({ topic: 't', from: 'earliest', signal: AbortSignal.abort() }))
    expect(producer).toBe('me');
});
