/**
 * Batches whose handlers run: a list per actor, oldest first, and one deadline for all of it. A handler that takes too
 * long is told, and its key held until it ends; one that still lingers has its host recycled (rule 9).
 */
import type { Environment } from '../environment.ts';
import { KeymillError } from '../errors.ts';
import type { Batch } from './batch.ts';
import type { Cell } from './cell.ts';
import type { ContextHost } from './context.ts';
import type { Ledger } from './ledger.ts';
import type { Scheduler } from './scheduler.ts';
import type { TurnClock } from './turn-clock.ts';

interface RunningNeeds {
  readonly environment: Environment;
  readonly contexts: ContextHost;
  readonly ledger: Ledger;
  readonly scheduler: Scheduler;
  readonly clock: TurnClock;
  /** A handler lingers: the host must be recycled, and this slot of the ledger is to blame. */
  recycle(ledgerSlot: number): void;
}

export class Running {
  readonly #needs: RunningNeeds;

  constructor(needs: RunningNeeds) {
    this.#needs = needs;
  }

  /** Its handler is about to begin. */
  begin(batch: Batch): void {
    batch.startedAt = this.#needs.clock.begin(batch.cell);
    batch.cell.running++;
  }

  /** Its handler did not end at once: from now on its time counts, for each item of a `handle` actor anew. */
  goesOn(batch: Batch): void {
    if (batch.isListed) return this.restart(batch);
    batch.isListed = true;
    const now = this.#needs.clock.tick();
    if (batch.index > 0) batch.startedAt = now;
    this.#append(batch);
  }

  #append(batch: Batch): void {
    const { cell } = batch;
    batch.previous = cell.newestRunning;
    batch.next = null;
    if (cell.newestRunning === null) cell.oldestRunning = batch;
    else cell.newestRunning.next = batch;
    cell.newestRunning = batch;
    this.#arm(cell); // those before it may all be late already, and nobody watching
  }

  #unlink(batch: Batch): void {
    const { cell } = batch;
    if (batch.previous === null) cell.oldestRunning = batch.next;
    else batch.previous.next = batch.next;
    if (batch.next === null) cell.newestRunning = batch.previous;
    else batch.next.previous = batch.previous;
    batch.previous = batch.next = null;
  }

  /** A `handle` actor is at another item, whose handler takes its time: that starts anew. */
  restart(batch: Batch): void {
    if (batch.cell.options.timeoutMs === 0 || batch.ended) return;
    batch.startedAt = this.#needs.clock.tick();
    if (batch.timedOut) {
      batch.timedOut = false;
      batch.abort = null;
    }
    if (batch.cell.newestRunning !== batch) {
      this.#unlink(batch);
      this.#append(batch);
    } else this.#arm(batch.cell); // after a late item nobody may be watching
  }

  /** Its handler has ended. */
  untrack(batch: Batch): void {
    const { cell } = batch;
    this.#needs.clock.end(cell, batch.startedAt, batch.items[0]!.arrivedAt, batch.isListed);
    if (batch.timedOut) this.#needs.environment.probe?.('batch.zombie-ended');
    batch.ended = true;
    batch.mailbox.inFlight = null;
    if (batch.isListed) this.#unlink(batch);
    cell.running--;
    cell.stats.inFlightBatches--;
    this.#needs.ledger.leave(batch.ledger);
    this.#needs.scheduler.handlerEnded(cell, batch.alone);
  }

  /** One deadline per cell, for its oldest batch: all batches of an actor have the same time. */
  #arm(cell: Cell): void {
    const { timeoutMs } = cell.options;
    if (timeoutMs === 0 || cell.watching) return;
    let oldest = cell.oldestRunning;
    while (oldest?.timedOut) oldest = oldest.next;
    if (!oldest) return;
    cell.watching = true;
    this.#needs.scheduler.deadlines.at(oldest.startedAt + timeoutMs, () => {
      cell.watching = false;
      const now = this.#needs.environment.clock.now();
      for (let batch = cell.oldestRunning; batch !== null; batch = batch.next)
        if (!batch.timedOut && now >= batch.startedAt + timeoutMs) this.#timeOut(batch);
      this.#arm(cell);
    });
  }

  /** The key stays held until the handler ends (rule 9); if it does not, the host is recycled. */
  #timeOut(batch: Batch): void {
    const { cell } = batch;
    batch.timedOut = true;
    cell.stats.timeouts++;
    this.#needs.environment.probe?.('batch.timed-out');
    const error = new KeymillError(
      'HANDLER_TIMEOUT',
      `the handler of ${cell.name} took longer than ${cell.options.timeoutMs} ms`,
      { place: { actor: cell.name } },
    );
    this.#needs.contexts
      .logOf(cell.name)
      .warn(
        { id: batch.items[batch.index]?.id, timeoutMs: cell.options.timeoutMs },
        'handler timed out; its key is held until it ends',
      );
    if (batch.abort === null) batch.signal; // makes the controller, so that a late look at ctx.signal sees the abort
    batch.abort!.abort(error);
    const { zombieMs } = cell.options;
    if (zombieMs === 0) return;
    const startedAt = batch.startedAt;
    this.#needs.scheduler.deadlines.at(this.#needs.environment.clock.now() + zombieMs, () => {
      if (batch.ended || !batch.timedOut || batch.startedAt !== startedAt) return;
      this.#needs.environment.probe?.('batch.host-recycled');
      this.#needs.recycle(batch.ledger);
    });
  }
}
