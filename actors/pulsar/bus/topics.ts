/** All topics of a bus: found by name and by ledger, made at their first use or on demand, matched by patterns. */
import { type Clock, KeymillError } from '../../../runtime/index.ts';
import type { SubscriptionType } from '../contract.ts';
import { partitionOf, type TopicName, type TopicPattern, topicName } from '../topic-name.ts';
import { AckedRanges } from './acked-ranges.ts';
import { Cursor } from './cursor.ts';
import type { LedgerRow, SubscriptionRow, TopicRow } from './schema.ts';
import type { Store } from './store.ts';
import { Subscription, type SubscriptionNeeds } from './subscription.ts';
import { Topic, type TopicNeeds } from './topic.ts';

export interface TopicsNeeds extends SubscriptionNeeds {
  readonly store: Store;
  readonly clock: Clock;
  /** Makes a topic that is missing when it is used. */
  readonly autoCreate: boolean;
  /** Messages were appended to it. */
  grown(topic: Topic): void;
}

const MAX_PARTITIONS = 4096;

export class Topics {
  readonly #needs: TopicsNeeds;
  readonly #topicNeeds: TopicNeeds;
  /** Topics and partitions, by full name. */
  readonly #topics = new Map<string, Topic>();
  /** Numbers of partitions, by full name. */
  readonly #partitioned = new Map<string, number>();
  readonly #byLedger = new Map<number, Topic>();
  /** Told the full name of each that is made, partitions not among them. */
  readonly created = new Set<(name: TopicName) => void>();
  #nextLedger = 0;

  /** Reads what the file has. Throws STORE_CORRUPT. */
  constructor(needs: TopicsNeeds) {
    this.#needs = needs;
    this.#topicNeeds = {
      store: needs.store,
      clock: needs.clock,
      nextLedger: () => this.#nextLedger++,
      ledgerAdded: (ledger, topic) => this.#byLedger.set(ledger, topic),
      ledgerDropped: ledger => this.#byLedger.delete(ledger),
      grown: topic => needs.grown(topic),
    };
    this.#load();
  }

  all(): Iterable<Topic> {
    return this.#topics.values();
  }

  ofLedger(ledger: number): Topic | undefined {
    return this.#byLedger.get(ledger);
  }

  /** The topic itself, or its partitions; made where they are missing and may be. Throws TOPIC_INVALID, TOPIC_MISSING. */
  use(said: string): Topic[] {
    return this.find(said) ?? this.#make(topicName(said));
  }

  /** Undefined when there is none. Throws TOPIC_INVALID. */
  find(said: string): Topic[] | undefined {
    const { full } = topicName(said);
    const topic = this.#topics.get(full);
    if (topic) return [topic];
    const partitions = this.#partitioned.get(full);
    if (partitions === undefined) return undefined;
    return Array.from({ length: partitions }, (_, n) => this.#topics.get(partitionOf(full, n))!);
  }

  /** `partitions` 0: a topic without. Nothing changes where it is there. Throws TOPIC_INVALID, CONFIG_INVALID. */
  create(said: string, partitions: number): void {
    const name = topicName(said);
    if (!Number.isInteger(partitions) || partitions < 0 || partitions > MAX_PARTITIONS)
      throw new KeymillError(
        'CONFIG_INVALID',
        `${said}: expected 1 to ${MAX_PARTITIONS} partitions, found ${partitions}`,
      );
    const found = this.#topics.has(name.full) ? 0 : this.#partitioned.get(name.full);
    if (found === partitions) return;
    if (found !== undefined)
      throw new KeymillError('CONFIG_INVALID', `${name.full} has ${picture(found)}, not ${picture(partitions)}`, {
        place: { at: name.full },
      });
    this.#insert(name, partitions);
  }

  /** Topics whose name matches, their partitions for those that have some. */
  matching(pattern: TopicPattern): Topic[] {
    const matches = ({ namespace, local }: TopicName): boolean =>
      namespace === pattern.namespace && pattern.matches(local);
    const plain = [...this.#topics.values()].filter(({ name }) => !this.#isPart(name) && matches(name));
    const parted = [...this.#partitioned.keys()].filter(full => matches(topicName(full)));
    return [...plain, ...parted.flatMap(full => this.find(full)!)];
  }

  /**
   * Those of the name at each of these topics, made where they are missing, and turned to this type where they have
   * another and no consumer. Before anything is made, each must take one more consumer. Throws CONSUMER_BUSY.
   */
  subscribe(topics: readonly Topic[], name: string, type: SubscriptionType, isFromStart: boolean): Subscription[] {
    for (const topic of topics) topic.subscriptions.get(name)?.check(type);
    const { store } = this.#needs;
    const made: [Topic, number, number][] = [];
    const isAll = topics.every(topic => topic.subscriptions.get(name)?.type === type);
    if (!isAll)
      store.transaction(() => {
        for (const topic of topics) {
          const found = topic.subscriptions.get(name);
          const mark = isFromStart ? topic.first : topic.next;
          if (!found) made.push([topic, store.run('addSubscription', topic.id, name, type, mark), mark]);
          else if (found.type !== type) store.run('saveType', type, found.cursor.id);
        }
      });
    for (const [topic, id, mark] of made) this.#addSubscription(topic, id, name, type, mark, new AckedRanges());
    return topics.map(topic => topic.subscriptions.get(name)!);
  }

  unsubscribe(subscriptions: readonly Subscription[]): void {
    const { store } = this.#needs;
    store.transaction(() => {
      for (const { cursor } of subscriptions) store.run('dropSubscription', cursor.id);
    });
    for (const subscription of subscriptions) {
      subscription.close();
      subscription.topic.subscriptions.delete(subscription.name);
      this.#needs.acknowledged(subscription.topic);
    }
  }

  #make(name: TopicName): Topic[] {
    const isPartOf = name.partition >= 0 && this.#partitioned.has(name.base);
    if (isPartOf || !this.#needs.autoCreate)
      throw new KeymillError('TOPIC_MISSING', `there is no topic ${name.full}`, { place: { at: name.full } });
    this.#insert(name, 0);
    return this.find(name.full)!;
  }

  #insert(name: TopicName, partitions: number): void {
    const { store } = this.#needs;
    const rows: TopicRow[] = [];
    store.transaction(() => {
      const add = (full: string, parts: number): void => {
        rows.push([store.run('addTopic', full, parts), full, parts, 0, 0, 0, 0]);
      };
      add(name.full, partitions);
      for (let n = 0; n < partitions; n++)
        if (!this.#topics.has(partitionOf(name.full, n))) add(partitionOf(name.full, n), 0);
    });
    for (const row of rows) this.#addTopic(row);
    for (const listener of [...this.created]) listener(name);
  }

  #isPart({ base, partition }: TopicName): boolean {
    return partition >= 0 && this.#partitioned.has(base);
  }

  #load(): void {
    const { store } = this.#needs;
    const byId = new Map<number, Topic>();
    for (const row of store.all<TopicRow>('topics')) {
      const topic = this.#addTopic(row);
      if (topic) byId.set(topic.id, topic);
    }
    for (const [id, topic, first] of store.all<LedgerRow>('ledgers')) {
      byId.get(topic)?.addLedger(id, first);
      this.#nextLedger = id + 1;
    }
    for (const [id, topic, name, type, mark, acked] of store.all<SubscriptionRow>('subscriptions')) {
      const found = byId.get(topic);
      if (found) this.#addSubscription(found, id, name, type as SubscriptionType, mark, rangesOf(acked, store.file));
    }
  }

  #addTopic(row: TopicRow): Topic | undefined {
    const [, full, partitions] = row;
    if (partitions > 0) {
      this.#partitioned.set(full, partitions);
      return undefined;
    }
    const topic = new Topic(this.#topicNeeds, topicName(full), row);
    this.#topics.set(full, topic);
    return topic;
  }

  #addSubscription(
    topic: Topic,
    id: number,
    name: string,
    type: SubscriptionType,
    mark: number,
    acked: AckedRanges,
  ): void {
    const { store } = this.#needs;
    const subscription = new Subscription(
      this.#needs,
      topic,
      name,
      type,
      changed => new Cursor(store, id, mark, acked, changed),
    );
    topic.subscriptions.set(name, subscription);
  }
}

function picture(partitions: number): string {
  return partitions === 0 ? 'no partitions' : `${partitions} partitions`;
}

function rangesOf(text: string | null, file: string): AckedRanges {
  try {
    return AckedRanges.fromJson(text);
  } catch (cause) {
    throw new KeymillError('STORE_CORRUPT', `${file}: a subscription cannot be read`, { cause, place: { at: file } });
  }
}
