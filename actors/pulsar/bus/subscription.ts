/** One subscription of one topic: what it has acknowledged, who consumes, and how messages are shared out among them. */
import type { Clock } from '../../../runtime/index.ts';
import { KeymillError } from '../../../runtime/index.ts';
import type { SubscriptionType } from '../contract.ts';
import type { Cursor, CursorChange } from './cursor.ts';
import type { Dispatcher, DispatcherNeeds } from './dispatcher.ts';
import type { Member } from './member.ts';
import { SharedDispatcher } from './shared-dispatcher.ts';
import { SingleDispatcher } from './single-dispatcher.ts';
import type { Topic } from './topic.ts';

export interface SubscriptionNeeds {
  readonly clock: Clock;
  bury(subscription: Subscription, ...rest: Parameters<DispatcherNeeds['bury']>): void;
  /** It has acknowledged more: messages may be dropped. */
  acknowledged(topic: Topic): void;
}

export class Subscription {
  readonly topic: Topic;
  readonly name: string;
  readonly cursor: Cursor;
  readonly #needs: SubscriptionNeeds;
  #type: SubscriptionType;
  #dispatcher: Dispatcher;
  readonly #members = new Set<Member>();
  #isRunning = false;
  #mustRunAgain = false;

  /** `cursorOf` makes the cursor, given what is to be told of its changes. */
  constructor(
    needs: SubscriptionNeeds,
    topic: Topic,
    name: string,
    type: SubscriptionType,
    cursorOf: (changed: (change: CursorChange) => void) => Cursor,
  ) {
    this.#needs = needs;
    this.topic = topic;
    this.name = name;
    this.#type = type;
    this.cursor = cursorOf(change => this.#changed(change));
    this.#dispatcher = this.#dispatcherOf(type);
  }

  get type(): SubscriptionType {
    return this.#type;
  }

  get consumers(): number {
    return this.#members.size;
  }

  /** Messages that are not acknowledged. */
  get backlog(): number {
    return this.cursor.openBelow(this.topic.next);
  }

  /** Whether a consumer of this type may join. Throws CONSUMER_BUSY. */
  check(type: SubscriptionType): void {
    if (this.#members.size === 0 || (type === this.#type && type !== 'Exclusive')) return;
    const why = type === this.#type ? 'is Exclusive and has a consumer' : `is used as ${this.#type}, not ${type}`;
    throw new KeymillError('CONSUMER_BUSY', `subscription ${this.name} of ${this.topic.name.full} ${why}`, {
      place: { at: this.topic.name.full },
    });
  }

  /** After `check`, and after a change of type was written. */
  join(member: Member, type: SubscriptionType): void {
    if (type !== this.#type) {
      this.#dispatcher.close();
      this.#type = type;
      this.#dispatcher = this.#dispatcherOf(type);
    }
    this.#members.add(member);
    this.#dispatcher.add(member);
    this.run();
  }

  leave(member: Member): void {
    if (!this.#members.delete(member)) return;
    this.#dispatcher.remove(member);
    member.forgetAll();
    this.run();
  }

  /** Gives what can be given. Calls from within are done when it is through. */
  run(): void {
    this.#mustRunAgain = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      while (this.#mustRunAgain) {
        this.#mustRunAgain = false;
        this.#dispatcher.run();
      }
    } catch (error) {
      for (const member of this.#members) member.inbox.fail(error);
    } finally {
      this.#isRunning = false;
    }
  }

  taken(member: Member, seq: number): void {
    this.#dispatcher.taken(member, seq);
  }

  redeliver(member: Member, seqs: readonly number[] | 'all'): void {
    this.#dispatcher.redeliver(member, seqs);
    this.run();
  }

  close(): void {
    this.#dispatcher.close();
  }

  #changed(change: CursorChange): void {
    this.#dispatcher.changed(change);
    this.run();
    this.#needs.acknowledged(this.topic);
  }

  #dispatcherOf(type: SubscriptionType): Dispatcher {
    const needs: DispatcherNeeds = {
      clock: this.#needs.clock,
      topic: this.topic,
      cursor: this.cursor,
      due: () => this.run(),
      bury: (...rest) => this.#needs.bury(this, ...rest),
    };
    return type === 'Exclusive' || type === 'Failover'
      ? new SingleDispatcher(needs)
      : new SharedDispatcher(needs, type === 'Key_Shared');
  }
}
