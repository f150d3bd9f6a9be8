/**
 * Partitions that leave this host (rule 19): what is queued of them is bounced to its senders, what runs ends first, and
 * their keys hand their state to onPassivate. Then the supervisor opens the new home.
 */
import type { Environment } from '../environment.ts';
import { NO_EXTRAS, REPLAYABLE, TIMER } from '../lanes/envelope.ts';
import type { Homes } from '../lanes/homes.ts';
import { BOUNCED } from '../lanes/port.ts';
import type { Sender } from '../lanes/sender.ts';
import type { Item } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { Cell } from './cell.ts';
import type { Parking } from './parking.ts';
import type { Residents } from './residents.ts';
import type { Room } from './room.ts';
import type { Scheduler } from './scheduler.ts';

interface ReleaseNeeds {
  readonly environment: Environment;
  readonly cells: readonly (Cell | null)[];
  readonly homes: Homes;
  readonly sender: Sender;
  readonly scheduler: Scheduler;
  readonly residents: Residents;
  readonly parking: Parking;
  readonly room: Room;
  /** It must not wait for its children any longer. */
  letGo(mailbox: Mailbox): void;
  /** Nothing of the partition is here any more. */
  released(partition: number): void;
}

export class Releases {
  readonly #needs: ReleaseNeeds;
  /** Partitions that leave, and their mailboxes whose handlers still run. */
  readonly #leaving = new Map<number, Set<Mailbox>>();

  constructor(needs: ReleaseNeeds) {
    this.#needs = needs;
  }

  /** Bounces what is queued of a partition; batches in flight end first. The state of its keys leaves through onPassivate. */
  release(partition: number): void {
    const running = new Set<Mailbox>();
    this.#leaving.set(partition, running);
    this.#needs.parking.reconsider();
    for (const cell of this.#needs.cells) {
      if (!cell || cell.fixed) continue;
      for (const mailbox of [...cell.mailboxes(partition)])
        if (mailbox.inFlight !== null) running.add(mailbox);
        else this.#bounceAll(cell, mailbox, partition);
    }
    for (const mailbox of [...running]) this.#needs.letGo(mailbox);
    this.releasedIfResting(partition);
  }

  isLeaving(mailbox: Mailbox): boolean {
    return this.#leaving.has(mailbox.hash & this.#needs.homes.mask);
  }

  rested(mailbox: Mailbox): void {
    this.releasedIfResting(mailbox.hash & this.#needs.homes.mask);
  }

  releasedIfResting(partition: number): void {
    if (
      this.#leaving.get(partition)?.size === 0 &&
      this.#needs.room.refused(partition) === 0 &&
      this.#needs.parking.isResting(partition, this.#needs.homes.mask)
    )
      this.#released(partition);
  }

  #released(partition: number): void {
    this.#needs.environment.probe?.('move.released');
    this.#leaving.delete(partition);
    this.#needs.parking.release(partition, this.#needs.homes.mask);
    for (const cell of this.#needs.cells)
      if (cell && !cell.fixed && cell.shared === null)
        for (const mailbox of [...cell.mailboxes(partition)]) this.#bounceAll(cell, mailbox, partition); // taken from the park meanwhile
    this.#needs.released(partition);
  }

  #bounceAll(cell: Cell, mailbox: Mailbox, partition: number): void {
    this.#needs.scheduler.unline(mailbox);
    for (let item = mailbox.head; item !== null; ) {
      const next: Item | null = item.next;
      if ((item.hash & this.#needs.homes.mask) === partition) {
        this.#needs.room.takeOut(cell, mailbox, item);
        if (!item.origin.alive && (item.flags & (REPLAYABLE | TIMER)) === 0) this.#forward(cell, item);
        else {
          if (item.calls > 0) item.origin.tried?.(item.seq, item.calls, item.attempts);
          item.origin.settle(item.seq, BOUNCED);
        }
      }
      item = next;
    }
    if (mailbox === cell.shared) {
      this.#needs.scheduler.consider(cell, mailbox);
      return;
    }
    this.#needs.room.freeHolders(cell, mailbox);
    cell.forget(mailbox);
    this.#needs.residents.dismiss(cell, mailbox, () => {});
  }

  /** Its sender died and cannot give it again: it goes to the new home from here. */
  #forward(cell: Cell, item: Item): void {
    this.#needs.environment.probe?.('message.forwarded');
    const { key, hash, body, source, epoch, position, path, flags, calls, attempts } = item;
    const extras = { ...(item.extras ?? NO_EXTRAS), calls, attempt: attempts };
    this.#needs.sender.send(
      { actor: cell.index, key, hash, number: 0, body, source, epoch, position, path, flags, extras },
      null,
      0,
      null,
    );
  }

  /** A handler is over: if its partition is leaving, this key can go. Children that wait for room leave from here. */
  handled(cell: Cell, mailbox: Mailbox): void {
    if (this.#leaving.size === 0) return;
    // The one mailbox of an actor across keys may be in the way of several partitions.
    for (const [partition, running] of [...this.#leaving])
      if (running.delete(mailbox)) {
        this.#bounceAll(cell, mailbox, partition);
        this.releasedIfResting(partition);
      }
  }
}
