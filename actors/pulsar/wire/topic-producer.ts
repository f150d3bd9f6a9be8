/** A producer of the wire client: one partition producer for each partition of its topic. */
import type { Timer } from '../../../runtime/index.ts';
import type { MessageId, OutMessage, Producer } from '../contract.ts';
import { Router } from '../routing.ts';
import type { Attachment } from './attachment.ts';
import type { ClientParts } from './client-parts.ts';
import { prepared } from './prepared.ts';
import { PartitionProducer, type PartitionProducerOptions } from './producer.ts';

export interface TopicProducerNeeds {
  readonly parts: ClientParts;
  /** Full names of the partitions, as it is now; the topic itself where it has none. */
  partitionsOf(): Promise<readonly string[]>;
  closed(producer: TopicProducer): void;
  readonly discoveryMs: number;
}

export type TopicProducerOptions = Omit<PartitionProducerOptions, 'topic' | 'partition'> & {
  readonly topic: string;
};

export class TopicProducer implements Producer {
  readonly topic: string;
  readonly #needs: TopicProducerNeeds;
  readonly #options: TopicProducerOptions;
  #producers: readonly PartitionProducer[] = [];
  #router = new Router(1);
  #timer: Timer | null = null;
  #isClosed = false;

  private constructor(needs: TopicProducerNeeds, options: TopicProducerOptions) {
    this.#needs = needs;
    this.#options = options;
    this.topic = options.topic;
  }

  /** Rejects with TOPIC_MISSING, PRODUCER_BUSY, PRODUCER_FENCED, QUOTA_EXCEEDED, ACCESS_REFUSED, IO_FAILED. */
  static async open(needs: TopicProducerNeeds, options: TopicProducerOptions): Promise<TopicProducer> {
    const producer = new TopicProducer(needs, options);
    try {
      await producer.#join(await needs.partitionsOf());
    } catch (error) {
      await producer.close();
      throw error;
    }
    producer.#discoverLater();
    return producer;
  }

  get name(): string {
    return this.#producers[0]?.name ?? '';
  }

  get lastSequenceId(): number {
    return Math.max(-1, ...this.#producers.map(one => one.lastSequenceId));
  }

  /** One for each topic or partition. */
  get attachments(): readonly Attachment[] {
    return this.#producers.map(one => one.attachment);
  }

  send(message: OutMessage): Promise<MessageId> {
    return new Promise((resolve, reject) => {
      const [first] = this.#producers as [PartitionProducer];
      const ready = prepared(message, first.maxMessageBytes, resolve, reject);
      this.#producers[this.#router.partitionFor(ready.key ?? null)]!.send(ready);
    });
  }

  async flush(): Promise<void> {
    await Promise.all(this.#producers.map(one => one.flush()));
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    await Promise.all(this.#producers.map(one => one.close()));
    this.#needs.closed(this);
  }

  async #join(topics: readonly string[]): Promise<void> {
    const { environment } = this.#needs.parts;
    const known = this.#producers.length;
    const fresh = topics
      .slice(known)
      .map(
        (topic, i) =>
          new PartitionProducer(
            { ...this.#options, topic, partition: topic === this.topic ? -1 : known + i },
            this.#needs.parts,
          ),
      );
    const started = await Promise.allSettled(fresh.map(one => one.start()));
    const failed = started.find(one => one.status === 'rejected');
    if (failed) {
      await Promise.all(fresh.map(one => one.close()));
      throw failed.reason;
    }
    this.#producers = [...this.#producers, ...fresh];
    this.#router = new Router(this.#producers.length, Math.floor(environment.random() * this.#producers.length));
  }

  #discoverLater(): void {
    const { parts, discoveryMs, partitionsOf } = this.#needs;
    this.#timer = parts.environment.clock.after(discoveryMs, () => {
      void partitionsOf()
        .then(topics => (this.#isClosed || topics.length <= this.#producers.length ? undefined : this.#join(topics)))
        .catch((error: unknown) => parts.log.warn({ topic: this.topic, error }, 'new partitions were not joined'))
        .finally(() => {
          if (!this.#isClosed) this.#discoverLater();
        });
    });
  }
}
