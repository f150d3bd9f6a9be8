/** The driver as a source sees it that reads its table by CDC: positions are of its own, all else is the driver's. */
import { type IoReply, KeymillError } from '../../../runtime/index.ts';
import type { Params, Row, TableInfo, Tracked } from '../contract.ts';
import type { Bookmark, ChangePage, Fence, Leases, RowPage, RowsRequest, SqlCursor, SqlDriver } from '../driver.ts';
import type { PageRequest, WriteOp } from '../ops.ts';
import type { Captured } from './captured.ts';

export interface CapturedBookmarks {
  bookmark(): Promise<Bookmark | null>;
  setBookmark(bookmark: Bookmark, fence?: Fence): Promise<void>;
}

export class CapturedDriver implements SqlDriver {
  readonly #driver: SqlDriver;
  readonly #captured: Captured;
  readonly #bookmarks: CapturedBookmarks;

  constructor(driver: SqlDriver, captured: Captured, bookmarks: CapturedBookmarks) {
    this.#driver = driver;
    this.#captured = captured;
    this.#bookmarks = bookmarks;
  }

  get connection(): number {
    return this.#driver.connection;
  }

  /** A source writes only to turn tracking on. */
  async write(ops: readonly WriteOp[], signal: AbortSignal): Promise<IoReply[]> {
    const refused = new KeymillError('SQL_FAILED', 'CDC is turned on by hand: EXEC sys.sp_cdc_enable_table', {
      class: 'fatal',
    });
    if (ops.some(op => op.op === 'track')) return ops.map(() => ({ error: refused }));
    return this.#driver.write(ops, signal);
  }

  query(sql: string, params: Params, maxRows: number): Promise<Row[]> {
    return this.#driver.query(sql, params, maxRows);
  }

  open(sql: string, params: Params): Promise<SqlCursor> {
    return this.#driver.open(sql, params);
  }

  describe(): Promise<TableInfo> {
    return this.#captured.describe();
  }

  tracked(): Promise<Tracked> {
    return this.#captured.tracked();
  }

  changes(request: PageRequest): Promise<ChangePage> {
    return this.#captured.page(request);
  }

  rows(request: RowsRequest): Promise<RowPage & Tracked> {
    return this.#captured.rows(request);
  }

  olderThan(table: string, epoch: number, after: string | null, limit: number): Promise<{ pk: Row; key: string }[]> {
    return this.#driver.olderThan(table, epoch, after, limit);
  }

  bookmark(): Promise<Bookmark | null> {
    return this.#bookmarks.bookmark();
  }

  /** The LSN first: a bookmark without one would be a position that nobody finds. */
  async setBookmark(bookmark: Bookmark, fence?: Fence): Promise<void> {
    await this.#captured.keep(bookmark, fence);
    await this.#bookmarks.setBookmark(bookmark, fence);
  }

  get leases(): Leases {
    return this.#driver.leases;
  }

  probe(): Promise<void> {
    return this.#driver.probe();
  }

  /** It is not this source's to close. */
  async close(): Promise<void> {}
}
