/**
 * What sync publishes of a change (G2068), as JSON. `delta` is the row as it is now, all columns the source reads, so that
 * a subscriber needs nothing it may have missed; `changed` names the columns that changed, where that is known.
 */
import type { Version } from '../../runtime/index.ts';
import type { Row, SqlValue } from '../sql/contract.ts';

export interface DataSyncMessage {
  readonly tableName: string;
  readonly operation: 'INSERT' | 'UPDATE' | 'DELETE';
  /** The `n` of the version; with `epoch` it orders all messages of a row. */
  readonly changeVersion: number;
  readonly epoch: number;
  /** The key as one text: equal rows, equal text. */
  readonly recordId: string;
  readonly pk: Encoded;
  /** Null for DELETE. */
  readonly delta: Encoded | null;
  readonly changed: readonly string[] | null;
  /** When the change was made in the database, in ms since 1970. */
  readonly timestamp: number;
  readonly isResync?: true;
}

/** On the control topic, around a resync (G2967). */
export interface ResyncMessage {
  readonly tableName: string;
  readonly phase: 'begin' | 'end';
  readonly reason: string;
  readonly triggeredAt: number;
  readonly lastKnownVersion: number | null;
  readonly epoch: number;
  readonly changeVersion: number;
}

/** Values as JSON has them; what it does not have as an object with one `$` field. */
export type Encoded = Readonly<Record<string, unknown>>;

export function encodeValue(value: SqlValue): unknown {
  if (typeof value === 'bigint') return { $bigint: String(value) };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  if (value instanceof Date) return { $date: value.toISOString() };
  return value;
}

export function decodeValue(value: unknown): SqlValue {
  if (typeof value !== 'object' || value === null) return value as SqlValue;
  const { $bigint, $bytes, $date } = value as { $bigint?: string; $bytes?: string; $date?: string };
  if ($bigint !== undefined) return BigInt($bigint);
  if ($bytes !== undefined) return new Uint8Array(Buffer.from($bytes, 'base64'));
  return new Date($date!);
}

export function encodeRow(row: Row): Encoded {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, encodeValue(value)]));
}

export function decodeRow(row: Encoded): Row {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, decodeValue(value)]));
}

/** One column: its value. Several: a JSON array in their order. */
export function recordIdOf(pk: Row): string {
  const values = Object.values(pk).map(encodeValue);
  return values.length === 1 && typeof values[0] !== 'object' ? String(values[0]) : JSON.stringify(values);
}

export function versionOf(message: DataSyncMessage): Version {
  return { epoch: message.epoch, n: message.changeVersion };
}
