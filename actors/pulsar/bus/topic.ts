/**
 * One topic, or one partition of one: a log of messages by running number. Here are its ids, appending, reading and
 * dropping; who subscribes, reads and publishes is kept beside (subscription.ts, reader.ts, producer.ts).
 */
import type { Clock } from '../../../runtime/index.ts';
import type { InMessage, MessageId } from '../contract.ts';
import { formatId, parseId } from '../message-id.ts';
import type { TopicName } from '../topic-name.ts';
import type { Participant, Transaction } from './committer.ts';
import type { HeadRow, MessageRow, TopicRow } from './schema.ts';
import { LEDGER_ENTRIES } from './schema.ts';
import type { Store } from './store.ts';
import type { Subscription } from './subscription.ts';

/** A message that is to be appended. */
export interface NewMessage {
  readonly payload: Uint8Array | null;
  readonly key: string | null;
  readonly orderingKey: string | null;
  /** JSON; null for none. */
  readonly properties: string | null;
  readonly eventTime: number | null;
  readonly deliverAt: number | null;
  /** Of payload, key and properties. */
  readonly size: number;
}

export type Given = { -readonly [K in keyof InMessage]: InMessage[K] };

/** A message as it was read. `message.redeliveryCount` is for the one who gives it to set. */
export interface Stored {
  readonly seq: number;
  readonly size: number;
  readonly deliverAt: number | null;
  readonly message: Given;
}

export interface Retention {
  readonly ms: number;
  readonly bytes: number;
}

interface Ledger {
  readonly id: number;
  /** Number of its entry 0. */
  readonly first: number;
}

/** Part of a ledger as row ids: from ≤ id < to. */
interface Span {
  readonly ledger: Ledger;
  readonly from: number;
  readonly to: number;
}

export interface TopicNeeds {
  readonly store: Store;
  readonly clock: Clock;
  /** The number of a new ledger, never used before. */
  nextLedger(): number;
  /** Ledgers are known by number, too: an id does not name its topic. */
  ledgerAdded(ledger: number, topic: Topic): void;
  ledgerDropped(ledger: number): void;
  /** Messages were appended, and that is durable. */
  grown(topic: Topic): void;
}

/** Rows that one step of dropping looks at. */
const DROP_ROWS = 2000;
const NO_PROPERTIES: Readonly<Record<string, string>> = Object.freeze({});

export class Topic implements Participant {
  readonly name: TopicName;
  readonly id: number;
  readonly subscriptions = new Map<string, Subscription>();
  /** Woken when something was appended. */
  readonly listeners = new Set<() => void>();
  readonly #needs: TopicNeeds;
  readonly #ledgers: Ledger[] = [];
  #first: number;
  #next: number;
  #bytes: number;
  #publishedAt: number;
  #before: { first: number; next: number; bytes: number; publishedAt: number; ledgers: Ledger[] } | null = null;

  constructor(needs: TopicNeeds, name: TopicName, row: TopicRow) {
    this.#needs = needs;
    this.name = name;
    [this.id, , , this.#first, this.#next, this.#bytes, this.#publishedAt] = row;
  }

  /** Of the file, in growing order. */
  addLedger(id: number, first: number): void {
    this.#ledgers.push({ id, first });
    this.#needs.ledgerAdded(id, this);
  }

  /** Number of the oldest message kept; `next` when there is none. */
  get first(): number {
    return this.#first;
  }

  /** The number that the next message gets. */
  get next(): number {
    return this.#next;
  }

  get bytes(): number {
    return this.#bytes;
  }

  // ── ids ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  idOf(seq: number): MessageId {
    const ledger = this.#ledgerOf(seq);
    return formatId(ledger.id, seq - ledger.first, this.name.partition);
  }

  /** The number of an id; undefined when its ledger is not of this topic, or is gone. */
  seqOf(id: MessageId): number | undefined {
    const { ledger, entry } = parseId(id);
    const index = this.#ledgers.findLastIndex(one => one.id === ledger);
    const found = this.#ledgers[index];
    if (!found || entry < 0) return undefined;
    return Math.min(found.first + entry, this.#ledgers[index + 1]?.first ?? Number.POSITIVE_INFINITY);
  }

  /** As `seqOf`, for a place to start from: what lies before the oldest message, or behind the last, is that end. */
  placeOf(id: MessageId): number {
    const { ledger } = parseId(id);
    const seq = this.seqOf(id);
    if (seq !== undefined) return Math.min(Math.max(seq, this.#first), this.#next);
    const behind = this.#ledgers.find(one => one.id > ledger);
    return behind ? Math.max(behind.first, this.#first) : this.#ledgers.length === 0 ? this.#first : this.#next;
  }

  /** Number of the first message that was published at or after this time, `next` if there is none. */
  seqAt(publishedAt: number): number {
    let low = this.#first;
    let high = this.#next;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#publishedAtOf(middle) < publishedAt) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Returns its number. */
  append(transaction: Transaction, message: NewMessage, producer: string, sequence: number): number {
    transaction.enlist(this);
    let ledger = this.#ledgers.at(-1);
    if (!ledger || this.#next - ledger.first >= LEDGER_ENTRIES) ledger = this.#openLedger();
    this.#publishedAt = Math.max(this.#publishedAt, Math.floor(this.#needs.clock.wall()));
    this.#needs.store.run(
      'addMessage',
      rowId(ledger, this.#next),
      this.#publishedAt,
      message.size,
      message.payload === null ? 1 : 0,
      producer,
      sequence,
      message.key,
      message.orderingKey,
      message.properties,
      message.eventTime,
      message.deliverAt,
      message.payload,
    );
    this.#bytes += message.size;
    return this.#next++;
  }

  /** Shows messages from ≤ number < to until `visit` returns false. Numbers that are missing were dropped. */
  read(from: number, to: number, limit: number, visit: (stored: Stored) => boolean): void {
    let left = limit;
    let goesOn = true;
    for (const span of this.#spans(from, to)) {
      this.#needs.store.each<MessageRow>(
        'messages',
        row => {
          left--;
          goesOn = visit(this.#storedOf(span.ledger, row));
          return goesOn;
        },
        span.from,
        span.to,
        left,
      );
      if (!goesOn || left <= 0) return;
    }
  }

  /** Undefined when it was dropped. */
  readOne(seq: number): Stored | undefined {
    let found: Stored | undefined;
    this.read(seq, seq + 1, 1, stored => {
      found = stored;
      return true;
    });
    return found;
  }

  /**
   * Drops messages below `upTo` that are older than the retention says, or more than it says. True when there may be
   * more to drop at once.
   */
  drop(transaction: Transaction, upTo: number, retention: Retention): boolean {
    const [span] = this.#spans(this.#first, upTo);
    if (!span) return false;
    const oldest = this.#needs.clock.wall() - retention.ms;
    let bytes = this.#bytes;
    let last = -1;
    let rows = 0;
    for (const [id, publishedAt, size] of this.#needs.store.all<HeadRow>('heads', span.from, span.to, DROP_ROWS)) {
      if (publishedAt > oldest && bytes <= retention.bytes) break;
      bytes -= size;
      last = id;
      rows++;
    }
    if (rows === 0) return false;
    transaction.enlist(this);
    this.#needs.store.run('dropMessages', span.from, last + 1);
    this.#first = span.ledger.first + (last + 1 - span.ledger.id * LEDGER_ENTRIES);
    this.#bytes = bytes;
    while (this.#ledgers.length > 1 && this.#ledgers[1]!.first <= this.#first) this.#dropLedger();
    return rows === DROP_ROWS || last + 1 === span.to;
  }

  // ── part of a commit ─────────────────────────────────────────────────────────────────────────────────────────────

  begin(): void {
    const ledgers = this.#ledgers.slice();
    this.#before = {
      first: this.#first,
      next: this.#next,
      bytes: this.#bytes,
      publishedAt: this.#publishedAt,
      ledgers,
    };
  }

  write(): void {
    this.#needs.store.run('saveTopic', this.#first, this.#next, this.#bytes, this.#publishedAt, this.id);
  }

  committed(): void {
    const hasGrown = this.#next > this.#before!.next;
    this.#before = null;
    if (!hasGrown) return;
    for (const subscription of this.subscriptions.values()) subscription.run();
    for (const listener of [...this.listeners]) listener();
    this.#needs.grown(this);
  }

  rolledBack(): void {
    const before = this.#before!;
    for (const { id } of this.#ledgers) this.#needs.ledgerDropped(id);
    this.#ledgers.length = 0;
    for (const { id, first } of before.ledgers) this.addLedger(id, first);
    this.#first = before.first;
    this.#next = before.next;
    this.#bytes = before.bytes;
    this.#publishedAt = before.publishedAt;
    this.#before = null;
  }

  // ── ledgers ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #openLedger(): Ledger {
    const id = this.#needs.nextLedger();
    this.#needs.store.run('addLedger', id, this.id, this.#next);
    this.addLedger(id, this.#next);
    return this.#ledgers.at(-1)!;
  }

  #dropLedger(): void {
    const { id } = this.#ledgers.shift()!;
    this.#needs.store.run('dropLedger', id);
    this.#needs.ledgerDropped(id);
  }

  #ledgerOf(seq: number): Ledger {
    return this.#ledgers.findLast(ledger => ledger.first <= seq) ?? this.#ledgers[0]!;
  }

  *#spans(from: number, to: number): Generator<Span, void, void> {
    const begin = Math.max(from, this.#first);
    const end = Math.min(to, this.#next);
    for (let i = 0; i < this.#ledgers.length; i++) {
      const ledger = this.#ledgers[i]!;
      const first = Math.max(begin, ledger.first);
      const behind = Math.min(end, this.#ledgers[i + 1]?.first ?? end);
      if (first < behind) yield { ledger, from: rowId(ledger, first), to: rowId(ledger, behind) };
    }
  }

  #publishedAtOf(seq: number): number {
    const [span] = this.#spans(seq, seq + 1);
    return this.#needs.store.all<HeadRow>('heads', span!.from, span!.to, 1)[0]![1];
  }

  #storedOf(ledger: Ledger, row: MessageRow): Stored {
    const [id, publishTime, size, isNull, producer, sequenceId, key, orderingKey, properties, eventTime, deliverAt] =
      row;
    const entry = id - ledger.id * LEDGER_ENTRIES;
    return {
      seq: ledger.first + entry,
      size,
      deliverAt,
      message: {
        id: formatId(ledger.id, entry, this.name.partition),
        topic: this.name.full,
        payload: isNull === 1 ? null : (row[11] ?? new Uint8Array(0)),
        key,
        orderingKey,
        properties: properties === null ? NO_PROPERTIES : (JSON.parse(properties) as Record<string, string>),
        eventTime,
        publishTime,
        producer,
        sequenceId,
        redeliveryCount: 0,
      },
    };
  }
}

function rowId(ledger: Ledger, seq: number): number {
  return ledger.id * LEDGER_ENTRIES + (seq - ledger.first);
}
