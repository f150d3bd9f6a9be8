/**
 * The npm package `pulsar-client` as far as the driver uses it, on an embedded bus: its shape, the names of its errors, and what
 * sets it apart (acknowledgements without receipts, ids in brackets, `hasNext` that answers at once, nothing on null payloads).
 * It is our picture of the package, made from its published types and sources; only a broker could show where it is wrong.
 */

import type { EmbeddedBus } from '../../actors/pulsar/bus/bus.ts';
import type { Consumer, InMessage, Producer, Reader } from '../../actors/pulsar/contract.ts';
import type { NativeConfig, NativeId, NativeMessage, NativePackage } from '../../actors/pulsar/official/native.ts';
import { readMessageId } from '../../actors/pulsar/wire/codec/message-id.ts';
import { Reader as WireBytes } from '../../actors/pulsar/wire/codec/reader.ts';
import { isKeymillError } from '../../runtime/index.ts';

const RESULTS: Readonly<Record<string, string>> = {
  TOPIC_MISSING: 'TopicNotFound',
  MESSAGE_TOO_LARGE: 'MessageTooBig',
  PRODUCER_BUSY: 'ProducerBusy',
  PRODUCER_FENCED: 'ResultProducerFenced',
  CONSUMER_BUSY: 'ConsumerBusy',
  CONSUMER_CLOSED: 'AlreadyClosed',
  RUNTIME_STOPPED: 'AlreadyClosed',
  PUBLISH_FAILED: 'AlreadyClosed',
  TOPIC_INVALID: 'InvalidTopicName',
};

/** Rejects as the package does: with a text that ends with the name of a result. */
async function asNative<T>(what: string, promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    const result = isKeymillError(error) ? RESULTS[error.code] : undefined;
    throw new Error(`Failed to ${what}: ${result ?? 'UnknownError'}`);
  }
}

class FakeId implements NativeId {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return `(${this.text.replaceAll(':', ',')})`;
  }

  static earliest(): FakeId {
    return new FakeId('earliest');
  }

  static latest(): FakeId {
    return new FakeId('latest');
  }

  static deserialize(bytes: Buffer): FakeId {
    const framed = Buffer.concat([Buffer.of(bytes.length), bytes]); // the reader of ids expects their length
    const {
      ledgerId,
      entryId,
      partition = -1,
      batchIndex = -1,
    } = readMessageId(new WireBytes(framed, 0, framed.length));
    return new FakeId([ledgerId, entryId, partition, batchIndex].join(':'));
  }
}

const textOf = (id: NativeId): string => (id as FakeId).text;

function nativeOf(message: InMessage): NativeMessage {
  return {
    getTopicName: () => message.topic,
    getProperties: () => Object.assign([], message.properties) as unknown as Record<string, string>,
    getData: () => Buffer.from(message.payload ?? []),
    getMessageId: () => new FakeId(message.id),
    getPublishTimestamp: () => message.publishTime,
    getEventTimestamp: () => message.eventTime ?? 0,
    getRedeliveryCount: () => message.redeliveryCount,
    getPartitionKey: () => message.key ?? '',
    getOrderingKey: () => message.orderingKey ?? '',
    getProducerName: () => message.producer,
  };
}

function startOf(id: NativeId): 'earliest' | 'latest' | { id: string } {
  const text = textOf(id);
  return text === 'earliest' || text === 'latest' ? text : { id: text };
}

function producerOf(producer: Producer, seen: NativeConfig) {
  let underWay = 0;
  return {
    async send(
      message: Parameters<Awaited<ReturnType<InstanceType<NativePackage['Client']>['createProducer']>>['send']>[0],
    ) {
      if (underWay >= (seen['maxPendingMessages'] as number))
        throw new Error('Failed to send message: ProducerQueueIsFull');
      underWay++;
      const { data, partitionKey, orderingKey, properties, eventTimestamp, sequenceId, deliverAt } = message;
      try {
        const out = { payload: data, key: partitionKey, orderingKey, properties, sequenceId, deliverAt };
        const id = await producer.send({ ...out, eventTime: eventTimestamp });
        return new FakeId(id);
      } catch (error) {
        return await asNative('send message', Promise.reject(error));
      } finally {
        underWay--;
      }
    },
    flush: () => producer.flush(),
    close: () => producer.close(),
    getProducerName: () => producer.name,
    isConnected: () => true,
  };
}

function consumerOf(consumer: Consumer) {
  const acks = new Set<Promise<unknown>>();
  /** Answered before it is done: there are no receipts. Closing waits for them. */
  const acknowledge = async (done: Promise<void>): Promise<void> => {
    const settled = done.catch(() => undefined);
    acks.add(settled);
    void settled.then(() => acks.delete(settled));
  };
  return {
    receive: async () => nativeOf(await asNative('receive message', consumer.receive())),
    acknowledgeId: (id: NativeId) => acknowledge(consumer.acknowledge([textOf(id)])),
    acknowledgeCumulativeId: (id: NativeId) => acknowledge(consumer.acknowledgeCumulative(textOf(id))),
    negativeAcknowledgeId: (id: NativeId) => consumer.negativeAcknowledge([textOf(id)]),
    seek: (id: NativeId) => asNative('seek message by id', consumer.seek(startOf(id))),
    seekTimestamp: (publishedAt: number) => asNative('seek message by timestamp', consumer.seek({ publishedAt })),
    unsubscribe: async () => {
      // Of the broker's words the package keeps none.
      await consumer.unsubscribe().catch(() => {
        throw new Error('Failed to unsubscribe consumer: UnknownError');
      });
    },
    close: async () => {
      await Promise.all(acks);
      await consumer.close();
    },
    isConnected: () => true,
  };
}

/** Reads ahead, so that `hasNext` can answer at once. */
async function readerOf(reader: Reader) {
  let ahead: InMessage[] = [];
  let stop = new AbortController();
  let pumping: Promise<void> = Promise.resolve();
  const pump = async (): Promise<void> => {
    while (await reader.hasNext()) ahead.push(await reader.next());
    const { signal } = stop;
    pumping = (async () => {
      for (;;) ahead.push(await reader.next(signal));
    })().catch(() => undefined);
  };
  const move = async (to: 'earliest' | 'latest' | { id: string } | { publishedAt: number }): Promise<void> => {
    stop.abort();
    await pumping;
    stop = new AbortController();
    ahead = [];
    await reader.seek(to);
    await pump();
  };
  await pump();
  return {
    async readNext() {
      const message = ahead.shift();
      if (!message) throw new Error('it is asked only when there is a message: the real one would hold a thread');
      return nativeOf(message);
    },
    hasNext: () => ahead.length > 0,
    seek: (id: NativeId) => asNative('seek message by id', move(startOf(id))),
    seekTimestamp: (publishedAt: number) => asNative('seek message by timestamp', move({ publishedAt })),
    close: async () => {
      stop.abort();
      await reader.close();
    },
    isConnected: () => true,
  };
}

const TYPES = { Exclusive: 'Exclusive', Shared: 'Shared', Failover: 'Failover', KeyShared: 'Key_Shared' } as const;

export interface OfficialFake {
  readonly native: NativePackage;
  /** What clients, producers, consumers and readers were made of, the last one last. */
  readonly configs: NativeConfig[];
}

export function officialFake(bus: EmbeddedBus): OfficialFake {
  const configs: NativeConfig[] = [];
  class Client {
    readonly #open = new Set<{ close(): Promise<unknown> }>();

    constructor(config: NativeConfig) {
      configs.push(config);
    }

    async createProducer(config: NativeConfig) {
      configs.push(config);
      if (config['hashingScheme'] !== 'Murmur3_32Hash') throw new Error('the bus hashes by Murmur3 only');
      const options = {
        topic: config['topic'] as string,
        name: config['producerName'] as string | undefined,
        access: config['accessMode'] as 'Shared' | 'Exclusive' | 'ExclusiveWithFencing',
      };
      return this.#kept(producerOf(await asNative('create producer', bus.createProducer(options)), config));
    }

    async subscribe(config: NativeConfig) {
      configs.push(config);
      const policy = config['deadLetterPolicy'] as { maxRedeliverCount: number; deadLetterTopic: string } | undefined;
      const consumer = await asNative(
        'create consumer',
        bus.subscribe({
          topics:
            (config['topics'] as string[] | undefined) ??
            (config['topic'] === undefined ? [] : [config['topic'] as string]),
          pattern: config['topicsPattern'] as string | undefined,
          subscription: config['subscription'] as string,
          type: TYPES[config['subscriptionType'] as keyof typeof TYPES],
          name: config['consumerName'] as string | undefined,
          initialPosition: config['subscriptionInitialPosition'] as 'Earliest' | 'Latest',
          prefetch: config['receiverQueueSize'] as number,
          nackDelayMs: config['nAckRedeliverTimeoutMs'] as number,
          ackTimeoutMs: config['ackTimeoutMs'] as number,
          deadLetter: policy && { maxRedeliver: policy.maxRedeliverCount, topic: policy.deadLetterTopic },
        }),
      );
      return this.#kept(consumerOf(consumer));
    }

    async createReader(config: NativeConfig) {
      configs.push(config);
      const from = startOf(config['startMessageId'] as NativeId);
      const options = { topic: config['topic'] as string, from, prefetch: config['receiverQueueSize'] as number };
      return this.#kept(await readerOf(await asNative('create reader', bus.createReader(options))));
    }

    async getPartitionsForTopic(topic: string): Promise<string[]> {
      return [...(await asNative('get partitions for topic', bus.partitionsOf(topic)))];
    }

    async close(): Promise<void> {
      await Promise.all([...this.#open].map(one => one.close()));
    }

    #kept<T extends { close(): Promise<unknown> }>(one: T): T {
      this.#open.add(one);
      return one;
    }
  }
  class Identity {
    readonly params: unknown;

    constructor(params: unknown) {
      this.params = params;
    }
  }
  const native: NativePackage = {
    Client,
    MessageId: FakeId,
    AuthenticationToken: Identity,
    AuthenticationBasic: Identity,
    AuthenticationTls: Identity,
    AuthenticationOauth2: Identity,
  };
  return { native, configs };
}
