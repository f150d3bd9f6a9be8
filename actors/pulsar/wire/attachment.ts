/**
 * Keeps a producer or consumer attached to the broker that has its topic: looks it up, attaches, and does so again, after
 * longer and longer pauses, when the connection is lost or the broker lets go of the topic (reference/pulsar.md 1.1, 2.9).
 */
import {
  asError,
  type Clock,
  isKeymillError,
  type KeymillError,
  type Log,
  type Timer,
} from '../../../runtime/index.ts';
import type { Connection } from './connection.ts';
import { lostFault } from './faults.ts';

/** Pauses double from the first to the last; up to a tenth less, so that not all come back at once (1.1, P12). */
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 5000;

export interface AttachmentNeeds {
  readonly topic: string;
  readonly clock: Clock;
  readonly log: Log;
  random(): number;
  connectionFor(topic: string): Promise<Connection>;
  /** Makes the producer or consumer on this connection. `isFirst`: never attached before. */
  attach(connection: Connection, isFirst: boolean): Promise<void>;
  /** It is attached from now on. */
  ready(connection: Connection, isFirst: boolean): void;
  /** It will not be attached any more. */
  gone(fault: KeymillError): void;
  /** The first attaching is given up after so long, and so is waiting for another. */
  readonly operationMs: number;
}

interface Waiter {
  /** Attachments that there must have been. */
  readonly after: number;
  readonly timer: Timer;
  resolve(connection: Connection): void;
  reject(fault: unknown): void;
}

export type AttachmentState = 'connecting' | 'ready' | 'closed';

export class Attachment {
  readonly #needs: AttachmentNeeds;
  #connection: Connection | null = null;
  #state: AttachmentState = 'connecting';
  #tries = 0;
  #timer: Timer | null = null;
  #waiting: readonly Waiter[] = [];
  /** How often it was attached. */
  count = 0;

  constructor(needs: AttachmentNeeds) {
    this.#needs = needs;
  }

  get state(): AttachmentState {
    return this.#state;
  }

  /** The connection while it is attached. */
  get connection(): Connection | null {
    return this.#state === 'ready' ? this.#connection : null;
  }

  /** Rejects with what makes no sense to try again, or with the last fault when the time is over. */
  async start(): Promise<void> {
    const until = this.#needs.clock.now() + this.#needs.operationMs;
    for (;;)
      try {
        return await this.#attach(() => this.#needs.connectionFor(this.#needs.topic));
      } catch (error) {
        const pause = this.#pauseMs();
        if (!isLasting(error, true) && this.#needs.clock.now() + pause < until && this.#state !== 'closed') {
          await new Promise<void>(resolve => this.#needs.clock.after(pause, resolve));
          continue;
        }
        this.stop();
        throw error;
      }
  }

  /** It was attached by `connection`, and is not any more. `assigned`: where the broker says to go on. */
  lost(connection: Connection, fault: KeymillError, assigned?: () => Promise<Connection>): void {
    if (this.#connection !== connection || this.#state === 'closed') return;
    this.#connection = null;
    if (this.#state !== 'ready') return; // whoever is attaching is told by its own request
    this.#state = 'connecting';
    this.#needs.log.info({ topic: this.#needs.topic, err: fault.message }, 'attached no more; it is tried again');
    if (assigned) void this.#retry(assigned);
    else this.#retryLater();
  }

  /** Resolves when it is attached, and was for the `after`th time at least. Rejects with IO_FAILED. */
  whenReady(after = 0): Promise<Connection> {
    const { connection } = this;
    if (connection && this.count >= after) return Promise.resolve(connection);
    const { topic, clock, operationMs } = this.#needs;
    if (this.#state === 'closed') return Promise.reject(lostFault(topic, 'it was closed'));
    return new Promise((resolve, reject) => {
      const timer = clock.after(operationMs, () => reject(lostFault(topic, `not attached within ${operationMs} ms`)));
      this.#waiting = [...this.#waiting, { after, timer, resolve, reject }];
    });
  }

  stop(): void {
    this.#state = 'closed';
    this.#timer?.cancel();
    for (const { timer, reject } of this.#waiting) {
      timer.cancel();
      reject(lostFault(this.#needs.topic, 'it was closed'));
    }
    this.#waiting = [];
  }

  async #attach(connect: () => Promise<Connection>): Promise<void> {
    const connection = await connect();
    if (this.#state === 'closed') throw lostFault(this.#needs.topic, 'it was closed');
    this.#connection = connection;
    const isFirst = this.count === 0;
    await this.#needs.attach(connection, isFirst);
    // Lost already, in the same turn in which it was attached.
    if (this.#connection !== connection) throw lostFault(this.#needs.topic, 'the connection was lost');
    if ((this.#state as AttachmentState) === 'closed') return;
    this.#state = 'ready';
    this.count++;
    this.#tries = 0;
    this.#needs.ready(connection, isFirst);
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(one => one.after > this.count);
    for (const one of waiting) {
      if (one.after > this.count) continue;
      one.timer.cancel();
      one.resolve(connection);
    }
  }

  #retryLater(): void {
    this.#timer = this.#needs.clock.after(this.#pauseMs(), () => {
      this.#timer = null;
      void this.#retry(() => this.#needs.connectionFor(this.#needs.topic));
    });
  }

  async #retry(connect: () => Promise<Connection>): Promise<void> {
    if (this.#state !== 'connecting') return;
    try {
      await this.#attach(connect);
    } catch (error) {
      if ((this.#state as AttachmentState) === 'closed') return;
      this.#connection = null;
      if (isLasting(error, false)) {
        this.stop();
        return this.#needs.gone(error as KeymillError);
      }
      if (this.#tries % 10 === 1)
        this.#needs.log.warn({ topic: this.#needs.topic, err: asError(error).message }, 'not attached yet');
      this.#retryLater();
    }
  }

  #pauseMs(): number {
    const pause = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(20, this.#tries++));
    return pause * (1 - 0.1 * this.#needs.random());
  }
}

/** Whether trying again makes no sense. What was attached once comes back from all but these. */
function isLasting(error: unknown, isFirst: boolean): boolean {
  if (!isKeymillError(error)) return true;
  if (isFirst)
    return error.class === 'fatal' || ['PRODUCER_BUSY', 'CONSUMER_BUSY', 'QUOTA_EXCEEDED'].includes(error.code);
  return ['PRODUCER_FENCED', 'TOPIC_TERMINATED', 'SCHEMA_REFUSED'].includes(error.code);
}
