/** The embedded bus on a clock that stands still: times, retention, bounds, and what is decided in it beside Pulsar. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type BusOptions, EmbeddedBus } from '../../actors/pulsar/bus/bus.ts';
import type { Consumer, ConsumerOptions, InMessage, OutMessage, Producer } from '../../actors/pulsar/contract.ts';
import { compareIds, NO_ID } from '../../actors/pulsar/message-id.ts';
import { errorFrom } from '../support/runtimes.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';
import { BUS_OPTIONS, idsOf, recordingLog, settled, text, texts } from './support.ts';

/** A bus whose time the test moves. */
function scene(options: Partial<BusOptions> = {}) {
  const environment = virtualEnvironment();
  const { log, logged } = recordingLog();
  const bus = new EmbeddedBus({ ...BUS_OPTIONS, file: ':memory:', ...options }, environment, log);
  onTestFinished(() => bus.close());
  const now = <T>(promise: Promise<T>): Promise<T> => settled(environment, promise);
  return {
    environment,
    bus,
    logged,
    now,
    producer: (topic = 't'): Promise<Producer> => now(bus.createProducer({ topic })),
    subscribe: (options: Partial<ConsumerOptions> = {}): Promise<Consumer> =>
      now(bus.subscribe({ topics: ['t'], subscription: 's', type: 'Shared', initialPosition: 'Earliest', ...options })),
    send: (producer: Producer, ...messages: (string | OutMessage)[]): Promise<string[]> =>
      now(Promise.all(messages.map(one => producer.send(typeof one === 'string' ? { payload: one } : one)))),
    /** All that a consumer can take now. */
    async takeAll(consumer: Consumer): Promise<InMessage[]> {
      const messages: InMessage[] = [];
      for (;;) {
        const stop = new AbortController();
        const taking = consumer.receive(stop.signal).catch(() => null);
        await environment.settle();
        stop.abort();
        const message = await taking;
        if (!message) return messages;
        messages.push(message);
      }
    },
  };
}

describe('times', () => {
  test('a nack is due exactly its delay later, by itself', async () => {
    const { environment, producer, subscribe, send, takeAll } = scene();
    const consumer = await subscribe({ nackDelayMs: 60_000 });
    await send(await producer(), 'a', 'b');
    const [a, b] = await takeAll(consumer);
    consumer.negativeAcknowledge([a!.id]);
    await environment.advance(30_000);
    consumer.negativeAcknowledge([b!.id, a!.id]);
    await environment.advance(29_999);
    expect(await takeAll(consumer)).toEqual([]);
    await environment.advance(1);
    expect(texts(await takeAll(consumer))).toEqual(['a']);
    await environment.advance(30_000);
    expect((await takeAll(consumer)).map(one => [text(one), one.redeliveryCount])).toEqual([['b', 1]]);
  });

  test('a time-out runs from being taken, not from being given ahead', async () => {
    const { environment, producer, subscribe, send, takeAll, now } = scene();
    const consumer = await subscribe({ ackTimeoutMs: 1000 });
    await send(await producer(), 'a');
    await environment.advance(5000);
    const [a] = await takeAll(consumer);
    expect(a!.redeliveryCount).toBe(0);
    await environment.advance(999);
    expect(await takeAll(consumer)).toEqual([]);
    await environment.advance(1);
    const [again] = await takeAll(consumer);
    expect([again!.id, again!.redeliveryCount]).toEqual([a!.id, 1]);
    await now(consumer.acknowledge([again!.id]));
    await environment.advance(10_000);
    expect(await takeAll(consumer)).toEqual([]);
  });

  test.each(['Shared', 'Key_Shared'] as const)(
    '%s: what must wait is given at its time, in the order of times',
    async type => {
      const { environment, producer, subscribe, send, takeAll } = scene();
      const consumer = await subscribe({ type });
      const at = environment.clock.wall();
      await send(
        await producer(),
        { payload: 'c', deliverAt: at + 3000 },
        { payload: 'a', deliverAt: at + 1000 },
        'now',
        { payload: 'b', deliverAt: at + 2000 },
        { payload: 'past', deliverAt: at },
      );
      expect(texts(await takeAll(consumer))).toEqual(['now', 'past']);
      for (const expected of ['a', 'b', 'c']) {
        await environment.advance(999);
        expect(await takeAll(consumer)).toEqual([]);
        await environment.advance(1);
        expect(texts(await takeAll(consumer))).toEqual([expected]);
      }
    },
  );

  test('a publish time does not go back, also when the clock does', async () => {
    const { environment, bus, producer, send, now } = scene();
    const one = await producer();
    await environment.advance(1000);
    await send(one, 'a');
    const { clock } = environment;
    const wall = clock.wall();
    Object.assign(clock, { wall: () => wall - 5000 });
    await send(one, 'b');
    const reader = await now(bus.createReader({ topic: 't', from: { publishedAt: wall } }));
    expect(texts([await now(reader.next()), await now(reader.next())])).toEqual(['a', 'b']);
  });
});

describe('retention', () => {
  const stats = async ({ bus, now }: ReturnType<typeof scene>) => now(bus.stats('t'));

  test('what all subscriptions have acknowledged is dropped when it is old; the rest stays', async () => {
    const it = scene({ retention: { ms: 10_000, bytes: 1_000_000 } });
    const { environment, producer, subscribe, send, takeAll, now } = it;
    const [fast, slow] = [await subscribe(), await subscribe({ subscription: 'slow' })];
    const one = await producer();
    await send(one, 'a', 'b', 'c', 'd');
    await now(fast.acknowledge(idsOf(await takeAll(fast))));
    await now(slow.acknowledge(idsOf((await takeAll(slow)).slice(0, 3))));
    await environment.advance(9000);
    expect(await stats(it)).toMatchObject({ messages: 4, bytes: 4 });
    await environment.advance(3000);
    expect(await stats(it)).toMatchObject({ messages: 1, bytes: 1, subscriptions: { slow: { backlog: 1 } } });
    await environment.advance(1_000_000);
    expect(await stats(it)).toMatchObject({ messages: 1 });
    await now(slow.redeliver());
    expect(texts(await takeAll(slow))).toEqual(['d']);
  });

  test('what nobody subscribes to is dropped when it is old, or more than may be kept', async () => {
    const it = scene({ retention: { ms: 10_000, bytes: 5 } });
    const { environment, producer, send } = it;
    const one = await producer();
    await send(one, ...'abcdefgh');
    await environment.advance(1000);
    expect(await stats(it)).toMatchObject({ messages: 5, bytes: 5 });
    await environment.advance(10_000);
    expect(await stats(it)).toMatchObject({ messages: 0, bytes: 0 });
    expect(environment.pendingTimers).toBe(0);
    await send(one, 'i');
    expect(await stats(it)).toMatchObject({ messages: 1 });
  });

  test('a topic that was emptied goes on with its numbers after a restart, and over ledgers', async () => {
    const file = join(await tempFolder('pulsar'), 'bus.db');
    const retention = { ms: 0, bytes: 0 };
    const first = scene({ file, retention });
    const old = await first.send(await first.producer(), 'a', 'b');
    await first.now((await first.subscribe({ initialPosition: 'Latest' })).close());
    await first.environment.advance(2000);
    expect(await stats(first)).toMatchObject({ messages: 0 });
    await first.now(first.bus.close());
    // As if a million messages had come and gone: the ledger has room for three.
    const database = new DatabaseSync(file);
    const almost = 2 ** 20 - 3;
    database.exec(`UPDATE topic SET first = ${almost}, next = ${almost}; UPDATE subscription SET mark = ${almost}`);
    database.close();
    const second = scene({ file, retention });
    const consumer = await second.subscribe();
    const ids = await second.send(await second.producer(), ...'cdefg');
    expect(ids.map(id => id.split(':').slice(0, 2))).toEqual([
      ['0', String(2 ** 20 - 3)],
      ['0', String(2 ** 20 - 2)],
      ['0', String(2 ** 20 - 1)],
      ['1', '0'],
      ['1', '1'],
    ]);
    expect([...old, ...ids].toSorted(compareIds)).toEqual([...old, ...ids]);
    const messages = await second.takeAll(consumer);
    expect(texts(messages)).toEqual([...'cdefg']);
    expect(idsOf(messages)).toEqual(ids);
    await second.now(consumer.acknowledge([ids[0]!, ids[1]!, ids[2]!, ids[4]!]));
    await second.environment.advance(2000);
    await second.now(consumer.acknowledge(old)); // dropped long ago
    await second.now(consumer.seek('earliest'));
    expect(texts(await second.takeAll(consumer))).toEqual(['f', 'g']);
    await second.now(consumer.seek({ id: old[0]! }));
    expect(texts(await second.takeAll(consumer))).toEqual(['f', 'g']);
    await second.now(second.bus.close());
    const left = new DatabaseSync(file);
    expect(left.prepare('SELECT id FROM ledger').all()).toEqual([{ id: 1 }]); // of the one before nothing is kept
    left.close();
  });

  test('a reader whose messages were dropped goes on with the oldest there is', async () => {
    const { environment, bus, producer, send, now } = scene({ retention: { ms: 1000, bytes: 100 } });
    const one = await producer();
    const reader = await now(bus.createReader({ topic: 't', from: 'earliest' }));
    await send(one, 'a');
    await environment.advance(5000);
    await send(one, 'b');
    expect(text(await now(reader.next()))).toBe('b');
  });
});

describe('bounds', () => {
  test('a consumer is given ahead no more than 16 MiB, whatever its prefetch, and more as it takes', async () => {
    const { producer, subscribe, send, takeAll } = scene();
    const idle = await subscribe();
    const busy = await subscribe();
    const one = await producer();
    for (let n = 0; n < 12; n++) await send(one, { payload: Buffer.alloc(5_000_000), key: `${n}` });
    const taken = await takeAll(busy);
    expect(taken).toHaveLength(8); // the idle one has four: with three there is room for one more
    expect(await takeAll(idle)).toHaveLength(4);
  });

  test('a topic does not wait for ever for the room that another took', async () => {
    const { producer, subscribe, send, takeAll } = scene();
    const consumer = await subscribe({ topics: ['t', 'u'] });
    const [t, u] = [await producer('t'), await producer('u')];
    for (let n = 0; n < 6; n++) await send(t, { payload: Buffer.alloc(5_000_000) });
    await send(u, 'small');
    expect((await takeAll(consumer)).map(message => message.payload!.length).toSorted()).toEqual(
      [...Array.from({ length: 6 }, () => 5_000_000), 5].toSorted(),
    );
  });

  test('what is not acknowledged is bounded, and goes on with what is', async () => {
    const { environment, producer, subscribe, send, now } = scene();
    const one = await now((await producer()).flush()).then(() => producer());
    for (let n = 0; n < 51; n++) await send(one, ...Array.from({ length: 1000 }, () => 'x'));
    for (const type of ['Exclusive', 'Shared'] as const) {
      const consumer = await subscribe({ type, subscription: type });
      const ids: string[] = [];
      const stop = new AbortController();
      const taking = (async () => {
        for (;;) ids.push((await consumer.receive(stop.signal)).id);
      })().catch(() => undefined);
      await environment.settle();
      expect(ids).toHaveLength(50_000);
      await now(consumer.acknowledge(ids.slice(0, 10)));
      expect(ids).toHaveLength(50_010);
      stop.abort();
      await taking;
    }
  });

  test('when a commit fails, what it held is as it was: marks, runs, and sequence ids', async () => {
    const { bus, subscribe, takeAll, send, now } = scene({ maxBytes: 400_000, deduplication: true });
    const producer = await now(bus.createProducer({ topic: 't', name: 'p' }));
    const consumer = await subscribe();
    await send(producer, 'a', 'b', 'c', 'd');
    const [a, b, c] = idsOf(await takeAll(consumer));
    await now(consumer.acknowledge([c!]));
    const other = await now(bus.createProducer({ topic: 't' }));
    const failing = [
      consumer.acknowledge([a!]),
      consumer.acknowledge([b!]),
      producer.send({ payload: 'e', sequenceId: 9 }),
      other.send({ payload: Buffer.alloc(5_000_000) }),
    ];
    const outcomes = await now(Promise.allSettled(failing));
    expect(outcomes.map(one => one.status === 'rejected' && one.reason.code)).toEqual(failing.map(() => 'OUTPUT_FULL'));
    expect(producer.lastSequenceId).toBe(3);
    expect((await now(bus.stats('t'))).subscriptions['s']!.backlog).toBe(3);
    await now(consumer.acknowledge([b!]));
    expect((await now(bus.stats('t'))).subscriptions['s']!.backlog).toBe(2);
    await now(consumer.redeliver());
    expect(texts(await takeAll(consumer))).toEqual(['a', 'd']);
    await send(producer, { payload: 'e', sequenceId: 9 });
    expect(texts(await takeAll(consumer))).toEqual(['e']);
  });

  test('what waits behind a send that found no room does not overtake it', async () => {
    const { bus, environment, now } = scene({ maxBytes: 400_000 });
    const producer = await now(bus.createProducer({ topic: 't', maxPending: 1 }));
    const sent = [100, 5_000_000, 100, 100].map(size => producer.send({ payload: Buffer.alloc(size) }));
    const outcomes = Promise.allSettled(sent);
    await environment.settle();
    expect((await outcomes).map(one => (one.status === 'rejected' ? one.reason.code : 'sent'))).toEqual([
      'sent',
      'OUTPUT_FULL',
      'OUTPUT_FULL',
      'OUTPUT_FULL',
    ]);
    await now(producer.send({ payload: 'small' }));
    expect((await now(bus.stats('t'))).messages).toBe(2);
  });

  test('more keys than one consumer can take do not keep others waiting, up to a look-ahead', async () => {
    const { producer, subscribe, send, takeAll } = scene();
    const consumers = [
      await subscribe({ type: 'Key_Shared', prefetch: 1 }),
      await subscribe({ type: 'Key_Shared', prefetch: 1 }),
    ];
    const one = await producer();
    const messages = Array.from({ length: 40 }, (_, n) => ({ payload: `${n}`, key: `k${n}` }));
    await send(one, ...messages);
    const [first, second] = consumers as [Consumer, Consumer];
    const taken = await takeAll(first); // never acknowledges, and the other takes nothing
    expect(taken.length).toBeGreaterThan(5);
    const rest = await takeAll(second);
    expect([...texts(taken), ...texts(rest)].toSorted()).toEqual(messages.map(message => message.payload).toSorted());
  });
});

describe('beside Pulsar', () => {
  test('a Failover hand-over waits for what the active consumer took', async () => {
    const { producer, subscribe, send, takeAll, now } = scene();
    const b = await subscribe({ type: 'Failover', name: 'b' });
    const one = await producer();
    await send(one, 'm0', 'm1', 'm2');
    const stop = new AbortController();
    const held = await now(b.receive(stop.signal));
    const a = await subscribe({ type: 'Failover', name: 'a' });
    expect(await takeAll(a)).toEqual([]);
    expect(await takeAll(b)).toEqual([]); // what it had not taken is taken back
    await now(b.acknowledge([held.id]));
    expect(texts(await takeAll(a))).toEqual(['m1', 'm2']);
    await now(a.close());
    expect(texts(await takeAll(b))).toEqual(['m1', 'm2']);
  });

  test('a message that its consumer took and left counts as given', async () => {
    const { producer, subscribe, send, takeAll, now } = scene();
    const first = await subscribe();
    await send(await producer(), 'a', 'b');
    const a = await now(first.receive());
    await now(first.close());
    const again = await takeAll(await subscribe());
    expect(again.map(message => [message.id === a.id, message.redeliveryCount])).toEqual([
      [true, 1],
      [false, 0],
    ]);
  });

  test('a dead letter that cannot be published is not acknowledged, and tried again', async () => {
    const { environment, bus, logged, producer, subscribe, send, takeAll, now } = scene();
    const deadLetter = { maxRedeliver: 0, topic: 'not a name' };
    const consumer = await subscribe({ nackDelayMs: 100, deadLetter });
    await send(await producer(), 'bad', 'good');
    const [bad, good] = await takeAll(consumer);
    consumer.negativeAcknowledge([bad!.id]);
    await now(consumer.acknowledge([good!.id]));
    await environment.advance(100);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatchObject({ level: 'error', fields: { topic: 'not a name', id: bad!.id } });
    await environment.advance(2000);
    expect(logged).toHaveLength(3);
    expect(await takeAll(consumer)).toEqual([]);
    expect((await now(bus.stats('t'))).subscriptions['s']!.backlog).toBe(1);
    await now(consumer.close());
    const saved = await subscribe({ nackDelayMs: 100 });
    await environment.advance(1000);
    expect((await takeAll(saved)).map(message => [text(message), message.redeliveryCount])).toEqual([['bad', 1]]);
  });

  test('a reader reads all partitions, and is placed by id in one only', async () => {
    const { bus, producer, send, now } = scene();
    await now(bus.createTopic('t', 2));
    const ids = await send(await producer(), ...'abcd');
    const reader = await now(bus.createReader({ topic: 't', from: 'earliest' }));
    const messages = [];
    while (await now(reader.hasNext())) messages.push(await now(reader.next()));
    expect(texts(messages).toSorted()).toEqual([...'abcd']);
    const placed = bus.createReader({ topic: 't', from: { id: ids[0]! } });
    expect((await errorFrom(placed)).code).toBe('CONFIG_INVALID');
    const last = await now(bus.createReader({ topic: 't-partition-0', from: 'latest', isInclusive: true }));
    expect(await now(last.hasNext())).toBe(true);
  });

  test('a topic that may not be made is missing, and a partition beyond the last always is', async () => {
    const { bus, now } = scene({ autoCreate: false });
    const missing = async (topic: string) => (await errorFrom(bus.createProducer({ topic }))).code;
    expect(await missing('t')).toBe('TOPIC_MISSING');
    await now(bus.createTopic('t', 2));
    await now(bus.createProducer({ topic: 't-partition-1' }));
    expect(await missing('t-partition-2')).toBe('TOPIC_MISSING');
    const open = scene();
    await open.now(open.bus.createTopic('t', 2));
    expect((await errorFrom(open.bus.partitionsOf('t-partition-2'))).code).toBe('TOPIC_MISSING');
  });

  test('a duplicate is answered without an id', async () => {
    const { bus, send, now } = scene({ deduplication: true });
    const producer = await now(bus.createProducer({ topic: 't', name: 'p' }));
    const ids = await send(producer, { payload: 'a', sequenceId: 1 }, { payload: 'a', sequenceId: 1 });
    expect(ids).toEqual([expect.stringMatching(/^\d+:0:-1:-1$/), NO_ID]);
  });

  test.each<[string, OutMessage, string]>([
    ['a payload', { payload: 5 as never }, 'payload: expected bytes, text or null, found 5'],
    ['a key', { payload: '', key: 5 as never }, 'key: expected text, found 5'],
    ['properties', { payload: '', properties: { x: 5 as never } }, 'properties.x: expected text, found 5'],
    ['a time', { payload: '', deliverAt: Number.NaN }, 'deliverAt: expected ms, found NaN'],
    ['a sequence', { payload: '', sequenceId: -1 }, 'sequenceId: expected a whole number from 0 on, found -1'],
  ])('what is not %s is refused', async (_what, message, why) => {
    const { bus, now } = scene();
    const producer = await now(bus.createProducer({ topic: 't' }));
    const error = await errorFrom(producer.send(message));
    expect([error.code, error.class, error.message]).toEqual(['RECORD_BROKEN', 'fatal', `RECORD_BROKEN: ${why}`]);
  });

  test.each<[string, Partial<ConsumerOptions>, string]>([
    ['topics', { topics: [] }, 'CONFIG_INVALID'],
    ['prefetch', { prefetch: 0 }, 'CONFIG_INVALID'],
    ['subscription', { subscription: '' }, 'TOPIC_INVALID'],
    ['pattern', { pattern: '(' }, 'TOPIC_INVALID'],
    ['type', { type: 'shared' as never }, 'CONFIG_INVALID'],
  ])('a consumer needs %s', async (_what, options, code) => {
    const { bus } = scene();
    const subscribing = bus.subscribe({ topics: ['t'], subscription: 's', type: 'Shared', ...options });
    expect((await errorFrom(subscribing)).code).toBe(code);
  });

  test('a seek to what is not of the subscription is refused, and a closed bus does nothing', async () => {
    const { bus, now, subscribe, producer, send } = scene();
    const consumer = await subscribe({ topics: ['t', 'u'] });
    const [id] = await send(await producer('elsewhere'), 'x');
    expect((await errorFrom(consumer.seek({ id: id! }))).code).toBe('CONFIG_INVALID');
    expect((await errorFrom(consumer.acknowledge(['nonsense']))).code).toBe('CONFIG_INVALID');
    await now(consumer.acknowledge([id!]));
    await now(bus.close());
    for (const asked of [bus.probe(), bus.stats('t'), bus.partitionsOf('t'), bus.createTopic('t')])
      expect((await errorFrom(asked)).code).toBe('RUNTIME_STOPPED');
  });
});
