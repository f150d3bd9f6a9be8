/** What becomes of a message that failed: error classes, retries, dead letters (rules 5 and 6). */
import type { DeadLetter } from '../delivery/dead-letter.ts';
import { retryDelay } from '../delivery/retry.ts';
import type { Environment } from '../environment.ts';
import { asError, classOf, type ErrorClass, KeymillError, toWire } from '../errors.ts';
import { TIMER } from '../lanes/envelope.ts';
import { DEAD } from '../lanes/port.ts';
import type { Item } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import { type Batch, settleAs } from './batch.ts';
import type { Cell } from './cell.ts';
import type { ContextHost } from './context.ts';
import { Unattributed } from './failed.ts';

export interface FailureNeeds {
  readonly environment: Environment;
  readonly contexts: ContextHost;
  /** Writes a dead letter; `written` comes when it stands. */
  bury(letter: DeadLetter, written: () => void): void;
  /** A failure that counts: what `supervise` says. */
  supervise(cell: Cell, mailbox: Mailbox, error: Error): void;
  stop(cell: Cell, error: Error): void;
}

export class Failures {
  readonly #needs: FailureNeeds;

  constructor(needs: FailureNeeds) {
    this.#needs = needs;
  }

  /** One item of a batch failed: it waits for its retry, or dies. */
  failed(batch: Batch, item: Item, thrown: unknown, isMarked: boolean): void {
    if (item.pending < 0) return; // discarded
    const { cell, mailbox } = batch;
    const { environment } = this.#needs;
    const { retry } = cell.options;
    const unattributed = thrown instanceof Unattributed;
    let error = asError(unattributed ? thrown.error : thrown);
    let errorClass = this.classOf(cell, error);
    // What the handler itself said of an item stands, however late it said so.
    if (batch.timedOut && !isMarked && errorClass !== 'fatal') {
      error = new KeymillError(
        'HANDLER_TIMEOUT',
        `the handler of ${cell.name} took longer than ${cell.options.timeoutMs} ms`,
        { cause: error, place: { actor: cell.name } },
      );
      errorClass = 'unknown';
    }
    mailbox.failures++;
    item.history ??= [];
    if (item.history.length < 20)
      item.history.push({ at: environment.clock.wall(), class: errorClass, message: error.message });
    this.#needs.contexts
      .logOf(cell.name)
      .warn({ id: item.id, class: errorClass, attempt: item.attempts + 1, err: toWire(error) }, 'handler failed');

    const isFree = unattributed || errorClass === 'transient' || errorClass === 'throttled';
    if (isFree) item.freeFailures++;
    else item.attempts++;
    if (!unattributed && (errorClass === 'fatal' || item.attempts >= retry.attempts)) {
      if (errorClass !== 'fatal') environment.probe?.('retry.exhausted');
      mailbox.remove(item);
      cell.stats.depth--;
      cell.stats.depthBytes -= item.size;
      this.bury(cell, mailbox, item, error);
    } else {
      environment.probe?.(isFree ? 'retry.free' : 'retry.attempt');
      cell.stats.retries++;
      const delay = retryDelay(retry, isFree ? item.freeFailures : item.attempts, environment.random);
      mailbox.notBefore = Math.max(mailbox.notBefore, environment.clock.now() + delay);
    }
    if (!isFree) this.#needs.supervise(cell, mailbox, error);
  }

  /** Dead letter first, then settle (rule 6). `byHandler`: what onDead says applies. */
  bury(cell: Cell, mailbox: Mailbox, item: Item, error: Error, byHandler = true, written?: () => void): void {
    const { environment } = this.#needs;
    if (byHandler) {
      environment.probe?.(
        cell.options.onDead === 'skip'
          ? 'dead.skip'
          : cell.options.onDead === 'parkKey'
            ? 'dead.park-key'
            : 'dead.stop',
      );
      if (cell.options.onDead === 'parkKey') mailbox.paused = true;
      if (cell.options.onDead === 'stop') this.#needs.stop(cell, error);
    }
    if ((item.flags & TIMER) !== 0) return;
    const letter: DeadLetter = {
      id: item.id,
      actor: cell.name,
      key: item.key,
      message: item.body,
      error: toWire(error),
      history: item.history ?? [],
      attempts: item.attempts,
      at: environment.clock.wall(),
    };
    this.#needs.bury(letter, () => {
      cell.stats.dead++;
      environment.probe?.('dead.written');
      // Not before: until the letter stands, a crash would have it handled again, and it may succeed.
      if (item.isAsk) item.origin.reply(item.seq, false, error);
      settleAs(item, DEAD);
      written?.();
    });
  }

  /** The class of what a handler threw, as its actor sees it. */
  classOf(cell: Cell, thrown: unknown): ErrorClass {
    const error = thrown instanceof Unattributed ? thrown.error : thrown;
    return cell.definition.classify?.(error) ?? classOf(error);
  }
}
