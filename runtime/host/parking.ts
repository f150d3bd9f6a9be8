/**
 * onKeyFull: park. A key that holds its share goes into park mode: everything of it that is queued, in flight or unsettled here is
 * written to a durable store, in order, and what arrives from then on joins behind it. What stands in the store is acked
 * to its sender; it is forgotten there when it settles here. So after a crash the store alone has the key's order, and
 * replays of what was acked meanwhile are known by their ids. The key leaves park mode when the store has nothing of it.
 */
import { toWire } from '../errors.ts';
import { TIMER } from '../lanes/envelope.ts';
import type { Homes } from '../lanes/homes.ts';
import { BOUNCED, DONE } from '../lanes/port.ts';
import { Arrival, Item, type Origin } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { Key } from '../topology/define.ts';
import type { Cell } from './cell.ts';
import type { Host } from './host.ts';

/** A parked message: enough of its envelope to be handled later under the same id. */
export interface Parked {
  actor: string;
  key: Key;
  hash: number;
  body: unknown;
  source: string;
  epoch: number;
  position: number;
  path: string;
  size: number;
}

/**
 * Who writes for a partition: a home by its epoch, and among the lives of one home by its incarnation. A write that a
 * dead home had sent must not come to the store after its successor has looked (rule 14).
 */
export interface Claim {
  partition: number;
  epoch: number;
  incarnation: number;
}

/** The durable store of parked messages; its order per (actor, key) is the order of `append`. */
export interface ParkStore {
  /** Appends messages of one key, all or none; refused when a later home claimed the partition. Gives the number of each; negative when that very message lay there already. */
  append(messages: readonly Parked[], claim: Claim): Promise<readonly number[]>;
  /** Up to `count` of the oldest with a number above `after`; they stay until `forget`. */
  take(actor: string, key: Key, after: number, count: number): Promise<{ seq: number; message: Parked }[]>;
  forget(actor: string, key: Key, seq: number): Promise<void>;
  /** Claims partitions, and gives the keys with parked messages: how many, and the number of the newest. */
  keys(claims: readonly Claim[]): Promise<{ actor: string; key: Key; hash: number; count: number; last: number }[]>;
}

interface ParkedKey {
  /** Messages on their way to the store, in order. The first `appending` of them are being written. */
  readonly queue: { item: Item; isHere: boolean }[];
  appending: number;
  /** Highest number of this key that is known to be in the store. */
  last: number;
  /** Highest number that is in memory, or was. Above it, up to `last`, the store has messages to be taken back. */
  taken: number;
  taking: boolean;
}

/** Messages of one key that one write takes. */
const APPEND_AT_ONCE = 256;
const RETRY_MS = 1000;

export class Parking {
  readonly #host: Host;
  readonly #store: ParkStore | null;
  /** Refuses an ask. */
  readonly #refuse: (cell: Cell, item: Item) => void;
  readonly #put: (cell: Cell, mailbox: Mailbox, item: Item) => void;
  /** Told when nothing of a key is on its way any more. */
  readonly #rested: (mailbox: Mailbox) => void;
  readonly #keys = new Map<Mailbox, ParkedKey>();
  /** The origins of messages that stand in the store. */
  readonly #origins = new WeakSet<Origin>();
  /** Epoch at which each partition was learned. */
  readonly #known = new Map<number, number>();
  readonly #awaiting: (() => void)[] = [];
  #learning = false;
  /** Highest number of the store seen here. */
  #highest = 0;

  constructor(
    host: Host,
    store: ParkStore | null,
    refuse: (cell: Cell, item: Item) => void,
    put: (cell: Cell, mailbox: Mailbox, item: Item) => void,
    rested: (mailbox: Mailbox) => void,
  ) {
    this.#host = host;
    this.#store = store;
    this.#refuse = refuse;
    this.#put = put;
    this.#rested = rested;
  }

  get isAvailable(): boolean {
    return this.#store !== null;
  }

  /** Some actor here parks, so partitions must be learned before anything of them is handled. */
  get #isActive(): boolean {
    return this.#store !== null && this.#host.cells.some(cell => cell?.options.onKeyFull === 'park');
  }

  // ── learning what is parked ──────────────────────────────────────────────────────────────────────────────────────

  /** Whether it is known which keys of this partition have parked messages, since it came to live here. */
  knows(partition: number, homes: Homes): boolean {
    return this.#known.get(partition) === homes.epochOf(partition);
  }

  /**
   * Learns what is parked for the partitions that live here, from an earlier process, a dead host or another home, and
   * begins to take it back. Arrivals wait meanwhile (`await`), or they would overtake what is parked.
   */
  learn(homes: Homes): void {
    if (this.#learning || !this.#isActive) return;
    const unknown: [partition: number, epoch: number][] = [];
    for (let partition = 0; partition < homes.partitions; partition++)
      if (homes.homeOf(partition) === this.#host.slot && !this.knows(partition, homes))
        unknown.push([partition, homes.epochOf(partition)]);
    if (unknown.length === 0) return;
    this.#learning = true;
    this.#store!.keys(
      unknown.map(([partition, epoch]) => ({ partition, epoch, incarnation: this.#host.plan.incarnation })),
    ).then(
      keys => {
        this.#learning = false;
        const learned = new Map(unknown);
        for (const { actor, key, hash, count, last } of keys) {
          const cell = this.#host.cells.find(one => one?.name === actor);
          const partition = hash & homes.mask;
          if (!cell || !learned.has(partition) || homes.epochOf(partition) !== learned.get(partition)) continue;
          const mailbox = cell.mailboxOf(key, hash | 0, this.#host.environment.clock.now());
          mailbox.parked = count;
          this.#keys.set(mailbox, { queue: [], appending: 0, last, taken: 0, taking: false });
          this.drained(cell, mailbox);
        }
        for (const [partition, epoch] of unknown) this.#known.set(partition, epoch);
        this.reconsider();
        this.learn(homes); // what came meanwhile
      },
      (error: unknown) => {
        this.#learning = false;
        this.#complain('park', error, 'parked keys not read; tried again');
        this.#later(() => this.learn(homes));
      },
    );
  }

  /** Calls `go` once more is known. */
  await(homes: Homes, go: () => void): void {
    this.#awaiting.push(go);
    this.learn(homes);
  }

  /** Looks again at what waits for more to be known: a partition that leaves need not be known any more. */
  reconsider(): void {
    for (const go of this.#awaiting.splice(0)) go();
  }

  // ── parking ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** An arriving message joins the park (an ask is refused: it must not overtake what is parked); with the first, everything of its key that is here does so before it. */
  park(cell: Cell, mailbox: Mailbox, item: Item): void {
    if (item.isAsk) return this.#refuse(cell, item);
    this.#host.environment.probe?.('key.parked');
    let parked = this.#keys.get(mailbox);
    if (!parked) {
      // All that the store has of this key by now is here, so what is to be taken back will have higher numbers.
      parked = { queue: [], appending: 0, last: this.#highest, taken: this.#highest, taking: false };
      this.#keys.set(mailbox, parked);
      const adopt = (here: Item): void => {
        if (here.isOrphan || !this.#joins(here)) return; // what its dead sender sends again comes by itself
        here.parking = true;
        parked!.queue.push({ item: here, isHere: true });
      };
      for (const handled of mailbox.waiting ?? []) adopt(handled);
      for (const running of mailbox.inFlight ?? [])
        if (running.pending > 0 && !mailbox.waiting?.has(running)) adopt(running);
      for (let queued = mailbox.head; queued !== null; queued = queued.next) adopt(queued);
    }
    cell.stats.parked++;
    mailbox.parked++;
    parked.queue.push({ item, isHere: false });
    this.#append(cell, mailbox, parked);
  }

  /** What came back from the park still stands in the store, before all this; asks wait for a reply, which the store cannot give. */
  #joins(item: Item): boolean {
    return !item.isAsk && (item.flags & TIMER) === 0 && !this.#origins.has(item.origin);
  }

  /** One write of a key at a time, or a failed one would be overtaken by the next. */
  #append(cell: Cell, mailbox: Mailbox, parked: ParkedKey): void {
    if (parked.appending > 0 || parked.queue.length === 0) return;
    const entries = parked.queue.slice(0, APPEND_AT_ONCE);
    parked.appending = entries.length;
    this.#store!.append(
      entries.map(({ item }) => toParked(cell, item)),
      this.#claimOf(mailbox),
    ).then(
      seqs => {
        parked.appending = 0;
        parked.queue.splice(0, entries.length);
        entries.forEach(({ item, isHere }, i) => this.#appended(cell, mailbox, parked, item, isHere, seqs[i]!));
        this.#append(cell, mailbox, parked);
        this.drained(cell, mailbox);
        this.#leaveIfEmpty(mailbox, parked);
        this.#rested(mailbox);
      },
      (error: unknown) => {
        // Unsettled meanwhile: they push back through the window.
        this.#complain(cell.name, error, 'messages not parked; tried again');
        this.#later(() => {
          parked.appending = 0;
          this.#append(cell, mailbox, parked);
        });
      },
    );
  }

  #appended(cell: Cell, mailbox: Mailbox, parked: ParkedKey, item: Item, isHere: boolean, seq: number): void {
    const number = Math.abs(seq);
    if (!isHere) {
      item.origin.settle(item.seq, DONE);
      // One that lay there already is counted, unless it was this write that put it there, and its answer got lost.
      if (number > parked.last) parked.last = number;
      else mailbox.parked--;
      return;
    }
    parked.last = Math.max(parked.last, number);
    parked.taken = Math.max(parked.taken, number);
    this.#highest = Math.max(this.#highest, number);
    const origin = this.#origin(cell, mailbox);
    if (item.pending <= 0) return origin.settle(number, DONE); // it came to its end meanwhile
    item.origin.settle(item.seq, DONE);
    item.parking = false;
    item.origin = origin;
    item.seq = number;
  }

  /** The mailbox has room: takes parked messages back, oldest first. */
  drained(cell: Cell, mailbox: Mailbox): void {
    const parked = this.#keys.get(mailbox);
    if (!parked || parked.taking || parked.taken >= parked.last || !cell.hasRoomAgain(mailbox)) return;
    parked.taking = true;
    const most = Math.max(1, Math.floor(cell.limitMessages / 2));
    const { last } = parked;
    this.#store!.take(cell.name, mailbox.key, parked.taken, most).then(
      taken => {
        parked.taking = false;
        for (const { seq, message } of taken) {
          this.#host.environment.probe?.('key.unparked');
          parked.taken = seq;
          this.#highest = Math.max(this.#highest, seq);
          mailbox.parked--;
          const { source, epoch, position, path, size, body, key, hash } = message;
          this.#put(
            cell,
            mailbox,
            new Item(
              body,
              key,
              hash,
              this.#origin(cell, mailbox),
              seq,
              size,
              new Arrival(source, epoch, 0, this.#host.environment.clock.now()),
              position,
              path,
              null,
            ),
          );
        }
        if (taken.length < most) parked.taken = Math.max(parked.taken, last);
        this.drained(cell, mailbox);
        this.#leaveIfEmpty(mailbox, parked);
        this.#rested(mailbox);
      },
      (error: unknown) => {
        parked.taking = false;
        this.#rested(mailbox);
        this.#complain(cell.name, error, 'parked messages not read; tried again');
        this.#later(() => this.drained(cell, mailbox));
      },
    );
  }

  /** Park mode ends when the store has nothing that is not here. What is here settles against the store. */
  #leaveIfEmpty(mailbox: Mailbox, parked: ParkedKey): void {
    if (parked.taken < parked.last || parked.queue.length > 0 || parked.taking || this.#keys.get(mailbox) !== parked)
      return;
    mailbox.parked = 0;
    this.#keys.delete(mailbox);
  }

  /** Where parked messages settle: the store forgets them. What bounces stays parked, for its new home to take. */
  #origin(cell: Cell, mailbox: Mailbox): Origin {
    const forget = (seq: number): void => {
      this.#store!.forget(cell.name, mailbox.key, seq).catch((error: unknown) => {
        this.#complain(cell.name, error, 'a parked message was handled but not forgotten; tried again');
        this.#later(() => forget(seq));
      });
    };
    const origin: Origin = {
      alive: true,
      settle: (seq, code) => {
        if (code !== BOUNCED) forget(seq);
      },
      reply() {},
      hold() {},
      free() {},
    };
    this.#origins.add(origin);
    return origin;
  }

  // ── moving ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Nothing of this partition is on its way to the store or back. A home may be given up only then. */
  isResting(partition: number, mask: number): boolean {
    for (const [mailbox, parked] of this.#keys)
      if ((mailbox.hash & mask) === partition && (parked.queue.length > 0 || parked.taking)) return false;
    return true;
  }

  /** The partition leaves: what is parked of it is its new home's to take. */
  release(partition: number, mask: number): void {
    for (const mailbox of [...this.#keys.keys()])
      if ((mailbox.hash & mask) === partition) {
        mailbox.parked = 0;
        this.#keys.delete(mailbox);
      }
    this.#known.delete(partition);
  }

  #claimOf(mailbox: Mailbox): Claim {
    const partition = mailbox.hash & this.#host.homes.mask;
    // An actor across keys has one mailbox on each host: what it parks belongs to the first partition, unfenced.
    return { partition, epoch: this.#known.get(partition) ?? 0, incarnation: this.#host.plan.incarnation };
  }

  #complain(actor: string, error: unknown, text: string): void {
    this.#host.logOf(actor).error({ err: toWire(error) }, text);
  }

  #later(fn: () => void): void {
    this.#host.scheduler.deadlines.at(this.#host.environment.clock.now() + RETRY_MS, fn);
  }
}

function toParked(cell: Cell, { key, hash, body, source, epoch, position, path, size }: Item): Parked {
  return { actor: cell.name, key, hash, body, source, epoch, position, path, size };
}
