/** Asks of a `sql` I/O actor as they travel. Writes keep their order; reads are done at once beside them. */
import type { Delta, Params, ReadOptions, SqlValue, Statement, TrackOptions } from './contract.ts';

export type WriteOp =
  | { readonly op: 'transaction'; readonly statements: readonly Statement[]; readonly context?: string | undefined }
  | {
      readonly op: 'insert' | 'upsert';
      readonly table: string;
      readonly rows: Rows;
      readonly context?: string | undefined;
    }
  | { readonly op: 'remove'; readonly table: string; readonly rows: Rows; readonly context?: string | undefined }
  | { readonly op: 'apply'; readonly table: string; readonly deltas: readonly Delta[] }
  | { readonly op: 'track'; readonly table: string; readonly options: TrackOptions }
  | { readonly op: 'untrack'; readonly table: string };

/** Rows of equal columns: the names once. */
export interface Rows {
  readonly columns: readonly string[];
  readonly values: readonly (readonly SqlValue[])[];
}

export type ReadOp =
  | { readonly op: 'query'; readonly sql: string; readonly params?: Params | undefined }
  | { readonly op: 'describe'; readonly table: string }
  | { readonly op: 'tracked'; readonly table: string }
  | { readonly op: 'olderThan'; readonly table: string; readonly epoch: number; readonly after: string | null }
  | { readonly op: 'changes'; readonly request: PageRequest };

export type CursorOp =
  | {
      readonly op: 'open';
      readonly cursor: string;
      readonly sql: string;
      readonly params?: Params | undefined;
      readonly rows: number;
    }
  | { readonly op: 'fetch'; readonly cursor: string; readonly rows: number }
  | { readonly op: 'close'; readonly cursor: string };

export type SqlOp = WriteOp | ReadOp | CursorOp;

/** Up to where changes were read: all of the versions below, and those of `version` up to the key. */
export interface ChangeCursor {
  readonly version: number;
  /** Null: the version is read whole. */
  readonly pk: readonly SqlValue[] | null;
}

export interface PageRequest {
  readonly table: string;
  readonly after: ChangeCursor;
  /** INSERT or UPDATE is told relative to this version: what the reader knew before it began to page. */
  readonly baseline: number;
  /** That of the changes read. */
  readonly epoch: number;
  readonly options: ReadOptions;
}

const WRITES = new Set(['transaction', 'insert', 'upsert', 'remove', 'apply', 'track', 'untrack']);
const READS = new Set(['query', 'describe', 'tracked', 'olderThan', 'changes']);
const CURSORS = new Set(['open', 'fetch', 'close']);

export function isSqlOp(ask: unknown): ask is SqlOp {
  const { op } = (ask ?? {}) as { op?: unknown };
  return typeof op === 'string' && (WRITES.has(op) || READS.has(op) || CURSORS.has(op));
}

export function isWrite(op: SqlOp): op is WriteOp {
  return WRITES.has(op.op);
}

export function isCursor(op: SqlOp): op is CursorOp {
  return CURSORS.has(op.op);
}

/**
 * Writes one after the other, each cursor for itself. `from`: the thread that asks, where each may have a connection: then
 * that is so for what one thread asks, as the rows of a key come from one thread at a time.
 */
export function keyOf(ask: unknown, from: number | null): string {
  const by = from === null ? '' : ` ${from}`;
  if (!isSqlOp(ask) || isWrite(ask)) return `writes${by}`;
  return isCursor(ask) ? `cursor ${ask.cursor}` : `reads${by}`;
}
