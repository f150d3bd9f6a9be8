/**
 * How far a source has read a table, and how far that is settled. What is settled is kept in two places: first as a bookmark
 * in the database itself, then as the mark of the source's checkpoint. A restored database shows an older bookmark than the
 * mark, also when its counter has grown past it again (reference sql-server-and-tds 1.7).
 *
 * A position is always a whole version. Over quiet times it moves too, as other tables use versions up and the clean-up
 * must not come past it. An epoch is a time in ms, or one more than the last: it rises though all that was kept is lost.
 *
 * Of several replicas the leader keeps both under its lease, where the next finds them, and each term begins an epoch (rule 14).
 */
import {
  asError,
  compareVersions,
  type Environment,
  isKeymillError,
  KeymillError,
  type Log,
  type Position,
} from '../../../runtime/index.ts';
import type { ResyncReason, Tracked } from '../contract.ts';
import type { Bookmark, SqlDriver } from '../driver.ts';
import { isFenced, type Leader, type Term } from './leader.ts';
import { pause } from './pause.ts';

/** How often what was settled is kept. */
const KEEP_MS = 200;
/** A leader that cannot write its epoch tries again so often, and gives nothing before. */
const EPOCH_RETRY_MS = 200;
const HEALS = new Set(['transient', 'throttled']);

/** What a checkpoint keeps: all up to `version`, in this epoch of this incarnation, is settled. */
export interface ChangeMark {
  readonly version: number;
  readonly epoch: number;
  readonly incarnation: string;
  /** False where no bookmark could be written: a restore then goes unseen once the counter is beyond `version`. */
  readonly isBookmarked: boolean;
  /** The epoch before, where this mark began one: the bookmark of that goes with it too. */
  readonly since?: number | undefined;
  /** Where tracking of the table began when it was read; not in marks of databases that have no such version, and in old ones. */
  readonly began?: number | undefined;
}

/** Everything given below `below` belongs to versions up to `version`. */
interface Step {
  readonly below: Position;
  readonly version: number;
}

export interface PositionNeeds {
  readonly driver: Pick<SqlDriver, 'tracked' | 'bookmark' | 'setBookmark' | 'connection'>;
  readonly environment: Environment;
  readonly log: Log;
  readonly table: string;
  readonly consumer: string;
  /** Of several replicas: marks are kept with its lease, and all writes are fenced by that. */
  readonly leader?: Leader | null | undefined;
  /** The mark moved. */
  marked(): void;
}

export class ChangePosition {
  readonly #needs: PositionNeeds;
  /** All versions up to this one were given. */
  given = 0;
  /** Where the database was when it was last looked at. */
  current = 0;
  epoch = 0;
  incarnation = '';
  /** Of the tracking that is read; undefined where that is not known. */
  #began: number | undefined;
  mark: ChangeMark | null = null;
  #connection = 0;
  #steps: Step[] = [];
  #low: Position = 0;
  #lowMoved: () => void = () => undefined;
  /** Null until something of this epoch is. */
  #settled: number | null = null;
  #isBookmarked = true;
  /** The leader's, in whose epoch it reads; null before that began. */
  #term: Term | null = null;
  #keeping: Promise<void> | null = null;
  #isClosed = false;

  constructor(needs: PositionNeeds) {
    this.#needs = needs;
  }

  /** Throws CHECKPOINT_UNUSABLE. */
  recognise(mark: unknown): void {
    if (!isMark(mark)) throw unusable(this.#needs.table);
    this.mark = mark;
  }

  // ── leading ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What the replica that leads has kept. The highest seen counts: should lease and bookmark go back, that tells it. */
  saw(text: string | null): void {
    const mark = this.#parse(text);
    if (mark && (this.mark === null || compareMarks(mark, this.mark) > 0)) this.mark = mark;
  }

  /** A term of the leader begins: its predecessor's mark is where to go on. Throws CHECKPOINT_UNUSABLE. */
  enter(term: Term): void {
    if (this.#term?.token === term.token) return;
    this.saw(term.mark);
    this.given = 0;
    this.#forget();
  }

  /** What was given settles no more: it was read under a lease that is lost. */
  leave(): void {
    this.#term = null;
    this.#forget();
  }

  /**
   * Begins the epoch of a term where changes are read on: above all former ones, so that what a former leader publishes late is
   * told apart. Throws SQL_FENCED, STORE_READ_ONLY.
   */
  async takeOver(term: Term): Promise<void> {
    const { mark } = this;
    if (this.#term === term || mark === null) return;
    await this.#raiseEpoch(term, mark.epoch);
    const taken: ChangeMark = { ...mark, epoch: this.epoch, isBookmarked: true, since: mark.epoch };
    await this.#keepEpoch(term, mark.version, { mark: JSON.stringify(taken), isTakeOver: true });
    this.mark = taken;
    this.#term = term;
  }

  /** Before reading, and after another connection was made: undefined where changes can be read on. */
  async begin(low: Position, tracked: Tracked): Promise<ResyncReason | undefined> {
    const { driver, table, consumer } = this.#needs;
    const { mark } = this;
    const isAhead = this.#connection !== 0 && this.isReconnected && this.given > (mark?.version ?? 0);
    this.#connection = driver.connection;
    this.#low = low;
    this.#steps = [];
    this.incarnation = tracked.incarnation;
    this.#began = mark?.began ?? tracked.began ?? undefined;
    if (mark === null) return 'initial';
    this.epoch = mark.epoch;
    this.given = this.#settled = mark.version;
    if (mark.incarnation !== tracked.incarnation) return 'incarnation';
    // What was read and not kept may be of a time that is undone.
    if (isAhead || mark.version > tracked.current) return 'went-back';
    if (mark.isBookmarked) {
      const bookmark = await driver.bookmark(consumer, table);
      const isItsOwn = bookmark?.epoch === mark.epoch || (mark.since !== undefined && bookmark?.epoch === mark.since);
      if (!isItsOwn && bookmark && bookmark.epoch > mark.epoch) return this.#whyBegun(mark, tracked);
      if (!isItsOwn || bookmark!.version < mark.version) return 'went-back';
    }
    return this.isOfOtherTracking(tracked) ? 'truncated' : undefined;
  }

  /**
   * A restored database shows no epoch later than the mark: a resync began one, and was cut short before the mark had it. It
   * is made again for its own reason, as far as that is still to be seen.
   */
  #whyBegun({ version }: ChangeMark, tracked: Tracked): ResyncReason {
    if (this.isOfOtherTracking(tracked) || version < (tracked.began ?? 0)) return 'truncated';
    return version < tracked.minValid ? 'cleaned' : 'went-back';
  }

  /**
   * The table was truncated, or tracking turned off and on. The oldest valid version tells it only to who stands below that, and
   * no document says that these take a version (reference sql-server-and-tds 5, point 7).
   */
  isOfOtherTracking({ began }: Pick<Tracked, 'began'>): boolean {
    return typeof began === 'number' && this.#began !== undefined && began !== this.#began;
  }

  /** Versions of the database that are not settled, as it was last looked at. */
  get lag(): number | undefined {
    return this.#settled === null ? undefined : Math.max(0, this.current - this.#settled);
  }

  get low(): Position {
    return this.#low;
  }

  /** Another connection was made since `begin`, so this may be another database. */
  get isReconnected(): boolean {
    return this.#needs.driver.connection !== this.#connection;
  }

  /**
   * All that comes from now on is of this database, and newer than what came before. The bookmark has the new epoch at once,
   * so that a resync which is cut short is followed by a later one.
   */
  async newEpoch({ incarnation, began }: Pick<Tracked, 'incarnation' | 'began'>): Promise<void> {
    const { driver, leader } = this.#needs;
    this.incarnation = incarnation;
    this.#began = began ?? undefined;
    this.#settled = null;
    this.#connection = driver.connection;
    const term = leader?.term ?? null;
    if (leader && !term) throw ended(this.#needs.table);
    await this.#raiseEpoch(term, this.mark?.epoch ?? 0);
    if (term) {
      await this.#keepEpoch(term, 0, {});
      this.#term = term;
    } else await this.#setBookmark(0, this.epoch);
  }

  /** All versions up to this one lie below the position. */
  gave(version: number, below: Position): void {
    this.given = version;
    if (this.#low >= below) this.#settle(version);
    else this.#steps.push({ below, version });
  }

  /** All below is settled. */
  ack(low: Position): void {
    this.#low = low;
    let version: number | undefined;
    while (this.#steps.length > 0 && this.#steps[0]!.below <= low) version = this.#steps.shift()!.version;
    if (version !== undefined) this.#settle(version);
    this.#lowMoved();
  }

  /** Resolves when everything below the position is settled, or the signal aborts. */
  async settledBelow(position: Position, signal: AbortSignal): Promise<void> {
    while (this.#low < position && !signal.aborted)
      await new Promise<void>(resolve => {
        this.#lowMoved = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#keeping;
    await this.#keep();
  }

  // ── epochs ───────────────────────────────────────────────────────────────────────────────────────────────────────

  async #raiseEpoch(term: Term | null, known: number): Promise<void> {
    const { driver, environment, consumer, table } = this.#needs;
    const last = (await driver.bookmark(consumer, table))?.epoch ?? 0;
    const wall = Math.floor(environment.clock.wall());
    this.epoch = Math.max(last + 1, known + 1, this.epoch + 1, wall);
    if (term?.signal.aborted) throw ended(table);
  }

  /** Nothing is given in an epoch that the next leader might not know. */
  async #keepEpoch(term: Term, version: number, kept: Parameters<Leader['keep']>[1]): Promise<void> {
    const { environment, consumer, table, leader, log } = this.#needs;
    for (let tries = 1; ; tries++) {
      if (leader!.term !== term) throw ended(table);
      try {
        await leader!.keep({ consumer, table, version, epoch: this.epoch }, kept);
        break;
      } catch (error) {
        if (!isKeymillError(error) || !HEALS.has(error.class)) throw error;
        if (tries === 1)
          log.warn({ table, err: error.message }, 'the epoch of this leader was not written; tried again');
        await pause(environment.clock, EPOCH_RETRY_MS, term.signal);
      }
    }
    if (leader!.term !== term) throw ended(table);
  }

  #parse(text: string | null): ChangeMark | null {
    if (text === null) return null;
    let mark: unknown;
    try {
      mark = JSON.parse(text);
    } catch {}
    if (!isMark(mark)) throw unusable(this.#needs.table);
    return mark;
  }

  #forget(): void {
    this.#steps = [];
    this.#settled = null;
  }

  // ── keeping ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #settle(version: number): void {
    this.#settled = version;
    if (this.#isKept || this.#keeping || this.#isClosed) return;
    const isFirst = this.mark?.epoch !== this.epoch;
    this.#keeping = new Promise<void>(resolve => {
      this.#needs.environment.clock.after(isFirst ? 0 : KEEP_MS, () => void this.#keep().then(resolve));
    }).then(() => {
      this.#keeping = null;
      if (!this.#isKept && this.#settled !== null) this.#settle(this.#settled);
    });
  }

  get #isKept(): boolean {
    const { mark } = this;
    return mark?.version === this.#settled && mark.epoch === this.epoch && mark.incarnation === this.incarnation;
  }

  /** The bookmark first: it must never be behind the mark. Where it cannot be written now, neither moves. */
  async #keep(): Promise<void> {
    const version = this.#settled;
    if (version === null || this.#isKept || this.isReconnected) return;
    const { epoch, incarnation } = this;
    const began = this.#began === undefined ? {} : { began: this.#began };
    const mark = { version, epoch, incarnation, isBookmarked: this.#isBookmarked, ...began };
    if (!(await (this.#needs.leader ? this.#keepLed(mark) : this.#setBookmark(version, epoch)))) return;
    this.mark = { ...mark, isBookmarked: this.#isBookmarked };
    this.#needs.marked();
  }

  /** Only under the lease that it was read under: false where that is over, or it was not written now. */
  async #keepLed(mark: ChangeMark): Promise<boolean> {
    const { leader, consumer, table, log } = this.#needs;
    const term = this.#term;
    if (term === null || leader!.term !== term) return false;
    const { version, epoch } = mark;
    try {
      await leader!.keep({ consumer, table, version, epoch }, { mark: JSON.stringify(mark) });
      return this.#term === term;
    } catch (error) {
      const { message } = asError(error);
      if (isFenced(error))
        log.warn({ table, version, epoch, code: 'SQL_FENCED', err: message }, 'a late position was refused');
      else log.warn({ table, err: message }, 'the position was not kept; tried again');
      return false;
    }
  }

  /** False where it was not written now, and will be tried again. */
  async #setBookmark(version: number, epoch: number): Promise<boolean> {
    if (!this.#isBookmarked) return true;
    const { driver, consumer, table, log } = this.#needs;
    const bookmark: Bookmark = { consumer, table, version, epoch };
    try {
      await driver.setBookmark(bookmark);
      return true;
    } catch (error) {
      if (!isKeymillError(error, 'STORE_READ_ONLY')) {
        log.warn({ table, err: asError(error).message }, 'the bookmark was not written; tried again');
        return false;
      }
      this.#isBookmarked = false;
      log.warn({ table }, 'the database takes no bookmark: a restore will be seen only while its version is older');
      return true;
    }
  }
}

/** By epoch, then by version. */
function compareMarks(a: ChangeMark, b: ChangeMark): number {
  return compareVersions({ epoch: a.epoch, n: a.version }, { epoch: b.epoch, n: b.version });
}

function ended(table: string): KeymillError {
  return new KeymillError('SQL_FENCED', `${table}: the lease was lost before its epoch began`);
}

function unusable(table: string): KeymillError {
  return new KeymillError('CHECKPOINT_UNUSABLE', `the checkpoint is not one of the changes of ${table}`);
}

function isMark(mark: unknown): mark is ChangeMark {
  const { version, epoch, incarnation } = (mark ?? {}) as Record<string, unknown>;
  return Number.isSafeInteger(version) && Number.isSafeInteger(epoch) && typeof incarnation === 'string';
}
