/**
 * Two faces of a `pulsar` I/O actor. The driver contract is what a bus must do: the embedded one (`memory:`, `file:`), our
 * wire client, the official one. The client is what handlers and hosts see, alike for every driver, and travels as asks.
 * Words and semantics are Pulsar's; where it leaves things open, so do we, and where the drivers could differ the
 * conformance suite (test/contract/pulsar) holds them together.
 */

export type SubscriptionType = 'Exclusive' | 'Shared' | 'Failover' | 'Key_Shared';

/**
 * `LEDGER:ENTRY:PARTITION:BATCH-INDEX`, as the official clients print it; -1 where there is none. Opaque but for `compareIds`
 * (message-id.ts) of messages of one partition.
 */
export type MessageId = string;

/** Where a subscription or reader starts, or seeks to: before all, after all, a message, or a publish time (ms since 1970). */
export type StartPosition = 'earliest' | 'latest' | { readonly id: MessageId } | { readonly publishedAt: number };

export interface OutMessage {
  /** Null is a tombstone: a null value stays null, and is not the empty payload. */
  readonly payload: Uint8Array | string | null;
  readonly key?: string | undefined;
  /** Decides the dispatch of Key_Shared in place of `key`; routing to partitions goes by `key`. */
  readonly orderingKey?: string | undefined;
  readonly properties?: Readonly<Record<string, string>> | undefined;
  /** ms since 1970; of the event, not of the publishing. */
  readonly eventTime?: number | undefined;
  /** Must rise for the producer's name. With deduplication on, what is not above the last is dropped by the topic. */
  readonly sequenceId?: number | undefined;
  /** Not before this time is it given to Shared and Key_Shared subscriptions. */
  readonly deliverAt?: number | undefined;
}

export interface InMessage {
  readonly id: MessageId;
  /** Its full name, `persistent://tenant/namespace/name`, with `-partition-N` where the topic is partitioned. */
  readonly topic: string;
  readonly payload: Uint8Array | null;
  readonly key: string | null;
  readonly orderingKey: string | null;
  readonly properties: Readonly<Record<string, string>>;
  readonly eventTime: number | null;
  readonly publishTime: number;
  readonly producer: string;
  readonly sequenceId: number;
  /** How often it was given before to this subscription; counted for Shared and Key_Shared only. */
  readonly redeliveryCount: number;
}

// ── driver ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * What a topic is declared to hold, for brokers that check it: `definition` is the text of an Avro record or JSON schema. Only a
 * real Pulsar looks at it, and refuses what does not go with what the topic has (SCHEMA_REFUSED); the embedded bus does not.
 */
export interface TopicSchema {
  readonly type: 'json';
  readonly name: string;
  readonly definition: string;
}

export interface ProducerOptions {
  readonly topic: string;
  /** Two producers of one name on one topic: the second is PRODUCER_BUSY. Made up where it is left out. */
  readonly name?: string | undefined;
  /** Shared: others may produce too. Exclusive: refused (PRODUCER_FENCED) while there are others. ExclusiveWithFencing: shuts others out. */
  readonly access?: 'Shared' | 'Exclusive' | 'ExclusiveWithFencing' | undefined;
  /** With ExclusiveWithFencing: those of lower epochs are shut out, and where there was one of a higher it is PRODUCER_FENCED itself. */
  readonly epoch?: number | undefined;
  readonly sendTimeoutMs?: number | undefined;
  /** Messages that may be under way; beyond it `send` waits. */
  readonly maxPending?: number | undefined;
  readonly schema?: TopicSchema | undefined;
}

export interface Producer {
  readonly topic: string;
  readonly name: string;
  /** Highest sequence id that the topic holds of this name, -1 for none. */
  readonly lastSequenceId: number;
  /** Resolves when the topic has it durably, in the order sent. Rejects with PUBLISH_FAILED, MESSAGE_TOO_LARGE, PRODUCER_FENCED. */
  send(message: OutMessage): Promise<MessageId>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface DeadLetterPolicy {
  /**
   * Redeliveries before a message is dead, the seed's 3: it is given once more than that, and then, when it would be given
   * again, published to the dead-letter topic. As Java and C++ count; Go gives it once less.
   */
  readonly maxRedeliver: number;
  /** `{topic}-{subscription}-DLQ` by default, as the official clients have it. */
  readonly topic?: string | undefined;
}

/** What becomes of messages whose consumer says `retryLater`. Only Shared: all others keep order. */
export interface RetryLetterPolicy {
  /** Times that a message comes by the retry topic, the seed's 3; after that it is published to the dead-letter topic. */
  readonly maxRedeliver?: number | undefined;
  /** When it comes again; 60 s by default. */
  readonly delayMs?: number | undefined;
  /** `{topic}-{subscription}-RETRY` by default, of the first topic, as the official clients have it. */
  readonly topic?: string | undefined;
  /** `{topic}-{subscription}-DLQ` by default. */
  readonly deadLetterTopic?: string | undefined;
}

export interface ConsumerOptions {
  /** One, or several. Partitions of a partitioned topic are all read. */
  readonly topics: readonly string[];
  /** In place of `topics`: those of the namespace whose name matches, also later ones. A regular expression. */
  readonly pattern?: string | undefined;
  readonly subscription: string;
  readonly type: SubscriptionType;
  /** Failover: the active consumer of a partition is chosen by name. */
  readonly name?: string | undefined;
  /** Only where the subscription is new; Latest by default, as the seed has it. */
  readonly initialPosition?: 'Earliest' | 'Latest' | undefined;
  /** Messages given ahead (permits); 1000 by default. Over several partitions 50,000 in all. */
  readonly prefetch?: number | undefined;
  /** Delay of redelivery after a nack; 60 s by default. */
  readonly nackDelayMs?: number | undefined;
  /** Redelivers what is not acknowledged by then; 0, the default, never. Refused (ACK_REFUSED) where order is kept: all but Shared. */
  readonly ackTimeoutMs?: number | undefined;
  readonly deadLetter?: DeadLetterPolicy | undefined;
  readonly schema?: TopicSchema | undefined;
}

/**
 * One consumer of a subscription. Order: all messages of a partition (Exclusive, Failover), all of a key (Key_Shared),
 * none (Shared). A message given to a consumer is given to no other of the subscription until it is nacked, its
 * time-out passed, or the consumer is closed or lost. What was given and is not acknowledged is given again, in order, after
 * a restart of either side.
 */
export interface Consumer {
  readonly subscription: string;
  /** Waits for the next. Rejects with the reason of `signal`, or CONSUMER_CLOSED. */
  receive(signal?: AbortSignal): Promise<InMessage>;
  /** Durable when it resolves. Of one that was acknowledged before: nothing. */
  acknowledge(ids: readonly MessageId[]): Promise<void>;
  /** All up to and with this one of its partition. Refused (ACK_REFUSED) for Shared and Key_Shared. */
  acknowledgeCumulative(id: MessageId): Promise<void>;
  /** Gives them again after `nackDelayMs`. Exclusive and Failover: refused (ACK_REFUSED), it would reorder (DESIGN rule 15). */
  negativeAcknowledge(ids: readonly MessageId[]): void;
  /** Gives again all that this consumer was given and did not acknowledge, from the oldest on. */
  redeliver(): Promise<void>;
  /** Moves the subscription; the message named is the next. What was given before and arrives late is not handed out any more. */
  seek(to: StartPosition): Promise<void>;
  /** Keeps the subscription with its position. */
  close(): Promise<void>;
  /** Removes the subscription. Refused while it has other consumers. */
  unsubscribe(): Promise<void>;
}

export interface ReaderOptions {
  readonly topic: string;
  /** The message named is not read again, unless `isInclusive`. */
  readonly from: StartPosition;
  readonly isInclusive?: boolean | undefined;
  readonly prefetch?: number | undefined;
}

/** Reads a topic with no subscription and no acknowledgement. */
export interface Reader {
  next(signal?: AbortSignal): Promise<InMessage>;
  /** False at the end as it is now. */
  hasNext(): Promise<boolean>;
  seek(to: StartPosition): Promise<void>;
  close(): Promise<void>;
}

/** What a driver counts, for metrics. */
export interface DriverNumbers {
  /** Messages published to dead-letter topics. */
  readonly buried: number;
  /** Entries that came and that nobody can read; they are passed over. */
  readonly corrupt: number;
  /** Times that a producer or consumer had to be attached again. */
  readonly reconnects: number;
  /** Connections to brokers, and requests on them that are not answered yet. */
  readonly connections: number;
  readonly requests: number;
  /** Producers and consumers of topics and partitions, readers among them. */
  readonly attachments: Readonly<Record<'producer' | 'consumer', Readonly<Record<'connecting' | 'ready', number>>>>;
}

export interface PulsarDriver {
  createProducer(options: ProducerOptions): Promise<Producer>;
  subscribe(options: ConsumerOptions): Promise<Consumer>;
  createReader(options: ReaderOptions): Promise<Reader>;
  /** The topic itself, or its partitions. */
  partitionsOf(topic: string): Promise<readonly string[]>;
  /** Makes it where it is missing; without `partitions`, or with 0, a topic that has none. CONFIG_INVALID where it has others. */
  createTopic(topic: string, partitions?: number): Promise<void>;
  /** Rejects with TOPIC_MISSING. */
  stats(topic: string): Promise<TopicStats>;
  numbers(): DriverNumbers;
  /** Succeeds when the bus can be reached. */
  probe(): Promise<void>;
  /** Closes all that it gave, flushes what is under way. */
  close(): Promise<void>;
}

// ── client ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A message that `consume` gave. It is acknowledged when the next one is asked for; leaving the loop leaves it. */
export interface Delivery extends InMessage {
  /** The payload as UTF-8 text; '' for null. Throws RECORD_BROKEN where it says to be compressed and is not. */
  text(): string;
  /** The payload as JSON; dates that were published as Date objects are such again. Throws RECORD_BROKEN. */
  json<T = unknown>(): T;
  /** The payload as a BSON document, null for null; the npm package `bson` is loaded at the first. Throws RECORD_BROKEN. */
  bson<T = unknown>(): T;
  /**
   * With `retryLetter`: publishes it onto the retry topic, to come again after `delayMs`, or to the dead letters when it came
   * too often. Resolves when the topic has it; it is acknowledged as any other. Rejects with ACK_REFUSED without `retryLetter`.
   */
  retryLater(delayMs?: number): Promise<void>;
  /** With `retryLetter`: publishes it to the dead-letter topic now. */
  bury(): Promise<void>;
}

export type ConsumeOptions = Omit<ConsumerOptions, 'topics'> & {
  readonly topic: string | readonly string[];
  readonly retryLetter?: RetryLetterPolicy | undefined;
  readonly signal?: AbortSignal | undefined;
};

export type SubscribeOptions = ConsumeOptions & {
  /** Calls of the handler for one message, the seed's 5, with pauses of 100 ms doubled to 5 s; not with `retryLetter`. */
  readonly attempts?: number | undefined;
};

/**
 * A message to publish: as the driver takes it, or an object that travels as JSON or BSON. With a `type` it gets the
 * properties `type`, `timestamp` (ISO 8601) and `compression`; from 1024 bytes on its payload is then compressed by gzip
 * where that makes it smaller (G1085). `text`, `json` and `bson` of a Delivery undo it. Dates in `json` travel as ISO 8601;
 * the property `keymill-dates` says where they are (schema/dates.ts).
 */
export type Publishable =
  | OutMessage
  | (Omit<OutMessage, 'payload'> & { readonly json: unknown; readonly type?: string | undefined })
  | (Omit<OutMessage, 'payload'> & { readonly bson: unknown; readonly type?: string | undefined });

export interface PublishOptions {
  /**
   * Of the term of a leader, as its changes have it. From then on the topic takes no message of a lower epoch, from whoever it
   * comes (PRODUCER_FENCED), and none without one while this client lives (PRODUCER_BUSY). The topic must be of this leader alone.
   */
  readonly epoch?: number | undefined;
}

export interface TopicStats {
  readonly topic: string;
  readonly messages: number;
  readonly bytes: number;
  readonly subscriptions: Readonly<
    Record<string, { readonly type: SubscriptionType; readonly backlog: number; readonly consumers: number }>
  >;
}

/**
 * The typed face of a `pulsar` I/O actor, as `ctx.io<PulsarClient>('pulsar')` gives it. Publishes for one topic leave in
 * the order they were asked for; those of one drain leave together. Rejects with TOPIC_INVALID, TOPIC_MISSING,
 * MESSAGE_TOO_LARGE, PRODUCER_FENCED, ACK_REFUSED (fatal), PRODUCER_BUSY, CONSUMER_BUSY, PUBLISH_FAILED, IO_FAILED (transient).
 */
export interface PulsarClient {
  /** Resolves when the topic has it durably. */
  publish(topic: string, message: Publishable, options?: PublishOptions): Promise<MessageId>;
  /** All in order; resolves when the topic has all of them. */
  publishBatch(topic: string, messages: readonly Publishable[], options?: PublishOptions): Promise<MessageId[]>;
  /** Until the loop is left or `signal` aborts. */
  consume(options: ConsumeOptions): AsyncIterable<Delivery>;
  /**
   * Calls `handle` for each message in turn, and acknowledges it when that resolves. Where it fails, the message goes the way
   * of `retryLetter` (an error of class fatal or poison straight to the dead letters); without it the call is made again,
   * and after `attempts`, or at a fatal error, `subscribe` rejects with that error and leaves the message unacknowledged.
   * Resolves when `signal` aborts.
   */
  subscribe(options: SubscribeOptions, handle: (delivery: Delivery) => unknown): Promise<void>;
  /** As `consume`, by what has come together: 1 to `max` (100). All of a batch are acknowledged when the next one is asked for. */
  consumeBatches(options: ConsumeOptions & { readonly max?: number | undefined }): AsyncIterable<Delivery[]>;
  /** From a position to where the topic ends when it is reached, or with `follow` for ever. */
  read(
    options: ReaderOptions & { readonly follow?: boolean | undefined; readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<Delivery>;
  /** Makes it where it is missing. A topic that is not made has one partition, at its first use. */
  createTopic(topic: string, options?: { readonly partitions?: number | undefined }): Promise<void>;
  stats(topic: string): Promise<TopicStats>;
}

/**
 * What `read` of a source entry may say: a subscription whose messages are the records. A record is the InMessage, or with
 * `as: 'json'` its payload parsed. Acknowledged when settled (D1). The defaults are those that keep order: Key_Shared.
 */
export interface PulsarRead {
  readonly topic: string | readonly string[];
  readonly subscription: string;
  readonly type?: SubscriptionType | undefined;
  readonly initialPosition?: 'Earliest' | 'Latest' | undefined;
  readonly prefetch?: number | undefined;
  readonly as?: 'message' | 'json' | undefined;
  /** Ends the source when this topic has nothing more to give and nothing is unsettled, for `--once`. */
  readonly untilEnd?: boolean | undefined;
  /** With `untilEnd`: how long nothing may come and nothing be settled for that to be the end; 1 s by default. */
  readonly idleMs?: number | undefined;
  readonly deadLetter?: DeadLetterPolicy | undefined;
}
