/**
 * A producer on one topic or partition (reference/pulsar.md 2.5). Messages of a turn leave together; while the broker owes
 * confirmations, messages collect until a batch is full, a confirmation comes, or `delayMs` passed.
 */
import { KeymillError, type Timer } from '../../../runtime/index.ts';
import type { TopicSchema } from '../contract.ts';
import { NO_ID } from '../message-id.ts';
import { declaredSchema } from '../schema/declared.ts';
import { Attachment } from './attachment.ts';
import { Batches } from './batches.ts';
import type { ClientParts } from './client-parts.ts';
import { ACCESS_MODES, type Command, type CommandOf } from './codec/commands.ts';
import type { Codec } from './codec/compression.ts';
import type { Connection, Guest } from './connection.ts';
import { lostFault, serverFault } from './faults.ts';
import { framesOf } from './frame-of.ts';
import { Pending } from './pending.ts';
import type { Prepared } from './prepared.ts';

export interface BatchingOptions {
  /** Messages and bytes at which a batch leaves. One message: no batching. */
  readonly messages: number;
  readonly bytes: number;
  /** How long messages collect at most while the broker is busy. */
  readonly delayMs: number;
  readonly by: 'key' | 'any';
}

export interface PartitionProducerOptions {
  readonly topic: string;
  readonly partition: number;
  readonly name: string | undefined;
  readonly access: 'Shared' | 'Exclusive' | 'ExclusiveWithFencing';
  readonly epoch: number | undefined;
  readonly sendTimeoutMs: number;
  readonly maxPending: number;
  readonly batching: BatchingOptions;
  /** Whether messages that are too large for the broker are sent in parts. */
  readonly chunking: boolean;
  readonly codec: Codec;
  /** Bodies smaller than this are not compressed. */
  readonly compressFrom: number;
  readonly schema?: TopicSchema | undefined;
}

/** Room for the metadata of a frame, of what the broker allows for a message. */
const METADATA_ROOM = 1024;
/** Largest message in chunks; consumers have to hold all of it. */
const MAX_CHUNKED_BYTES = 256 * 1024 * 1024;
/** Frames under way above which messages collect. */
const BUSY_FROM = 2;

export class PartitionProducer implements Guest {
  readonly topic: string;
  readonly #options: PartitionProducerOptions;
  readonly #parts: ClientParts;
  readonly #id: number;
  readonly #attachment: Attachment;
  readonly #batches: Batches;
  readonly #pending = new Pending();
  /** The one it is attached to, or is just being. */
  #connection: Connection | null = null;
  #name: string | undefined;
  #epoch = 0;
  #topicEpoch: number | undefined;
  #nextSequence = 0;
  #lastSequence = -1;
  #maxMessageBytes = 5 * 1024 * 1024;
  /** Sends beyond maxPending, in order. */
  #waiting: Prepared[] = [];
  #isFlushWanted = false;
  #delay: Timer | null = null;
  #deadline: Timer | null = null;
  #fault: KeymillError | null = null;
  #drained: (() => void)[] = [];
  /** There is memory again. */
  readonly #wake = (): void => this.#advance();

  constructor(options: PartitionProducerOptions, parts: ClientParts) {
    this.topic = options.topic;
    this.#options = options;
    this.#parts = parts;
    this.#id = parts.nextId();
    this.#name = options.name;
    this.#batches = new Batches(options.batching.by === 'key');
    const { environment, log, operationMs } = parts;
    this.#attachment = new Attachment({
      topic: options.topic,
      clock: environment.clock,
      random: environment.random,
      log,
      operationMs,
      connectionFor: topic => parts.lookup.connectionFor(topic),
      attach: (connection, isFirst) => this.#attach(connection, isFirst),
      ready: connection => {
        for (const frame of this.#pending.all()) connection.write(frame.bytes);
        this.#advance();
      },
      gone: fault => this.#end(fault),
    });
  }

  start(): Promise<void> {
    return this.#attachment.start();
  }

  /** For metrics. */
  get attachment(): Attachment {
    return this.#attachment;
  }

  get name(): string {
    return this.#name ?? '';
  }

  get lastSequenceId(): number {
    return this.#lastSequence;
  }

  /** Largest message with its properties. */
  get maxMessageBytes(): number {
    return this.#options.chunking ? MAX_CHUNKED_BYTES : this.#maxMessageBytes - METADATA_ROOM;
  }

  get unconfirmed(): number {
    return this.#pending.messages + this.#batches.count + this.#waiting.length;
  }

  send(message: Prepared): void {
    if (this.#fault) return message.reject(this.#fault);
    if (this.#waiting.length > 0 || this.#isFull) {
      const { payload } = message;
      this.#waiting.push(payload instanceof Uint8Array ? { ...message, payload: Buffer.from(payload) } : message);
      if (this.#parts.memory.isFull) this.#parts.memory.wait(this.#wake);
    } else this.#add(message);
  }

  /** Resolves when all that was sent before is answered. */
  flush(): Promise<void> {
    this.#flush();
    if (this.unconfirmed === 0) return Promise.resolve();
    return new Promise(resolve => this.#drained.push(resolve));
  }

  async close(): Promise<void> {
    const connection = this.#attachment.connection;
    if (this.#fault === null) {
      if (connection !== null || this.unconfirmed > 0) await this.flush();
      this.#end(new KeymillError('PUBLISH_FAILED', 'the producer is closed', { place: { at: this.topic } }));
    }
    this.#attachment.stop();
    if (connection === null || !connection.isOpen || !connection.producers.has(this.#id)) return;
    await connection
      .request({ type: 'closeProducer', producerId: this.#id, requestId: this.#parts.nextId() }, 'success', this.topic)
      .catch(() => undefined); // it ends with the connection
    connection.producers.delete(this.#id);
  }

  // ── Guest ────────────────────────────────────────────────────────────────────────────────────────────────────────

  command(command: Command): void {
    switch (command.type) {
      case 'sendReceipt':
        return this.#confirmed(command);
      case 'sendError':
        return this.#refused(command);
      case 'closeProducer': {
        const connection = this.#connection;
        connection?.producers.delete(this.#id);
        this.#connection = null;
        if (connection)
          this.#attachment.lost(
            connection,
            lostFault(this.topic, 'the broker let go of the topic'),
            this.#parts.lookup.assigned(command),
          );
        return;
      }
      default:
    }
  }

  lost(fault: KeymillError): void {
    const connection = this.#connection;
    this.#connection = null;
    if (connection) this.#attachment.lost(connection, fault);
  }

  // ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

  get #isFull(): boolean {
    return this.#parts.memory.isFull || this.#pending.messages + this.#batches.count >= this.#options.maxPending;
  }

  #add(message: Prepared): void {
    const { batching } = this.#options;
    const isAlone =
      message.deliverAt !== undefined || batching.messages <= 1 || message.size > this.#maxMessageBytes - METADATA_ROOM;
    this.#parts.memory.take(message.size);
    // Ids of the caller's own must rise from frame to frame, or deduplication would drop what another batch holds.
    if (isAlone || (message.sequenceId !== undefined && this.#batches.isOfAnother(message))) this.#flush();
    else if (this.#batches.count > 0 && this.#batches.bytes + message.size > batching.bytes) this.#flush();
    const sequenceId = message.sequenceId ?? this.#nextSequence;
    if (message.sequenceId !== undefined && this.#batches.count > 0 && sequenceId < this.#nextSequence) this.#flush();
    this.#nextSequence = Math.max(this.#nextSequence, sequenceId + 1);
    this.#batches.add(message, sequenceId);
    if (isAlone || this.#batches.count >= batching.messages || this.#batches.bytes >= batching.bytes) this.#flush();
    else this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#isFlushWanted) return;
    this.#isFlushWanted = true;
    this.#parts.environment.endOfTurn(() => {
      this.#isFlushWanted = false;
      if (this.#batches.count === 0) return;
      if (this.#isQuiet) this.#flush();
      else
        this.#delay ??= this.#parts.environment.clock.after(this.#options.batching.delayMs, () => {
          this.#delay = null;
          this.#flush();
        });
    });
  }

  /** The broker owes little: waiting for more messages would gain nothing. */
  get #isQuiet(): boolean {
    const { head } = this.#pending;
    return head === undefined || this.#pending.messages < BUSY_FROM * this.#options.batching.messages;
  }

  #flush(): void {
    if (this.#batches.count === 0) return;
    this.#delay?.cancel();
    this.#delay = null;
    const connection = this.#attachment.connection;
    for (const batch of this.#batches.take()) {
      const { clock } = this.#parts.environment;
      const most = this.#maxMessageBytes - METADATA_ROOM;
      for (const frame of framesOf(batch, this.name, this.#id, this.#options, clock, most)) {
        this.#pending.push(frame);
        connection?.write(frame.bytes);
      }
      this.#batches.giveBack(batch);
    }
    this.#arm();
  }

  // ── confirmations ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Receipts come in the order sent; one of a frame that was given up comes too late (reference/pulsar.md 2.5). */
  #confirmed({ sequenceId, messageId }: CommandOf<'sendReceipt'>): void {
    const { head } = this.#pending;
    if (!head || sequenceId < head.sequenceId) return;
    if (sequenceId > head.highestSequenceId) return this.#disagree(`a receipt for ${sequenceId} came`);
    this.#pending.shift();
    this.#release(head.messages);
    this.#lastSequence = Math.max(this.#lastSequence, head.highestSequenceId);
    const { messages, isBatch } = head;
    const isKnown = messageId !== undefined && messageId.ledgerId >= 0 && messageId.ledgerId !== Infinity;
    const place = isKnown ? `${messageId.ledgerId}:${messageId.entryId}:${this.#options.partition}:` : '';
    for (let i = 0; i < messages.length; i++) messages[i]!.resolve(isKnown ? `${place}${isBatch ? i : -1}` : NO_ID);
    this.#advance();
  }

  #refused({ sequenceId, error, message }: CommandOf<'sendError'>): void {
    const fault = publishFault(serverFault(error, message, this.topic), this.topic);
    if (fault.code === 'TOPIC_TERMINATED' || fault.code === 'PRODUCER_FENCED') {
      this.#attachment.stop();
      return this.#end(fault);
    }
    const { head } = this.#pending;
    if (!head || sequenceId < head.sequenceId) return;
    const isOfMessage = error === CHECKSUM || error === NOT_ALLOWED;
    if (!isOfMessage || sequenceId > head.highestSequenceId) return this.#disagree(fault.message);
    this.#pending.shift();
    this.#release(head.messages);
    for (const one of head.messages) one.reject(fault);
    this.#advance();
  }

  #release(messages: readonly Prepared[]): void {
    let bytes = 0;
    for (const { size } of messages) bytes += size;
    this.#parts.memory.give(bytes);
  }

  /** Both sides know different things: a new connection sends all again that is not confirmed. */
  #disagree(what: string): void {
    this.#attachment.connection?.destroy(lostFault(this.topic, what));
  }

  #advance(): void {
    while (this.#waiting.length > 0 && !this.#isFull) {
      const room = this.#options.maxPending - this.#pending.messages - this.#batches.count;
      for (const message of this.#waiting.splice(0, room)) this.#add(message);
    }
    if (this.#waiting.length > 0 && this.#parts.memory.isFull) this.#parts.memory.wait(this.#wake);
    if (this.#batches.count > 0 && this.#isQuiet) this.#flush();
    if (this.unconfirmed > 0) return;
    const drained = this.#drained;
    this.#drained = [];
    for (const resolve of drained) resolve();
  }

  // ── time-out ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** All fail when the oldest is late: were only that sent again, it would come behind the others. */
  #arm(): void {
    if (this.#deadline !== null || this.#pending.isEmpty) return;
    const { clock } = this.#parts.environment;
    const left = this.#pending.head!.sentAt + this.#options.sendTimeoutMs - clock.now();
    this.#deadline = clock.after(Math.max(0, left), () => {
      this.#deadline = null;
      const { head } = this.#pending;
      if (head && clock.now() - head.sentAt >= this.#options.sendTimeoutMs)
        this.#failAll(
          new KeymillError('PUBLISH_FAILED', `${this.topic}: not confirmed within ${this.#options.sendTimeoutMs} ms`, {
            place: { at: this.topic },
          }),
        );
      this.#arm();
    });
  }

  #failAll(fault: KeymillError): void {
    const frames = this.#pending.takeAll();
    const open = [...this.#batches.take()];
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { messages } of [...frames, ...open]) {
      this.#release(messages);
      for (const one of messages) one.reject(fault);
    }
    for (const one of waiting) one.reject(fault);
    this.#advance();
  }

  // ── attaching ────────────────────────────────────────────────────────────────────────────────────────────────────

  async #attach(connection: Connection, isFirst: boolean): Promise<void> {
    const { access, name, schema } = this.#options;
    connection.producers.set(this.#id, this);
    this.#connection = connection;
    try {
      const made = await connection.request(
        {
          type: 'producer',
          topic: this.topic,
          producerId: this.#id,
          requestId: this.#parts.nextId(),
          producerName: this.#name,
          userProvidedProducerName: name !== undefined,
          epoch: this.#epoch++,
          producerAccessMode: ACCESS_MODES.indexOf(access),
          topicEpoch: this.#topicEpoch ?? this.#options.epoch,
          schema: declaredSchema(schema),
        },
        'producerSuccess',
        this.topic,
      );
      this.#name = made.producerName;
      this.#topicEpoch = made.topicEpoch;
      this.#maxMessageBytes = connection.maxMessageBytes;
      if (isFirst) {
        this.#lastSequence = made.lastSequenceId ?? -1;
        this.#nextSequence = this.#lastSequence + 1;
      }
    } catch (error) {
      connection.producers.delete(this.#id);
      // It may have been made all the same, and would be in its own way.
      if (connection.isOpen)
        void connection
          .request(
            { type: 'closeProducer', producerId: this.#id, requestId: this.#parts.nextId() },
            'success',
            this.topic,
          )
          .catch(() => undefined);
      throw error;
    }
  }

  #end(fault: KeymillError): void {
    this.#fault ??= fault;
    this.#parts.memory.forget(this.#wake);
    this.#delay?.cancel();
    this.#deadline?.cancel();
    this.#failAll(this.#fault);
  }
}

const CHECKSUM = 9;
const NOT_ALLOWED = 22;

/** What keymill has a code for stays it. */
function publishFault(fault: KeymillError, topic: string): KeymillError {
  if (fault.code !== 'IO_FAILED') return fault;
  return new KeymillError('PUBLISH_FAILED', `${topic}: ${fault.message}`, { cause: fault, place: { at: topic } });
}
