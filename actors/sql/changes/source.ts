/**
 * The source half of a table: its changes, page by page, and a resync where going on would pass over some (reference
 * sql-server-and-tds 1.4 to 1.7). A resync begins a new epoch; the current version is read before the first row, so a row
 * that changes meanwhile comes again with a later version; RESYNC_END comes when all rows are settled, and only then does
 * the position move, so a resync that is cut short is made again.
 *
 * Positions number the records of one process. After a restart the same number may be another change, as changes are net.
 */
import type {
  Environment,
  Log,
  Position,
  SourceHalf,
  SourceRecord,
  SourceTraits,
  Timer,
} from '../../../runtime/index.ts';
import type { ChangeItem, ChangeRecord, ReadOptions, ResyncEvent, ResyncReason, SqlValue } from '../contract.ts';
import type { ChangePage, SqlDriver } from '../driver.ts';
import type { ChangeCursor } from '../ops.ts';
import { Ahead } from './ahead.ts';
import { severityOfLag, severityOfResync } from './lag.ts';
import { isFenced, Leader, type LeaderNeeds } from './leader.ts';
import { lostReason } from './lost.ts';
import { Pauses, type PollMs, pause } from './pause.ts';
import { ChangePosition } from './position.ts';
import type { Ticks } from './ticks.ts';

export interface ChangeSourceNeeds {
  readonly driver: SqlDriver;
  readonly environment: Environment;
  readonly log: Log;
  readonly table: string;
  readonly consumer: string;
  readonly options: ReadOptions;
  readonly pollMs?: PollMs | undefined;
  /** Those of all sources of the database. */
  readonly ticks: Ticks;
  readonly start: 'resync' | 'now';
  /** Turns tracking on before the first look. */
  readonly track: boolean;
  /** How often the lag is looked at, and told where it is more than minor (G6.8: 5 min). */
  readonly monitorMs: number;
  /** One replica of several reads; null where there is only one. */
  readonly leader?: Pick<LeaderNeeds, 'place' | 'owner' | 'leaseMs' | 'renewMs'> | null | undefined;
  readonly closed: () => void;
}

/** Records that a leader gives at once. */
const LED_ROWS = 100;

/** The next position to give. */
interface Count {
  next: Position;
}

export class ChangeSource implements SourceHalf<ChangeRecord> {
  readonly traits: SourceTraits = { replayable: true, ordered: true, contiguous: true, stable: false };
  marked: (() => void) | undefined;
  readonly #needs: ChangeSourceNeeds;
  readonly #position: ChangePosition;
  readonly #leader: Leader | null;
  readonly #finish = new AbortController();

  #monitor: Timer | null = null;
  /** How long the last page was waited for, in ms. */
  #took = 0;

  constructor(needs: ChangeSourceNeeds) {
    this.#needs = needs;
    const { leader } = needs;
    this.#leader = leader ? new Leader({ ...needs, ...leader, saw: mark => this.#position.saw(mark) }) : null;
    this.#position = new ChangePosition({ ...needs, leader: this.#leader, marked: () => this.marked?.() });
    this.#watchLag();
  }

  get keepsPosition(): boolean {
    return this.#leader !== null;
  }

  waiting(): string | undefined {
    return this.#leader && !this.#leader.term ? 'not the leader' : undefined;
  }

  recognise(mark: unknown): undefined {
    this.#position.recognise(mark);
  }

  mark(): unknown {
    return this.#position.mark ?? undefined;
  }

  ack({ low }: { readonly low: Position }): void {
    this.#position.ack(low);
  }

  lag(): number | undefined {
    return this.#position.lag;
  }

  finish(): void {
    this.#finish.abort();
  }

  async close(): Promise<void> {
    this.#monitor?.cancel();
    const kept = this.#position.close();
    await (this.#leader ? this.#leader.close(kept) : kept);
    this.#needs.closed();
  }

  async *read(from: Position, signal: AbortSignal): AsyncGenerator<SourceRecord<ChangeRecord>[]> {
    const leader = this.#leader;
    const count: Count = { next: from };
    if (!leader) return yield* this.#read(count, signal);
    while (!signal.aborted) {
      const term = await leader.lead(signal, this.#finish.signal);
      if (!term) return;
      const both = AbortSignal.any([signal, term.signal]);
      try {
        this.#position.enter(term);
        yield* this.#read(count, both);
      } catch (error) {
        // Whatever it was: of a lease that is lost nothing is to be read on.
        if (!isFenced(error) && leader.term === term) {
          await leader.resign(); // another may be able to read
          this.#position.leave();
          throw error;
        }
      }
      if (signal.aborted || leader.term === term) return;
      this.#position.leave();
    }
  }

  async *#read(count: Count, signal: AbortSignal): AsyncGenerator<SourceRecord<ChangeRecord>[]> {
    const { driver, table, ticks } = this.#needs;
    if (this.#needs.track) await this.#track(signal);
    const number = (record: ChangeRecord): SourceRecord<ChangeRecord> => ({ position: count.next++, value: record });
    const pauses = new Pauses(this.#needs.pollMs);
    const position = this.#position;
    let reason = await position.begin(count.next, await driver.tracked(table));
    const term = this.#leader?.term;
    if (reason === undefined && term) await position.takeOver(term);
    if (reason === 'initial' && this.#needs.start === 'now') reason = await this.#fromNow(count.next);
    while (!signal.aborted) {
      if (reason !== undefined) {
        const end = yield* this.#resync(reason, number, signal);
        if (end) {
          await position.settledBelow(count.next, signal);
          if (this.#isOver(signal)) return;
          yield [number(end)];
          position.gave(end.versionId, count.next);
          reason = undefined;
        } else reason = 'incarnation';
        continue;
      }
      const isFinishing = this.#finish.signal.aborted; // before the look: what it finds is all there was
      const before = count.next;
      for await (const page of this.#pages(signal)) {
        if (typeof page === 'string') reason = page;
        else {
          if (!(yield* this.#give(page.changes, number, signal))) return;
          if (page.next.pk === null) position.gave(page.next.version, count.next);
        }
      }
      if (signal.aborted || (isFinishing && reason === undefined)) return;
      if (reason === undefined)
        await pause(ticks, pauses.after(count.next > before, this.#took), signal, this.#finish.signal);
    }
  }

  /** Also of a process that was not let run, before its timers tell. */
  #isOver(signal: AbortSignal): boolean {
    void this.#leader?.term;
    return signal.aborted;
  }

  #watchLag(): void {
    const { environment, log, table, monitorMs } = this.#needs;
    this.#monitor = environment.clock.after(monitorMs, () => {
      const lag = this.lag() ?? 0;
      const severity = severityOfLag(lag);
      if (severity === 'moderate' || severity === 'major')
        log.warn({ table, lag, severity }, 'changes wait: what is settled is behind the table');
      this.#watchLag();
    });
  }

  /** Of a leader in portions: who takes them may wait for room, and the lease run out meanwhile. False where it did. */
  *#give(
    records: readonly ChangeRecord[],
    number: (record: ChangeRecord) => SourceRecord<ChangeRecord>,
    signal: AbortSignal,
  ): Generator<SourceRecord<ChangeRecord>[], boolean> {
    const portion = this.#leader ? LED_ROWS : Math.max(1, records.length);
    for (let at = 0; at < records.length; at += portion) {
      if (this.#leader && this.#isOver(signal)) return false;
      yield records.slice(at, at + portion).map(number);
    }
    return true;
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #ahead<Cursor, Page>(ask: (after: Cursor) => Promise<Page>): Ahead<Cursor, Page> {
    const { driver, environment } = this.#needs;
    return new Ahead({ ask, connection: () => driver.connection, endOfTurn: environment.endOfTurn });
  }

  /** To where the database is now, or to the reason why not. */
  async *#pages(signal: AbortSignal): AsyncGenerator<ChangePage | ResyncReason> {
    const { driver, table, options, environment } = this.#needs;
    const position = this.#position;
    let after: ChangeCursor = { version: position.given, pk: null };
    const baseline = after.version;
    const ahead = this.#ahead(async (cursor: ChangeCursor) => {
      const asked = environment.clock.now();
      const page = await driver.changes({ table, after: cursor, baseline, epoch: position.epoch, options });
      this.#took = environment.clock.now() - asked;
      return page;
    });
    try {
      for (let isLast = false; !isLast && !signal.aborted; ) {
        let page: ChangePage;
        try {
          page = await ahead.take(after);
        } catch (error) {
          const reason = lostReason(error);
          if (reason === undefined) throw error;
          return yield reason;
        }
        if (position.isReconnected) {
          const reason = await position.begin(position.low, page);
          if (reason !== undefined) yield reason;
          return; // it begins again at what was kept
        }
        if (page.incarnation !== position.incarnation) return yield 'incarnation';
        if (position.isOfOtherTracking(page)) return yield 'truncated';
        position.current = page.current;
        ({ isLast, next: after } = page);
        if (!isLast) await ahead.begin(after);
        yield page;
      }
    } finally {
      await ahead.end();
    }
  }

  /** The rows of the table between BEGIN and the END it returns; null when another database came into its place. */
  async *#resync(
    reason: ResyncReason,
    number: (record: ChangeRecord) => SourceRecord<ChangeRecord>,
    signal: AbortSignal,
  ): AsyncGenerator<SourceRecord<ChangeRecord>[], ResyncEvent | null> {
    const { driver, table, options, environment, log } = this.#needs;
    const position = this.#position;
    const lastKnownVersion = position.mark?.version ?? null;
    let begun: ResyncEvent | null = null;
    const ahead = this.#ahead((after: readonly SqlValue[] | null) => driver.rows({ table, after, options }));
    try {
      for (let after: readonly SqlValue[] | null = null; !signal.aborted; ) {
        const page = await ahead.take(after);
        if (begun === null) {
          await position.newEpoch(page);
          begun = {
            table,
            key: (await driver.describe(table)).key,
            operation: 'RESYNC_BEGIN',
            reason,
            versionId: page.current,
            epoch: position.epoch,
            lastKnownVersion,
            triggeredAt: environment.clock.wall(),
          };
          const severity = severityOfResync(reason);
          log[severity === 'none' ? 'info' : 'warn']({ ...begun, severity }, 'the table is read anew');
          yield [number(begun)];
        }
        if (page.incarnation !== position.incarnation || position.isReconnected) return null;
        after = page.next;
        if (after !== null) await ahead.begin(after);
        const { versionId, epoch, triggeredAt: captureTime } = begun;
        const items = page.rows.map(
          ({ pk, data }): ChangeItem => ({
            table,
            versionId,
            epoch,
            operation: 'INSERT',
            pk,
            data,
            changed: null,
            captureTime,
            context: null,
            isResync: true,
          }),
        );
        if (!(yield* this.#give(items, number, signal))) return null;
        if (after === null) break;
      }
    } finally {
      await ahead.end();
    }
    return begun && { ...begun, operation: 'RESYNC_END' };
  }

  async #fromNow(next: Position): Promise<undefined> {
    const tracked = await this.#needs.driver.tracked(this.#needs.table);
    await this.#position.newEpoch(tracked);
    this.#position.gave(tracked.current, next);
  }

  async #track(signal: AbortSignal): Promise<void> {
    const { driver, table } = this.#needs;
    const [reply] = await driver.write([{ op: 'track', table, options: {} }], signal);
    if (reply && 'error' in reply) throw reply.error;
  }
}
