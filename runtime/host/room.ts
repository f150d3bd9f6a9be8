/** What a mailbox does with a message for which it has no room, and whom it tells when it has room again (rules 7 and 11). */
import type { Environment } from '../environment.ts';
import { KeymillError } from '../errors.ts';
import { DROPPABLE } from '../lanes/envelope.ts';
import { DROPPED } from '../lanes/port.ts';
import type { Item } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { DropReason } from '../observe/stats.ts';
import { settleAs } from './batch.ts';
import type { Cell } from './cell.ts';
import type { Delivery } from './deliver.ts';
import type { Parking } from './parking.ts';

const DROP_PROBES = {
  DropOldest: 'mailbox.drop-oldest',
  DropNewest: 'mailbox.drop-newest',
  DropWrite: 'mailbox.drop-write',
  KeyFull: 'mailbox.drop-ask',
} as const;

interface RoomNeeds {
  readonly environment: Environment;
  readonly delivery: Delivery;
  readonly parking: Parking;
  readonly partitions: number;
  /** All refused messages of a partition have their dead letters. */
  unrefused(partition: number): void;
}

export class Room {
  readonly #needs: RoomNeeds;
  /** By partition: messages refused for want of room whose dead letters are not written. */
  readonly #refused: Int32Array;

  constructor(needs: RoomNeeds) {
    this.#needs = needs;
    this.#refused = new Int32Array(needs.partitions);
  }

  /** Messages of this partition that were refused and whose dead letters are not written. */
  refused(partition: number): number {
    return this.#refused[partition]!;
  }

  /** What a full mailbox does. True if the arriving item may join it. */
  make(cell: Cell, mailbox: Mailbox, item: Item): boolean {
    const { mailbox: bounds, onKeyFull } = cell.options;
    if (bounds.full !== 'Wait') {
      const victim = this.#victim(mailbox, item, bounds.full, bounds.allowLoss);
      if (victim !== null) {
        if (victim !== item) this.takeOut(cell, mailbox, victim);
        this.drop(cell, victim, bounds.full);
        return victim !== item;
      }
    }
    this.#needs.environment.probe?.('mailbox.full-wait');
    if (onKeyFull === 'dead') {
      this.#needs.environment.probe?.('key.dead-letters-overflow');
      this.#refuse(mailbox, item, 1);
      this.#needs.delivery.reject(
        cell,
        mailbox,
        item,
        new KeymillError(
          'KEY_FULL',
          `a key of ${cell.name} holds ${mailbox.count} messages and ${mailbox.bytes} bytes`,
          { place: { actor: cell.name } },
        ),
        () => this.#refuse(mailbox, item, -1),
      );
      return false;
    }
    if (onKeyFull === 'park' && this.#needs.parking.isAvailable) {
      this.#needs.parking.park(cell, mailbox, item);
      return false;
    }
    if (mailbox !== cell.shared) {
      mailbox.holding ??= new Set();
      if (!mailbox.holding.has(item.origin)) {
        mailbox.holding.add(item.origin);
        item.origin.hold(cell.index, mailbox.key);
      }
    }
    return true; // it is here already and counts against the window of its lane
  }

  /** One more message, or one less, was refused and its dead letter is not written. Its partition stays until it is. */
  #refuse(mailbox: Mailbox, { hash }: Item, change: 1 | -1): void {
    mailbox.refusing += change;
    const partition = hash & (this.#needs.partitions - 1);
    this.#refused[partition]! += change;
    if (this.#refused[partition] === 0) this.#needs.unrefused(partition);
  }

  /** Only items never started may be dropped, and only tells unless the actor allows loss (rule 11). */
  #victim(mailbox: Mailbox, arriving: Item, mode: DropReason | 'Wait', allowLoss: boolean): Item | null {
    const may = (item: Item): boolean => item.calls === 0 && (allowLoss || (item.flags & DROPPABLE) !== 0);
    if (mode === 'DropOldest') {
      for (let item = mailbox.head; item !== null; item = item.next) if (may(item)) return item;
    } else if (mode === 'DropNewest')
      for (let item = mailbox.tail; item !== null; item = item.previous) if (may(item)) return item;
    return may(arriving) ? arriving : null;
  }

  drop(cell: Cell, item: Item, reason: DropReason): void {
    this.#needs.environment.probe?.(DROP_PROBES[reason]);
    cell.stats.dropped[reason]++;
    if (item.isAsk)
      item.origin.reply(
        item.seq,
        false,
        new KeymillError('MAILBOX_FULL', `dropped by ${cell.name} (${reason})`, { place: { actor: cell.name } }),
      );
    settleAs(item, DROPPED);
  }

  takeOut(cell: Cell, mailbox: Mailbox, item: Item): void {
    mailbox.remove(item);
    cell.stats.depth--;
    cell.stats.depthBytes -= item.size;
  }

  /** After a mailbox got emptier. */
  maybeFree(cell: Cell, mailbox: Mailbox): void {
    if (mailbox.parked === 0 && mailbox.holding === null) return;
    if (mailbox.parked > 0) this.#needs.parking.drained(cell, mailbox);
    if (cell.hasRoomAgain(mailbox)) this.freeHolders(cell, mailbox);
  }

  freeHolders(cell: Cell, mailbox: Mailbox): void {
    if (mailbox.holding === null) return;
    for (const origin of mailbox.holding) origin.free(cell.index, mailbox.key);
    mailbox.holding = null;
  }
}
