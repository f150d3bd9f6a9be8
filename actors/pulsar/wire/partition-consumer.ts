/**
 * A consumer on one topic or partition (reference/pulsar.md 2.6). It asks for so many messages ahead (permits), and for
 * another for each that is taken or dropped. After a reconnection the broker gives again all that is not acknowledged: what
 * waited in the inbox was thrown away, and what is in hand is recognised and not given twice.
 */
import type { KeymillError } from '../../../runtime/index.ts';
import type { MessageId, StartPosition } from '../contract.ts';
import { type IdParts, parseId } from '../message-id.ts';
import { declaredSchema } from '../schema/declared.ts';
import { Acks } from './acks.ts';
import { Again } from './again.ts';
import { Arrivals } from './arrivals.ts';
import { Attachment } from './attachment.ts';
import type { ClientParts } from './client-parts.ts';
import { type Command, INITIAL_POSITIONS, SUB_TYPES } from './codec/commands.ts';
import type { FramedMessage } from './codec/frames.ts';
import type { Connection, Guest } from './connection.ts';
import { insist, lostFault } from './faults.ts';
import { ACKED, Held, type HeldEntry, IN_HAND, QUEUED } from './held.ts';
import type { Inbox, InboxOwner, Waiting } from './inbox.ts';
import type { PartitionConsumerOptions } from './partition-options.ts';
import { entryOf, isBehind, spotBefore } from './spots.ts';

const KEY_SHARED_AUTO_SPLIT = 0;
/** Ids in one command. */
const MOST_IDS = 1000;

export class PartitionConsumer implements Guest, InboxOwner {
  readonly topic: string;
  readonly #options: PartitionConsumerOptions;
  readonly #parts: ClientParts;
  readonly #inbox: Inbox;
  readonly #id: number;
  readonly #attachment: Attachment;
  readonly #held = new Held();
  readonly #acks: Acks;
  readonly #gone: (fault: KeymillError) => void;
  /** The one it is attached to, or is just being. */
  #connection: Connection | null = null;
  #permits = 0;
  readonly #arrivals: Arrivals;
  /** Where a reader goes on. */
  #last: IdParts | null = null;
  #startsAt: StartPosition | null;
  readonly #again: Again;
  #isClosed = false;

  constructor(
    options: PartitionConsumerOptions,
    parts: ClientParts,
    inbox: Inbox,
    gone: (fault: KeymillError) => void,
    ledgerSeen: (ledger: number) => void = () => undefined,
  ) {
    const { environment, log, operationMs, nextId } = parts;
    this.topic = options.topic;
    this.#options = options;
    this.#parts = parts;
    this.#inbox = inbox;
    this.#gone = gone;
    this.#id = nextId();
    this.#startsAt = options.from?.position ?? null;
    this.#acks = new Acks({
      consumerId: this.#id,
      topic: options.topic,
      environment,
      nextId,
      confirmed: entry => this.#held.forget(entry),
    });
    this.#attachment = new Attachment({
      topic: options.topic,
      clock: environment.clock,
      random: environment.random,
      log,
      operationMs,
      connectionFor: topic => parts.lookup.connectionFor(topic),
      attach: connection => this.#attach(connection),
      ready: (connection, isFirst) => this.#attached(connection, isFirst),
      gone: fault => this.#end(fault),
    });
    this.#arrivals = new Arrivals({
      topic: options.topic,
      partition: options.partition,
      held: options.from ? null : this.#held,
      owner: this,
      inbox,
      log,
      bury: options.bury,
      give: count => this.#give(count),
      acknowledge: id => this.acknowledge(id),
      again: (entry, index) => this.#again.later(entry, index),
      refuse: ack => this.#attachment.connection?.send({ type: 'ack', consumerId: this.#id, ackType: 0, ...ack }),
      ledgerSeen,
      fail: fault => {
        this.#attachment.stop();
        this.#end(fault);
      },
    });
    this.#arrivals.after = options.from ? spotBefore(options.from.position, options.from.isInclusive) : null;
    const { nackDelayMs, ackTimeoutMs } = options;
    const { clock } = environment;
    this.#again = new Again({
      clock,
      nackDelayMs,
      ackTimeoutMs,
      held: this.#held,
      giveAgain: some => this.#giveAgain(some),
    });
  }

  start(): Promise<void> {
    return this.#attachment.start();
  }

  /** For metrics: entries that nobody can read. */
  get corrupt(): number {
    return this.#arrivals.corrupt;
  }

  get attachment(): Attachment {
    return this.#attachment;
  }

  // ── Guest ────────────────────────────────────────────────────────────────────────────────────────────────────────

  command(command: Command, message?: FramedMessage): void {
    if (command.type === 'message') this.#arrivals.take(command, message!);
    else if (command.type === 'closeConsumer') {
      this.#connection?.consumers.delete(this.#id);
      this.#detached(lostFault(this.topic, 'the broker let go of the topic'), this.#parts.lookup.assigned(command));
    }
  }

  lost(fault: KeymillError): void {
    this.#detached(fault);
  }

  // ── InboxOwner ───────────────────────────────────────────────────────────────────────────────────────────────────

  taken({ ledger, entry, index, message, held }: Waiting): boolean {
    this.#give(1);
    if (this.#options.from) {
      this.#last = { ...parseId(message.id) };
      this.#arrivals.after = { ledger, entry, index };
      return true;
    }
    if (held?.states[index] !== QUEUED) return false;
    held.states[index] = IN_HAND;
    if (this.#options.ackTimeoutMs > 0) held.handedAt = this.#parts.environment.clock.now();
    return true;
  }

  // ── acknowledging ────────────────────────────────────────────────────────────────────────────────────────────────

  acknowledge({ ledger, entry, batchIndex }: IdParts): Promise<void> {
    const held = this.#held.find(ledger, entry);
    const index = Math.max(0, batchIndex);
    if (!held) {
      if (batchIndex < 0) return this.#acks.addBare(ledger, entry);
      this.#held.ackAhead(ledger, entry, index);
      return Promise.resolve();
    }
    if (index >= held.states.length || held.states[index] === ACKED) return this.#acks.add(held);
    held.states[index] = ACKED;
    return this.#acks.add(held);
  }

  acknowledgeCumulative(id: IdParts): Promise<void> {
    const { done, ackSet } = this.#held.ackUpTo(id);
    return this.#acks.cumulative({ ledgerId: id.ledger, entryId: id.entry, ackSet }, done);
  }

  negativeAcknowledge({ ledger, entry, batchIndex }: IdParts): void {
    const held = this.#held.find(ledger, entry);
    const index = Math.max(0, batchIndex);
    if (held?.states[index] !== IN_HAND) return;
    this.#again.later(held, index);
  }

  async redeliver(): Promise<void> {
    await this.#acks.settled();
    this.#throwAway();
    for (const held of [...this.#held.all()]) {
      this.#held.drop(held, QUEUED);
      this.#held.drop(held, IN_HAND);
    }
    this.#again.clear();
    const connection = this.#attachment.connection;
    connection?.send({
      type: 'redeliverUnacknowledgedMessages',
      consumerId: this.#id,
      consumerEpoch: ++this.#arrivals.epoch,
    });
  }

  // ── moving ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A broker that is about to move the subscription for another consumer refuses, and so does one in trouble: it is asked again. */
  seek(to: StartPosition): Promise<void> {
    return insist(this.#parts.environment.clock, () => this.#move(to));
  }

  async #move(to: StartPosition): Promise<void> {
    await this.#acks.settled();
    const connection = await this.#attachment.whenReady();
    const before = this.#attachment.count;
    this.#arrivals.isMoving = true;
    this.#arrivals.dropped = 0;
    this.#throwAway();
    this.#again.clear();
    try {
      const isTime = typeof to === 'object' && 'publishedAt' in to;
      await connection.request(
        {
          type: 'seek',
          consumerId: this.#id,
          requestId: this.#parts.nextId(),
          ...(isTime ? { messagePublishTime: Math.floor(to.publishedAt) } : { messageId: entryOf(to) }),
        },
        'success',
        this.topic,
      );
      this.#startsAt = to;
      this.#last = null;
      this.#held.clear();
      this.#arrivals.after = spotBefore(to, this.#options.from?.isInclusive ?? true);
      // The broker closes the consumer, before or after its answer; only what comes after that is of the new place.
      await this.#attachment.whenReady(before + 1);
      this.#arrivals.isMoving = false;
    } catch (error) {
      this.#arrivals.isMoving = false;
      await this.redeliver().catch(() => undefined); // it may still be attached: what was thrown away comes again
      throw error;
    }
    if (this.#arrivals.dropped > 0) await this.redeliver();
  }

  /** Whether there is something behind what was given out. For readers. */
  async hasNext(): Promise<boolean> {
    const connection = await this.#attachment.whenReady();
    const { lastMessageId: last, consumerMarkDeletePosition: mark } = await connection.request(
      { type: 'getLastMessageId', consumerId: this.#id, requestId: this.#parts.nextId() },
      'getLastMessageIdResponse',
      this.topic,
    );
    if (last.entryId < 0) return false;
    const lastIndex = last.batchIndex !== undefined && last.batchIndex >= 0 ? last.batchIndex : 0;
    const after = this.#last
      ? { ledger: this.#last.ledger, entry: this.#last.entry, index: Math.max(0, this.#last.batchIndex) }
      : this.#arrivals.after;
    if (after) return isBehind(last.ledgerId, last.entryId, lastIndex, after);
    if (this.#startsAt === 'latest') return false;
    if (mark === undefined || this.#startsAt === 'earliest') return true;
    return last.ledgerId > mark.ledgerId || (last.ledgerId === mark.ledgerId && last.entryId > mark.entryId);
  }

  /** Of the last message of the topic; null where there is none. */
  async lastId(): Promise<MessageId | null> {
    const connection = await this.#attachment.whenReady();
    const { lastMessageId } = await connection.request(
      { type: 'getLastMessageId', consumerId: this.#id, requestId: this.#parts.nextId() },
      'getLastMessageIdResponse',
      this.topic,
    );
    const { ledgerId, entryId, batchIndex = -1 } = lastMessageId;
    return entryId < 0 ? null : `${ledgerId}:${entryId}:${this.#options.partition}:${batchIndex}`;
  }

  async close(isUnsubscribing = false): Promise<void> {
    if (this.#isClosed) return;
    await (this.#attachment.connection ? this.#acks.settled() : undefined);
    const connection = this.#attachment.connection;
    if (isUnsubscribing) {
      const open = connection ?? (await this.#attachment.whenReady());
      await open.request(
        { type: 'unsubscribe', consumerId: this.#id, requestId: this.#parts.nextId() },
        'success',
        this.topic,
      );
      open.consumers.delete(this.#id);
    }
    this.#isClosed = true;
    this.#attachment.stop();
    this.#again.close();
    this.#acks.close(lostFault(this.topic, 'the consumer was closed'));
    this.#inbox.retract(this);
    if (isUnsubscribing || !connection?.isOpen) return;
    await connection
      .request({ type: 'closeConsumer', consumerId: this.#id, requestId: this.#parts.nextId() }, 'success', this.topic)
      .catch(() => undefined); // it ends with the connection
    connection.consumers.delete(this.#id);
  }

  // ── permits ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #give(count: number): void {
    this.#permits += count;
    if (this.#permits * 2 < this.#options.prefetch) return;
    const connection = this.#attachment.connection;
    if (!connection || this.#permits === 0) return;
    connection.send({ type: 'flow', consumerId: this.#id, messagePermits: this.#permits });
    this.#permits = 0;
  }

  /** What waits in the inbox goes, and room for as much is asked for. */
  #throwAway(): void {
    const count = this.#inbox.retract(this);
    this.#held.unqueue();
    this.#arrivals.clear();
    if (count > 0) this.#give(count);
  }

  #giveAgain(entries: readonly HeldEntry[]): void {
    for (const held of entries) if (held.isGone) this.#held.forget(held);
    const ids = entries.map(({ ledger, entry }) => ({ ledgerId: ledger, entryId: entry }));
    for (let from = 0; from < ids.length; from += MOST_IDS)
      this.#attachment.connection?.send({
        type: 'redeliverUnacknowledgedMessages',
        consumerId: this.#id,
        messageIds: ids.slice(from, from + MOST_IDS),
      });
  }

  // ── attaching ────────────────────────────────────────────────────────────────────────────────────────────────────

  async #attach(connection: Connection): Promise<void> {
    const { subscription, type, name, initialPosition, from, schema } = this.#options;
    connection.consumers.set(this.#id, this);
    this.#connection = connection;
    try {
      await connection.request(
        {
          type: 'subscribe',
          topic: this.topic,
          subscription,
          subType: SUB_TYPES.indexOf(type),
          consumerId: this.#id,
          requestId: this.#parts.nextId(),
          consumerName: name,
          durable: from === undefined,
          ...(from === undefined ? {} : { startMessageId: this.#readFrom() }),
          initialPosition: INITIAL_POSITIONS.indexOf(initialPosition),
          consumerEpoch: this.#arrivals.epoch,
          schema: declaredSchema(schema),
          ...(type === 'Key_Shared' ? { keySharedMeta: { keySharedMode: KEY_SHARED_AUTO_SPLIT } } : {}),
        },
        'success',
        this.topic,
      );
    } catch (error) {
      connection.consumers.delete(this.#id);
      if (connection.isOpen)
        void connection
          .request(
            { type: 'closeConsumer', consumerId: this.#id, requestId: this.#parts.nextId() },
            'success',
            this.topic,
          )
          .catch(() => undefined);
      throw error;
    }
  }

  #attached(connection: Connection, isFirst: boolean): void {
    this.#throwAway();
    this.#permits = 0;
    this.#acks.attached(connection);
    connection.send({ type: 'flow', consumerId: this.#id, messagePermits: this.#options.prefetch });
    const start = this.#startsAt;
    // Nothing of a reader was read yet that began at a time: only a seek leads there.
    const isTime = typeof start === 'object' && start !== null && 'publishedAt' in start;
    if (isTime && !isFirst && !this.#arrivals.isMoving && this.#last === null)
      void this.seek(start).catch(() => undefined);
  }

  #detached(fault: KeymillError, assigned?: () => Promise<Connection>): void {
    const connection = this.#connection;
    if (!connection) return;
    this.#connection = null;
    this.#acks.detached();
    this.#attachment.lost(connection, fault, assigned);
    this.#throwAway();
  }

  #readFrom(): { ledgerId: number; entryId: number; batchIndex?: number } {
    if (this.#last)
      return { ledgerId: this.#last.ledger, entryId: this.#last.entry, batchIndex: this.#last.batchIndex };
    return entryOf(this.#startsAt ?? 'earliest');
  }

  #end(fault: KeymillError): void {
    this.#acks.close(fault);
    this.#gone(fault);
  }
}
