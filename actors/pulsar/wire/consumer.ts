/** A consumer of the wire client: one partition consumer for each topic or partition, and one inbox. */
import { KeymillError, type Timer } from '../../../runtime/index.ts';
import type {
  Consumer,
  ConsumerOptions,
  InMessage,
  MessageId,
  OutMessage,
  StartPosition,
  SubscriptionType,
} from '../contract.ts';
import { type IdParts, parseId } from '../message-id.ts';
import { deadLetterTopic } from '../topic-name.ts';
import type { Attachment } from './attachment.ts';
import type { ClientParts } from './client-parts.ts';
import { Inbox } from './inbox.ts';
import { PartitionConsumer } from './partition-consumer.ts';

export interface ConsumerNeeds {
  readonly parts: ClientParts;
  /** Full names of the topics and partitions that it is to read, as it is now, with the partition of each. */
  found(): Promise<readonly { readonly topic: string; readonly partition: number }[]>;
  /** Publishes a dead letter; resolves when the topic has it. */
  publish(topic: string, message: OutMessage): Promise<void>;
  closed(consumer: WireConsumer): void;
  readonly discoveryMs: number;
}

const MAX_PREFETCH_IN_ALL = 50_000;

export class WireConsumer implements Consumer {
  readonly subscription: string;
  readonly type: SubscriptionType;
  readonly #needs: ConsumerNeeds;
  readonly #options: ConsumerOptions;
  readonly #name: string;
  readonly #inbox = new Inbox();
  readonly #children = new Map<string, PartitionConsumer>();
  /** By the number of a ledger that a message came from: no two topics share one. */
  readonly #ledgers = new Map<number, PartitionConsumer>();
  readonly #partitions = new Map<PartitionConsumer, number>();
  #timer: Timer | null = null;
  #closing: Promise<void> | null = null;

  private constructor(needs: ConsumerNeeds, options: ConsumerOptions, name: string) {
    this.#needs = needs;
    this.#options = options;
    this.#name = name;
    this.subscription = options.subscription;
    this.type = options.type;
  }

  /** Rejects with TOPIC_MISSING, CONSUMER_BUSY, ACCESS_REFUSED, IO_FAILED. */
  static async open(needs: ConsumerNeeds, options: ConsumerOptions, name: string): Promise<WireConsumer> {
    const consumer = new WireConsumer(needs, options, name);
    try {
      await consumer.#join(await needs.found(), options.initialPosition ?? 'Latest');
    } catch (error) {
      await consumer.close();
      throw error;
    }
    consumer.#discoverLater();
    return consumer;
  }

  /** Entries that nobody can read. */
  get corrupt(): number {
    return [...this.#children.values()].reduce((sum, child) => sum + child.corrupt, 0);
  }

  /** One for each topic or partition. */
  get attachments(): readonly Attachment[] {
    return [...this.#children.values()].map(child => child.attachment);
  }

  receive(signal?: AbortSignal): Promise<InMessage> {
    return this.#inbox.take(signal);
  }

  acknowledge(ids: readonly MessageId[]): Promise<void> {
    return ids.length === 1 ? this.#acknowledgeOne(ids[0]!) : this.#acknowledgeAll(ids);
  }

  /** Makes no promise of its own: where each message is acknowledged by itself, thousands wait for one answer. */
  #acknowledgeOne(id: MessageId): Promise<void> {
    try {
      this.#mustBeOpen();
      const parts = parseId(id);
      return this.#childOf(parts)?.acknowledge(parts) ?? Promise.resolve();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #acknowledgeAll(ids: readonly MessageId[]): Promise<void> {
    this.#mustBeOpen();
    const acks = new Set<Promise<void>>(); // those of one turn and partition are one
    for (const id of ids) {
      const parts = parseId(id);
      const acked = this.#childOf(parts)?.acknowledge(parts);
      if (acked) acks.add(acked);
    }
    await Promise.all(acks);
  }

  async acknowledgeCumulative(id: MessageId): Promise<void> {
    this.#mustBeOpen();
    if (this.type === 'Shared' || this.type === 'Key_Shared')
      throw this.#refused(`cumulative acknowledgement: ${this.type} gives messages to several consumers`);
    const parts = parseId(id);
    await this.#childOf(parts)?.acknowledgeCumulative(parts);
  }

  negativeAcknowledge(ids: readonly MessageId[]): void {
    this.#mustBeOpen();
    if (this.type === 'Exclusive' || this.type === 'Failover')
      throw this.#refused(`negative acknowledgement: it would change the order that ${this.type} keeps`);
    for (const id of ids) {
      const parts = parseId(id);
      this.#childOf(parts)?.negativeAcknowledge(parts);
    }
  }

  async redeliver(): Promise<void> {
    this.#mustBeOpen();
    await Promise.all([...this.#children.values()].map(child => child.redeliver()));
  }

  async seek(to: StartPosition): Promise<void> {
    this.#mustBeOpen();
    const all = [...this.#children.values()];
    if (typeof to !== 'object' || !('id' in to)) {
      await Promise.all(all.map(child => child.seek(to)));
      return;
    }
    const child = all.length === 1 ? all[0] : this.#childOf(parseId(to.id));
    if (!child)
      throw new KeymillError(
        'CONFIG_INVALID',
        `${to.id} is not the id of a message that subscription ${this.subscription} reads`,
      );
    await child.seek(to);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async unsubscribe(): Promise<void> {
    this.#mustBeOpen();
    for (const child of this.#children.values()) await child.close(true);
    await this.close();
  }

  async #close(): Promise<void> {
    this.#timer?.cancel();
    this.#inbox.close(new KeymillError('CONSUMER_CLOSED', 'it was closed while a message was waited for, or before'));
    await Promise.all([...this.#children.values()].map(child => child.close()));
    this.#needs.closed(this);
  }

  async #join(
    found: readonly { readonly topic: string; readonly partition: number }[],
    initialPosition: 'Earliest' | 'Latest',
  ): Promise<void> {
    const fresh = found.filter(({ topic }) => !this.#children.has(topic));
    const { prefetch = 1000, nackDelayMs = 60_000, ackTimeoutMs = 0, deadLetter, schema } = this.#options;
    const started = fresh.map(async ({ topic, partition }) => {
      const bury = deadLetter && {
        above: deadLetter.maxRedeliver,
        take: (message: InMessage) =>
          this.#bury(deadLetter.topic ?? deadLetterTopic(topic, this.subscription), message),
      };
      const child = new PartitionConsumer(
        {
          topic,
          partition,
          subscription: this.subscription,
          type: this.type,
          name: this.#name,
          prefetch: Math.max(1, Math.min(prefetch, Math.floor(MAX_PREFETCH_IN_ALL / found.length))),
          initialPosition,
          nackDelayMs,
          ackTimeoutMs,
          schema,
          bury,
        },
        this.#needs.parts,
        this.#inbox,
        fault => this.#inbox.close(fault),
        ledger => this.#ledgers.set(ledger, child),
      );
      this.#children.set(topic, child);
      this.#partitions.set(child, partition);
      await child.start();
    });
    const faults = (await Promise.allSettled(started)).flatMap(one => (one.status === 'rejected' ? [one.reason] : []));
    if (faults.length > 0) throw faults[0];
  }

  /** Partitions and topics that are new are read from their start: what came before they were seen is not lost (pitfall 26). */
  #discoverLater(): void {
    const { parts, discoveryMs, found } = this.#needs;
    this.#timer = parts.environment.clock.after(discoveryMs, () => {
      void found()
        .then(topics => (this.#closing ? undefined : this.#join(topics, 'Earliest')))
        .catch((error: unknown) =>
          parts.log.warn({ subscription: this.subscription, error }, 'new topics were not joined'),
        )
        .finally(() => {
          if (!this.#closing) this.#discoverLater();
        });
    });
  }

  async #bury(topic: string, message: InMessage): Promise<void> {
    const { payload, key, orderingKey, properties, eventTime, id, topic: origin, redeliveryCount } = message;
    await this.#needs.publish(topic, {
      payload,
      key: key ?? undefined,
      orderingKey: orderingKey ?? undefined,
      eventTime: eventTime ?? undefined,
      properties: {
        ...properties,
        REAL_TOPIC: origin,
        ORIGIN_MESSAGE_ID: id,
        RECONSUMETIMES: String(redeliveryCount),
      },
    });
  }

  #childOf({ ledger, partition }: IdParts): PartitionConsumer | undefined {
    const known = this.#ledgers.get(ledger);
    if (known) return known;
    let found: PartitionConsumer | undefined;
    for (const [child, its] of this.#partitions) {
      if (its !== partition) continue;
      if (found) return undefined; // of several topics: nothing tells which
      found = child;
    }
    return found;
  }

  #mustBeOpen(): void {
    if (this.#closing) throw new KeymillError('CONSUMER_CLOSED', `of subscription ${this.subscription}`);
  }

  #refused(what: string): KeymillError {
    return new KeymillError('ACK_REFUSED', `subscription ${this.subscription} refuses ${what}`);
  }
}
