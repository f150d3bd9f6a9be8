/** What follows from failures beyond the message itself: dead letters, restarted state, stopped actors, escalation. */
import type { DeadLetter } from '../delivery/dead-letter.ts';
import type { Environment } from '../environment.ts';
import { describe, isKeymillError, toWire } from '../errors.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { Cell } from './cell.ts';
import type { Report } from './control.ts';
import type { HostPlan } from './host-plan.ts';
import type { Outgoing } from './outgoing.ts';
import type { Scheduler } from './scheduler.ts';

interface TroubleNeeds {
  readonly plan: HostPlan;
  readonly environment: Environment;
  readonly outgoing: Outgoing;
  readonly scheduler: Scheduler;
  report(report: Report): void;
}

export class Troubles {
  readonly #needs: TroubleNeeds;

  constructor(needs: TroubleNeeds) {
    this.#needs = needs;
  }

  /** Writes a dead letter, again and again until it stands; what it belongs to stays unsettled meanwhile (rule 6). */
  bury(letter: DeadLetter, written: () => void): void {
    this.#needs.outgoing
      .askIo(this.#needs.plan.deadLetters, { op: 'write', letter }, null)
      .then(written, (error: unknown) => {
        // What cannot be carried is written down as far as a text can show it: to try again would change nothing.
        if (
          typeof letter.message !== 'string' &&
          (isKeymillError(error, 'MESSAGE_NOT_CARRIABLE') || isKeymillError(error, 'MESSAGE_TOO_LARGE'))
        )
          return this.bury({ ...letter, message: describe(letter.message, 10_000) }, written);
        this.#needs.environment.probe?.('dead.write-failed');
        this.#needs.outgoing
          .logOf(letter.actor)
          .error({ id: letter.id, err: toWire(error) }, 'dead letter not written; tried again');
        this.#needs.scheduler.deadlines.at(
          this.#needs.environment.clock.now() + this.#needs.plan.options.deadLetters.retryMs,
          () => this.bury(letter, written),
        );
      });
  }

  supervise(cell: Cell, mailbox: Mailbox, error: Error): void {
    const { onError, maxRestarts, withinMs } = cell.options.supervise;
    if (onError === 'resume') return;
    if (onError === 'stop') return this.stop(cell, error);
    if (onError === 'restart') {
      if (cell.durable) cell.durable.restore(mailbox);
      else {
        mailbox.state = undefined;
        mailbox.hasState = false;
      }
      cell.stats.restarts++;
      const now = this.#needs.environment.clock.now();
      cell.restarts = cell.restarts.filter(at => at > now - withinMs);
      cell.restarts.push(now);
      this.#needs.outgoing.logOf(cell.name).warn({ err: toWire(error) }, 'the state of a key was made anew');
      if (cell.restarts.length <= maxRestarts) return;
    }
    this.#needs.report({ type: 'escalate', actor: cell.name, error: toWire(error) });
  }

  stop(cell: Cell, error: Error): void {
    if (cell.stopped) return;
    cell.stopped = true;
    for (const mailbox of cell.mailboxes()) this.#needs.scheduler.unline(mailbox);
    this.#needs.outgoing.logOf(cell.name).error({ err: toWire(error) }, 'the actor stopped; its messages wait');
    this.#needs.report({ type: 'actor-stopped', actor: cell.name, error: toWire(error) });
  }
}
