/**
 * A batch in flight: the items one handler call receives, or that one key's turn hands to a `handle` actor one by one,
 * and what the handler did with them so far. What it sends is kept here until it resolves (rule 2).
 */

import type { Envelope } from '../lanes/envelope.ts';
import type { DEAD, DROPPED, Outcome, Owner } from '../lanes/port.ts';
import type { ArrayPool } from '../mailbox/arrays.ts';
import type { Item } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { BatchTrigger } from '../topology/define.ts';
import type { Cell } from './cell.ts';

export interface Sending {
  readonly parent: Item;
  readonly message: Envelope;
}

const NO_SENDS: Sending[] = [];
const NO_ITEMS: Item[] = [];

export class Batch implements Owner {
  readonly cell: Cell;
  readonly mailbox: Mailbox;
  /** From a pool, to which it returns when the batch is over and settled: none are left then. */
  items: Item[];
  readonly #arrays: ArrayPool;
  /** Items that succeeded and whose children have not settled. */
  #unsettled = 0;
  readonly trigger: BatchTrigger;
  /** Slot in the in-flight ledger, -1 when the handler is not running. */
  ledger = -1;
  readonly alone: boolean;
  /** The item that a `handle` actor is at. Items before it succeeded. */
  index = 0;
  startedAt = 0;
  timedOut = false;
  /** Stands in the list of those whose handlers take their time. */
  isListed = false;
  abort: AbortController | null = null;
  /** What the handler sent since the last item that succeeded. */
  sends: Sending[] = NO_SENDS;
  /** Marks of ctx.fail. */
  failures: Map<number, unknown> | null = null;
  /** Children that wait for room; the slot of the batch is not free before they left. */
  unaccepted = 0;
  /** Of an actor with durable states: what succeeded and is not saved, with its reply. */
  unsaved: { readonly item: Item; readonly reply: unknown }[] | null = null;
  /** How many of these wait for children, and whom to tell when none does. */
  childless: { waiting: number; readonly then: () => void } | null = null;
  /** It did not happen: its messages are handled again, and its children count for nothing here. */
  isVoid = false;
  /** The handler has ended: a send now comes too late. */
  ended = false;
  previous: Batch | null = null;
  next: Batch | null = null;

  constructor(cell: Cell, mailbox: Mailbox, items: Item[], trigger: BatchTrigger, alone: boolean, arrays: ArrayPool) {
    this.cell = cell;
    this.mailbox = mailbox;
    this.items = items;
    this.trigger = trigger;
    this.alone = alone;
    this.#arrays = arrays;
  }

  /** Keeps a message that the handler sent. */
  send(parent: Item, message: Envelope): void {
    if (this.sends === NO_SENDS) this.sends = [];
    this.sends.push({ parent, message });
  }

  /** An item succeeded, and its children are on their way. */
  leaveUnsettled(item: Item): void {
    this.#unsettled++;
    const { mailbox, cell } = this;
    mailbox.unsettled++;
    if (cell.options.onKeyFull !== 'park') return;
    mailbox.waiting ??= new Set();
    mailbox.waiting.add(item);
  }

  /** Gives its array back if nobody will ask for its items any more. */
  closeIfSettled(): void {
    if (!this.ended || this.unaccepted > 0 || this.#unsettled > 0 || this.items === NO_ITEMS) return;
    this.#arrays.give(this.items);
    this.items = NO_ITEMS;
  }

  get signal(): AbortSignal {
    this.abort ??= new AbortController();
    return this.abort.signal;
  }

  /** The sender of the item at index `token` died: it sends the item again, and the rerun sends its children again. */
  isOrphan(token: number): boolean {
    return this.isVoid || this.items[token]!.isOrphan;
  }

  /** A child of the item at index `token` settled, however: its own dead letter or drop count speaks for it. */
  settled(token: number, _outcome: Outcome): void {
    if (this.isVoid) return;
    this.settlePartOf(this.items[token]!);
  }

  /** One of the things is done that an item waits for whose handler succeeded. */
  settlePartOf(item: Item): void {
    settlePart(item);
    if (item.pending > 0) {
      const { childless } = this;
      if (item.pending === 1 && childless !== null && --childless.waiting === 0) childless.then();
      return;
    }
    this.forget(item);
    this.closeIfSettled();
  }

  /** An item does not wait for anything any more. */
  forget(item: Item): void {
    this.mailbox.unsettled--;
    this.mailbox.waiting?.delete(item);
    this.#unsettled--;
  }
}

/** One of the things an item waits for is done: its handler, or a child. The last one settles it. */
export function settlePart(item: Item): void {
  if (--item.pending === 0) item.origin.settle(item.seq, 0);
}

/** Settles an item that will never be done. */
export function settleAs(item: Item, outcome: typeof DEAD | typeof DROPPED): void {
  item.pending = 0;
  item.origin.settle(item.seq, outcome);
}
