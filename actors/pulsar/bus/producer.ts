/**
 * A producer of the embedded bus. A send is answered by the commit that makes it durable, so nothing is ever under way for
 * long and the send time-out has nothing to do; `maxPending` bounds what one producer puts into the next commits.
 */
import { isKeymillError, KeymillError } from '../../../runtime/index.ts';
import type { MessageId, OutMessage, Producer } from '../contract.ts';
import { NO_ID } from '../message-id.ts';
import type { Router } from '../routing.ts';
import type { Committer, Job, Transaction } from './committer.ts';
import { outgoing } from './outgoing.ts';
import type { Publisher } from './publishers.ts';
import type { NewMessage } from './topic.ts';

export interface ProducerNeeds {
  readonly committer: Committer;
  readonly maxMessageBytes: number;
  readonly deduplicates: boolean;
  closed(producer: BusProducer): void;
}

export interface ProducerParts {
  readonly topic: string;
  readonly name: string;
  /** One for each partition. */
  readonly publishers: readonly Publisher[];
  readonly router: Router;
  readonly maxPending: number;
}

export class BusProducer implements Producer {
  readonly topic: string;
  readonly name: string;
  readonly publishers: readonly Publisher[];
  readonly #needs: ProducerNeeds;
  readonly #router: Router;
  readonly #maxPending: number;
  #pending = 0;
  #waiting: Publish[] = [];
  /** Told when everything sent before is answered. */
  #flushing: { left: number; resolve: () => void }[] = [];
  #isClosed = false;

  constructor(needs: ProducerNeeds, parts: ProducerParts) {
    this.#needs = needs;
    this.topic = parts.topic;
    this.name = parts.name;
    this.publishers = parts.publishers;
    this.#router = parts.router;
    this.#maxPending = parts.maxPending;
  }

  get lastSequenceId(): number {
    return Math.max(...this.publishers.map(publisher => publisher.sequence.last));
  }

  send(message: OutMessage): Promise<MessageId> {
    try {
      return this.#send(message);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  flush(): Promise<void> {
    const left = this.#pending + this.#waiting.length;
    if (left === 0) return Promise.resolve();
    return new Promise(resolve => this.#flushing.push({ left, resolve }));
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.flush();
    this.#needs.closed(this);
  }

  #send(message: OutMessage): Promise<MessageId> {
    if (this.#isClosed)
      throw new KeymillError('PUBLISH_FAILED', 'the producer is closed', { place: { at: this.topic } });
    const ready = outgoing(message, this.#needs.maxMessageBytes);
    const publisher = this.publishers[this.#router.partitionFor(ready.key)]!;
    const sequence = message.sequenceId ?? publisher.nextSequence;
    publisher.nextSequence = Math.max(publisher.nextSequence, sequence + 1);
    return new Promise((resolve, reject) => {
      const job = new Publish(publisher, ready, sequence, this.#needs.deduplicates, {
        resolve,
        reject,
        answered: fault => this.#answered(fault),
      });
      if (this.#pending >= this.#maxPending || this.#waiting.length > 0) this.#waiting.push(job);
      else this.#submit(job);
    });
  }

  #submit(job: Publish): void {
    this.#pending++;
    this.#needs.committer.submit(job);
  }

  /** Answers come in the order of the sends. Where one may be sent again, those that wait behind it must not come first. */
  #answered(fault: unknown): void {
    this.#pending--;
    if (this.#waiting.length > 0) {
      if (isKeymillError(fault) && fault.class === 'transient')
        for (const job of this.#takeWaiting()) job.failed(fault);
      else this.#submitWaiting();
    }
    if (this.#flushing.length === 0) return;
    for (const one of this.#flushing) if (--one.left === 0) one.resolve();
    this.#flushing = this.#flushing.filter(one => one.left > 0);
  }

  #takeWaiting(): Publish[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#pending += waiting.length;
    return waiting;
  }

  /** When there is room for half of what may be under way: one by one would move the whole line each time. */
  #submitWaiting(): void {
    if (2 * this.#pending > this.#maxPending) return;
    const next = this.#waiting.splice(0, this.#maxPending - this.#pending);
    for (const job of next) this.#submit(job);
  }
}

/** What becomes of one send. */
interface Outcome {
  resolve(id: MessageId): void;
  reject(error: unknown): void;
  answered(fault: unknown): void;
}

class Publish implements Job {
  readonly #publisher: Publisher;
  readonly #message: NewMessage;
  readonly #sequence: number;
  readonly #deduplicates: boolean;
  readonly #outcome: Outcome;
  /** Its number in the topic; -1 for one that was dropped as a duplicate. */
  #seq = -1;

  constructor(publisher: Publisher, message: NewMessage, sequence: number, deduplicates: boolean, outcome: Outcome) {
    this.#publisher = publisher;
    this.#message = message;
    this.#sequence = sequence;
    this.#deduplicates = deduplicates;
    this.#outcome = outcome;
  }

  get bytes(): number {
    return this.#message.size;
  }

  run(transaction: Transaction): void {
    const { topic, name, sequence, isFenced } = this.#publisher;
    if (isFenced)
      throw new KeymillError('PRODUCER_FENCED', `${name} was shut out of ${topic.name.full}`, {
        place: { at: topic.name.full },
      });
    if (this.#deduplicates && this.#sequence <= sequence.last) return;
    this.#seq = topic.append(transaction, this.#message, name, this.#sequence);
    if (this.#sequence <= sequence.last) return;
    transaction.enlist(sequence);
    sequence.last = this.#sequence;
  }

  done(): void {
    this.#outcome.resolve(this.#seq < 0 ? NO_ID : this.#publisher.topic.idOf(this.#seq));
    this.#outcome.answered(undefined);
  }

  failed(error: unknown): void {
    const { topic } = this.#publisher;
    this.#outcome.reject(publishFault(error, topic.name.full));
    this.#outcome.answered(error);
  }
}

/** What keymill has a code for stays it: the room that is missing, the file that is broken. */
function publishFault(error: unknown, topic: string): unknown {
  if (!isKeymillError(error, 'IO_FAILED')) return error;
  return new KeymillError('PUBLISH_FAILED', `${topic}: ${error.message}`, { cause: error, place: { at: topic } });
}
