/** A consumer of the embedded bus: one member of the subscription in each of its topics or partitions, and one inbox. */
import { type Clock, KeymillError } from '../../../runtime/index.ts';
import type { Consumer, ConsumerOptions, InMessage, MessageId, StartPosition, SubscriptionType } from '../contract.ts';
import { parseId } from '../message-id.ts';
import { deadLetterTopic } from '../topic-name.ts';
import type { Committer } from './committer.ts';
import { Inbox } from './inbox.ts';
import { Member } from './member.ts';
import type { Subscription } from './subscription.ts';
import type { Topic } from './topic.ts';

export interface ConsumerNeeds {
  readonly clock: Clock;
  readonly committer: Committer;
  /** By the number of a ledger of it. */
  topicOf(ledger: number): Topic | undefined;
  nextMember(): number;
  /** Removes the subscriptions, which have no consumers. */
  drop(subscriptions: readonly Subscription[]): void;
  closed(consumer: BusConsumer): void;
}

/** Where one id leads. */
interface Place {
  readonly subscription: Subscription;
  readonly member: Member;
  readonly seq: number;
}

const MAX_PREFETCH_IN_ALL = 50_000;

export class BusConsumer implements Consumer {
  readonly subscription: string;
  readonly type: SubscriptionType;
  readonly #needs: ConsumerNeeds;
  readonly #options: ConsumerOptions;
  readonly #name: string;
  readonly #inbox = new Inbox(() => {
    for (const { subscription } of this.#joined.values()) subscription.run();
  });
  readonly #joined = new Map<Topic, { readonly subscription: Subscription; readonly member: Member }>();
  #closing: Promise<void> | null = null;

  constructor(needs: ConsumerNeeds, options: ConsumerOptions, name: string) {
    this.#needs = needs;
    this.#options = options;
    this.#name = name;
    this.subscription = options.subscription;
    this.type = options.type;
  }

  /** For the bus: consumes from these too. `partitions`: of how many there are in all. */
  join(subscriptions: readonly Subscription[], partitions: number): void {
    const { prefetch = 1000, nackDelayMs = 60_000, ackTimeoutMs = 0, deadLetter } = this.#options;
    for (const subscription of subscriptions) {
      const { topic } = subscription;
      if (this.#joined.has(topic)) continue;
      const options = {
        name: this.#name,
        prefetch: Math.max(1, Math.min(prefetch, Math.floor(MAX_PREFETCH_IN_ALL / partitions))),
        nackDelayMs,
        ackTimeoutMs,
        deadLetter: deadLetter
          ? {
              maxRedeliver: deadLetter.maxRedeliver,
              topic: deadLetter.topic ?? deadLetterTopic(topic.name.full, subscription.name),
            }
          : null,
      };
      const member = new Member(this.#needs.nextMember(), options, this.#inbox, {
        clock: this.#needs.clock,
        isAcked: seq => subscription.cursor.isAcked(seq),
        taken: (one, seq) => subscription.taken(one, seq),
        hasRoom: () => subscription.run(),
        redeliver: (one, seqs) => subscription.redeliver(one, seqs),
      });
      this.#joined.set(topic, { subscription, member });
      subscription.join(member, this.type);
    }
  }

  has(topic: Topic): boolean {
    return this.#joined.has(topic);
  }

  receive(signal?: AbortSignal): Promise<InMessage> {
    return this.#inbox.take(signal);
  }

  async acknowledge(ids: readonly MessageId[]): Promise<void> {
    this.#mustBeOpen();
    const places = this.#placesOf(ids);
    if (places.length === 0) return;
    await this.#needs.committer.do(transaction => {
      for (const { subscription, seq } of places) subscription.cursor.ack(transaction, seq);
    });
  }

  async acknowledgeCumulative(id: MessageId): Promise<void> {
    this.#mustBeOpen();
    if (this.type === 'Shared' || this.type === 'Key_Shared')
      throw this.#refused(`cumulative acknowledgement: ${this.type} gives messages to several consumers`);
    const [place] = this.#placesOf([id]);
    if (!place) return;
    await this.#needs.committer.do(transaction => place.subscription.cursor.ackTo(transaction, place.seq));
  }

  negativeAcknowledge(ids: readonly MessageId[]): void {
    this.#mustBeOpen();
    if (this.type === 'Exclusive' || this.type === 'Failover')
      throw this.#refused(`negative acknowledgement: it would change the order that ${this.type} keeps`);
    for (const { member, seq } of this.#placesOf(ids)) member.nack(seq);
  }

  async redeliver(): Promise<void> {
    this.#mustBeOpen();
    await this.#needs.committer.barrier(); // what was acknowledged before is not meant
    for (const { subscription, member } of this.#joined.values()) subscription.redeliver(member, 'all');
  }

  async seek(to: StartPosition): Promise<void> {
    this.#mustBeOpen();
    const moves = this.#movesTo(to);
    await this.#needs.committer.do(transaction => {
      const places = moves.map(move => move.seq()); // what cannot be read must fail before anything is moved
      moves.forEach(({ subscription }, i) => subscription.cursor.move(transaction, places[i]!));
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async unsubscribe(): Promise<void> {
    this.#mustBeOpen();
    for (const { subscription } of this.#joined.values())
      if (subscription.consumers > 1)
        throw new KeymillError('CONSUMER_BUSY', `subscription ${this.subscription} has other consumers`);
    const subscriptions = [...this.#joined.values()].map(one => one.subscription);
    await this.close();
    this.#needs.drop(subscriptions);
  }

  async #close(): Promise<void> {
    this.#inbox.close();
    await this.#needs.committer.barrier(); // acknowledgements on their way still count
    for (const { subscription, member } of this.#joined.values()) subscription.leave(member);
    this.#needs.closed(this);
  }

  /** Ids of topics that are not of this consumer, or are dropped already, lead nowhere. */
  #placesOf(ids: readonly MessageId[]): Place[] {
    const places: Place[] = [];
    for (const id of ids) {
      const topic = this.#needs.topicOf(parseId(id).ledger);
      const joined = topic && this.#joined.get(topic);
      const seq = joined && topic.seqOf(id);
      if (seq !== undefined && seq < topic!.next) places.push({ ...joined!, seq });
    }
    return places;
  }

  /** The message named, of its partition, is the next; a time moves all partitions. */
  #movesTo(to: StartPosition): { subscription: Subscription; seq: () => number }[] {
    const all = [...this.#joined.values()].map(one => one.subscription);
    if (to === 'earliest') return all.map(subscription => ({ subscription, seq: () => subscription.topic.first }));
    if (to === 'latest') return all.map(subscription => ({ subscription, seq: () => subscription.topic.next }));
    if ('publishedAt' in to)
      return all.map(subscription => ({ subscription, seq: () => subscription.topic.seqAt(to.publishedAt) }));
    const topic = this.#needs.topicOf(parseId(to.id).ledger);
    const meant = all.length === 1 ? all : all.filter(subscription => subscription.topic === topic);
    if (meant.length === 0)
      throw new KeymillError(
        'CONFIG_INVALID',
        `${to.id} is not the id of a message that subscription ${this.subscription} reads`,
      );
    return meant.map(subscription => ({ subscription, seq: () => subscription.topic.placeOf(to.id) }));
  }

  #mustBeOpen(): void {
    if (this.#closing) throw new KeymillError('CONSUMER_CLOSED', `of subscription ${this.subscription}`);
  }

  #refused(what: string): KeymillError {
    return new KeymillError('ACK_REFUSED', `subscription ${this.subscription} refuses ${what}`);
  }
}
