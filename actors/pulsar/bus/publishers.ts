/**
 * Who publishes to a topic: names, access modes, fencing and sequence ids. Names are the topic's own, modes are those of
 * Pulsar (PIP-68): Shared beside an exclusive producer is PRODUCER_BUSY, Exclusive beside any is PRODUCER_FENCED, and
 * ExclusiveWithFencing shuts out all who are there. An exclusive one raises the topic's epoch, to its own where it has one;
 * with a lower one it is PRODUCER_FENCED, whoever is there.
 */
import { KeymillError } from '../../../runtime/index.ts';
import type { ProducerOptions } from '../contract.ts';
import type { Participant } from './committer.ts';
import type { Store } from './store.ts';
import type { Topic } from './topic.ts';

/** The last sequence id that the topic holds of a name. Of names that were made up nothing is kept. */
export class Sequence implements Participant {
  last: number;
  readonly #store: Store;
  readonly #topic: number;
  /** Null for a name that was made up. */
  readonly #name: string | null;
  #before = -1;

  constructor(store: Store, topic: number, name: string | null) {
    this.#store = store;
    this.#topic = topic;
    this.#name = name;
    this.last = name === null ? -1 : (store.all<[number]>('sequence', topic, name)[0]?.[0] ?? -1);
  }

  begin(): void {
    this.#before = this.last;
  }

  write(): void {
    if (this.#name !== null) this.#store.run('saveSequence', this.#topic, this.#name, this.last);
  }

  committed(): void {}

  rolledBack(): void {
    this.last = this.#before;
  }
}

/** A producer at one topic or partition. */
export class Publisher {
  readonly topic: Topic;
  readonly name: string;
  readonly sequence: Sequence;
  readonly isExclusive: boolean;
  isFenced = false;
  /** The id that the next message gets which has none. */
  nextSequence: number;

  constructor(topic: Topic, name: string, sequence: Sequence, isExclusive: boolean) {
    this.topic = topic;
    this.name = name;
    this.sequence = sequence;
    this.isExclusive = isExclusive;
    this.nextSequence = sequence.last + 1;
  }
}

/** Stands for a topic's epoch among the names of its producers, which are not empty. */
const EPOCH = '';

export class Publishers {
  readonly #store: Store;
  readonly #epochs = new Map<Topic, number>();
  readonly #byTopic = new Map<Topic, Map<string, Publisher>>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Joins all of these topics, or none. Throws PRODUCER_BUSY, PRODUCER_FENCED. */
  join(topics: readonly Topic[], name: string, options: ProducerOptions): Publisher[] {
    const access = options.access ?? 'Shared';
    for (const topic of topics) this.#check(topic, name, options);
    if (access !== 'Shared') this.#raiseEpochs(topics, options.epoch);
    return topics.map(topic => {
      const its = this.#of(topic);
      if (access === 'ExclusiveWithFencing') {
        for (const other of its.values()) other.isFenced = true;
        its.clear();
      }
      const sequence = new Sequence(this.#store, topic.id, options.name === undefined ? null : name);
      const publisher = new Publisher(topic, name, sequence, access !== 'Shared');
      its.set(name, publisher);
      return publisher;
    });
  }

  leave(publishers: readonly Publisher[]): void {
    for (const publisher of publishers) {
      const its = this.#of(publisher.topic);
      if (its.get(publisher.name) === publisher) its.delete(publisher.name);
    }
  }

  #check(topic: Topic, name: string, { access, epoch }: ProducerOptions): void {
    const its = this.#of(topic);
    const at = topic.name.full;
    const place = { at };
    if (access !== undefined && access !== 'Shared' && epoch !== undefined && epoch < this.#epochOf(topic))
      throw new KeymillError('PRODUCER_FENCED', `epoch ${epoch} has ended: ${at} is at ${this.#epochOf(topic)}`, {
        place,
      });
    if (access === 'ExclusiveWithFencing') return;
    if (access === 'Exclusive' && its.size > 0)
      throw new KeymillError(
        'PRODUCER_FENCED',
        `${at} has other producers, so there can be none with exclusive access`,
        {
          place,
        },
      );
    if (its.has(name)) throw new KeymillError('PRODUCER_BUSY', `${at} has a producer ${name}`, { place });
    if ([...its.values()].some(other => other.isExclusive))
      throw new KeymillError('PRODUCER_BUSY', `${at} has a producer with exclusive access`, { place });
  }

  #epochOf(topic: Topic): number {
    let epoch = this.#epochs.get(topic);
    if (epoch === undefined)
      this.#epochs.set(topic, (epoch = this.#store.all<[number]>('sequence', topic.id, EPOCH)[0]?.[0] ?? -1));
    return epoch;
  }

  /** One that was given is kept with the topic. */
  #raiseEpochs(topics: readonly Topic[], given: number | undefined): void {
    if (given !== undefined)
      this.#store.transaction(() => {
        for (const topic of topics)
          if (given > this.#epochOf(topic)) this.#store.run('saveSequence', topic.id, EPOCH, given);
      });
    for (const topic of topics) this.#epochs.set(topic, given ?? this.#epochOf(topic) + 1);
  }

  #of(topic: Topic): Map<string, Publisher> {
    let its = this.#byTopic.get(topic);
    if (!its) this.#byTopic.set(topic, (its = new Map()));
    return its;
  }
}
