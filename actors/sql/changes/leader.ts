/**
 * Who of several replicas reads a table (S11): the one that holds its lease. The others stand by, and take it when it ran out.
 *
 * Two things keep a former leader from doing harm. Its token goes with every write that counts, and a lower one than the
 * highest seen is refused where it is written (SQL_FENCED): that holds whatever the clocks and the network do. And it stops
 * by itself before its lease can have run out, counted from when it last asked for it: that saves work that would be in vain.
 */
import { asError, type Environment, isKeymillError, type Log, type Timer } from '../../../runtime/index.ts';
import type { Bookmark } from '../driver.ts';
import { pause } from './pause.ts';

export const LEASE_MS = 10_000;
/** A leader stops this part of the lease before its end: for clocks that run at different speeds. */
const MARGIN = 0.1;
/** What its last writes may take when it closes; then the lease runs out by itself. */
const CLOSE_MS = 2000;

/** What a take found. */
export interface Taken {
  readonly isMine: boolean;
  readonly token: number;
  /** Who has it, as far as the place tells. */
  readonly owner: string | null;
  /** Until when it cannot be taken; null where the place does not tell. */
  readonly leftMs: number | null;
  /** What the last leader kept: the text of a mark. */
  readonly mark: string | null;
}

/** Where the lease is, and the position of its holder with it. */
export interface LeasePlace {
  /** For the log. */
  readonly at: string;
  take(owner: string, leaseMs: number): Promise<Taken>;
  renew(token: number, leaseMs: number): Promise<boolean>;
  release(token: number): Promise<void>;
  /** Keeps both, the mark where it is given. Throws SQL_FENCED where the token is not the highest any more. */
  keep(
    token: number,
    bookmark: Bookmark,
    kept: { readonly mark?: string; readonly isTakeOver?: boolean },
  ): Promise<void>;
}

export interface LeaderNeeds {
  readonly place: LeasePlace;
  readonly environment: Environment;
  readonly log: Log;
  readonly table: string;
  readonly owner: string;
  readonly leaseMs: number;
  readonly renewMs: number;
  /** What the leader of now has kept, seen while standing by. */
  readonly saw: (mark: string | null) => void;
}

/** From taking the lease until it is lost. */
export interface Term {
  readonly token: number;
  readonly mark: string | null;
  /** Aborts when the term is over. */
  readonly signal: AbortSignal;
}

interface Held extends Term {
  readonly over: AbortController;
  /** By the clock of this process: from then on the lease may be another's. */
  until: number;
  renewal: Timer | null;
  end: Timer | null;
}

export class Leader {
  readonly #needs: LeaderNeeds;
  #held: Held | null = null;
  #isClosed = false;
  /** What the log was told last. */
  #told = '';

  constructor(needs: LeaderNeeds) {
    this.#needs = needs;
  }

  /** The term, while the lease cannot have run out. */
  get term(): Term | null {
    const held = this.#held;
    if (held && this.#needs.environment.clock.now() >= held.until) this.lose('its lease may have run out');
    return this.#held;
  }

  /**
   * Resolves with a term, one that there is or the next; with null when a signal aborts. `finish` ends it too once another has
   * held the lease for longer than it lasts, so that it is alive and does the work. Throws what does not heal by itself.
   */
  async lead(signal: AbortSignal, finish: AbortSignal): Promise<Term | null> {
    const { environment, leaseMs, renewMs } = this.#needs;
    const { clock } = environment;
    const since = clock.now();
    while (!signal.aborted && !this.#isClosed) {
      const { term } = this;
      if (term) return term;
      const left = await this.#try();
      if (this.term) continue;
      if (finish.aborted && clock.now() - since > leaseMs + renewMs) return null;
      // All that stand by look at once when a lease runs out: some ms apart is enough, as looking costs little.
      const soon = left === null ? renewMs : Math.min(renewMs, Math.max(0, left) + 1 + 20 * environment.random());
      await pause(clock, soon, signal);
    }
    return null;
  }

  /** The term is over: nothing is written under it any more. */
  lose(why: string, error?: unknown): void {
    const held = this.#end();
    if (!held) return;
    const { table, log, place } = this.#needs;
    log.warn(
      { table, token: held.token, lease: place.at, ...(error === undefined ? {} : { err: asError(error).message }) },
      `this replica does not lead any more: ${why}`,
    );
  }

  /**
   * Keeps a position under the lease. Throws SQL_FENCED, and what else the place throws; after SQL_FENCED the term is over.
   */
  async keep(bookmark: Bookmark, kept: Parameters<LeasePlace['keep']>[2]): Promise<void> {
    const { term } = this;
    if (!term) return;
    try {
      await this.#needs.place.keep(term.token, bookmark, kept);
    } catch (error) {
      if (isFenced(error) && this.#held === term) this.lose('another replica has taken over', error);
      throw error;
    }
  }

  /** Gives the lease back, so that another need not wait for its end. `last` is written before. */
  async close(last: Promise<void>): Promise<void> {
    const { environment } = this.#needs;
    this.#isClosed = true;
    await Promise.race([last.catch(() => undefined), pause(environment.clock, CLOSE_MS)]);
    await this.resign();
  }

  /** Gives the lease back: who cannot read is no leader. */
  async resign(): Promise<void> {
    const { environment, place, table, log } = this.#needs;
    const held = this.#end();
    if (!held) return;
    const released = place.release(held.token).then(
      () => log.info({ table, token: held.token, lease: place.at }, 'the lease is given back'),
      (error: unknown) =>
        log.warn({ table, err: asError(error).message }, 'the lease was not given back; it runs out by itself'),
    );
    await Promise.race([released, pause(environment.clock, CLOSE_MS)]);
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #end(): Held | null {
    const held = this.#held;
    this.#held = null;
    this.#told = '';
    held?.renewal?.cancel();
    held?.end?.cancel();
    held?.over.abort();
    return held;
  }

  /** How long it is another's; null where nobody knows. */
  async #try(): Promise<number | null> {
    const { place, environment, owner, leaseMs, table, log, saw } = this.#needs;
    const asked = environment.clock.now();
    let taken: Taken;
    try {
      taken = await place.take(owner, leaseMs);
    } catch (error) {
      if (isKeymillError(error) && error.class === 'fatal') throw error;
      this.#tell('trouble', () =>
        log.warn({ table, lease: place.at, err: asError(error).message }, 'the lease cannot be asked for; tried again'),
      );
      return null;
    }
    if (!taken.isMine) {
      saw(taken.mark);
      const who = taken.owner ?? 'another replica';
      this.#tell(`by ${who}`, () => log.info({ table, lease: place.at, leader: who }, 'stands by: another leads'));
      return taken.leftMs;
    }
    this.#begin(taken, asked);
    return null;
  }

  #begin({ token, mark }: Taken, asked: number): void {
    const { environment, log, table, place } = this.#needs;
    const over = new AbortController();
    const held: Held = { token, mark, signal: over.signal, over, until: this.#endOf(asked), renewal: null, end: null };
    if (environment.clock.now() >= held.until || this.#isClosed) {
      void place.release(token).catch(() => undefined); // the answer took longer than the lease
      return;
    }
    this.#held = held;
    this.#told = '';
    log.info({ table, token, lease: place.at }, 'this replica leads: it reads the table');
    this.#watch(held);
    this.#renewLater(held);
  }

  #endOf(asked: number): number {
    return asked + this.#needs.leaseMs * (1 - MARGIN);
  }

  #watch(held: Held): void {
    const { clock } = this.#needs.environment;
    held.end?.cancel();
    held.end = clock.after(Math.max(0, held.until - clock.now()), () => {
      if (this.#held === held && this.term) this.#watch(held); // it was renewed meanwhile
    });
  }

  /** A renewal that gets no answer keeps the next from nothing: that may go another way. */
  #renewLater(held: Held): void {
    const { environment, renewMs, leaseMs, place, log, table } = this.#needs;
    held.renewal = environment.clock.after(renewMs, () => {
      if (this.term !== held) return;
      this.#renewLater(held);
      const asked = environment.clock.now();
      place.renew(held.token, leaseMs).then(
        isMine => {
          if (this.term !== held) return;
          if (!isMine) return this.lose('another replica has taken over');
          held.until = Math.max(held.until, this.#endOf(asked));
          this.#told = '';
        },
        (error: unknown) =>
          this.#tell('renewal', () =>
            log.warn(
              { table, err: asError(error).message },
              'the lease was not renewed; tried again until it runs out',
            ),
          ),
      );
    });
  }

  /** Once until something else is told. */
  #tell(what: string, say: () => void): void {
    if (this.#told === what) return;
    this.#told = what;
    say();
  }
}

export function isFenced(error: unknown): boolean {
  return isKeymillError(error, 'SQL_FENCED') || isKeymillError(error, 'REDIS_FENCED');
}
