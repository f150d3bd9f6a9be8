/**
 * The driver on the official npm package `pulsar-client`, for those who want Apache's own client below; the wire driver can do
 * more. Keys go the same ways: Murmur3, and batches by key. What it cannot do, or does otherwise:
 *
 * - **Acknowledgements** resolve when the client has them: it sends them within 100 ms and asks for no receipt. A crash may
 *   give again what was acknowledged. Ids that this consumer was not given itself are passed over.
 * - **Refused** with CONFIG_INVALID: null payloads, seeking a subscription to a message (the client would skip it), readers
 *   that are to begin with a message (`isInclusive`), ack time-outs below 10 s, dead letters at the first redelivery.
 * - **Not told**: sequence ids, an empty key or event time 0 from none, how many connections, reconnections and dead letters
 *   there were, and why an `unsubscribe` was refused (IO_FAILED).
 * - **Not of use**: compressFrom, memoryBytes, keepAliveMs, discoveryMs (it looks each 60 s). Chunking turns batches off. A
 *   batch waits for its delayMs always. A secret of `env:` or `file:` is read when the driver is opened, and not again.
 * - **A reader at the end** looks each 100 ms, and blocks the thread for as long as the broker takes to answer.
 * - **One thread**: the package keeps its classes once a process, so only one I/O thread of a process may use it.
 */
import { type Environment, isKeymillError, KeymillError, type Log } from '../../../runtime/index.ts';
import type {
  Consumer,
  ConsumerOptions,
  DriverNumbers,
  Producer,
  ProducerOptions,
  PulsarDriver,
  Reader,
  ReaderOptions,
  TopicStats,
} from '../contract.ts';
import { topicName } from '../topic-name.ts';
import { Admin, makeTopic } from '../wire/admin.ts';
import { authOf } from '../wire/auth.ts';
import { clientConfig, consumerConfig, type OfficialOptions, producerConfig } from './config.ts';
import { OfficialConsumer } from './consumer.ts';
import { nativeFault } from './faults.ts';
import { nativeStart } from './messages.ts';
import { loadNative, type NativeClient, type NativePackage } from './native.ts';
import { OfficialProducer } from './producer.ts';
import { OfficialReader } from './reader.ts';

/** What a probe asks for before any topic was used; that it is not there is an answer too. */
const PROBE_TOPIC = 'persistent://public/default/keymill';

export class OfficialDriver implements PulsarDriver {
  readonly #options: OfficialOptions;
  readonly #native: NativePackage;
  readonly #client: NativeClient;
  readonly #environment: Environment;
  /** Null where its url was not given. */
  readonly admin: Admin | null;
  readonly #open = new Set<OfficialProducer | OfficialConsumer | OfficialReader>();
  #lastTopic = PROBE_TOPIC;
  #closing: Promise<void> | null = null;

  private constructor(options: OfficialOptions, native: NativePackage, client: NativeClient, environment: Environment) {
    this.#options = options;
    this.#native = native;
    this.#client = client;
    this.#environment = environment;
    const { adminUrl, auth, operationMs } = options;
    this.admin = adminUrl === undefined ? null : new Admin(adminUrl, authOf(auth, environment.clock), operationMs);
  }

  /** Rejects with CONFIG_INVALID where the package is missing, and ACCESS_REFUSED for a secret that cannot be read. */
  static async open(
    options: OfficialOptions,
    environment: Environment,
    log: Log,
    load: () => Promise<NativePackage> = loadNative,
  ): Promise<OfficialDriver> {
    const native = await load();
    const config = await clientConfig(options, native, environment.clock, log);
    return new OfficialDriver(options, native, new native.Client(config), environment);
  }

  async createProducer(options: ProducerOptions): Promise<Producer> {
    const full = this.#use(options.topic);
    if (options.epoch !== undefined)
      throw new KeymillError('CONFIG_INVALID', `${full}: driver pulsar-client cannot publish with an epoch`, {
        class: 'fatal',
        place: { at: full },
      });
    const maxPending = Math.max(1, options.maxPending ?? this.#options.maxPending);
    const config = producerConfig(full, maxPending, options, this.#options);
    const native = await this.#made(full, () => this.#client.createProducer(config));
    return this.#kept(new OfficialProducer(full, native, maxPending, one => this.#open.delete(one)));
  }

  async subscribe(options: ConsumerOptions): Promise<Consumer> {
    this.#mustBeOpen();
    const config = consumerConfig(options);
    const consumer = await OfficialConsumer.open(options.subscription, options.type, {
      native: this.#native,
      subscribe: () => this.#made(options.subscription, () => this.#client.subscribe(config)),
      closed: one => this.#open.delete(one),
    });
    return this.#kept(consumer);
  }

  async createReader({ topic, from, isInclusive, prefetch = 1000 }: ReaderOptions): Promise<Reader> {
    const full = this.#use(topic);
    const isTime = typeof from === 'object' && 'publishedAt' in from;
    if (isInclusive && !isTime && from !== 'earliest')
      throw new KeymillError(
        'CONFIG_INVALID',
        `${full}: driver pulsar-client cannot read from a message on, only behind it`,
        {
          place: { at: full },
        },
      );
    if (typeof from === 'object' && 'id' in from && (await this.#partitions(full)) > 0)
      throw new KeymillError(
        'CONFIG_INVALID',
        `a message id is a place in one partition, and ${full} has several: read one of them`,
      );
    const startMessageId = nativeStart(isTime ? 'earliest' : from, this.#native);
    const native = await this.#made(full, () =>
      this.#client.createReader({ topic: full, startMessageId, receiverQueueSize: Math.max(1, prefetch) }),
    );
    const { clock } = this.#environment;
    const reader = this.#kept(
      new OfficialReader(native, { native: this.#native, clock, topic: full, closed: one => this.#open.delete(one) }),
    );
    if (isTime) await reader.seek(from);
    return reader;
  }

  async partitionsOf(topic: string): Promise<readonly string[]> {
    const full = this.#use(topic);
    return this.#made(full, () => this.#client.getPartitionsForTopic(full));
  }

  async createTopic(topic: string, partitions = 0): Promise<void> {
    const full = this.#use(topic);
    await makeTopic(this.admin, full, partitions, () => this.#partitions(full));
  }

  /** Asking the client for partitions might make the topic: the admin API is asked for them too. */
  async stats(topic: string): Promise<TopicStats> {
    this.#mustBeOpen();
    const { full } = topicName(topic);
    if (!this.admin)
      throw new KeymillError('CONFIG_INVALID', `${full}: its numbers need adminUrl`, { place: { at: full } });
    return this.admin.stats(full, (await this.admin.partitionsOf(full)) ?? 0);
  }

  numbers(): DriverNumbers {
    const attachments = { producer: { connecting: 0, ready: 0 }, consumer: { connecting: 0, ready: 0 } };
    for (const one of this.#open)
      attachments[one instanceof OfficialProducer ? 'producer' : 'consumer'][
        one.isConnected ? 'ready' : 'connecting'
      ]++;
    return { buried: 0, reconnects: 0, connections: 0, requests: 0, corrupt: 0, attachments };
  }

  async probe(): Promise<void> {
    this.#mustBeOpen();
    try {
      await this.#made(this.#lastTopic, () => this.#client.getPartitionsForTopic(this.#lastTopic));
    } catch (error) {
      if (!isKeymillError(error, 'TOPIC_MISSING')) throw error;
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#open].map(one => one.close()));
    await this.#client.close().catch(() => undefined); // what is under way has been answered
  }

  async #partitions(full: string): Promise<number> {
    const names = await this.#made(full, () => this.#client.getPartitionsForTopic(full));
    return names.length === 1 && names[0] === full ? 0 : names.length;
  }

  async #made<T>(at: string, make: () => Promise<T>): Promise<T> {
    try {
      return await make();
    } catch (error) {
      throw nativeFault(error, at);
    }
  }

  #kept<T extends OfficialProducer | OfficialConsumer | OfficialReader>(one: T): T {
    this.#open.add(one);
    return one;
  }

  /** Its full name. Throws TOPIC_INVALID. */
  #use(topic: string): string {
    this.#mustBeOpen();
    const { full } = topicName(topic);
    this.#lastTopic = full;
    return full;
  }

  #mustBeOpen(): void {
    if (this.#closing) throw new KeymillError('IO_FAILED', 'the client is closed');
  }
}
