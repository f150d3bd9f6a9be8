/** Asks that a cache adds to those of its store, as they travel. */
import type { Version } from '../../runtime/index.ts';
import type { Told } from './counts.ts';

/** Reads entries; a value whose version the asker has is not sent. */
export interface ReadOp {
  readonly op: 'cache.read';
  /** Names in the store. */
  readonly keys: readonly string[];
  /** One per key: the version that the asker holds. */
  readonly versions: readonly (Version | null)[];
}

export interface ReadReply {
  readonly value: string | Uint8Array | null;
  /** The value is what the asker holds. */
  readonly isSame: boolean;
  readonly version: Version | null;
  readonly isRemoved: boolean;
  readonly leftMs: number;
}

/** Asks to lead the load of a key in this process; answered with true, or with false while another thread does. */
export interface LeadOp {
  readonly op: 'cache.lead';
  readonly key: string;
  readonly by: string;
  /** How long it may lead without a word. */
  readonly ms: number;
}

/** How a load ended, for those who wait for it. */
export type Outcome =
  | { readonly is: 'value'; readonly bytes: Uint8Array; readonly version: Version | null; readonly leftMs: number }
  | { readonly is: 'error'; readonly message: string; readonly class: string }
  /** Nothing came of it: ask again. */
  | { readonly is: 'nothing' };

/** The load that `by` led has ended. */
export interface DoneOp {
  readonly op: 'cache.done';
  readonly key: string;
  readonly by: string;
  readonly outcome: Outcome;
}

/** Waits for outcomes of what `by` was not let lead. `after`: number of the last reply that came. */
export interface WaitOp {
  readonly op: 'cache.wait';
  readonly by: string;
  readonly after: number;
}

export interface WaitReply {
  readonly seq: number;
  readonly outcomes: readonly { readonly key: string; readonly outcome: Outcome }[];
}

export interface ToldOp {
  readonly op: 'cache.told';
  readonly by: string;
  readonly told: Told;
}

export type CacheOp = ReadOp | LeadOp | DoneOp | WaitOp | ToldOp;

export function isCacheOp(ask: unknown): ask is CacheOp {
  if (typeof ask !== 'object' || ask === null) return false;
  const { op } = ask as { op?: unknown };
  return typeof op === 'string' && op.startsWith('cache.');
}
