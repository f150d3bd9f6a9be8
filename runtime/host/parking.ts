/**
 * onKeyFull: park. What arrives for a key that holds its share is spilled, in order, to a durable store and acked; when
 * the key has room again its parked messages come back, before anything that arrived later.
 */
import { toWire } from '../errors.ts';
import type { Homes } from '../lanes/homes.ts';
import { DONE } from '../lanes/port.ts';
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
  append(message: Parked): Promise<void>;
  /** Up to `count` of the oldest that were not taken since this host started; they stay until `forget`. */
  take(actor: string, key: Key, after: number, count: number): Promise<{ seq: number; message: Parked }[]>;
  forget(actor: string, key: Key, seq: number): Promise<void>;
  /** Keys with parked messages. */
  keys(): Promise<{ actor: string; key: Key; hash: number; count: number }[]>;
}

interface ParkedKey {
  /** Messages in the store that were not taken back, and appends on their way there. */
  stored: number;
  appending: number;
  taken: number;
  taking: boolean;
}

export class Parking {
  readonly #host: Host;
  readonly #store: ParkStore | null;
  readonly #put: (cell: Cell, mailbox: Mailbox, item: Item) => void;
  readonly #keys = new Map<Mailbox, ParkedKey>();

  constructor(host: Host, store: ParkStore | null, put: (cell: Cell, mailbox: Mailbox, item: Item) => void) {
    this.#host = host;
    this.#store = store;
    this.#put = put;
  }

  get isAvailable(): boolean {
    return this.#store !== null;
  }

  /** Learns which keys at home here have parked messages from before. Must be over before anything arrives. */
  async start(homes: Homes): Promise<void> {
    if (this.#store === null || !this.#host.cells.some(cell => cell?.options.onKeyFull === 'park')) return;
    for (const { actor, key, hash, count } of await this.#store.keys()) {
      const cell = this.#host.cells.find(one => one?.name === actor);
      if (!cell || homes.homeOf(hash & homes.mask) !== this.#host.slot) continue;
      const mailbox = cell.mailboxOf(key, hash);
      mailbox.parked = count;
      this.#keys.set(mailbox, { stored: count, appending: 0, taken: -1, taking: false });
      this.drained(cell, mailbox);
    }
  }

  /** Spills an arriving message; it is acked when it stands in the store. */
  park(cell: Cell, mailbox: Mailbox, item: Item): void {
    this.#host.environment.probe?.('key.parked');
    cell.stats.parked++;
    mailbox.parked++;
    let parked = this.#keys.get(mailbox);
    if (!parked) this.#keys.set(mailbox, (parked = { stored: 0, appending: 0, taken: -1, taking: false }));
    parked.appending++;
    this.#append(cell, mailbox, parked, item);
  }

  #append(cell: Cell, mailbox: Mailbox, parked: ParkedKey, item: Item): void {
    const { key, hash, body, source, epoch, position, path, size } = item;
    this.#store!.append({ actor: cell.name, key, hash, body, source, epoch, position, path, size }).then(
      () => {
        parked.appending--;
        parked.stored++;
        item.origin.settle(item.seq, DONE);
        this.drained(cell, mailbox);
      },
      (error: unknown) => {
        // Unsettled meanwhile: it pushes back through the window.
        this.#host.logOf(cell.name).error({ id: item.id, err: toWire(error) }, 'message not parked; tried again');
        this.#host.scheduler.deadlines.at(this.#host.environment.clock.now() + 1000, () => this.#append(cell, mailbox, parked, item));
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
      },
      (error: unknown) => {
        parked.taking = false;
        this.#host.logOf(cell.name).error({ err: toWire(error) }, 'parked messages not read; tried again');
        this.#host.scheduler.deadlines.at(this.#host.environment.clock.now() + 1000, () => this.drained(cell, mailbox));
      },
    );
  }

  /** What comes back is settled against the store. */
  #origin(cell: Cell, mailbox: Mailbox): Origin {
    const store = this.#store!;
    return {
      alive: true,
      settle: seq => {
        store.forget(cell.name, mailbox.key, seq).catch((error: unknown) => this.#host.logOf(cell.name).error({ err: toWire(error) }, 'a parked message was handled but not forgotten; it may come again'));
      },
      reply() {},
      hold() {},
      free() {},
    };
  }
}
