/**
 * What a batch of an actor with durable states does before and after its handler: waits for the state to be read, leaves out
 * what was counted before, and holds its key until the state is written. Only then does it settle (host/durable.ts).
 */
import type { Environment } from '../environment.ts';
import { asError, toWire } from '../errors.ts';
import type { Item } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { BatchTrigger } from '../topology/define.ts';
import { Batch, settlePart } from './batch.ts';
import type { Cell } from './cell.ts';
import type { ContextHost } from './context.ts';
import { ReplyError } from './failed.ts';
import type { Failures } from './failures.ts';
import type { Scheduler } from './scheduler.ts';

export interface SavingNeeds {
  readonly environment: Environment;
  readonly contexts: ContextHost;
  readonly scheduler: Scheduler;
  /** The handler is over; children may still wait for room. */
  handled(cell: Cell, mailbox: Mailbox): void;
  /** The mailbox is free again. */
  freed(cell: Cell, mailbox: Mailbox): void;
  stop(cell: Cell, error: Error): void;
  /** Its partition moves to another host as soon as nothing of it runs. */
  isLeaving(mailbox: Mailbox): boolean;
}

export class Saving {
  readonly #needs: SavingNeeds;
  readonly #failures: Failures;
  /** Batches that wait for their children. */
  readonly #waiting = new Map<Mailbox, { readonly batch: Batch; readonly close: () => void }>();

  constructor(needs: SavingNeeds, failures: Failures) {
    this.#needs = needs;
    this.#failures = failures;
  }

  /** Reads the state of a key whose batch is about to start. Where that fails, the first message has failed. */
  load(
    cell: Cell,
    mailbox: Mailbox,
    items: Item[],
    trigger: BatchTrigger,
    alone: boolean,
    then: (isLoaded: boolean) => void,
  ): void {
    mailbox.inFlight = items;
    cell.durable!.load(mailbox).then(
      () => then(true),
      (error: unknown) => {
        const batch = new Batch(cell, mailbox, items, trigger, alone, this.#needs.scheduler.arrays);
        batch.ended = true;
        this.#putBack(cell, mailbox, items);
        this.#failures.failed(batch, items[0]!, asError(error), false);
        this.#end(cell, mailbox, alone);
        then(false);
      },
    );
  }

  /**
   * Settles what was counted in an earlier life, and gives the others. A message may stand there twice, sent again by a
   * parent whose sender died: then the batch ends before the second, which the next will find counted.
   */
  uncounted(cell: Cell, mailbox: Mailbox, items: Item[]): Item[] {
    const durable = cell.durable!;
    const ids = new Set<string>();
    const others: Item[] = [];
    let at = 0;
    for (; at < items.length; at++) {
      const item = items[at]!;
      if (durable.hasCounted(mailbox, item)) this.#settleCounted(cell, mailbox, item);
      else if (ids.has(item.id)) break;
      else {
        ids.add(item.id);
        others.push(item);
      }
    }
    if (others.length === items.length) return items;
    this.#putBack(cell, mailbox, items.slice(at));
    this.#needs.scheduler.arrays.give(items);
    return others;
  }

  #settleCounted(cell: Cell, mailbox: Mailbox, item: Item): void {
    this.#needs.environment.probe?.('state.counted-before');
    cell.stats.done++;
    if (item.isAsk) item.origin.reply(item.seq, true, cell.durable!.replyOf(mailbox, item));
    settlePart(item);
  }

  nothingToDo(cell: Cell, mailbox: Mailbox, items: Item[], alone: boolean): void {
    this.#needs.scheduler.arrays.give(items);
    this.#end(cell, mailbox, alone);
  }

  /** Holds the key until the children of what succeeded have settled and its state is written; then `close`. */
  hold(batch: Batch, close: () => void): void {
    const { mailbox } = batch;
    mailbox.inFlight = []; // none of them runs, and nothing of the key may begin or leave
    const then = (): void => {
      batch.childless = null;
      this.#waiting.delete(mailbox);
      void this.#save(batch).then(close);
    };
    const waiting = batch.unsaved!.filter(({ item }) => item.pending > 1).length;
    if (waiting === 0) return then();
    batch.childless = { waiting, then };
    this.#waiting.set(mailbox, { batch, close });
    if (this.#needs.isLeaving(mailbox)) this.letGo(mailbox);
  }

  /**
   * A partition moves, and cannot wait for children: they may be on their way to that very partition. What waits for them
   * is handled again at its new home.
   */
  letGo(mailbox: Mailbox): void {
    const waiting = this.#waiting.get(mailbox);
    if (!waiting) return;
    const { batch, close } = waiting;
    this.#waiting.delete(mailbox);
    batch.childless = null;
    this.#void(batch);
    batch.unsaved = null;
    mailbox.inFlight = null;
    close();
  }

  async #save(batch: Batch): Promise<void> {
    const { cell, mailbox } = batch;
    const unsaved = batch.unsaved!;
    if (unsaved.some(({ item }) => item.isOrphan)) this.#void(batch);
    else {
      try {
        await cell.durable!.save(mailbox);
      } catch (error) {
        this.#needs.contexts.logOf(cell.name).error({ err: toWire(asError(error)) }, 'a state cannot be written');
        this.#needs.stop(cell, asError(error));
        return new Promise(() => undefined); // nothing of this key goes on
      }
      this.#needs.environment.probe?.('state.saved');
      for (const { item, reply } of unsaved) {
        cell.stats.done++;
        if (item.isAsk) replyTo(item, reply);
        batch.settlePartOf(item);
      }
    }
    batch.unsaved = null;
    mailbox.inFlight = null;
  }

  /** Nothing of the batch has happened. What a dead sender sends again is forgotten here. */
  #void(batch: Batch): void {
    const { cell, mailbox } = batch;
    batch.isVoid = true;
    this.#needs.environment.probe?.('state.voided');
    cell.durable!.undo(mailbox);
    const back: Item[] = [];
    for (const { item } of batch.unsaved!) {
      batch.forget(item);
      if (item.isOrphan) item.pending = -1;
      else {
        item.pending = 1;
        item.children = item.asks = 0;
        back.push(item);
      }
    }
    this.#putBack(cell, mailbox, back);
  }

  #putBack(cell: Cell, mailbox: Mailbox, items: readonly Item[]): void {
    mailbox.unshift(items, 0, items.length);
    cell.stats.depth += items.length;
    for (const item of items) cell.stats.depthBytes += item.size;
  }

  #end(cell: Cell, mailbox: Mailbox, alone: boolean): void {
    mailbox.inFlight = null;
    cell.stats.inFlightBatches--;
    this.#needs.scheduler.handlerEnded(cell, alone);
    this.#needs.handled(cell, mailbox);
    this.#needs.freed(cell, mailbox);
  }
}

export function replyTo(item: Item, value: unknown): void {
  if (value instanceof ReplyError) item.origin.reply(item.seq, false, value.error);
  else item.origin.reply(item.seq, true, value);
}
