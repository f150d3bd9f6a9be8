/**
 * onKeyFull: park. What arrives for a key that holds its share is spilled, in order, to a durable store and acked; when
 * the key has room again its parked messages come back, before anything that arrived later.
 */
import { toWire } from '../errors.ts';
import type { Homes } from '../lanes/homes.ts';
import { BOUNCED, DONE } from '../lanes/port.ts';
import { Item, type Origin } from '../mailbox/item.ts';
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

/** The durable store of parked messages; its order per (actor, key) is the order of `append`. */
export interface ParkStore {
  /** Appends messages of one key, all or none. Says of each whether it is new: false when this very message lies there already. */
  append(messages: readonly Parked[]): Promise<readonly boolean[]>;
  /** Up to `count` of the oldest that were not taken since this host started; they stay until `forget`. */
  take(actor: string, key: Key, after: number, count: number): Promise<{ seq: number; message: Parked }[]>;
  forget(actor: string, key: Key, seq: number): Promise<void>;
  /** Keys with parked messages. */
  keys(): Promise<{ actor: string; key: Key; hash: number; count: number }[]>;
}

interface ParkedKey {
  /** Messages in the store that were not taken back. */
  stored: number;
  /** Messages on their way to the store, in order; the first `appending` of them are being written. */
  readonly queue: Item[];
  appending: number;
  /** Highest sequence number taken back. */
  taken: number;
  taking: boolean;
}

/** Messages of one key that one write takes. */
const APPEND_AT_ONCE = 256;
const RETRY_MS = 1000;

export class Parking {
  readonly #host: Host;
  readonly #store: ParkStore | null;
  readonly #put: (cell: Cell, mailbox: Mailbox, item: Item) => void;
  /** Told when nothing of a key is on its way any more. */
  readonly #rested: (mailbox: Mailbox) => void;
  readonly #keys = new Map<Mailbox, ParkedKey>();
  /** Epoch at which each partition was learned. */
  readonly #known = new Map<number, number>();
  readonly #awaiting: (() => void)[] = [];
  #learning = false;

  constructor(host: Host, store: ParkStore | null, put: (cell: Cell, mailbox: Mailbox, item: Item) => void, rested: (mailbox: Mailbox) => void) {
    this.#host = host;
    this.#store = store;
    this.#put = put;
    this.#rested = rested;
  }

  get isAvailable(): boolean {
    return this.#store !== null;
  }

  /** Some actor here parks, so partitions must be learned before anything of them is handled. */
  get isActive(): boolean {
    return this.#store !== null && this.#host.cells.some(cell => cell?.options.onKeyFull === 'park');
  }

  /** Whether it is known which keys of this partition have parked messages, since it came to live here. */
  knows(partition: number, homes: Homes): boolean {
    return this.#known.get(partition) === homes.epochOf(partition);
  }

  /**
   * Learns what is parked for the partitions that live here, from an earlier process, a dead host or another home, and
   * begins to take it back. Arrivals wait meanwhile (`await`), or they would overtake what is parked.
   */
  learn(homes: Homes): void {
    if (this.#learning || !this.isActive) return;
    const unknown: [partition: number, epoch: number][] = [];
    for (let partition = 0; partition < homes.partitions; partition++)
      if (homes.homeOf(partition) === this.#host.slot && !this.knows(partition, homes)) unknown.push([partition, homes.epochOf(partition)]);
    if (unknown.length === 0) return;
    this.#learning = true;
    this.#store!.keys().then(
      keys => {
        this.#learning = false;
        const learned = new Map(unknown);
        for (const { actor, key, hash, count } of keys) {
          const cell = this.#host.cells.find(one => one?.name === actor);
          const partition = hash & homes.mask;
          if (!cell || !learned.has(partition) || homes.epochOf(partition) !== learned.get(partition)) continue;
          const mailbox = cell.mailboxOf(key, hash);
          mailbox.parked = count;
          this.#keys.set(mailbox, { stored: count, queue: [], appending: 0, taken: -1, taking: false });
          this.drained(cell, mailbox);
        }
        for (const [partition, epoch] of unknown) this.#known.set(partition, epoch);
        for (const go of this.#awaiting.splice(0)) go();
        this.learn(homes); // what came meanwhile
      },
      (error: unknown) => {
        this.#learning = false;
        this.#host.logOf('park').error({ err: toWire(error) }, 'parked keys not read; tried again');
        this.#host.scheduler.deadlines.at(this.#host.environment.clock.now() + RETRY_MS, () => this.learn(homes));
      },
    );
  }

  /** Calls `go` once more is known. */
  await(go: () => void): void {
    this.#awaiting.push(go);
  }

  /** Nothing of this partition is on its way to the store or back. A home may be given up only then. */
  isResting(partition: number, mask: number): boolean {
    for (const [mailbox, parked] of this.#keys) if ((mailbox.hash & mask) === partition && (parked.queue.length > 0 || parked.taking)) return false;
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

  /** Spills an arriving message; it is acked when it stands in the store. */
  park(cell: Cell, mailbox: Mailbox, item: Item): void {
    this.#host.environment.probe?.('key.parked');
    cell.stats.parked++;
    mailbox.parked++;
    let parked = this.#keys.get(mailbox);
    if (!parked) this.#keys.set(mailbox, (parked = { stored: 0, queue: [], appending: 0, taken: -1, taking: false }));
    parked.queue.push(item);
    this.#append(cell, mailbox, parked);
  }

  /** One write of a key at a time, or a failed one would be overtaken by the next. */
  #append(cell: Cell, mailbox: Mailbox, parked: ParkedKey): void {
    if (parked.appending > 0 || parked.queue.length === 0) return;
    const items = parked.queue.slice(0, APPEND_AT_ONCE);
    parked.appending = items.length;
    this.#store!.append(items.map(({ key, hash, body, source, epoch, position, path, size }) => ({ actor: cell.name, key, hash, body, source, epoch, position, path, size }))).then(
      isNew => {
        parked.appending = 0;
        parked.queue.splice(0, items.length);
        items.forEach((item, i) => {
          if (isNew[i]) parked.stored++;
          else mailbox.parked--;
          item.origin.settle(item.seq, DONE);
        });
        this.#append(cell, mailbox, parked);
        this.drained(cell, mailbox);
        this.#rested(mailbox);
      },
      (error: unknown) => {
        // Unsettled meanwhile: they push back through the window.
        this.#host.logOf(cell.name).error({ id: items[0]!.id, messages: items.length, err: toWire(error) }, 'messages not parked; tried again');
        this.#host.scheduler.deadlines.at(this.#host.environment.clock.now() + RETRY_MS, () => {
          parked.appending = 0;
          this.#append(cell, mailbox, parked);
        });
      },
    );
  }

  /** The mailbox has room: takes parked messages back, oldest first. */
  drained(cell: Cell, mailbox: Mailbox): void {
    const parked = this.#keys.get(mailbox);
    if (!parked || parked.taking || parked.stored === 0 || !cell.hasRoomAgain(mailbox)) return;
    parked.taking = true;
    const most = Math.max(1, Math.floor(cell.limitMessages / 2));
    this.#store!.take(cell.name, mailbox.key, parked.taken, most).then(
      taken => {
        parked.taking = false;
        for (const { seq, message } of taken) {
          parked.taken = seq;
          parked.stored--;
          mailbox.parked--;
          this.#host.environment.probe?.('key.unparked');
          const { source, epoch, position, path, size, body, key, hash } = message;
          this.#put(cell, mailbox, new Item(body, key, hash, this.#origin(cell, mailbox), seq, size, source, epoch, position, path, 0, null, this.#host.environment.clock.now()));
        }
        if (mailbox.parked > 0) this.drained(cell, mailbox);
        this.#rested(mailbox);
      },
      (error: unknown) => {
        parked.taking = false;
        this.#rested(mailbox);
        this.#host.logOf(cell.name).error({ err: toWire(error) }, 'parked messages not read; tried again');
        this.#host.scheduler.deadlines.at(this.#host.environment.clock.now() + RETRY_MS, () => this.drained(cell, mailbox));
      },
    );
  }

  /** What comes back is settled against the store. */
  #origin(cell: Cell, mailbox: Mailbox): Origin {
    const forget = (seq: number): void => {
      this.#store!.forget(cell.name, mailbox.key, seq).catch((error: unknown) => {
        this.#host.logOf(cell.name).error({ err: toWire(error) }, 'a parked message was handled but not forgotten; tried again');
        this.#host.scheduler.deadlines.at(this.#host.environment.clock.now() + RETRY_MS, () => forget(seq));
      });
    };
    return {
      alive: true,
      // What bounces stays parked: its new home takes it.
      settle: (seq, code) => {
        if (code !== BOUNCED) forget(seq);
      },
      reply() {},
      hold() {},
      free() {},
    };
  }
}
