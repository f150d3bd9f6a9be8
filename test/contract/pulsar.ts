/**
 * What every driver of the `pulsar` I/O actor must do, through the driver contract alone. Written from what a Pulsar broker
 * does with Pulsar's words, so that the embedded bus and a real one pass alike. Nothing sleeps: messages are waited for, and
 * that one does not come is seen by another that comes after it. Where a broker is free to choose, so is the suite.
 */
import { randomUUID } from 'node:crypto';
import { describe, expect, onTestFinished, test as vitestTest } from 'vitest';
import type {
  Consumer,
  ConsumerOptions,
  InMessage,
  OutMessage,
  Producer,
  PulsarDriver,
  Reader,
  StartPosition,
} from '../../actors/pulsar/contract.ts';
import { compareIds } from '../../actors/pulsar/message-id.ts';
import { partitionOfKey } from '../../actors/pulsar/murmur3.ts';
import type { ErrorCode } from '../../runtime/index.ts';
import { errorFrom } from '../support/runtimes.ts';

export interface OpenedPulsar {
  readonly driver: PulsarDriver;
  /** Another client of the same bus; the same one where a bus has but one. */
  another(): Promise<PulsarDriver>;
  /** A client of the bus after its process came and went. */
  reopen(): Promise<PulsarDriver>;
}

export interface PulsarHarness {
  /** Closed when the test ends. Topics may be there that are not of the test. */
  open(): Promise<OpenedPulsar>;
  /** Whether topics outlive `reopen`. */
  readonly keeps: boolean;
  /** Whether topics drop messages whose sequence id is not above the last. */
  readonly deduplicates: boolean;
  /** Cases by their title that the driver cannot pass, and why: they are skipped. Each must be one that there is. */
  readonly cannot?: Readonly<Record<string, string>> | undefined;
  /** The title of a case that has a second try. */
  readonly again?: string;
}

type Case = () => Promise<void>;

/** Shortest delay that clients allow for a nack. */
const NACK_MS = 100;
/** What is to come is there much sooner. */
const TAKE_MS = 25_000;

const unique = (): string => `t-${randomUUID()}`;

const picture = ({ payload }: Pick<InMessage, 'payload'>): string | null =>
  payload === null ? null : Buffer.from(payload).toString();
const pictures = (messages: readonly InMessage[]): (string | null)[] => messages.map(picture);
const idsOf = (messages: readonly InMessage[]): string[] => messages.map(message => message.id);
const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `m${from + i}`);

async function codeFrom(promise: Promise<unknown>): Promise<ErrorCode> {
  return (await errorFrom(promise)).code;
}

async function take(consumer: Consumer, count: number): Promise<InMessage[]> {
  const taken = await share([consumer], count);
  return taken.map(({ message }) => message);
}

async function readAll(reader: Reader): Promise<InMessage[]> {
  const messages: InMessage[] = [];
  while (await reader.hasNext()) messages.push(await reader.next());
  return messages;
}

/** One after another, so that each is an entry of its own and none shares a batch. */
async function send(producer: Producer, messages: readonly (string | OutMessage)[]): Promise<string[]> {
  const ids: string[] = [];
  for (const message of messages)
    ids.push(await producer.send(typeof message === 'string' ? { payload: message } : message));
  return ids;
}

/** Takes from several consumers at once until there are `count` in all, and says who got what. Throws with what came when it is too long. */
async function share(
  consumers: readonly Consumer[],
  count: number,
): Promise<{ readonly by: Consumer; readonly message: InMessage }[]> {
  const taken: { by: Consumer; message: InMessage }[] = [];
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), TAKE_MS);
  const takeAll = async (by: Consumer): Promise<void> => {
    while (taken.length < count) {
      taken.push({ by, message: await by.receive(stop.signal) });
      if (taken.length >= count) stop.abort();
    }
  };
  await Promise.all(
    consumers.map(by =>
      takeAll(by).catch((error: unknown) => {
        if (!stop.signal.aborted) throw error;
      }),
    ),
  ).finally(() => clearTimeout(timer));
  if (taken.length >= count) return taken;
  const came = taken.map(({ by, message }) => `${consumers.indexOf(by)} ${message.topic} ${picture(message)}`);
  const said = `${taken.length} of ${count} came in ${TAKE_MS / 1000} s: ${came.join(', ')}`;
  // Of a first try whose second one passes, no error is shown.
  console.log(said);
  throw new Error(said);
}

export function pulsarContract(name: string, harness: PulsarHarness): void {
  const unknown = new Set(Object.keys(harness.cannot ?? {}));
  const test = (title: string, run: Case): void => {
    const why = harness.cannot?.[title];
    unknown.delete(title);
    if (why === undefined) vitestTest(title, { retry: harness.again === title ? 1 : 0 }, run);
    else vitestTest.skip(`${title} (${why})`, run);
  };
  const open = async (): Promise<PulsarDriver> => (await harness.open()).driver;

  /** A topic of this test's own, with what it has at the beginning. */
  async function topicWith(driver: PulsarDriver, ...payloads: string[]) {
    const topic = unique();
    const producer = await driver.createProducer({ topic });
    const ids = await send(producer, payloads);
    const subscribe = (options: Partial<ConsumerOptions> = {}, by = driver): Promise<Consumer> =>
      by.subscribe({
        topics: [topic],
        subscription: 's',
        type: 'Exclusive',
        initialPosition: 'Earliest',
        nackDelayMs: NACK_MS,
        ...options,
      });
    const read = (from: StartPosition, isInclusive?: boolean): Promise<Reader> =>
      driver.createReader({ topic, from, isInclusive });
    return { topic, producer, ids, subscribe, read };
  }

  describe(`${name}: publishing`, () => {
    test('a message arrives as it was sent', async () => {
      const driver = await open();
      const { topic, subscribe } = await topicWith(driver);
      const producer = await driver.createProducer({ topic, name: `p-${topic}` });
      const sent: OutMessage[] = [
        { payload: Uint8Array.of(0, 1, 127, 128, 255) },
        { payload: 'ümläut €😀' },
        { payload: '', key: 'a', properties: { x: '1', ü: '€' } },
        { payload: null, key: 'b', eventTime: 1_700_000_000_123 },
        { payload: '{}', key: 'b', orderingKey: 'o' },
      ];
      const consumer = await subscribe();
      const ids = await send(producer, sent);
      const messages = await take(consumer, sent.length);
      expect(idsOf(messages)).toEqual(ids);
      expect(messages.map(({ payload }) => (payload === null ? null : [...payload]))).toEqual(
        sent.map(({ payload }) => (payload === null ? null : [...Buffer.from(payload as string)])),
      );
      expect(
        messages.map(message => [message.key, message.orderingKey, message.eventTime, message.properties]),
      ).toEqual([
        [null, null, null, {}],
        [null, null, null, {}],
        ['a', null, null, { x: '1', ü: '€' }],
        ['b', null, 1_700_000_000_123, {}],
        ['b', 'o', null, {}],
      ]);
      for (const message of messages) {
        expect(message.topic).toBe(`persistent://public/default/${topic}`);
        expect(message.producer).toBe(producer.name);
        expect(message.redeliveryCount).toBe(0);
        expect(Math.abs(message.publishTime - Date.now())).toBeLessThan(60_000);
      }
      const sequences = messages.map(message => message.sequenceId);
      expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
    });

    test('what is sent at once arrives in the order of the calls, and ids grow', async () => {
      const driver = await open();
      const { producer, subscribe } = await topicWith(driver);
      const payloads = numbers(0, 300);
      const ids = await Promise.all(payloads.map(payload => producer.send({ payload })));
      const messages = await take(await subscribe(), 300);
      expect(pictures(messages)).toEqual(payloads);
      expect(idsOf(messages)).toEqual(ids);
      expect(ids.toSorted(compareIds)).toEqual(ids);
      expect(new Set(ids).size).toBe(300);
    });

    test('beyond maxPending sends wait, and flush waits for all of them', async () => {
      const driver = await open();
      const { topic, subscribe } = await topicWith(driver);
      const producer = await driver.createProducer({ topic, maxPending: 3 });
      let answered = 0;
      for (const payload of numbers(0, 50)) void producer.send({ payload }).then(() => answered++);
      await producer.flush();
      expect(answered).toBe(50);
      expect(pictures(await take(await subscribe(), 50))).toEqual(numbers(0, 50));
      await producer.flush();
    });

    test('a message that is too large is refused, and nothing else is', async () => {
      const driver = await open();
      const { producer, subscribe } = await topicWith(driver);
      const sent = [
        producer.send({ payload: 'a' }),
        codeFrom(producer.send({ payload: Buffer.alloc(5 * 1024 * 1024 + 1) })),
        producer.send({ payload: 'b' }),
      ];
      expect((await Promise.all(sent))[1]).toBe('MESSAGE_TOO_LARGE');
      expect(pictures(await take(await subscribe(), 2))).toEqual(['a', 'b']);
    });

    test('a name is of one producer a topic', async () => {
      const { driver, another } = await harness.open();
      const other = await another();
      const [topic, elsewhere] = [unique(), unique()];
      const first = await driver.createProducer({ topic, name: 'p' });
      expect(first.name).toBe('p');
      expect(await codeFrom(other.createProducer({ topic, name: 'p' }))).toBe('PRODUCER_BUSY');
      await other.createProducer({ topic: elsewhere, name: 'p' });
      const nameless = [await driver.createProducer({ topic }), await other.createProducer({ topic })];
      expect(new Set([...nameless, first].map(producer => producer.name)).size).toBe(3);
      await first.close();
      expect((await other.createProducer({ topic, name: 'p' })).name).toBe('p');
    });

    test('a producer with exclusive access is alone', async () => {
      const { driver, another } = await harness.open();
      const other = await another();
      const topic = unique();
      const shared = await driver.createProducer({ topic });
      expect(await codeFrom(other.createProducer({ topic, access: 'Exclusive' }))).toBe('PRODUCER_FENCED');
      await shared.close();
      const alone = await driver.createProducer({ topic, access: 'Exclusive' });
      expect(await codeFrom(other.createProducer({ topic }))).toBe('PRODUCER_BUSY');
      expect(await codeFrom(other.createProducer({ topic, access: 'Exclusive' }))).toBe('PRODUCER_FENCED');
      await alone.send({ payload: 'a' });
      const taker = await other.createProducer({ topic, access: 'ExclusiveWithFencing' });
      expect(await codeFrom(alone.send({ payload: 'late' }))).toBe('PRODUCER_FENCED');
      await taker.send({ payload: 'b' });
      const reader = await driver.createReader({ topic, from: 'earliest' });
      expect(pictures(await readAll(reader))).toEqual(['a', 'b']);
    });

    test('a producer with an epoch shuts out those of lower ones, and comes after none of a higher', async () => {
      const { driver, another } = await harness.open();
      const other = await another();
      const topic = unique();
      const lead = (of: PulsarDriver, epoch: number): Promise<Producer> =>
        of.createProducer({ topic, access: 'ExclusiveWithFencing', epoch });
      const first = await lead(driver, 1_700_000_000_001);
      await first.send({ payload: 'a' });
      const second = await lead(other, 1_700_000_000_002);
      await second.send({ payload: 'b' });
      expect(await codeFrom(first.send({ payload: 'late' }))).toBe('PRODUCER_FENCED');
      expect(await codeFrom(lead(driver, 1_700_000_000_001))).toBe('PRODUCER_FENCED');
      await second.send({ payload: 'c' });
      const third = await lead(driver, 1_700_000_000_003);
      await third.send({ payload: 'd' });
      await third.close();
      expect(await codeFrom(lead(other, 1_700_000_000_002))).toBe('PRODUCER_FENCED');
      expect(await codeFrom(second.send({ payload: 'late' }))).toBe('PRODUCER_FENCED');
      const reader = await driver.createReader({ topic, from: 'earliest' });
      expect(pictures(await readAll(reader))).toEqual(['a', 'b', 'c', 'd']);
    });

    test('a closed producer sends no more', async () => {
      const driver = await open();
      const { producer } = await topicWith(driver);
      const last = producer.send({ payload: 'a' });
      await producer.close();
      await last;
      await expect(producer.send({ payload: 'b' })).rejects.toThrow();
      await producer.close();
    });

    if (harness.deduplicates)
      test('a sequence id that is not above the last is dropped', async () => {
        const driver = await open();
        const { topic, subscribe } = await topicWith(driver);
        const first = await driver.createProducer({ topic, name: 'p' });
        expect(first.lastSequenceId).toBe(-1);
        await send(first, [
          { payload: 'a', sequenceId: 5 },
          { payload: 'again', sequenceId: 5 },
          { payload: 'older', sequenceId: 3 },
          { payload: 'b', sequenceId: 9 },
        ]);
        await first.close();
        const second = await driver.createProducer({ topic, name: 'p' });
        expect(second.lastSequenceId).toBe(9);
        await send(second, [{ payload: 'again', sequenceId: 9 }, 'c', 'd']);
        const messages = await take(await subscribe(), 4);
        expect(messages.map(message => [picture(message), message.sequenceId])).toEqual([
          ['a', 5],
          ['b', 9],
          ['c', 10],
          ['d', 11],
        ]);
      });
  });

  describe(`${name}: topics`, () => {
    test('one topic may be spelt in three ways', async () => {
      const driver = await open();
      const { topic, subscribe } = await topicWith(driver);
      const consumer = await subscribe();
      for (const spelt of [topic, `public/default/${topic}`, `persistent://public/default/${topic}`]) {
        const producer = await driver.createProducer({ topic: spelt });
        await producer.send({ payload: spelt });
        expect(picture(await consumer.receive())).toBe(spelt);
      }
    });

    vitestTest.each(['', 'a/b', 'a/b/c/d', 'a b', 'http://a/b/c', 'persistent://a'])(
      '%j is not a topic',
      async topic => {
        const driver = await open();
        expect(await codeFrom(driver.createProducer({ topic }))).toBe('TOPIC_INVALID');
        expect(await codeFrom(driver.createReader({ topic, from: 'latest' }))).toBe('TOPIC_INVALID');
        expect(await codeFrom(driver.partitionsOf(topic))).toBe('TOPIC_INVALID');
        const consuming = driver.subscribe({ topics: [topic], subscription: 's', type: 'Shared' });
        expect(await codeFrom(consuming)).toBe('TOPIC_INVALID');
      },
    );

    test('partitions are made once, and named after their topic', async () => {
      const driver = await open();
      const topic = unique();
      await driver.createTopic(topic, 3);
      await driver.createTopic(topic, 3);
      const full = `persistent://public/default/${topic}`;
      expect(await driver.partitionsOf(topic)).toEqual([0, 1, 2].map(n => `${full}-partition-${n}`));
      expect(await codeFrom(driver.createTopic(topic, 4))).toBe('CONFIG_INVALID');
      const plain = unique();
      await driver.createTopic(plain);
      expect(await driver.partitionsOf(plain)).toEqual([`persistent://public/default/${plain}`]);
    });

    test('a key decides the partition, by Murmur3; a consumer reads them all, each in order', async () => {
      const driver = await open();
      const topic = unique();
      await driver.createTopic(topic, 4);
      const producer = await driver.createProducer({ topic });
      const keys = ['k1', 'k2', 'key01', '', 'ключ', '😀'];
      for (let n = 0; n < 5; n++)
        for (const key of keys) await producer.send({ payload: `${key}/${n}`, key, orderingKey: 'o' });
      const consumer = await driver.subscribe({
        topics: [topic],
        subscription: 's',
        type: 'Failover',
        initialPosition: 'Earliest',
      });
      const messages = await take(consumer, 5 * keys.length);
      for (const key of keys) {
        const its = messages.filter(message => message.key === key);
        const partition = partitionOfKey(key, 4);
        expect(pictures(its)).toEqual([0, 1, 2, 3, 4].map(n => `${key}/${n}`));
        for (const message of its) {
          expect(message.topic).toBe(`persistent://public/default/${topic}-partition-${partition}`);
          expect(message.id.split(':')[2]).toBe(String(partition));
        }
      }
      await consumer.acknowledge(idsOf(messages));
    });

    test('without keys all partitions get some', async () => {
      const driver = await open();
      const topic = unique();
      await driver.createTopic(topic, 3);
      const producer = await driver.createProducer({ topic });
      await send(producer, numbers(0, 30));
      const consumer = await driver.subscribe({
        topics: [topic],
        subscription: 's',
        type: 'Shared',
        initialPosition: 'Earliest',
      });
      const messages = await take(consumer, 30);
      expect(new Set(messages.map(message => message.topic)).size).toBe(3);
      expect(pictures(messages).toSorted()).toEqual(numbers(0, 30).toSorted());
    });

    test('what a topic holds and who consumes is told', async () => {
      const driver = await open();
      const { topic, producer, subscribe } = await topicWith(driver);
      expect(await codeFrom(driver.stats(unique()))).toBe('TOPIC_MISSING');
      const consumer = await subscribe({ type: 'Shared' });
      await subscribe({ type: 'Shared' });
      await send(producer, numbers(0, 10));
      const messages = await share([consumer], 1);
      await consumer.acknowledge([messages[0]!.message.id]);
      await expect
        .poll(() => driver.stats(topic), { timeout: 10_000 })
        .toMatchObject({
          topic: `persistent://public/default/${topic}`,
          subscriptions: { s: { type: 'Shared', backlog: 9, consumers: 2 } },
        });
    });
  });

  describe(`${name}: subscriptions`, () => {
    test('a new one starts where it says, an old one where it stood', async () => {
      const driver = await open();
      const { producer, subscribe } = await topicWith(driver, 'm0', 'm1');
      const early = await subscribe();
      const late = await subscribe({ subscription: 'late', initialPosition: undefined });
      await producer.send({ payload: 'm2' });
      expect(pictures(await take(late, 1))).toEqual(['m2']);
      const messages = await take(early, 3);
      expect(pictures(messages)).toEqual(['m0', 'm1', 'm2']);
      await early.acknowledge(idsOf(messages.slice(0, 1)));
      await early.close();
      expect(pictures(await take(await subscribe({ initialPosition: 'Latest' }), 2))).toEqual(['m1', 'm2']);
    });

    test('what is not acknowledged is given again, in order, to who comes next', async () => {
      const driver = await open();
      const { subscribe } = await topicWith(driver, ...numbers(0, 10));
      const first = await subscribe();
      const messages = await take(first, 8);
      await first.acknowledge(idsOf([messages[0]!, messages[2]!, messages[3]!, messages[6]!]));
      await first.close();
      const second = await subscribe();
      expect(pictures(await take(second, 6))).toEqual(['m1', 'm4', 'm5', 'm7', 'm8', 'm9']);
    });

    test('a cumulative acknowledgement is of all before', async () => {
      const driver = await open();
      const { subscribe } = await topicWith(driver, ...numbers(0, 6));
      const first = await subscribe();
      const messages = await take(first, 6);
      await first.acknowledge([messages[4]!.id]);
      await first.acknowledgeCumulative(messages[2]!.id);
      await first.acknowledgeCumulative(messages[1]!.id); // is in it already
      await first.close();
      expect(pictures(await take(await subscribe(), 2))).toEqual(['m3', 'm5']);
    });

    test('what a type cannot do is refused', async () => {
      const driver = await open();
      for (const type of ['Shared', 'Key_Shared'] as const) {
        const { subscribe } = await topicWith(driver, 'm0');
        const consumer = await subscribe({ type });
        const [message] = await take(consumer, 1);
        expect(await codeFrom(consumer.acknowledgeCumulative(message!.id))).toBe('ACK_REFUSED');
      }
      for (const type of ['Exclusive', 'Failover'] as const) {
        const { subscribe } = await topicWith(driver, 'm0');
        const consumer = await subscribe({ type });
        const [message] = await take(consumer, 1);
        expect(() => consumer.negativeAcknowledge([message!.id])).toThrow('ACK_REFUSED');
      }
      for (const type of ['Exclusive', 'Failover', 'Key_Shared'] as const) {
        const { subscribe } = await topicWith(driver);
        expect(await codeFrom(subscribe({ type, ackTimeoutMs: 60_000 }))).toBe('ACK_REFUSED');
      }
    });

    test('Exclusive has one consumer, and no other type joins', async () => {
      const { driver, another } = await harness.open();
      const other = await another();
      const { subscribe } = await topicWith(driver);
      const first = await subscribe();
      for (const type of ['Exclusive', 'Shared', 'Failover', 'Key_Shared'] as const)
        expect(await codeFrom(subscribe({ type }, other))).toBe('CONSUMER_BUSY');
      await first.close();
      const shared = await subscribe({ type: 'Shared' }, other);
      expect(await codeFrom(subscribe())).toBe('CONSUMER_BUSY');
      await shared.close();
      await subscribe();
    });

    test('a redelivery begins with the oldest that is not acknowledged', async () => {
      const driver = await open();
      const { subscribe } = await topicWith(driver, ...numbers(0, 6));
      for (const type of ['Exclusive', 'Failover', 'Shared', 'Key_Shared'] as const) {
        const consumer = await subscribe({ type, subscription: type });
        const messages = await take(consumer, 5);
        await consumer.acknowledge(idsOf([messages[0]!, messages[2]!]));
        await consumer.redeliver();
        const again = await take(consumer, 4);
        expect(pictures(again).toSorted(), type).toEqual(['m1', 'm3', 'm4', 'm5']);
        if (type !== 'Shared') expect(pictures(again), type).toEqual(['m1', 'm3', 'm4', 'm5']);
      }
    });

    test('acknowledging again, or what is not there, does nothing', async () => {
      const driver = await open();
      const { producer, subscribe } = await topicWith(driver, 'm0', 'm1');
      const consumer = await subscribe();
      const [first, second] = await take(consumer, 2);
      await consumer.acknowledge([first!.id]);
      await consumer.acknowledge([first!.id, first!.id]);
      await consumer.acknowledge([]);
      await consumer.acknowledgeCumulative(second!.id);
      await producer.send({ payload: 'm2' });
      expect(pictures(await take(consumer, 1))).toEqual(['m2']);
    });

    test('several topics, each acknowledged by itself', async () => {
      const driver = await open();
      const topics = [unique(), unique(), unique()];
      const producers = await Promise.all(topics.map(topic => driver.createProducer({ topic })));
      const options: ConsumerOptions = { topics, subscription: 's', type: 'Shared', initialPosition: 'Earliest' };
      const first = await driver.subscribe(options);
      for (const producer of producers) await send(producer, ['m0', 'm1']);
      const messages = await take(first, 6);
      await first.acknowledge(idsOf(messages.filter(message => picture(message) === 'm0')));
      await first.close();
      const second = await driver.subscribe(options);
      const again = await take(second, 3);
      expect(pictures(again)).toEqual(['m1', 'm1', 'm1']);
      expect(again.map(message => message.topic).toSorted()).toEqual(
        topics.map(topic => `persistent://public/default/${topic}`).toSorted(),
      );
    });

    test('a pattern, also of topics that are made later', async () => {
      const driver = await open();
      const base = unique();
      const made = async (topic: string) => driver.createProducer({ topic });
      const [a, other] = [await made(`${base}-a`), await made(`x${base}-a`)];
      const consumer = await driver.subscribe({
        topics: [],
        pattern: `public/default/${base}-.*`,
        subscription: 's',
        type: 'Shared',
        initialPosition: 'Earliest',
      });
      await other.send({ payload: 'other' });
      await a.send({ payload: 'a' });
      expect(pictures(await take(consumer, 1))).toEqual(['a']);
      await driver.createTopic(`${base}-b`, 2);
      await (await made(`${base}-b`)).send({ payload: 'b' });
      await (await made(`${base}-c`)).send({ payload: 'c' });
      const messages = await take(consumer, 2);
      expect(pictures(messages).toSorted()).toEqual(['b', 'c']);
      await consumer.acknowledge(idsOf(messages));
    });

    test('without subscription there is none: unsubscribe removes it, unless others use it', async () => {
      const driver = await open();
      const { producer, subscribe } = await topicWith(driver, 'm0');
      const [one, two] = [await subscribe({ type: 'Shared' }), await subscribe({ type: 'Shared' })];
      expect(await codeFrom(one.unsubscribe())).toBe('CONSUMER_BUSY');
      await two.close();
      await one.unsubscribe();
      const anew = await subscribe({ initialPosition: 'Latest' });
      await producer.send({ payload: 'm1' });
      expect(pictures(await take(anew, 1))).toEqual(['m1']);
    });
  });

  describe(`${name}: Failover`, () => {
    test('one consumer gets all, in order; when it closes another goes on', async () => {
      const { driver, another } = await harness.open();
      const other = await another();
      const { producer, subscribe } = await topicWith(driver);
      const consumers = [
        await subscribe({ type: 'Failover', name: 'a' }),
        await subscribe({ type: 'Failover', name: 'b' }, other),
      ];
      await send(producer, numbers(0, 10));
      const taken = await share(consumers, 10);
      const active = taken[0]!.by;
      expect(taken.every(({ by }) => by === active)).toBe(true);
      expect(pictures(taken.map(one => one.message))).toEqual(numbers(0, 10));
      await active.acknowledge(taken.slice(0, 4).map(one => one.message.id));
      await active.close();
      const successor = consumers.find(consumer => consumer !== active)!;
      expect(pictures(await take(successor, 6))).toEqual(numbers(4, 10));
    });

    test('partitions are spread over the consumers', async () => {
      const driver = await open();
      const topic = unique();
      await driver.createTopic(topic, 2);
      const subscribe = (consumer: string) =>
        driver.subscribe({ topics: [topic], subscription: 's', type: 'Failover', name: consumer });
      const consumers = [await subscribe('a'), await subscribe('b')];
      const producer = await driver.createProducer({ topic });
      await send(producer, numbers(0, 20));
      const taken = await share(consumers, 20);
      const byPartition = new Map<string, Set<Consumer>>();
      for (const { by, message } of taken)
        byPartition.set(message.topic, (byPartition.get(message.topic) ?? new Set()).add(by));
      expect([...byPartition.values()].map(set => set.size)).toEqual([1, 1]);
      expect(new Set([...byPartition.values()].flatMap(set => [...set])).size).toBe(2);
      const [first, second] = consumers;
      await first!.close();
      const rest = taken.filter(({ by }) => by === first).length;
      expect((await take(second!, rest)).length).toBe(rest);
    });
  });

  describe(`${name}: Shared`, () => {
    test('consumers share the messages, each is with one of them', async () => {
      const { driver, another } = await harness.open();
      const other = await another();
      const { producer, subscribe } = await topicWith(driver);
      const consumers = [
        await subscribe({ type: 'Shared', prefetch: 10 }),
        await subscribe({ type: 'Shared', prefetch: 10 }, other),
      ];
      await send(producer, numbers(0, 100));
      const taken = await share(consumers, 100);
      expect(taken.map(one => picture(one.message)).toSorted()).toEqual(numbers(0, 100).toSorted());
      for (const consumer of consumers) expect(taken.filter(({ by }) => by === consumer).length).toBeGreaterThan(9);
    });

    test('a consumer that takes nothing holds what it was given ahead, and no more', async () => {
      const driver = await open();
      const { producer, subscribe } = await topicWith(driver);
      const idle = await subscribe({ type: 'Shared', prefetch: 5 });
      const busy = await subscribe({ type: 'Shared', prefetch: 5 });
      await send(producer, numbers(0, 50));
      const taken = await take(busy, 45);
      await busy.acknowledge(idsOf(taken));
      await idle.close();
      const rest = await take(busy, 5);
      expect(new Set([...taken, ...rest].map(picture)).size).toBe(50);
    });

    test('a nack gives a message again after its delay, and counts', async () => {
      const driver = await open();
      const { subscribe } = await topicWith(driver, 'm0', 'm1');
      const consumer = await subscribe({ type: 'Shared' });
      const messages = await take(consumer, 2);
      const nacked = messages.find(message => picture(message) === 'm0')!;
      await consumer.acknowledge(idsOf(messages.filter(message => message !== nacked)));
      for (let count = 1; count <= 3; count++) {
        consumer.negativeAcknowledge([nacked.id]);
        const again = await consumer.receive();
        expect([picture(again), again.redeliveryCount, again.id]).toEqual(['m0', count, nacked.id]);
      }
      await consumer.acknowledge([nacked.id]);
    });

    test('what is not acknowledged in time is given again', async () => {
      const driver = await open();
      const { subscribe } = await topicWith(driver, 'm0', 'm1');
      const consumer = await subscribe({ type: 'Shared', ackTimeoutMs: 1000 });
      const messages = await take(consumer, 2);
      const [kept, left] = messages;
      await consumer.acknowledge([kept!.id]);
      const again = await consumer.receive();
      expect([again.id, again.redeliveryCount]).toEqual([left!.id, 1]);
    });

    test('what a consumer holds that closes goes to the others', async () => {
      const driver = await open();
      const { subscribe } = await topicWith(driver, ...numbers(0, 10));
      const first = await subscribe({ type: 'Shared' });
      const messages = await take(first, 6);
      await first.acknowledge(idsOf(messages.slice(0, 2)));
      const second = await subscribe({ type: 'Shared' });
      await first.close();
      const rest = await take(second, 8);
      const acked = pictures(messages.slice(0, 2));
      expect(pictures(rest).toSorted()).toEqual(numbers(0, 10).filter(one => !acked.includes(one)));
    });

    test('a message waits for its time where it may, while later ones pass', async () => {
      const driver = await open();
      const { producer, subscribe } = await topicWith(driver);
      const shared = await subscribe({ type: 'Shared' });
      const exclusive = await subscribe({ subscription: 'x' });
      await producer.send({ payload: 'later', deliverAt: Date.now() + 1500 });
      await producer.send({ payload: 'now' });
      expect(pictures(await take(exclusive, 2))).toEqual(['later', 'now']);
      expect(pictures(await take(shared, 2))).toEqual(['now', 'later']);
    });
  });

  describe(`${name}: dead letters`, () => {
    test('a message that was given often enough is published to the dead-letter topic, then acknowledged', async () => {
      const driver = await open();
      const { topic, subscribe } = await topicWith(driver);
      const letters = await driver.subscribe({
        topics: [`${topic}-s-DLQ`],
        subscription: 'l',
        type: 'Exclusive',
        initialPosition: 'Earliest',
      });
      const producer = await driver.createProducer({ topic });
      const consumer = await subscribe({ type: 'Shared', deadLetter: { maxRedeliver: 2 } });
      const id = await producer.send({ payload: 'bad', key: 'k', properties: { x: '1' } });
      for (let count = 0; count <= 2; count++) {
        const message = await consumer.receive();
        expect([message.id, message.redeliveryCount]).toEqual([id, count]);
        consumer.negativeAcknowledge([message.id]);
      }
      const letter = await letters.receive();
      expect([picture(letter), letter.key]).toEqual(['bad', 'k']);
      expect(letter.properties).toMatchObject({
        x: '1',
        REAL_TOPIC: `persistent://public/default/${topic}`,
        ORIGIN_MESSAGE_ID: id,
      });
      await expect
        .poll(async () => (await driver.stats(topic)).subscriptions['s']?.backlog, { timeout: 10_000 })
        .toBe(0);
      await producer.send({ payload: 'good' });
      expect(picture(await consumer.receive())).toBe('good');
    });

    test('the dead-letter topic may have another name', async () => {
      const driver = await open();
      const { producer, subscribe } = await topicWith(driver);
      const dead = unique();
      const consumer = await subscribe({ type: 'Key_Shared', deadLetter: { maxRedeliver: 0, topic: dead } });
      const letters = await driver.createReader({ topic: dead, from: 'earliest' });
      await producer.send({ payload: null, key: 'k' });
      consumer.negativeAcknowledge([(await consumer.receive()).id]);
      const letter = await letters.next();
      expect([letter.payload, letter.key]).toEqual([null, 'k']);
    });
  });

  describe(`${name}: Key_Shared`, () => {
    test('a key is with one consumer, in order; the ordering key counts before the key', async () => {
      const { driver, another } = await harness.open();
      const other = await another();
      const { producer, subscribe } = await topicWith(driver);
      const consumers = [await subscribe({ type: 'Key_Shared' }), await subscribe({ type: 'Key_Shared' }, other)];
      const sent: OutMessage[] = [];
      for (let n = 0; n < 10; n++)
        for (let k = 0; k < 20; k++)
          sent.push(
            k % 2 === 0
              ? { payload: `k${k}/${n}`, key: `k${k}` }
              : { payload: `k${k}/${n}`, key: `any${n}`, orderingKey: `k${k}` },
          );
      await send(producer, sent);
      const taken = await share(consumers, sent.length);
      for (let k = 0; k < 20; k++) {
        const its = taken.filter(({ message }) => picture(message)!.startsWith(`k${k}/`));
        expect(its.map(({ message }) => picture(message))).toEqual(Array.from({ length: 10 }, (_, n) => `k${k}/${n}`));
        expect(new Set(its.map(({ by }) => by)).size).toBe(1);
      }
      for (const consumer of consumers) expect(taken.some(({ by }) => by === consumer)).toBe(true);
    });

    test('when a consumer closes its keys go to another, from the oldest message on', async () => {
      const driver = await open();
      const { producer, subscribe } = await topicWith(driver);
      const first = await subscribe({ type: 'Key_Shared' });
      const second = await subscribe({ type: 'Key_Shared' });
      const sent: OutMessage[] = [];
      for (let n = 0; n < 4; n++) for (let k = 0; k < 10; k++) sent.push({ payload: `k${k}/${n}`, key: `k${k}` });
      await send(producer, sent);
      const taken = await share([first, second], sent.length);
      const hers = taken.filter(({ by }) => by === first).map(one => one.message);
      const acked = hers.filter(message => picture(message)!.endsWith('/0'));
      await first.acknowledge(idsOf(acked));
      await second.acknowledge(taken.filter(({ by }) => by === second).map(one => one.message.id));
      await first.close();
      const again = await take(second, hers.length - acked.length);
      for (let k = 0; k < 10; k++) {
        const its = pictures(again).filter(text => text!.startsWith(`k${k}/`));
        if (its.length > 0) expect(its).toEqual([1, 2, 3].map(n => `k${k}/${n}`));
      }
    });

    test('a consumer that joins gets a key only when its messages are acknowledged', async () => {
      const driver = await open();
      const { producer, subscribe } = await topicWith(driver);
      const first = await subscribe({ type: 'Key_Shared' });
      const keys = Array.from({ length: 20 }, (_, k) => `k${k}`);
      await send(
        producer,
        keys.map(key => ({ payload: `${key}/0`, key })),
      );
      const held = await take(first, 20);
      const second = await subscribe({ type: 'Key_Shared' });
      await send(
        producer,
        keys.map(key => ({ payload: `${key}/1`, key })),
      );
      const fresh = Array.from({ length: 40 }, (_, k) => `fresh${k}`);
      await send(
        producer,
        fresh.map(key => ({ payload: key, key })),
      );
      expect(picture(await second.receive())).toMatch(/^fresh/);
      await first.acknowledge(idsOf(held));
      const taken = await share([first, second], 59);
      const later = taken.filter(({ message }) => picture(message)!.endsWith('/1'));
      expect(later.map(({ message }) => picture(message)).toSorted()).toEqual(keys.map(key => `${key}/1`).toSorted());
      expect(later.some(({ by }) => by === second)).toBe(true);
    });
  });

  describe(`${name}: seeking`, () => {
    test('to a message, which is the next; to the start, and to the end', async () => {
      const driver = await open();
      const { producer, subscribe, ids } = await topicWith(driver, ...numbers(0, 6));
      for (const type of ['Exclusive', 'Shared'] as const) {
        const consumer = await subscribe({ type, subscription: type });
        const messages = await take(consumer, 4);
        await consumer.acknowledge(idsOf(messages));
        await consumer.seek({ id: ids[2]! });
        expect(pictures(await take(consumer, 4))).toEqual(['m2', 'm3', 'm4', 'm5']);
        await consumer.seek('earliest');
        expect(pictures(await take(consumer, 3))).toEqual(['m0', 'm1', 'm2']);
        await consumer.seek('latest');
        await producer.send({ payload: `after ${type}` });
        expect(pictures(await take(consumer, 1))).toEqual([`after ${type}`]);
      }
    });

    test('is kept by the subscription', async () => {
      const driver = await open();
      const { subscribe, ids } = await topicWith(driver, ...numbers(0, 4));
      const first = await subscribe();
      await first.acknowledge(idsOf(await take(first, 4)));
      await first.seek({ id: ids[3]! });
      await first.close();
      expect(pictures(await take(await subscribe(), 1))).toEqual(['m3']);
    });

    test('to a publish time', async () => {
      const driver = await open();
      const { producer, subscribe } = await topicWith(driver, ...numbers(0, 3));
      const consumer = await subscribe();
      const before = await take(consumer, 3);
      await expect.poll(() => Date.now()).toBeGreaterThan(before[2]!.publishTime);
      await send(producer, ['m3', 'm4']);
      const after = await take(consumer, 2);
      await consumer.seek({ publishedAt: after[0]!.publishTime });
      expect(pictures(await take(consumer, 2))).toEqual(['m3', 'm4']);
      await consumer.seek({ publishedAt: 0 });
      expect(pictures(await take(consumer, 5))).toEqual(numbers(0, 5));
    });
  });

  describe(`${name}: readers`, () => {
    test('read from the start to the end, wait there, and need no subscription', async () => {
      const driver = await open();
      const { topic, producer, read } = await topicWith(driver, 'm0', 'm1');
      const reader = await read('earliest');
      expect(pictures(await readAll(reader))).toEqual(['m0', 'm1']);
      expect(await reader.hasNext()).toBe(false);
      const next = reader.next();
      await producer.send({ payload: 'm2' });
      expect(picture(await next)).toBe('m2');
      await reader.close();
      expect(await codeFrom(reader.next())).toBe('CONSUMER_CLOSED');
      expect((await driver.stats(topic)).subscriptions).toEqual({});
    });

    test('from the end on, from behind a message, from a message, from a time', async () => {
      const driver = await open();
      const { producer, read, ids } = await topicWith(driver, ...numbers(0, 4));
      const latest = await read('latest');
      expect(await latest.hasNext()).toBe(false);
      expect(pictures(await readAll(await read({ id: ids[1]! })))).toEqual(['m2', 'm3']);
      expect(pictures(await readAll(await read({ id: ids[1]! }, true)))).toEqual(['m1', 'm2', 'm3']);
      expect(pictures(await readAll(await read({ id: ids[3]! })))).toEqual([]);
      expect(pictures(await readAll(await read({ publishedAt: 0 })))).toEqual(numbers(0, 4));
      await producer.send({ payload: 'm4' });
      expect(picture(await latest.next())).toBe('m4');
    });

    test('seek', async () => {
      const driver = await open();
      const { read, ids } = await topicWith(driver, ...numbers(0, 4));
      const reader = await read('earliest');
      expect(pictures(await readAll(reader))).toEqual(numbers(0, 4));
      await reader.seek({ id: ids[1]! });
      expect(picture(await reader.next())).toBe('m2');
      await reader.seek('earliest');
      expect(picture(await reader.next())).toBe('m0');
      await reader.seek('latest');
      expect(await reader.hasNext()).toBe(false);
    });
  });

  describe(`${name}: waiting and closing`, () => {
    test('who waits can give up, and no message is lost by it', async () => {
      const driver = await open();
      const { producer, subscribe, read } = await topicWith(driver);
      const consumer = await subscribe();
      const reader = await read('latest');
      const reason = new Error('enough');
      const abort = new AbortController();
      const waiting = [consumer.receive(abort.signal), reader.next(abort.signal)];
      abort.abort(reason);
      for (const one of waiting) await expect(one).rejects.toBe(reason);
      await expect(consumer.receive(abort.signal)).rejects.toBe(reason);
      await producer.send({ payload: 'm0' });
      expect(pictures([await consumer.receive(), await reader.next()])).toEqual(['m0', 'm0']);
    });

    test('a closed consumer gives nothing and takes nothing', async () => {
      const driver = await open();
      const { subscribe } = await topicWith(driver, 'm0');
      const consumer = await subscribe();
      const [message] = await take(consumer, 1);
      const waiting = codeFrom(consumer.receive());
      await consumer.close();
      expect(await waiting).toBe('CONSUMER_CLOSED');
      expect(await codeFrom(consumer.receive())).toBe('CONSUMER_CLOSED');
      expect(await codeFrom(consumer.acknowledge([message!.id]))).toBe('CONSUMER_CLOSED');
      await consumer.close();
    });

    test('closing the driver closes all that it gave', async () => {
      const driver = await open();
      const { producer, subscribe, read } = await topicWith(driver);
      const waiting = [codeFrom((await subscribe()).receive()), codeFrom((await read('latest')).next())];
      const last = producer.send({ payload: 'm0' });
      await driver.probe();
      await driver.close();
      await last;
      expect(await Promise.all(waiting)).toEqual(['CONSUMER_CLOSED', 'CONSUMER_CLOSED']);
      await expect(producer.send({ payload: 'm1' })).rejects.toThrow();
      await driver.close();
    });

    if (harness.keeps)
      test('what was answered is there after the bus came and went', async () => {
        const { driver, reopen } = await harness.open();
        const { topic, producer, ids } = await topicWith(driver, ...numbers(0, 6));
        const parted = unique();
        await driver.createTopic(parted, 3);
        const options: ConsumerOptions = {
          topics: [topic],
          subscription: 's',
          type: 'Shared',
          initialPosition: 'Earliest',
        };
        const consumer = await driver.subscribe(options);
        const messages = await take(consumer, 5);
        await consumer.acknowledge(idsOf([messages[0]!, messages[3]!]));
        void producer;
        const again = await reopen();
        onTestFinished(() => again.close());
        expect(await again.partitionsOf(parted)).toHaveLength(3);
        const later = await again.createProducer({ topic });
        const id = await later.send({ payload: 'm6' });
        expect(compareIds(id, ids[5]!)).toBeGreaterThan(0);
        const rest = await take(await again.subscribe(options), 5);
        const acked = pictures([messages[0]!, messages[3]!]);
        expect(pictures(rest).toSorted()).toEqual(numbers(0, 7).filter(one => !acked.includes(one)));
        const reader = await again.createReader({ topic, from: { id: ids[2]! } });
        expect(pictures(await readAll(reader))).toEqual(['m3', 'm4', 'm5', 'm6']);
      });
  });
  if (harness.cannot)
    describe(`${name}: the suite`, () => {
      vitestTest('what is skipped is there', () => expect([...unknown]).toEqual([]));
    });
}
