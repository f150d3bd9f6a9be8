/** What a database must do for a `sql` I/O actor. Everything above is the same for every driver. */
import type { IoReply } from '../../runtime/index.ts';
import type { ChangeItem, Params, ReadOptions, Row, SqlValue, TableInfo, Tracked } from './contract.ts';
import type { ChangeCursor, PageRequest, WriteOp } from './ops.ts';

/** Changes of one moment: the look, and rows of the same snapshot where the database has snapshots. */
export interface ChangePage extends Tracked {
  readonly changes: readonly ChangeItem[];
  /** Goes on after the last change of this page; at the end its version is `current`. */
  readonly next: ChangeCursor;
  readonly isLast: boolean;
}

/** Rows of a table by its key, for a resync. */
export interface RowPage {
  readonly rows: readonly { readonly pk: Row; readonly data: Row }[];
  /** Key of the last row; null at the end. */
  readonly next: readonly SqlValue[] | null;
}

export interface RowsRequest {
  readonly table: string;
  readonly after: readonly SqlValue[] | null;
  readonly options: ReadOptions;
}

/** The version up to which a consumer has read, kept in the database itself: a restored one shows an older bookmark. */
export interface Bookmark {
  readonly consumer: string;
  readonly table: string;
  readonly version: number;
  readonly epoch: number;
}

/** The lease that a write is made under, by its name. */
export interface Fence {
  readonly lease: string;
  readonly token: number;
  /** Kept with the lease, in the transaction of the write; what is kept stays where it is left out. */
  readonly mark?: string | undefined;
}

/** A lease as it stands after somebody asked for it. */
export interface LeaseState {
  /** The asker has it now, with a token above all former ones. */
  readonly isMine: boolean;
  readonly owner: string;
  readonly token: number;
  /** What is left of it, in ms by the database's clock; not positive: it ran out. */
  readonly leftMs: number;
  /** What was kept with it last. */
  readonly mark: string | null;
}

/** Leases kept in the database, with ends by its clock. */
export interface Leases {
  /** Takes it where it is free or ran out. Throws STORE_READ_ONLY where none can be kept. */
  take(lease: string, owner: string, leaseMs: number): Promise<LeaseState>;
  /** False where another has taken it. */
  renew(lease: string, token: number, leaseMs: number): Promise<boolean>;
  release(lease: string, token: number): Promise<void>;
  /** Remembers the token of a lease that is kept elsewhere. Throws SQL_FENCED where a higher one was seen, STORE_READ_ONLY. */
  see(lease: string, token: number): Promise<void>;
}

export interface SqlCursor {
  /** Fewer than asked for at the end. */
  next(rows: number): Promise<Row[]>;
  close(): Promise<void>;
}

export interface SqlDriver {
  /** Counts the times that it connected to what may be another database than before. */
  readonly connection: number;
  /** One reply per write, in order, each for itself all or nothing. */
  write(ops: readonly WriteOp[], signal: AbortSignal): Promise<IoReply[]>;
  query(sql: string, params: Params, maxRows: number): Promise<Row[]>;
  open(sql: string, params: Params): Promise<SqlCursor>;
  /** Throws TABLE_UNKNOWN. */
  describe(table: string): Promise<TableInfo>;
  /** Throws TRACKING_OFF, TABLE_UNKNOWN. */
  tracked(table: string): Promise<Tracked>;
  /** Throws TRACKING_LOST where `after` is below the oldest valid version or beyond the current one, TRACKING_OFF, TABLE_UNKNOWN. */
  changes(request: PageRequest): Promise<ChangePage>;
  /** A look, and then the first rows, in one snapshot where there are snapshots; else the look comes first. */
  rows(request: RowsRequest): Promise<RowPage & Tracked>;
  /** Keys of the replica's rows whose version is of an older epoch, after a key in the order of `canonicalKey`. */
  olderThan(table: string, epoch: number, after: string | null, limit: number): Promise<{ pk: Row; key: string }[]>;
  bookmark(consumer: string, table: string): Promise<Bookmark | null>;
  /** Throws SQL_FENCED where a higher token than that of the fence was seen for its lease: then nothing is written. */
  setBookmark(bookmark: Bookmark, fence?: Fence): Promise<void>;
  readonly leases: Leases;
  probe(): Promise<void>;
  close(): Promise<void>;
}

/** A key as text: equal keys, equal text. */
export function canonicalKey(values: readonly SqlValue[]): string {
  return JSON.stringify(values, (_name, value: unknown) => {
    if (typeof value === 'bigint') return { i: String(value) };
    if (value instanceof Uint8Array) return { b: Buffer.from(value).toString('base64') };
    return value;
  });
}

/** The values behind `canonicalKey`; a Date comes back as its text. */
export function valuesOfKey(key: string): SqlValue[] {
  const values = JSON.parse(key) as unknown[];
  return values.map(value => {
    if (typeof value !== 'object' || value === null) return value as SqlValue;
    const { i, b } = value as { i?: string; b?: string };
    return i === undefined ? new Uint8Array(Buffer.from(b!, 'base64')) : BigInt(i);
  });
}
