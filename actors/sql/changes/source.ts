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
import { severityOfLag, severityOfResync } from './lag.ts';
import { lostReason } from './lost.ts';
import { Pauses, type PollMs, pause } from './pause.ts';
import { ChangePosition } from './position.ts';

export interface ChangeSourceNeeds {
  readonly driver: SqlDriver;
  readonly environment: Environment;
  readonly log: Log;
  readonly table: string;
  readonly consumer: string;
  readonly options: ReadOptions;
  readonly pollMs?: PollMs | undefined;
  readonly start: 'resync' | 'now';
  /** Turns tracking on before the first look. */
  readonly track: boolean;
  /** How often the lag is looked at, and told where it is more than minor (G6.8: 5 min). */
  readonly monitorMs: number;
  readonly closed: () => void;
}

export class ChangeSource implements SourceHalf<ChangeRecord> {
  readonly traits: SourceTraits = { replayable: true, ordered: true, contiguous: true, stable: false };
  marked: (() => void) | undefined;
  readonly #needs: ChangeSourceNeeds;
  readonly #position: ChangePosition;
  readonly #finish = new AbortController();

  #monitor: Timer | null = null;

  constructor(needs: ChangeSourceNeeds) {
    this.#needs = needs;
    this.#position = new ChangePosition({ ...needs, marked: () => this.marked?.() });
    this.#watchLag();
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
    await this.#position.close();
    this.#needs.closed();
  }

  async *read(from: Position, signal: AbortSignal): AsyncGenerator<SourceRecord<ChangeRecord>[]> {
    const { driver, table, environment } = this.#needs;
    if (this.#needs.track) await this.#track(signal);
    let next = from;
    const number = (record: ChangeRecord): SourceRecord<ChangeRecord> => ({ position: next++, value: record });
    const pauses = new Pauses(this.#needs.pollMs);
    const position = this.#position;
    let reason = await position.begin(from, await driver.tracked(table));
    if (reason === 'initial' && this.#needs.start === 'now') reason = await this.#fromNow(next);
    while (!signal.aborted) {
      if (reason !== undefined) {
        const end = yield* this.#resync(reason, number, signal);
        if (end) {
          await position.settledBelow(next, signal);
          if (signal.aborted) return;
          yield [number(end)];
          position.gave(end.versionId, next);
          reason = undefined;
        } else reason = 'incarnation';
        continue;
      }
      const isFinishing = this.#finish.signal.aborted; // before the look: what it finds is all there was
      const before = next;
      for await (const page of this.#pages(signal)) {
        if (typeof page === 'string') reason = page;
        else {
          if (page.changes.length > 0) yield page.changes.map(number);
          if (page.next.pk === null) position.gave(page.next.version, next);
        }
      }
      if (signal.aborted || (isFinishing && reason === undefined)) return;
      if (reason === undefined)
        await pause(environment.clock, pauses.after(next > before), signal, this.#finish.signal);
    }
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

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** To where the database is now, or to the reason why not. */
  async *#pages(signal: AbortSignal): AsyncGenerator<ChangePage | ResyncReason> {
    const { driver, table, options } = this.#needs;
    const position = this.#position;
    let after: ChangeCursor = { version: position.given, pk: null };
    const baseline = after.version;
    for (let isLast = false; !isLast && !signal.aborted; ) {
      let page: ChangePage;
      try {
        page = await driver.changes({ table, after, baseline, epoch: position.epoch, options });
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
      position.current = page.current;
      ({ isLast, next: after } = page);
      yield page;
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
    for (let after: readonly SqlValue[] | null = null; !signal.aborted; ) {
      const page = await driver.rows({ table, after, options });
      if (begun === null) {
        await position.newEpoch(page.incarnation);
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
      if (items.length > 0) yield items.map(number);
      after = page.next;
      if (after === null) break;
    }
    return begun && { ...begun, operation: 'RESYNC_END' };
  }

  async #fromNow(next: Position): Promise<undefined> {
    const { current, incarnation } = await this.#needs.driver.tracked(this.#needs.table);
    await this.#position.newEpoch(incarnation);
    this.#position.gave(current, next);
  }

  async #track(signal: AbortSignal): Promise<void> {
    const { driver, table } = this.#needs;
    const [reply] = await driver.write([{ op: 'track', table, options: {} }], signal);
    if (reply && 'error' in reply) throw reply.error;
  }
}
