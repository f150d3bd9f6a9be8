/**
 * Acknowledgements of one consumer: those of a turn leave in one command, and each is answered (reference/pulsar.md 2.6).
 * What was not answered when the connection was lost is sent again on the next one, before messages are asked for.
 */
import type { Environment, KeymillError } from '../../../runtime/index.ts';
import type { Connection } from './connection.ts';
import { serverFault } from './faults.ts';
import type { EntryId, HeldEntry } from './held.ts';
import type { NextId } from './lookup.ts';

/** Ids in one command: a frame must stay well below its limit (pitfall 35). */
const MOST_IDS = 1000;
const TYPES = { individual: 0, cumulative: 1 } as const;

interface Ack {
  readonly ledgerId: number;
  readonly entryId: number;
  readonly ackSet?: Uint32Array | undefined;
}

interface Group {
  readonly type: keyof typeof TYPES;
  readonly acks: readonly Ack[];
  /** Acknowledged as a whole by this group. */
  readonly done: readonly EntryId[];
  resolve(): void;
  reject(error: unknown): void;
}

/** What is collected in this turn. */
interface Open {
  readonly entries: Set<HeldEntry>;
  readonly bare: Ack[];
  readonly done: Promise<void>;
  flush(): void;
}

export interface AcksNeeds {
  readonly consumerId: number;
  readonly topic: string;
  readonly environment: Environment;
  readonly nextId: NextId;
  /** The broker has it. */
  confirmed(entry: EntryId): void;
}

export class Acks {
  readonly #needs: AcksNeeds;
  #connection: Connection | null = null;
  #open: Open | null = null;
  /** Sent or to be sent, and not answered. */
  readonly #groups = new Set<Group>();
  #idle: (() => void)[] = [];

  constructor(needs: AcksNeeds) {
    this.#needs = needs;
  }

  /** Resolves when the broker has what this entry says by the end of the turn. */
  add(entry: HeldEntry): Promise<void> {
    const open = this.#opened();
    open.entries.add(entry);
    return open.done;
  }

  /** Of an entry of which nothing is known here. */
  addBare(ledgerId: number, entryId: number): Promise<void> {
    const open = this.#opened();
    open.bare.push({ ledgerId, entryId });
    return open.done;
  }

  /** All up to this, with `ackSet` for the part of a batch that is not meant. */
  cumulative(ack: Ack, done: readonly EntryId[]): Promise<void> {
    this.#open?.flush();
    return new Promise((resolve, reject) => this.#push({ type: 'cumulative', acks: [ack], done, resolve, reject }));
  }

  /** Resolves when nothing is open any more, whatever came of it. */
  settled(): Promise<void> {
    this.#open?.flush();
    if (this.#groups.size === 0) return Promise.resolve();
    return new Promise(resolve => this.#idle.push(resolve));
  }

  attached(connection: Connection): void {
    this.#connection = connection;
    for (const group of this.#groups) void this.#send(group, connection);
  }

  detached(): void {
    this.#connection = null;
  }

  close(fault: KeymillError): void {
    this.#open?.flush();
    for (const group of this.#groups) group.reject(fault);
    this.#groups.clear();
    this.#ended();
  }

  #opened(): Open {
    if (this.#open) return this.#open;
    const entries = new Set<HeldEntry>();
    const bare: Ack[] = [];
    let resolve!: () => void;
    let reject!: (error: unknown) => void;
    const done = new Promise<void>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    const flush = (): void => {
      if (this.#open?.entries !== entries) return;
      this.#open = null;
      this.#flush(entries, bare).then(() => resolve(), reject);
    };
    this.#open = { entries, bare, done, flush };
    this.#needs.environment.endOfTurn(flush);
    return this.#open;
  }

  async #flush(entries: Set<HeldEntry>, bare: readonly Ack[]): Promise<void> {
    const acks: { ack: Ack; done: EntryId | null }[] = bare.map(ack => ({ ack, done: null }));
    for (const entry of entries) {
      const { ledger, entry: entryId, ackSet, parts } = entry;
      for (const part of parts) acks.push({ ack: { ledgerId: part.ledger, entryId: part.entry }, done: null });
      acks.push({ ack: { ledgerId: ledger, entryId, ackSet }, done: ackSet ? null : entry });
    }
    const sent: Promise<void>[] = [];
    for (let from = 0; from < acks.length; from += MOST_IDS) {
      const some = acks.slice(from, from + MOST_IDS);
      sent.push(
        new Promise((resolve, reject) =>
          this.#push({
            type: 'individual',
            acks: some.map(one => one.ack),
            done: some.flatMap(one => one.done ?? []),
            resolve,
            reject,
          }),
        ),
      );
    }
    await Promise.all(sent);
  }

  #push(group: Group): void {
    this.#groups.add(group);
    if (this.#connection) void this.#send(group, this.#connection);
  }

  async #send(group: Group, connection: Connection): Promise<void> {
    const { consumerId, topic, nextId } = this.#needs;
    try {
      const { error, message } = await connection.request(
        { type: 'ack', consumerId, ackType: TYPES[group.type], messageId: group.acks, requestId: nextId() },
        'ackResponse',
        topic,
      );
      if (error !== undefined) throw serverFault(error, message ?? '', topic);
    } catch (fault) {
      if (!connection.isOpen || this.#connection !== connection) return; // sent again
      this.#groups.delete(group);
      group.reject(fault);
      return this.#ended();
    }
    if (!this.#groups.delete(group)) return;
    for (const entry of group.done) this.#needs.confirmed(entry);
    group.resolve();
    this.#ended();
  }

  #ended(): void {
    if (this.#groups.size > 0 || this.#idle.length === 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}
