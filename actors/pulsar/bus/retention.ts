/**
 * Drops messages that all subscriptions have acknowledged, and of topics without a subscription all, once they are older
 * than the retention says, or the topic is larger. What is not acknowledged is never dropped. Readers hold nothing.
 */
import type { Clock, Timer } from '../../../runtime/index.ts';
import type { Committer } from './committer.ts';
import type { Retention, Topic } from './topic.ts';

/** How often it looks. */
const EVERY_MS = 1000;

export class Retainer {
  readonly #committer: Committer;
  readonly #clock: Clock;
  readonly #retention: Retention;
  /** Topics that have messages which may be dropped sooner or later. */
  readonly #topics = new Set<Topic>();
  /** Told once, until it works again. */
  readonly #failed: (error: unknown) => void;
  #timer: Timer | null = null;
  #hasFailed = false;
  #isClosed = false;

  constructor(committer: Committer, clock: Clock, retention: Retention, failed: (error: unknown) => void) {
    this.#committer = committer;
    this.#clock = clock;
    this.#retention = retention;
    this.#failed = failed;
  }

  /** It has grown, or something of it was acknowledged. */
  look(topic: Topic): void {
    this.#topics.add(topic);
    this.#arm();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    if (this.#isClosed || this.#timer !== null || this.#topics.size === 0) return;
    this.#timer = this.#clock.after(EVERY_MS, () => void this.#dropAll());
  }

  async #dropAll(): Promise<void> {
    for (const topic of [...this.#topics]) await this.#drop(topic);
    this.#timer = null;
    this.#arm();
  }

  async #drop(topic: Topic): Promise<void> {
    try {
      for (let hasMore = true; hasMore && !this.#isClosed; )
        await this.#committer.do(transaction => {
          hasMore = topic.drop(transaction, acknowledgedBelow(topic), this.#retention);
        });
      if (topic.first >= acknowledgedBelow(topic)) this.#topics.delete(topic);
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) this.#failed(error);
      this.#hasFailed = true;
    }
  }
}

/** All messages below are acknowledged by all subscriptions. */
function acknowledgedBelow(topic: Topic): number {
  let mark = topic.next;
  for (const { cursor } of topic.subscriptions.values()) mark = Math.min(mark, cursor.mark);
  return mark;
}
