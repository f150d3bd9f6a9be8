/**
 * Asks that begin with a look at a table. Those of one turn are one call; each is answered for itself: again where its table has
 * changed since the catalog was read, and where no snapshot is to be had; with an error of its own where the call failed for what
 * may be of one of them, as each is then asked by itself. One that failed so goes by itself until it is answered, so that it costs
 * the others nothing. What the connection or the server does fails all of a call.
 *
 * Who is in a call waits for all of it. So one that goes on within its page is none of many: a table with much to read is read on
 * beside the others.
 */
import { KeymillError } from '../../../runtime/index.ts';
import { type Command, ownCommand } from './command.ts';
import type { Answer } from './connection.ts';
import { endsDrain, numberOf } from './errors.ts';
import type { Table } from './names.ts';
import type { Schema } from './schema.ts';
import type { HowToRead, Look, Values } from './statements/ct.ts';

export interface LooksNeeds {
  readonly schema: Schema;
  /** One connection for all of these, in order. */
  readonly ask: (commands: readonly Command[]) => Promise<Answer>;
  /** How pages are read now. */
  readonly how: () => Promise<HowToRead>;
  /** The database refused a snapshot: from now on they are read without, or the error is thrown. */
  readonly snapshotRefused: (error: unknown) => void;
  /** Told of every look. */
  readonly looked: (look: Look) => void;
  /** Calls it when the asks of this turn are there. */
  readonly endOfTurn: (fn: () => void) => void;
}

/** What is asked about a table. */
export interface Wanted<S> {
  readonly name: string;
  /** A statement of the user's own that runs before it. */
  readonly before?: string | undefined;
  /** It has no others in its call, and waits for none. */
  readonly isAlone: boolean;
  /** Parameters of the user's own. */
  readonly params?: number;
  /** `together`: so many are in the call. Throws TABLE_NO_KEY, SQL_IDENTIFIER. */
  select(table: Table, how: HowToRead, together: number): S;
}

/** The look, and what came with it. */
export interface Found<A> {
  readonly table: Table;
  readonly answer: A;
}

/** How asks of one kind are made. */
export interface Kind<S, A> {
  command(selections: readonly S[], how: HowToRead): Command;
  /** Of each, in order. */
  answers(sets: Answer['sets'], selections: readonly S[], how: HowToRead): readonly A[];
}

interface Looked {
  readonly look: Look;
  /** After it, where there was no snapshot: the oldest valid version and the stamp. */
  readonly again?: Values | undefined;
}

interface Ask<S, A> {
  readonly wanted: Wanted<S>;
  readonly found: (found: Found<A>) => void;
  readonly failed: (error: unknown) => void;
}

interface Made<S, A> {
  readonly ask: Ask<S, A>;
  readonly table: Table;
  readonly selection: S;
}

/** The schema may change again while it is looked at. */
const TRIES = 5;
/** Snapshots are not allowed; the table was altered during one. */
const NO_SNAPSHOT = 3952;
const ALTERED = 3961;
/** Of one call, whose text and answer are so bounded. */
const TABLES = 32;
const OWN_PARAMETERS = 1000;

export class Looks<S, A extends Looked> {
  readonly #needs: LooksNeeds;
  readonly #kind: Kind<S, A>;
  #waiting: Ask<S, A>[] = [];
  /** Names of tables whose last ask failed by itself. */
  readonly #alone = new Set<string>();

  constructor(needs: LooksNeeds, kind: Kind<S, A>) {
    this.#needs = needs;
    this.#kind = kind;
  }

  /** Throws TRACKING_OFF, TABLE_UNKNOWN, SQL_UNAVAILABLE, and what `select` throws. */
  ask(wanted: Wanted<S>): Promise<Found<A>> {
    return new Promise((found, failed) => {
      const ask = { wanted, found, failed };
      if (wanted.isAlone) return void this.#make([ask], 1);
      this.#waiting.push(ask);
      if (this.#waiting.length === 1) this.#needs.endOfTurn(() => this.#go());
    });
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #go(): void {
    const asks = this.#waiting;
    this.#waiting = [];
    for (const group of this.#groupsOf(asks)) void this.#make(group, 1);
  }

  #groupsOf(asks: readonly Ask<S, A>[]): Ask<S, A>[][] {
    const groups: Ask<S, A>[][] = [];
    const together: Ask<S, A>[] = [];
    for (const ask of asks) {
      const { name } = ask.wanted;
      if (this.#alone.has(name)) groups.push([ask]);
      else together.push(ask);
    }
    // The same tables make the same text, in whatever order they were asked about.
    together.sort((a, b) => (a.wanted.name < b.wanted.name ? -1 : 1));
    let last: Ask<S, A>[] | undefined;
    let own = 0;
    for (const ask of together) {
      const { params = 0 } = ask.wanted;
      if (last === undefined || last.length === TABLES || own + params > OWN_PARAMETERS) {
        groups.push((last = []));
        own = 0;
      }
      last.push(ask);
      own += params;
    }
    return groups;
  }

  /** Never rejects: each ask gets its own answer. */
  async #make(asks: readonly Ask<S, A>[], tries: number): Promise<void> {
    let left = asks;
    try {
      const how = await this.#needs.how();
      const made = (await Promise.all(asks.map(ask => this.#select(ask, how, asks.length)))).filter(
        one => one !== null,
      );
      left = made.map(({ ask }) => ask);
      if (made.length > 0) left = await this.#call(made, how, tries);
    } catch (error) {
      for (const { failed } of left) failed(error);
      return;
    }
    if (left.length > 0) await this.#make(left, tries + 1);
  }

  async #select(ask: Ask<S, A>, how: HowToRead, together: number): Promise<Made<S, A> | null> {
    try {
      const table = await this.#needs.schema.table(ask.wanted.name);
      return { ask, table, selection: ask.wanted.select(table, how, together) };
    } catch (error) {
      ask.failed(error);
      return null;
    }
  }

  /** Gives those that are to be made again. Throws what fails all. */
  async #call(made: readonly Made<S, A>[], how: HowToRead, tries: number): Promise<Ask<S, A>[]> {
    const { schema, ask, snapshotRefused } = this.#needs;
    const before = made.flatMap(({ ask: { wanted } }) =>
      wanted.before === undefined ? [] : [{ ...ownCommand(wanted.before, {}), isBatch: true }],
    );
    const selections = made.map(({ selection }) => selection);
    let answer: Answer;
    try {
      answer = await ask([...before, this.#kind.command(selections, how)]);
    } catch (error) {
      const isAltered = numberOf(error) === ALTERED;
      const all = made.map(one => one.ask);
      if (numberOf(error) === NO_SNAPSHOT && tries < TRIES) {
        snapshotRefused(error);
        return all;
      }
      if (!isAltered && (!(error instanceof KeymillError) || endsDrain(error))) throw error;
      if (made.length > 1) {
        await Promise.all(all.map(one => this.#make([one], tries)));
        return [];
      }
      const [{ wanted }] = all as [Ask<S, A>];
      this.#alone.add(wanted.name);
      if (tries === TRIES || !(isAltered || isOfSchema(error))) throw error;
      schema.forget(wanted.name);
      return all;
    }
    const again = await Promise.all(
      this.#kind
        .answers(answer.sets, selections, how)
        .map(async (one, i) => ((await this.#take(made[i]!, one, tries)) ? null : made[i]!.ask)),
    );
    return again.filter(one => one !== null);
  }

  /** False: it is to be made again. */
  async #take({ ask, table }: Made<S, A>, answer: A, tries: number): Promise<boolean> {
    const { schema, looked } = this.#needs;
    const { name } = ask.wanted;
    const { look, again } = answer;
    // Without a snapshot it may have been altered since the look: the page has a second stamp.
    if (look.stamp !== table.stamp || (again?.[1] ?? table.stamp) !== table.stamp) {
      schema.forget(name);
      if (tries < TRIES) return false;
      ask.failed(
        new KeymillError('SQL_UNAVAILABLE', `${table.table} changes while it is read`, { place: { at: name } }),
      );
      return true;
    }
    if (look.minValid === null) {
      schema.forget(name);
      try {
        const now = await schema.table(name);
        // Turned on since it was looked at.
        if (now.isTracked && !table.isTracked && tries < TRIES) return false;
        throw off(now);
      } catch (error) {
        ask.failed(error);
        return true;
      }
    }
    looked(look);
    this.#alone.delete(name);
    ask.found({ table, answer });
    return true;
  }
}

export function off({ table, isTracked }: Table): KeymillError {
  const how = isTracked
    ? `of ${table} are tracked, and this user may not see them: GRANT VIEW CHANGE TRACKING and SELECT on it`
    : `of ${table} are not tracked: ALTER TABLE … ENABLE CHANGE_TRACKING, or read with track: true`;
  return new KeymillError('TRACKING_OFF', `changes ${how}`, { place: { at: table } });
}

/** A name that the statement has is not there any more: its table is looked at anew. */
function isOfSchema(error: unknown): boolean {
  return (
    error instanceof KeymillError &&
    (error.code === 'SQL_IDENTIFIER' || error.code === 'TABLE_UNKNOWN') &&
    numberOf(error) > 0
  );
}
