/**
 * The embedded bus: Pulsar's topics and subscriptions in one SQLite database, in this process. What is decided here:
 *
 * - **Durable.** A publish or acknowledgement is answered by the commit that holds it (committer.ts); a kill of the process
 *   loses none that was answered. `memory:` is the same code on a database in memory, and lives as long as its thread.
 * - **Memory.** Payloads are in the database until they are given ahead to a consumer, within its prefetch and 16 MiB. Kept
 *   in memory are the numbers of what is given and not acknowledged, 50,000 a consumer and topic at most.
 * - **As Pulsar**, where it was known (reference/pulsar.md). Otherwise: a Failover hand-over waits for what the active
 *   consumer took (single-dispatcher.ts), a dead letter and its acknowledgement are one commit, redelivery counts are kept
 *   until the bus is closed, and a publish time never goes back within a topic.
 */
import { describe, type Environment, KeymillError, type Log } from '../../../runtime/index.ts';
import type {
  Consumer,
  ConsumerOptions,
  DriverNumbers,
  Producer,
  ProducerOptions,
  PulsarDriver,
  Reader,
  ReaderOptions,
  SubscriptionType,
  TopicStats,
} from '../contract.ts';
import { Router } from '../routing.ts';
import { checkSubscription, topicName, topicPattern } from '../topic-name.ts';
import { Committer } from './committer.ts';
import { BusConsumer } from './consumer.ts';
import type { Member } from './member.ts';
import { outgoing } from './outgoing.ts';
import { BusProducer } from './producer.ts';
import { Publishers } from './publishers.ts';
import { BusReader } from './reader.ts';
import { Retainer } from './retention.ts';
import { Store } from './store.ts';
import type { Subscription } from './subscription.ts';
import type { Retention, Stored } from './topic.ts';
import { Topics } from './topics.ts';

export interface BusOptions {
  /** Path of the database; `:memory:` for none. */
  readonly file: string;
  readonly fsync: 'batch' | 'none';
  /** Largest size of the database, 0 for no bound. */
  readonly maxBytes: number;
  /** Largest message with key and properties. */
  readonly maxMessageBytes: number;
  readonly autoCreate: boolean;
  readonly deduplication: boolean;
  readonly retention: Retention;
}

const MAX_PENDING = 1000;
const TYPES: readonly string[] = ['Exclusive', 'Shared', 'Failover', 'Key_Shared'] satisfies SubscriptionType[];

export class EmbeddedBus implements PulsarDriver {
  readonly #options: BusOptions;
  readonly #environment: Environment;
  readonly #log: Log;
  readonly #store: Store;
  readonly #committer: Committer;
  readonly #topics: Topics;
  readonly #publishers: Publishers;
  readonly #retainer: Retainer;
  readonly #consumers = new Set<BusConsumer>();
  readonly #producers = new Set<BusProducer>();
  readonly #readers = new Set<BusReader>();
  /** For names that are made up, and members. */
  readonly #nonce: string;
  #count = 0;
  #buried = 0;
  #closing: Promise<void> | null = null;

  /** Throws STORE_IN_USE, STORE_CORRUPT, STORE_READ_ONLY, OUTPUT_FULL, IO_FAILED. */
  constructor(options: BusOptions, environment: Environment, log: Log) {
    this.#options = options;
    this.#environment = environment;
    this.#log = log;
    const { clock } = environment;
    this.#nonce = Math.floor(environment.random() * 2 ** 40).toString(36);
    this.#store = Store.open(options);
    this.#committer = new Committer(this.#store, environment);
    this.#publishers = new Publishers(this.#store);
    this.#retainer = new Retainer(this.#committer, clock, options.retention, error =>
      log.warn({ error, bus: options.file }, 'acknowledged messages could not be dropped; it is tried again'),
    );
    try {
      this.#topics = new Topics({
        store: this.#store,
        clock,
        autoCreate: options.autoCreate,
        bury: (subscription, member, stored, failed) => this.#bury(subscription, member, stored, failed),
        acknowledged: topic => this.#retainer.look(topic),
        grown: topic => this.#retainer.look(topic),
      });
    } catch (error) {
      this.#store.close();
      throw error;
    }
    for (const topic of this.#topics.all()) this.#retainer.look(topic);
  }

  async createProducer(options: ProducerOptions): Promise<Producer> {
    this.#mustBeOpen();
    const topics = this.#topics.use(options.topic);
    const name = options.name ?? `keymill-${this.#nonce}-${this.#count++}`;
    const publishers = this.#publishers.join(topics, name, options);
    const parts = {
      topic: topicName(options.topic).full,
      name,
      publishers,
      router: new Router(topics.length, Math.floor(this.#environment.random() * topics.length)),
      maxPending: Math.max(1, options.maxPending ?? MAX_PENDING),
    };
    const producer = new BusProducer(
      {
        committer: this.#committer,
        maxMessageBytes: this.#options.maxMessageBytes,
        deduplicates: this.#options.deduplication,
        closed: one => {
          this.#publishers.leave(one.publishers);
          this.#producers.delete(one);
        },
      },
      parts,
    );
    this.#producers.add(producer);
    return producer;
  }

  async subscribe(options: ConsumerOptions): Promise<Consumer> {
    this.#mustBeOpen();
    checkConsumer(options);
    const { subscription: name, type, pattern } = options;
    const isFromStart = options.initialPosition === 'Earliest';
    const topics =
      pattern === undefined
        ? [...new Set(options.topics.flatMap(topic => this.#topics.use(topic)))]
        : this.#topics.matching(topicPattern(pattern));
    const subscriptions = this.#topics.subscribe(topics, name, type, isFromStart);
    const consumer = new BusConsumer(
      {
        clock: this.#environment.clock,
        committer: this.#committer,
        topicOf: ledger => this.#topics.ofLedger(ledger),
        nextMember: () => this.#count++,
        drop: dropped => this.#unsubscribe(dropped),
        closed: one => this.#consumers.delete(one),
      },
      options,
      options.name ?? `${this.#nonce}-${this.#count++}`,
    );
    consumer.join(subscriptions, topics.length);
    this.#consumers.add(consumer);
    if (pattern !== undefined) this.#follow(consumer, pattern, options);
    return consumer;
  }

  async createReader(options: ReaderOptions): Promise<Reader> {
    this.#mustBeOpen();
    const reader = new BusReader(this.#topics.use(options.topic), options, one => this.#readers.delete(one));
    this.#readers.add(reader);
    return reader;
  }

  async partitionsOf(topic: string): Promise<readonly string[]> {
    this.#mustBeOpen();
    return this.#topics.use(topic).map(({ name }) => name.full);
  }

  async createTopic(topic: string, partitions = 0): Promise<void> {
    this.#mustBeOpen();
    this.#topics.create(topic, partitions);
  }

  async stats(topic: string): Promise<TopicStats> {
    this.#mustBeOpen();
    const { full } = topicName(topic);
    const topics = this.#topics.find(topic);
    if (!topics) throw new KeymillError('TOPIC_MISSING', `there is no topic ${full}`, { place: { at: full } });
    const subscriptions: Record<string, TopicStats['subscriptions'][string]> = {};
    for (const one of topics)
      for (const { name, type, backlog, consumers } of one.subscriptions.values()) {
        const before = subscriptions[name];
        subscriptions[name] = {
          type,
          backlog: backlog + (before?.backlog ?? 0),
          consumers: Math.max(consumers, before?.consumers ?? 0),
        };
      }
    return {
      topic: full,
      messages: topics.reduce((sum, one) => sum + one.next - one.first, 0),
      bytes: topics.reduce((sum, one) => sum + one.bytes, 0),
      subscriptions,
    };
  }

  /** Undefined where there is no such topic; 0 without partitions. */
  existing(topic: string): number | undefined {
    const found = this.#topics.find(topic);
    if (!found) return undefined;
    return found.length === 1 && found[0]!.name.full === topicName(topic).full ? 0 : found.length;
  }

  numbers(): DriverNumbers {
    const attached = (ready: number) => ({ connecting: 0, ready });
    return {
      buried: this.#buried,
      corrupt: 0,
      reconnects: 0,
      connections: 0,
      requests: 0,
      attachments: {
        producer: attached(this.#producers.size),
        consumer: attached(this.#consumers.size + this.#readers.size),
      },
    };
  }

  async probe(): Promise<void> {
    this.#mustBeOpen();
    this.#store.probe(this.#committer.wanted);
    this.#committer.wanted = 0;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#retainer.close();
    const closing = [...this.#consumers, ...this.#readers, ...this.#producers].map(one => one.close());
    this.#committer.drain();
    await Promise.all(closing);
    this.#committer.drain();
    for (const topic of this.#topics.all()) for (const one of topic.subscriptions.values()) one.close();
    this.#store.close();
  }

  /** Topics that are made later and match: read from their start, which the consumer did not see. */
  #follow(consumer: BusConsumer, said: string, { subscription, type }: ConsumerOptions): void {
    const pattern = topicPattern(said);
    const join = (): void => {
      if (!this.#consumers.has(consumer)) {
        this.#topics.created.delete(join);
        return;
      }
      const topics = this.#topics.matching(pattern).filter(topic => !consumer.has(topic));
      try {
        if (topics.length > 0) consumer.join(this.#topics.subscribe(topics, subscription, type, true), topics.length);
      } catch (error) {
        this.#log.error({ error, subscription, pattern: said }, 'a topic that matches could not be subscribed');
      }
    };
    this.#topics.created.add(join);
  }

  /** Throws CONSUMER_BUSY. */
  #unsubscribe(subscriptions: readonly Subscription[]): void {
    const busy = subscriptions.find(one => one.consumers > 0);
    if (busy) throw new KeymillError('CONSUMER_BUSY', `subscription ${busy.name} has other consumers`);
    this.#topics.unsubscribe(subscriptions);
  }

  /** Properties as the official clients set them (reference/pulsar.md 2.6). */
  #bury(subscription: Subscription, member: Member, { seq, message }: Stored, failed: () => void): void {
    const { topic: name } = member.options.deadLetter!;
    const lost = (error: unknown): void => {
      this.#log.error(
        { error, topic: name, id: message.id },
        'a dead letter could not be published; it is tried again',
      );
      this.#environment.soon(failed);
    };
    try {
      if (!this.#topics.find(name)) this.#topics.create(name, 0);
      const topics = this.#topics.find(name)!;
      const properties = {
        ...message.properties,
        REAL_TOPIC: message.topic,
        ORIGIN_MESSAGE_ID: message.id,
        RECONSUMETIMES: String(message.redeliveryCount),
      };
      const { payload, key, orderingKey, eventTime } = message;
      const letter = outgoing(
        {
          payload,
          properties,
          key: key ?? undefined,
          orderingKey: orderingKey ?? undefined,
          eventTime: eventTime ?? undefined,
        },
        Number.POSITIVE_INFINITY,
      );
      const topic = topics[new Router(topics.length, seq % topics.length).partitionFor(key)]!;
      this.#committer
        .do(transaction => {
          topic.append(transaction, letter, `${subscription.name}-DLQ`, topic.next);
          subscription.cursor.ack(transaction, seq);
        })
        .then(() => {
          this.#buried++;
        })
        .catch(lost);
    } catch (error) {
      lost(error);
    }
  }

  #mustBeOpen(): void {
    if (this.#closing) throw new KeymillError('RUNTIME_STOPPED', 'the bus is closed');
  }
}

/** Throws TOPIC_INVALID, CONFIG_INVALID, ACK_REFUSED. */
function checkConsumer({ subscription, topics, pattern, type, prefetch, ackTimeoutMs = 0 }: ConsumerOptions): void {
  checkSubscription(subscription);
  if (!TYPES.includes(type))
    throw new KeymillError(
      'CONFIG_INVALID',
      `subscription ${subscription}: expected one of ${TYPES.join(', ')}, found ${describe(type)}`,
    );
  if (topics.length === 0 && pattern === undefined)
    throw new KeymillError('CONFIG_INVALID', `subscription ${subscription}: expected topics or a pattern`);
  if (prefetch !== undefined && !(prefetch >= 1))
    throw new KeymillError('CONFIG_INVALID', `subscription ${subscription}: expected a prefetch of 1 or more`);
  if (ackTimeoutMs > 0 && type !== 'Shared')
    throw new KeymillError(
      'ACK_REFUSED',
      `subscription ${subscription}: an acknowledgement time-out would change the order that ${type} keeps`,
    );
}
