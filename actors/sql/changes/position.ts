/**
 * How far a source has read a table, and how far that is settled. What is settled is kept in two places: first as a bookmark
 * in the database itself, then as the mark of the source's checkpoint. A restored database shows an older bookmark than the
 * mark, also when its counter has grown past it again (reference sql-server-and-tds 1.7).
 *
 * A position is always a whole version. Over quiet times it moves too, as other tables use versions up and the clean-up
 * must not come past it. An epoch is a time in ms, or one more than the last: it rises though all that was kept is lost.
 */
import {
  asError,
  type Environment,
  isKeymillError,
  KeymillError,
  type Log,
  type Position,
} from '../../../runtime/index.ts';
import type { ResyncReason, Tracked } from '../contract.ts';
import type { Bookmark, SqlDriver } from '../driver.ts';

/** How often what was settled is kept. */
const KEEP_MS = 200;

/** What a checkpoint keeps: all up to `version`, in this epoch of this incarnation, is settled. */
export interface ChangeMark {
  readonly version: number;
  readonly epoch: number;
  readonly incarnation: string;
  /** False where no bookmark could be written: a restore then goes unseen once the counter is beyond `version`. */
  readonly isBookmarked: boolean;
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
  mark: ChangeMark | null = null;
  #connection = 0;
  #steps: Step[] = [];
  #low: Position = 0;
  #lowMoved: () => void = () => undefined;
  /** Null until something of this epoch is. */
  #settled: number | null = null;
  #isBookmarked = true;
  #keeping: Promise<void> | null = null;
  #isClosed = false;

  constructor(needs: PositionNeeds) {
    this.#needs = needs;
  }

  /** Throws CHECKPOINT_UNUSABLE. */
  recognise(mark: unknown): void {
    if (!isMark(mark))
      throw new KeymillError('CHECKPOINT_UNUSABLE', `the checkpoint is not one of the changes of ${this.#needs.table}`);
    this.mark = mark;
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
    if (mark === null) return 'initial';
    this.epoch = mark.epoch;
    this.given = this.#settled = mark.version;
    if (mark.incarnation !== tracked.incarnation) return 'incarnation';
    // What was read and not kept may be of a time that is undone.
    if (isAhead || mark.version > tracked.current) return 'went-back';
    if (!mark.isBookmarked) return undefined;
    const bookmark = await driver.bookmark(consumer, table);
    return bookmark?.epoch === mark.epoch && bookmark.version >= mark.version ? undefined : 'went-back';
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
  async newEpoch(incarnation: string): Promise<void> {
    const { driver, environment, consumer, table } = this.#needs;
    this.incarnation = incarnation;
    this.#settled = null;
    this.#connection = driver.connection;
    const last = (await driver.bookmark(consumer, table))?.epoch ?? 0;
    const wall = Math.floor(environment.clock.wall());
    this.epoch = Math.max(last + 1, (this.mark?.epoch ?? 0) + 1, this.epoch + 1, wall);
    await this.#setBookmark(0, this.epoch);
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
    if (!(await this.#setBookmark(version, epoch))) return;
    this.mark = { version, epoch, incarnation, isBookmarked: this.#isBookmarked };
    this.#needs.marked();
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

function isMark(mark: unknown): mark is ChangeMark {
  const { version, epoch, incarnation } = (mark ?? {}) as Record<string, unknown>;
  return Number.isSafeInteger(version) && Number.isSafeInteger(epoch) && typeof incarnation === 'string';
}
