/**
 * Runs batches: calls the handler, sends the children it made, settles what succeeded, retries or buries what failed.
 * After a batch its successes are a prefix per key (rule 4): a failed item and the later ones of its key go back to the
 * front of the mailbox, those before it are never handled again.
 */

import type { DeadLetter } from '../delivery/dead-letter.ts';
import type { Environment } from '../environment.ts';
import { KeymillError } from '../errors.ts';
import { TIMER } from '../lanes/envelope.ts';
import type { Sender } from '../lanes/sender.ts';
import type { Item } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { BatchTrigger, Key } from '../topology/define.ts';
import { Batch, type Sending, settlePart } from './batch.ts';
import type { Cell } from './cell.ts';
import { type ContextHost, HandlerContext } from './context.ts';
import { type Failed, isThenable, Unattributed } from './failed.ts';
import { Failures } from './failures.ts';
import { type Ledger, markOf } from './ledger.ts';
import { Running } from './running.ts';
import { replyTo, Saving } from './saving.ts';
import type { Scheduler } from './scheduler.ts';
import type { TurnClock } from './turn-clock.ts';

export interface DeliveryNeeds {
  readonly environment: Environment;
  readonly contexts: ContextHost;
  readonly sender: Sender;
  readonly ledger: Ledger;
  readonly scheduler: Scheduler;
  readonly clock: TurnClock;
  /** Writes a dead letter durably, for ever if need be, and then calls `written`. */
  bury(letter: DeadLetter, written: () => void): void;
  /** The handler is over; children may still wait for room. */
  handled(cell: Cell, mailbox: Mailbox): void;
  /** The mailbox is free again. */
  freed(cell: Cell, mailbox: Mailbox): void;
  /** The actor must stop, be made anew, or bring the runtime down (supervise, onDead). */
  supervise(cell: Cell, mailbox: Mailbox, error: Error): void;
  stop(cell: Cell, error: Error): void;
  /** A handler lingers after its time-out: the host must be recycled. */
  recycle(ledgerSlot: number): void;
  isLeaving(mailbox: Mailbox): boolean;
}

const NOTHING: readonly never[] = [];

export class Delivery {
  readonly #needs: DeliveryNeeds;
  readonly #running: Running;
  readonly #failures: Failures;
  readonly #saving: Saving;

  constructor(needs: DeliveryNeeds) {
    this.#needs = needs;
    this.#running = new Running(needs);
    this.#failures = new Failures(needs);
    this.#saving = new Saving(needs, this.#failures);
  }

  start(cell: Cell, mailbox: Mailbox, items: Item[], trigger: BatchTrigger, alone: boolean): void {
    const { environment } = this.#needs;
    if ((alone || items[0]!.solo) && cell.isQuarantined(mailbox, items[0]!)) {
      environment.probe?.('host.quarantined');
      this.#needs.scheduler.handlerEnded(cell, alone);
      cell.stats.inFlightBatches--;
      this.#failures.bury(
        cell,
        mailbox,
        items[0]!,
        new KeymillError('HOST_KILLED', `${items[0]!.id} killed or blocked its host whenever it ran alone`, {
          place: { actor: cell.name },
        }),
      );
      this.#needs.freed(cell, mailbox);
      return;
    }
    if (cell.durable !== null && !cell.durable.isLoaded(mailbox))
      return this.#saving.load(cell, mailbox, items, trigger, alone, loaded => {
        if (loaded) this.start(cell, mailbox, items, trigger, alone);
      });
    const uncounted = cell.durable === null ? items : this.#saving.uncounted(cell, mailbox, items);
    if (uncounted.length === 0) return this.#saving.nothingToDo(cell, mailbox, uncounted, alone);
    this.#run(new Batch(cell, mailbox, uncounted, trigger, alone, this.#needs.scheduler.arrays));
  }

  #run(batch: Batch): void {
    const { cell, mailbox, items, alone } = batch;
    const { ledger, contexts } = this.#needs;
    mailbox.inFlight = items;
    // A `handle` actor is at one item at a time; those before it are done.
    batch.ledger = ledger.enter(
      cell.index,
      mailbox.hash,
      cell.definition.handle ? 1 : items.length,
      alone ? items[0]!.id : null,
      markOf(items[0]!),
    );
    this.#running.begin(batch);
    const isBatch = cell.definition.handleBatch !== undefined && (items[0]!.flags & TIMER) === 0; // a timer comes alone
    const context = new HandlerContext(contexts, batch, isBatch);
    if (isBatch) this.#callBatch(batch, context);
    else this.#callNext(batch, context);
  }

  /** A partition moves away: nothing of this key may go on waiting. */
  letGo(mailbox: Mailbox): void {
    this.#saving.letGo(mailbox);
  }

  /** Takes an item that may not be handled any more. */
  expire(cell: Cell, mailbox: Mailbox, item: Item): void {
    this.#failures.bury(
      cell,
      mailbox,
      item,
      new KeymillError('DEADLINE', `${item.id} waited beyond its deadline`, { place: { actor: cell.name } }),
    );
  }

  /** Gives up an item without handling it, for the reasons of a mailbox: no room, dropped by an operator. */
  reject(cell: Cell, mailbox: Mailbox, item: Item, error: Error, written?: () => void): void {
    this.#failures.bury(cell, mailbox, item, error, false, written);
  }

  // ── calling ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #callBatch(batch: Batch, context: HandlerContext): void {
    const { items, cell } = batch;
    const bodies = this.#needs.scheduler.arrays.take<unknown>(items.length);
    for (let i = 0; i < items.length; i++) {
      bodies[i] = items[i]!.body;
      this.#countCall(cell, items[i]!);
    }
    context.messages = bodies;
    const ended = (value: unknown, thrown: unknown, threw: boolean): void => {
      this.#batchEnded(batch, value, thrown, threw);
      context.messages = NOTHING;
      this.#needs.scheduler.arrays.give(bodies);
    };
    let result: unknown;
    try {
      result = cell.definition.handleBatch!(bodies, context as never);
    } catch (error) {
      return ended(undefined, error, true);
    }
    if (isThenable(result)) {
      this.#running.goesOn(batch);
      result.then(
        value => ended(value, undefined, false),
        (error: unknown) => ended(undefined, error, true),
      );
    } else ended(result, undefined, false);
  }

  /** Goes on with the next item of a `handle` actor. Loops while handlers are synchronous. */
  #callNext(batch: Batch, context: HandlerContext): void {
    const { cell, items } = batch;
    while (batch.index < items.length) {
      const item = items[batch.index]!;
      if (item.isOrphan) {
        this.#discard(item); // its sender died meanwhile and sends it again
        batch.index++;
        continue;
      }
      if (batch.index > 0) this.#needs.ledger.goOn(batch.ledger, markOf(item));
      this.#countCall(cell, item);
      let result: unknown;
      try {
        result =
          (item.flags & TIMER) !== 0
            ? cell.definition.onTimer?.(item.body as string, context as never)
            : cell.definition.handle!(item.body, context as never);
      } catch (error) {
        this.#ended(batch, [], [{ index: batch.index, error }]);
        return;
      }
      if (isThenable(result)) {
        this.#running.goesOn(batch);
        result.then(
          value => {
            if (this.#itemDone(batch, item, value)) this.#callNext(batch, context);
          },
          (error: unknown) => this.#ended(batch, [], [{ index: batch.index, error }]),
        );
        return;
      }
      if (!this.#itemDone(batch, item, result)) return;
    }
    this.#through(batch);
  }

  /**
   * True if the next item may run at once. Where children of this one wait for room, the batch ends here: what is left
   * of it goes back to the mailbox, which is free again when they have left. No handler runs meanwhile, so no time-out does.
   */
  #itemDone(batch: Batch, item: Item, value: unknown): boolean {
    if (batch.cell.durable !== null && !this.#count(batch, [item], [value])) return false;
    this.#succeeded(batch, item, batch.index, value, batch.sends);
    if (batch.sends.length > 0) batch.sends.length = 0;
    batch.index++;
    if (batch.unaccepted > 0) {
      this.#ended(batch, [], []);
      return false;
    }
    if (batch.timedOut) this.#running.restart(batch);
    return true;
  }

  /** Items succeeded: their ids and the state are to be kept. Where the state cannot be packed, the handler has failed. */
  #count(batch: Batch, items: readonly Item[], replies: readonly unknown[]): boolean {
    const { cell, mailbox } = batch;
    if (cell.durable === null) return true;
    try {
      cell.durable.count(mailbox, items, replies);
      return true;
    } catch (error) {
      this.#ended(batch, [], [{ index: batch.index, error }]);
      return false;
    }
  }

  #countCall(cell: Cell, item: Item): void {
    if (item.calls++ > 0) cell.stats.repeats++;
  }

  // ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #batchEnded(batch: Batch, value: unknown, thrown: unknown, threw: boolean): void {
    const { items, failures } = batch;
    if (!threw && failures === null) return this.#allSucceeded(batch, value);
    const succeeded: number[] = [];
    const failed: Failed[] = [];
    if (threw && failures === null) {
      // Nobody said which item it was. Of a larger batch each is tried by itself, so that only the guilty one pays.
      failed.push({ index: 0, error: thrown });
      const errorClass = this.#failures.classOf(batch.cell, thrown);
      if (items.length > 1 && (batch.timedOut || (errorClass !== 'transient' && errorClass !== 'throttled'))) {
        for (const item of items) item.solo = true;
        failed[0]!.error = new Unattributed(thrown);
      }
    } else {
      const behind = new Set<Key>();
      for (let i = 0; i < items.length; i++) {
        const { key } = items[i]!;
        if (behind.has(key)) continue;
        if (failures?.has(i)) {
          behind.add(key);
          failed.push({ index: i, error: failures.get(i), isMarked: true });
        } else if (!threw) succeeded.push(i); // thrown beside marks: what is not marked was not said to be done either
      }
      if (failures !== null && succeeded.length > 0) this.#needs.environment.probe?.('batch.partial');
    }
    const replies = Array.isArray(value) ? (value as unknown[]) : [];
    this.#ended(batch, succeeded, failed, replies);
  }

  /** The way of most batches, which makes no arrays. */
  #allSucceeded(batch: Batch, value: unknown): void {
    const { items } = batch;
    const replies = Array.isArray(value) ? (value as unknown[]) : null;
    if (!this.#count(batch, items, replies ?? NOTHING)) return;
    const sends = sendsByParent(batch.sends);
    this.#running.untrack(batch);
    for (let i = 0; i < items.length; i++)
      this.#succeeded(batch, items[i]!, i, replies === null ? undefined : replies[i], sends?.get(items[i]!) ?? NOTHING);
    this.#close(batch, true);
  }

  /** All items of a `handle` actor succeeded, and were settled on the way. */
  #through(batch: Batch): void {
    this.#running.untrack(batch);
    this.#close(batch, true);
  }

  #close(batch: Batch, isWell: boolean): void {
    const { cell, mailbox } = batch;
    if (batch.unsaved !== null) return this.#saving.hold(batch, () => this.#close(batch, isWell));
    if (isWell) mailbox.failures = 0;
    this.#needs.handled(cell, mailbox);
    this.#finish(batch);
  }

  /**
   * The handler is over. `succeeded` are indexes of a batch handler's successes (a `handle` actor settled its own on
   * the way); everything else from `batch.index` on that is not failed was held back by a failure before it.
   */
  #ended(
    batch: Batch,
    succeeded: readonly number[],
    failed: readonly Failed[],
    replies: readonly unknown[] = [],
  ): void {
    const { cell, mailbox, items } = batch;
    this.#running.untrack(batch);
    const isMarked = failed.some(one => one.isMarked);
    if (cell.durable !== null && failed.length > 0 && !isMarked) cell.durable.restore(mailbox);
    else if (succeeded.length > 0)
      cell.durable?.count(
        mailbox,
        succeeded.map(index => items[index]!),
        succeeded.map(index => replies[index]),
      );
    const done = new Set(succeeded);
    const sends = sendsByParent(batch.sends);
    if (sends !== null && done.size < items.length) this.#needs.environment.probe?.('children.discarded');
    for (const index of succeeded)
      this.#succeeded(batch, items[index]!, index, replies[index], sends?.get(items[index]!) ?? NOTHING);
    const back: Item[] = [];
    for (let i = batch.index; i < items.length; i++) if (!done.has(i)) this.#goesBack(items[i]!, back);
    mailbox.unshift(back, 0, back.length);
    cell.stats.depth += back.length;
    for (const item of back) {
      cell.stats.depthBytes += item.size;
      item.children = item.asks = 0;
    }
    for (const { index, error, isMarked } of failed)
      this.#failures.failed(batch, items[index]!, error, isMarked === true);
    this.#close(batch, failed.length === 0);
  }

  #goesBack(item: Item, back: Item[]): void {
    if (item.isOrphan) this.#discard(item);
    else back.push(item);
  }

  /** What its dead sender replays must not run from here as well (rule 9). */
  #discard(item: Item): void {
    this.#needs.environment.probe?.('retry.orphan-discarded');
    item.pending = -1;
  }

  #succeeded(batch: Batch, item: Item, index: number, value: unknown, sends: readonly Sending[]): void {
    const { cell } = batch;
    item.solo = false;
    if (cell.durable !== null) {
      item.pending++; // it settles when its state is written
      (batch.unsaved ??= []).push({ item, reply: value });
    } else {
      cell.stats.done++;
      if (item.isAsk) replyTo(item, value);
    }
    // Its dead sender sends the item again, and its rerun the children. They must all come from there, or a later one
    // sent from here would overtake an earlier one that was withdrawn (Sender.laneOpened).
    const { isOrphan } = item;
    if (sends.length > 0) this.#needs.environment.probe?.(isOrphan ? 'children.discarded' : 'children.sent');
    if (sends.length > 0 && !isOrphan) this.#sendChildren(batch, item, index, sends);
    settlePart(item);
    if (item.pending > 0) batch.leaveUnsettled(item);
  }

  #sendChildren(batch: Batch, item: Item, index: number, sends: readonly Sending[]): void {
    for (const { message } of sends) {
      item.pending++;
      const accepted = (): void => {
        if (--batch.unaccepted === 0) this.#finish(batch);
      };
      const sent = this.#needs.sender.send(message, batch, index, accepted, accepted);
      if (sent !== true) {
        batch.unaccepted++;
        this.#needs.environment.probe?.('children.waited');
      }
    }
  }

  #finish(batch: Batch): void {
    if (!batch.ended || batch.unaccepted > 0 || batch.unsaved !== null) return;
    batch.closeIfSettled();
    this.#needs.freed(batch.cell, batch.mailbox);
  }
}

function sendsByParent(sends: readonly Sending[]): Map<Item, Sending[]> | null {
  if (sends.length === 0) return null;
  const byParent = new Map<Item, Sending[]>();
  for (const send of sends) {
    const its = byParent.get(send.parent);
    if (its) its.push(send);
    else byParent.set(send.parent, [send]);
  }
  return byParent;
}
