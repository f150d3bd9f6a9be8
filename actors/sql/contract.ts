/**
 * What a `sql` I/O actor can be asked, whatever its driver: embedded (`sqlite:`) or SQL Server (`mssql:`). Statements are
 * the database's own SQL with parameters named `@name`; names of tables and columns given apart are looked up in the
 * database and quoted, never taken as SQL. Changes are those of SQL Server's Change Tracking: net, per row, by primary
 * key, with one version for each transaction of the database (reference: sql-server-and-tds, 1.1 to 1.7).
 */
import type { Version } from '../../runtime/index.ts';

/** Whole numbers beyond 2⁵³ come as bigint, decimals of SQL Server as text: exact either way. */
export type SqlValue = null | boolean | number | bigint | string | Uint8Array | Date;
export type Row = Record<string, SqlValue>;
export type Params = Readonly<Record<string, SqlValue>>;

export interface Statement {
  readonly sql: string;
  readonly params?: Params | undefined;
  /** Rows that it must change, or the transaction is rolled back with SQL_CONSTRAINT. */
  readonly expectRows?: number | undefined;
}

/** Kept with the changes of a transaction, so that who made them can tell them from others: 128 bytes of UTF-8 at most. */
export interface WriteOptions {
  readonly context?: string | undefined;
}

export interface ColumnInfo {
  readonly name: string;
  /** As the database declares it. */
  readonly type: string;
  readonly isKey: boolean;
  readonly isComputed: boolean;
}

export interface TableInfo {
  /** As the database spells it. */
  readonly table: string;
  readonly columns: readonly ColumnInfo[];
  /** Names of the primary key's columns, in its order; empty without one. */
  readonly key: readonly string[];
  readonly isTracked: boolean;
}

export type Operation = 'INSERT' | 'UPDATE' | 'DELETE';

/** The net change of one row since a position. An INSERT or UPDATE may come again: treat both as what the row is now. */
export interface ChangeItem {
  readonly table: string;
  /** Version of the last change of the row: the `n` of its Version. */
  readonly versionId: number;
  /** The life of the source that the version belongs to; 0 from `getChanges`, which has none. */
  readonly epoch: number;
  readonly operation: Operation;
  readonly pk: Row;
  /** The row's columns as they are at this moment, so at least of `versionId`; null for DELETE. */
  readonly data: Row | null;
  /** Columns that were changed; null where all may have been: INSERT, DELETE, columns not tracked. */
  readonly changed: readonly string[] | null;
  /** When the change was made, in ms since 1970. */
  readonly captureTime: number;
  /** The `context` of the write. */
  readonly context: string | null;
  /** The row as it was and became; only from CDC tables (S4). */
  readonly before?: Row | null | undefined;
  readonly after?: Row | null | undefined;
  /** Given by a resync: nothing may have changed. */
  readonly isResync?: boolean | undefined;
}

/** Why a table is read anew. */
export type ResyncReason =
  | 'initial' // no position is known
  | 'cleaned' // changes were cleaned up before they were read
  | 'truncated' // the table was truncated, or tracking was turned off and on
  | 'went-back' // the database is older than what was read: a restore or a failover
  | 'incarnation'; // another database stands in its place

/**
 * Around the rows of a resync. What downstream holds of the table with an epoch below `epoch` when RESYNC_END comes is
 * gone. It comes when all rows of the resync are settled.
 */
export interface ResyncEvent {
  readonly table: string;
  readonly operation: 'RESYNC_BEGIN' | 'RESYNC_END';
  /** Names of the primary key's columns. */
  readonly key: readonly string[];
  readonly reason: ResyncReason;
  /** The version that all rows of the resync have, and the epoch that begins with it. */
  readonly versionId: number;
  readonly epoch: number;
  /** Null where none is known. */
  readonly lastKnownVersion: number | null;
  readonly triggeredAt: number;
}

export type ChangeRecord = ChangeItem | ResyncEvent;

/** A look at a tracked table, taken in one moment. */
export interface Tracked {
  /** Version of the last committed transaction with a tracked change, of any table of the database. */
  readonly current: number;
  /** The oldest position from which all changes of the table can still be read. */
  readonly minValid: number;
  /** Another value: another database, or one that is not the continuation of what was read. */
  readonly incarnation: string;
  /**
   * The version at which tracking of the table began, and began anew when it was truncated. Only where that alone may tell of
   * it (mssql), and the user may see it.
   */
  readonly began?: number | null | undefined;
}

/** How changes are read; every parameter of the seed's TrackChangesAsync (G2437) has its place here. */
export interface ReadOptions {
  /** Columns of `data`, beside the key; default: all. */
  readonly columns?: readonly string[] | undefined;
  /**
   * A condition on the row as it is now, in SQL, with the table as `t`; deletes always pass. A row that ceases to meet it
   * gives no change: use columns that do not change.
   */
  readonly filter?: { readonly sql: string; readonly params?: Params | undefined } | undefined;
  /** Rows of one page. Default 1000. */
  readonly pageSize?: number | undefined;
  /** SQL in place of the version or the operation (I, U or D) of a change; the change is `ct`, the row `t`. */
  readonly versionSelect?: string | undefined;
  readonly operationSelect?: string | undefined;
  /** A statement that runs before each page, on the same connection. */
  readonly before?: string | undefined;
}

export interface GetChangesOptions extends ReadOptions {
  /** Changes above this version; 0 reads all that is tracked. TRACKING_LOST where it is below the oldest valid one. */
  readonly since: number;
}

export interface TrackChangesOptions extends ReadOptions {
  /** From this version on; default: from now. */
  readonly since?: number | undefined;
  /** Shortest and longest pause between looks: 50 ms, doubled while nothing comes, to 5 s (G6.3). */
  readonly pollMs?: { readonly min?: number | undefined; readonly max?: number | undefined } | undefined;
  /** The pause in ms after so many looks that found nothing, in place of `pollMs`. */
  readonly awaitMs?: ((emptyLooks: number) => number) | undefined;
  /** Ends after so many looks in a row that found nothing. Off by default (READINGS). */
  readonly emptyLimit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One change of a replica, by its version (D10). */
export interface Delta {
  readonly pk: Row;
  readonly version: Version;
  /** Columns to set beside the key; null removes the row and keeps its version. */
  readonly data: Row | null;
}

/** applied: the row is as the delta says. same: that version stood there. older: a newer one did. */
export type DeltaOutcome = 'applied' | 'same' | 'older';

export interface TrackOptions {
  /** Tells which columns an UPDATE changed. Default true. */
  readonly columns?: boolean | undefined;
}

/**
 * The typed face of a `sql` I/O actor, as `ctx.io<SqlClient>('sql')` gives it. Writes of one thread are done in the order
 * it asked (on SQLite those of all threads, as they come), those of one drain in one transaction of the database where that is safe, each for itself all or nothing. Rejects with
 * SQL_FAILED, SQL_CONSTRAINT, SQL_IDENTIFIER, TABLE_UNKNOWN, SQL_UNAVAILABLE, OUTPUT_FULL, STORE_READ_ONLY, STORE_CORRUPT.
 */
export interface SqlClient {
  /** Rows of one statement; beyond 10,000 rejects with SQL_FAILED and the advice to `stream`. */
  query<R extends Row = Row>(sql: string, params?: Params): Promise<R[]>;
  execute(sql: string, params?: Params, options?: WriteOptions): Promise<{ rows: number }>;
  /** All statements or none. */
  transaction(statements: readonly Statement[], options?: WriteOptions): Promise<{ rows: number }[]>;
  /** Rows as they are asked for: the database waits for the reader. Rejects with SQL_CURSOR_LOST. */
  stream<R extends Row = Row>(
    sql: string,
    params?: Params,
    options?: { readonly chunk?: number | undefined },
  ): AsyncIterable<R>;

  /** Inserts rows of equal columns, all or none. */
  insert(table: string, rows: readonly Row[], options?: WriteOptions): Promise<{ rows: number }>;
  /** Inserts, or updates the columns given, by primary key; all or none. */
  upsert(table: string, rows: readonly Row[], options?: WriteOptions): Promise<{ rows: number }>;
  /** By primary key. */
  remove(table: string, keys: readonly Row[], options?: WriteOptions): Promise<{ rows: number }>;
  /** Applies changes to a replica, each once and never an older one over a newer one. One outcome per delta. */
  apply(table: string, deltas: readonly Delta[]): Promise<DeltaOutcome[]>;
  /** Keys of a replica's rows whose version is of an epoch below this: what a resync did not give. */
  olderThan(table: string, epoch: number): AsyncIterable<Row>;

  describe(table: string): Promise<TableInfo>;
  /** Turns change tracking on for a table, where it is off. Rejects with TABLE_NO_KEY. */
  track(table: string, options?: TrackOptions): Promise<void>;
  untrack(table: string): Promise<void>;
  /** Rejects with TRACKING_OFF. */
  tracked(table: string): Promise<Tracked>;
  /** What changed above a version, to where the database is now; then it ends (S2). */
  getChanges(table: string, options: GetChangesOptions): AsyncIterable<ChangeItem>;
  /** What changes from now on, or from a version on, page by page (S2). Rejects with TRACKING_LOST where a resync is needed. */
  trackChanges(table: string, options?: TrackChangesOptions): AsyncIterable<ChangeItem[]>;
}

/** What `read` of a source entry may say: one table whose changes, and resyncs, are the records. */
export interface SqlRead extends Omit<ReadOptions, 'before'> {
  readonly table: string;
  /** Tells its bookmark from those of others in the same database. Default: the name of the I/O actor. */
  readonly consumer?: string | undefined;
  /** Turns tracking on where it is off. Default false. */
  readonly track?: boolean | undefined;
  readonly pollMs?: { readonly min?: number | undefined; readonly max?: number | undefined } | undefined;
  readonly before?: string | undefined;
  /** Where no position is known: read the whole table first (default), or begin with what changes from now on. */
  readonly start?: 'resync' | 'now' | undefined;
  /** One of several replicas reads, the others stand by (S11). */
  readonly leader?:
    | {
        /** How long it leads after its last sign of life. Default 10 s. */
        readonly leaseMs?: number | undefined;
        /** Default: a third of `leaseMs`. */
        readonly renewMs?: number | undefined;
        /** Where lease and position are kept: the database (default), or a `redis` I/O actor. */
        readonly in?: 'database' | { readonly redis: string } | undefined;
        readonly owner?: string | undefined;
      }
    | undefined;
}
