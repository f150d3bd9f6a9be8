/**
 * A consumer as one of its topics sees it: what it may be given (permits), and what it was given. Permits come back when a
 * message is taken, not when it is acknowledged; what is not acknowledged is bounded by itself, as in Pulsar.
 */
import type { Clock } from '../../../runtime/index.ts';
import { DelayLine } from './delay-line.ts';
import type { Inbox, Waiting } from './inbox.ts';
import type { Stored } from './topic.ts';

/** Messages that a consumer may hold of one topic without acknowledging them: Pulsar's maxUnackedMessagesPerConsumer. */
const MAX_UNACKED = 50_000;

export interface MemberOptions {
  readonly name: string;
  readonly prefetch: number;
  readonly nackDelayMs: number;
  /** 0 for never. */
  readonly ackTimeoutMs: number;
  readonly deadLetter: { readonly maxRedeliver: number; readonly topic: string } | null;
}

/** What the subscription does for a member. */
export interface MemberNeeds {
  readonly clock: Clock;
  isAcked(seq: number): boolean;
  /** It was handed out. */
  taken(member: Member, seq: number): void;
  /** There is room again. */
  hasRoom(): void;
  /** To be given again. */
  redeliver(member: Member, seqs: readonly number[]): void;
}

export class Member {
  /** Tells members apart: names need not be unique. */
  readonly id: number;
  readonly options: MemberOptions;
  readonly inbox: Inbox;
  /** Given and not taken. */
  queued = 0;
  /** Given and not acknowledged, the queued ones among them. Kept by the dispatcher. */
  unacked = 0;
  readonly #needs: MemberNeeds;
  readonly #nacks: DelayLine;
  readonly #timeouts: DelayLine | null;

  constructor(id: number, options: MemberOptions, inbox: Inbox, needs: MemberNeeds) {
    this.id = id;
    this.options = options;
    this.inbox = inbox;
    this.#needs = needs;
    const again = (seqs: readonly number[]): void => needs.redeliver(this, seqs);
    this.#nacks = new DelayLine(needs.clock, options.nackDelayMs, again);
    this.#timeouts = options.ackTimeoutMs > 0 ? new DelayLine(needs.clock, options.ackTimeoutMs, again) : null;
  }

  /** How many more messages it may be given now. */
  get room(): number {
    if (this.inbox.isFull) return 0;
    return Math.max(0, Math.min(this.options.prefetch - this.queued, MAX_UNACKED - this.unacked));
  }

  give({ seq, size, message }: Stored, slot: number): void {
    this.queued++;
    this.inbox.put({ member: this, seq, size, slot, message });
  }

  /** For the inbox: its consumer takes this one. False when it was acknowledged meanwhile. */
  taken({ seq }: Waiting): boolean {
    this.queued--;
    const isWanted = !this.#needs.isAcked(seq);
    if (isWanted) {
      this.#timeouts?.add(seq);
      this.#needs.taken(this, seq);
    }
    if (2 * this.queued <= this.options.prefetch) this.#needs.hasRoom();
    return isWanted;
  }

  nack(seq: number): void {
    this.#nacks.add(seq);
  }

  /** It is acknowledged, or given back: neither a nack nor a time-out counts any more. */
  forget(seq: number): void {
    this.#nacks.delete(seq);
    this.#timeouts?.delete(seq);
  }

  forgetAll(): void {
    this.#nacks.clear();
    this.#timeouts?.clear();
  }
}
