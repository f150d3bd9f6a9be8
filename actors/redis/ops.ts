/**
 * Asks of a `redis` I/O actor as they travel: plain data, of few shapes. Names and values of fields are two arrays, so
 * that a field may be called anything (a record would lose `__proto__` on the way).
 *
 * **One key for all that a thread asks of data.** `multi` and `getMany` touch many keys, and what one caller asks for must
 * be done in the order it asked; so all that its thread asks is one queue, drained as one array: one transaction, or one
 * pipeline of a server. While that of one thread is at the server, that of another can go. Polls of subscriptions wait
 * long, and so each subscription has a queue of its own.
 */
import type { Version } from '../../runtime/index.ts';
import type { Expected, Fence, Heard, Lease, RedisRead, RedisValue } from './contract.ts';

export interface SetOp {
  readonly op: 'set';
  readonly key: string;
  readonly value: RedisValue;
  /** Null: what the driver's options say. */
  readonly ttlMs: number | null;
  /** With `ifAbsent`: names this very write, so that it is known again when it is asked for twice. */
  readonly id: string | null;
}

interface DeleteOp {
  readonly op: 'delete';
  readonly keys: readonly string[];
}

export interface SetVersionedOp {
  readonly op: 'setVersioned';
  readonly key: string;
  /** Null removes it. */
  readonly value: RedisValue | null;
  readonly version: Version;
  readonly ttlMs: number | null;
  readonly fence: Fence | null;
}

export interface MergeOp {
  readonly op: 'merge';
  readonly key: string;
  readonly version: Version;
  readonly names: readonly string[];
  /** One per name; null removes the field. */
  readonly values: readonly (RedisValue | null)[];
  readonly isWhole: boolean;
  readonly isGone: boolean;
  readonly ttlMs: number | null;
  readonly publish: { readonly channel: string; readonly message: RedisValue } | null;
  readonly fence: Fence | null;
}

/** In a message that is filled: what a version takes the place of. */
export const BLANK = '"$version"';

interface PublishOp {
  readonly op: 'publish';
  readonly channel: string;
  readonly message: RedisValue;
  /** In a step: see the contract. */
  readonly isFilled: boolean;
}

export interface CompareAndSetOp {
  readonly op: 'compareAndSet';
  readonly key: string;
  readonly expected: Expected;
  /** Undefined: not compared. */
  readonly seen: Version | null | undefined;
  /** Null: no version is known that it must be above. */
  readonly above: Version | null;
  /** Null removes it. */
  readonly value: RedisValue | null;
  readonly ttlMs: number | null;
  readonly fence: Fence | null;
  /** As of `set`. */
  readonly id: string;
}

export type StepOp = SetOp | DeleteOp | SetVersionedOp | CompareAndSetOp | MergeOp | PublishOp;

export interface ScanCursor {
  readonly id: string;
  /** Pages taken so far: a page asked for again is given again. */
  readonly page: number;
}

/** All that goes to the driver, in order. */
export type DataOp =
  | StepOp
  | { readonly op: 'get' | 'getVersioned' | 'getEntries' | 'getFields'; readonly keys: readonly string[] }
  | { readonly op: 'expire'; readonly key: string; readonly ttlMs: number }
  | { readonly op: 'multi'; readonly steps: readonly StepOp[] }
  | { readonly op: 'acquire'; readonly name: string; readonly holder: string; readonly ttlMs: number }
  | { readonly op: 'renew' | 'release'; readonly lease: Lease }
  | { readonly op: 'scan'; readonly prefix: string; readonly cursor: ScanCursor | null }
  | { readonly op: 'epoch' }
  | { readonly op: 'subscribe'; readonly what: RedisRead }
  | { readonly op: 'unsubscribe'; readonly id: string };

/** Waits for messages of a subscription. `after`: number of the last reply that was taken. */
export interface PollOp {
  readonly op: 'poll';
  readonly id: string;
  readonly after: number;
}

export type RedisOp = DataOp | PollOp;

// ── replies that are not what the client gives ───────────────────────────────────────────────────────────────────────

export interface FieldsReply {
  readonly names: readonly string[];
  /** One per name; null was removed, and has a version still. */
  readonly values: readonly (RedisValue | null)[];
  readonly versions: readonly Version[];
  readonly version: Version;
  readonly isGone: boolean;
}

export interface ScanPage {
  readonly keys: readonly string[];
  readonly next: ScanCursor | null;
}

/** Null: there is no such subscription (any more). Else its number, to be named by the next poll. */
export type PollReply = { readonly seq: number; readonly heard: readonly Heard[] } | null;

/** All of them. */
export const DATA_OPS: ReadonlySet<DataOp['op']> = new Set<DataOp['op']>([
  'set',
  'delete',
  'setVersioned',
  'merge',
  'publish',
  'compareAndSet',
  'get',
  'getVersioned',
  'getEntries',
  'getFields',
  'expire',
  'multi',
  'acquire',
  'renew',
  'release',
  'scan',
  'epoch',
  'subscribe',
  'unsubscribe',
]);

export function isDataOp(ask: unknown): ask is DataOp {
  return typeof ask === 'object' && ask !== null && 'op' in ask && (DATA_OPS as ReadonlySet<unknown>).has(ask.op);
}

export function isPollOp(ask: unknown): ask is PollOp {
  if (typeof ask !== 'object' || ask === null) return false;
  const { op, id, after } = ask as Partial<Record<keyof PollOp, unknown>>;
  return op === 'poll' && typeof id === 'string' && typeof after === 'number';
}

export function keyOf(ask: unknown, from: number): string | number {
  return isPollOp(ask) ? `poll ${ask.id}` : from;
}

/** The keys whose order an ask must keep with those before it. */
export function keysOf(op: DataOp): readonly string[] {
  switch (op.op) {
    case 'get':
    case 'getVersioned':
    case 'getEntries':
    case 'getFields':
    case 'delete':
      return op.keys;
    case 'set':
    case 'expire':
      return [op.key];
    case 'setVersioned':
    case 'compareAndSet':
    case 'merge':
      return op.fence === null ? [op.key] : [op.key, op.fence.lease];
    case 'multi':
      return op.steps.flatMap(keysOf);
    case 'acquire':
      return [op.name];
    case 'renew':
    case 'release':
      return [op.lease.name];
    default:
      return [];
  }
}
