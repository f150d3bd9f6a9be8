/**
 * The driver on Pulsar's own protocol: one client, with one connection to each broker. What is decided here:
 *
 * - **Keys go together.** Batches are by key unless told otherwise, so a Key_Shared subscription gives all of a key to one
 *   consumer (reference/pulsar.md pitfall 21); partitions are by Murmur3, as all official clients can be told (pitfall 25).
 * - **Reconnecting** never ends while a producer or consumer is open: what was attached once comes back (attachment.ts).
 * - **Topics** are made at their first use where the broker allows that; with partitions, and to be looked into, through the
 *   admin API, whose url must be given.
 */
import { type Environment, KeymillError, type Log } from '../../../runtime/index.ts';
import type {
  Consumer,
  ConsumerOptions,
  DriverNumbers,
  OutMessage,
  Producer,
  ProducerOptions,
  PulsarDriver,
  Reader,
  ReaderOptions,
  TopicStats,
} from '../contract.ts';
import { ProducerPool } from '../producer-pool.ts';
import { checkSubscription, partitionOf, topicName, topicPattern } from '../topic-name.ts';
import { type ServiceUrl, serviceUrl } from './address.ts';
import { Admin, makeTopic } from './admin.ts';
import { type AuthOptions, authOf } from './auth.ts';
import type { ClientParts } from './client-parts.ts';
import type { Codec } from './codec/compression.ts';
import type { TlsOptions } from './connection.ts';
import { Connections } from './connections.ts';
import { type ConsumerNeeds, WireConsumer } from './consumer.ts';
import { Lookup } from './lookup.ts';
import { Memory } from './memory.ts';
import type { BatchingOptions } from './producer.ts';
import { WireReader } from './reader.ts';
import { TopicProducer } from './topic-producer.ts';

export interface WireOptions {
  readonly url: string;
  readonly adminUrl?: string | undefined;
  readonly auth?: AuthOptions | undefined;
  readonly tls?: TlsOptions | undefined;
  readonly batching: BatchingOptions;
  readonly codec: Codec;
  readonly compressFrom: number;
  readonly maxPending: number;
  /** Unconfirmed bytes of all producers; 0 for no bound. */
  readonly memoryBytes: number;
  readonly chunking: boolean;
  readonly sendTimeoutMs: number;
  readonly connectMs: number;
  readonly operationMs: number;
  readonly keepAliveMs: number;
  /** How often new partitions, and new topics of a pattern, are looked for. */
  readonly discoveryMs: number;
}

const DEAD_LETTER_IDLE_MS = 300_000;
const TYPES: readonly string[] = ['Exclusive', 'Shared', 'Failover', 'Key_Shared'];

interface Part {
  readonly topic: string;
  readonly partition: number;
}

export class WireDriver implements PulsarDriver {
  readonly #options: WireOptions;
  readonly #connections: Connections;
  readonly #lookup: Lookup;
  /** Null where its url is not known. */
  readonly admin: Admin | null;
  readonly #parts: ClientParts;
  readonly #open = new Set<TopicProducer | WireConsumer | WireReader>();
  /** Of dead letters. */
  readonly #pool: ProducerPool;
  readonly #nonce: string;
  #ids = 0;
  #names = 0;
  #buried = 0;
  #closing: Promise<void> | null = null;

  constructor(options: WireOptions, environment: Environment, log: Log) {
    this.#options = options;
    const service: ServiceUrl = serviceUrl(options.url);
    const { connectMs, operationMs, keepAliveMs, tls = {} } = options;
    const auth = authOf(options.auth, environment.clock);
    const shared = { tls, auth, clientVersion: 'keymill', connectMs, operationMs, keepAliveMs };
    const nextId = (): number => this.#ids++;
    this.#connections = new Connections(service, shared, environment, log);
    this.#lookup = new Lookup(this.#connections, nextId);
    this.admin = options.adminUrl === undefined ? null : new Admin(options.adminUrl, auth, operationMs);
    const memory = new Memory(options.memoryBytes);
    this.#parts = { memory, lookup: this.#lookup, nextId, environment, log, operationMs };
    this.#pool = new ProducerPool(this, environment.clock, { name: undefined, idleMs: DEAD_LETTER_IDLE_MS });
    this.#nonce = Math.floor(environment.random() * 2 ** 40).toString(36);
  }

  async createProducer(options: ProducerOptions): Promise<Producer> {
    const { topic, name, access, epoch, sendTimeoutMs, maxPending, schema } = options;
    this.#mustBeOpen();
    const { full } = topicName(topic);
    const { batching, chunking, codec, compressFrom } = this.#options;
    const producer = await TopicProducer.open(
      {
        parts: this.#parts,
        partitionsOf: () => this.partitionsOf(full),
        closed: one => this.#open.delete(one),
        discoveryMs: this.#options.discoveryMs,
      },
      {
        topic: full,
        name,
        access: access ?? 'Shared',
        epoch,
        sendTimeoutMs: sendTimeoutMs ?? this.#options.sendTimeoutMs,
        maxPending: Math.max(1, maxPending ?? this.#options.maxPending),
        batching,
        chunking,
        codec,
        compressFrom,
        schema,
      },
    );
    return this.#kept(producer);
  }

  async subscribe(options: ConsumerOptions): Promise<Consumer> {
    this.#mustBeOpen();
    checkSubscription(options.subscription);
    if (!TYPES.includes(options.type))
      throw new KeymillError('CONFIG_INVALID', `${options.type} is not a type of subscription`);
    if ((options.ackTimeoutMs ?? 0) > 0 && options.type !== 'Shared')
      throw new KeymillError(
        'ACK_REFUSED',
        `subscription ${options.subscription} refuses an ack time-out: it would change the order that ${options.type} keeps`,
      );
    const found = options.pattern === undefined ? this.#listed(options.topics) : this.#matching(options.pattern);
    const needs: ConsumerNeeds = {
      parts: this.#parts,
      found,
      publish: async (topic: string, message: OutMessage) => {
        await this.#pool.use(topic, producer => producer.send(message));
        this.#buried++;
      },
      closed: one => this.#open.delete(one),
      discoveryMs: this.#options.discoveryMs,
    };
    return this.#kept(await WireConsumer.open(needs, options, options.name ?? this.#madeUp()));
  }

  async createReader(options: ReaderOptions): Promise<Reader> {
    this.#mustBeOpen();
    const parts = await this.#partsOf(topicName(options.topic).full);
    const closed = (one: WireReader): void => void this.#open.delete(one);
    return this.#kept(await WireReader.open(parts, options, this.#madeUp(), this.#parts, closed));
  }

  async partitionsOf(topic: string): Promise<readonly string[]> {
    return (await this.#partsOf(topicName(topic).full)).map(part => part.topic);
  }

  async createTopic(topic: string, partitions = 0): Promise<void> {
    this.#mustBeOpen();
    const { full } = topicName(topic);
    await makeTopic(this.admin, full, partitions, () => this.#lookup.partitions(full, true));
  }

  async stats(topic: string): Promise<TopicStats> {
    this.#mustBeOpen();
    const { full } = topicName(topic);
    if (!this.admin)
      throw new KeymillError('CONFIG_INVALID', `${full}: its numbers need adminUrl`, { place: { at: full } });
    return this.admin.stats(full, await this.#lookup.partitions(full, false));
  }

  numbers(): DriverNumbers {
    const states = { producer: { connecting: 0, ready: 0 }, consumer: { connecting: 0, ready: 0 } };
    let reconnects = 0;
    let corrupt = 0;
    for (const one of this.#open) {
      const kind = one instanceof TopicProducer ? states.producer : states.consumer;
      if (!(one instanceof TopicProducer)) corrupt += one.corrupt;
      for (const { state, count } of one.attachments) {
        if (state !== 'closed') kind[state]++;
        reconnects += Math.max(0, count - 1);
      }
    }
    return { buried: this.#buried, corrupt, reconnects, ...this.#connections.numbers, attachments: states };
  }

  async probe(): Promise<void> {
    this.#mustBeOpen();
    await this.#connections.toService();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#open].map(one => one.close()));
    await this.#pool.close();
    await Promise.all([...this.#open].map(one => one.close()));
    this.#connections.close();
  }

  #listed(topics: readonly string[]): () => Promise<readonly Part[]> {
    const names = [...new Set(topics.map(topic => topicName(topic).full))];
    if (names.length === 0) throw new KeymillError('CONFIG_INVALID', 'a consumer needs a topic');
    return async () => (await Promise.all(names.map(name => this.#partsOf(name)))).flat();
  }

  #matching(said: string): () => Promise<readonly Part[]> {
    const pattern = topicPattern(said);
    return async () => {
      const names = (await this.#lookup.topicsOf(pattern.namespace)).filter(name => name.startsWith('persistent://'));
      return names.flatMap(name => {
        const { full, base, partition } = topicName(name);
        return pattern.matches(topicName(base).local) ? [{ topic: full, partition }] : [];
      });
    };
  }

  async #partsOf(full: string): Promise<readonly Part[]> {
    const count = await this.#lookup.partitions(full, true);
    if (count === 0) return [{ topic: full, partition: topicName(full).partition }];
    return Array.from({ length: count }, (_, n) => ({ topic: partitionOf(full, n), partition: n }));
  }

  #kept<T extends TopicProducer | WireConsumer | WireReader>(one: T): T {
    this.#open.add(one);
    return one;
  }

  #madeUp(): string {
    return `keymill-${this.#nonce}-${this.#names++}`;
  }

  #mustBeOpen(): void {
    if (this.#closing) throw new KeymillError('IO_FAILED', 'the client is closed');
  }
}
