/**
 * Passivation: keys that are idle too long, or too many, leave memory with their state (E7). A key with a batch, retry,
 * timer, child or write pending is never idle, so it never goes (rule 16).
 */
import type { Environment, Timer } from '../environment.ts';
import { toWire } from '../errors.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { Cell } from './cell.ts';
import { actorContext, type ContextHost } from './context.ts';

/** Keys in use that are looked at in search of an idle one, when a new one comes. */
const LOOKS = 16;

export class Residents {
  readonly #environment: Environment;
  readonly #contexts: ContextHost;
  readonly #freed: (cell: Cell, mailbox: Mailbox) => void;
  #timer: Timer | null = null;
  /** onPassivate hooks that run. */
  leaving = 0;

  constructor(environment: Environment, contexts: ContextHost, freed: (cell: Cell, mailbox: Mailbox) => void) {
    this.#environment = environment;
    this.#contexts = contexts;
    this.#freed = freed;
  }

  /** Looks for idle keys every quarter of the shortest idle time, at least each minute, at most each second. */
  watch(cells: readonly (Cell | null)[]): void {
    const shortest = Math.min(...cells.map(cell => cell?.options.passivateMs ?? Number.POSITIVE_INFINITY), 240_000);
    this.#timer = this.#environment.clock.after(Math.max(1000, shortest / 4), () => {
      const now = this.#environment.clock.now();
      for (const cell of cells) {
        if (!cell) continue;
        // Each once at most: who is pinned goes to the end of the line.
        for (let left = cell.idle.size; left > 0; left--) {
          const eldest = cell.idle.eldest(now, left);
          if (eldest === null || eldest.idleSince + cell.options.passivateMs > now) break;
          this.passivate(cell, eldest);
        }
      }
      this.watch(cells);
    });
  }

  /** Called when a key became resident: beyond maxResident one that has been idle for long goes. */
  bound(cell: Cell, arrived: Mailbox): void {
    if (cell.stats.residentKeys <= cell.options.maxResident) return;
    const eldest = cell.idle.eldest(this.#environment.clock.now(), LOOKS, arrived);
    if (eldest !== null) this.passivate(cell, eldest);
  }

  /** Takes the eldest idle key out of memory. Messages that come while onPassivate runs wait, and find a new state. */
  passivate(cell: Cell, mailbox: Mailbox): void {
    if (isPinned(mailbox)) {
      mailbox.idleSince = Math.ceil(this.#environment.clock.now()) + 1; // looked at again when it has been idle once more
      return;
    }
    cell.idle.leave(mailbox);
    this.#environment.probe?.('mailbox.passivated');
    cell.stats.passivated++;
    this.dismiss(cell, mailbox, () => {
      if (mailbox.count === 0) cell.forget(mailbox);
      else cell.idle.push(mailbox, this.#environment.clock.now());
      this.#freed(cell, mailbox);
    });
  }

  /** Hands the state of a key to onPassivate and forgets it. The mailbox is `running` meanwhile. */
  dismiss(cell: Cell, mailbox: Mailbox, done: () => void): void {
    const { state, hasState } = mailbox;
    mailbox.state = undefined;
    mailbox.hasState = false;
    cell.durable?.forget(mailbox);
    mailbox.standing = 'running';
    const hook = cell.definition.onPassivate;
    if (!hasState || !hook) return done();
    let result: unknown;
    const context = actorContext(this.#contexts, cell.name);
    const failed = (error: unknown): void =>
      context.log.error({ key: mailbox.hash, err: toWire(error) }, 'onPassivate failed; the state is gone');
    try {
      result = hook.call(cell.definition, state, mailbox.key, context);
    } catch (error) {
      failed(error);
      return done();
    }
    if (!(result instanceof Promise)) return done();
    this.leaving++;
    mailbox.inFlight = [];
    result.catch(failed).finally(() => {
      this.leaving--;
      mailbox.inFlight = null;
      done();
    });
  }

  close(): void {
    this.#timer?.cancel();
  }
}

/** Something of this key is still on its way, or it is held on purpose. */
function isPinned({ timers, unsettled, paused, parked, refusing }: Mailbox): boolean {
  return timers > 0 || unsettled > 0 || paused || parked > 0 || refusing > 0;
}
