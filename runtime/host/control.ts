/**
 * What the supervisor and a thread say to each other. Plain data (plus ports), so that it crosses threads by structured
 * clone and the simulation by reference. Data messages never take this way: they have lanes.
 */
import type { WireError } from '../errors.ts';
import type { Port } from '../lanes/port.ts';
import type { SourceSnapshot, ThreadSnapshot } from '../observe/stats.ts';
import type { Key } from '../topology/define.ts';

/**
 * Items that were in flight when a host died (rule 10). Its replacement runs `count` of the key alone, from the one with
 * this mark on: before it may come others, done but not settled, which are not to blame. Without a mark the first ones.
 */
/** A message that may not be handled any more: it killed its host whenever it ran alone. */
export interface Quarantined {
  readonly actor: number;
  /** Hash of the key of its mailbox, and of its id: together they tell it from all others. */
  readonly hash: number;
  readonly idHash: number;
}

export interface Suspect {
  actor: number;
  hash: number;
  count: number;
  mark: number | null;
}

/** To a thread. */
export type Command =
  /** A breaker closed: what backs off because of this I/O actor need not wait longer. */
  | { type: 'io-well'; io: string }
  | { type: 'lane-out'; slot: number; incarnation: number; port: Port }
  | { type: 'lane-in'; slot: number; incarnation: number; port: Port }
  | { type: 'peer-down'; slot: number; incarnation: number }
  | { type: 'peer-up'; slot: number; incarnation: number }
  | { type: 'peer-paused'; slot: number; paused: boolean }
  | { type: 'homes-changed' }
  | { type: 'release'; partition: number }
  | { type: 'start-sources' }
  | { type: 'stop-sources' }
  | { type: 'drain'; draining: boolean }
  | { type: 'close' }
  | { type: 'snapshot'; ticket: number }
  | { type: 'depths'; ticket: number }
  | { type: 'key'; ticket: number; actor: number; key: Key; action: KeyAction }
  | { type: 'pause-source'; source: string; reason: string | undefined }
  | { type: 'finish-source'; source: string }
  | { type: 'stall'; ms: number };

export type KeyAction = 'pause' | 'resume' | 'inspect' | 'skip' | 'retryNow';

/** From a thread. */
export type Report =
  /** Its host exists: lanes to it may be opened, its init hooks run. */
  | { type: 'booted'; threadId: number }
  | { type: 'ready' }
  | { type: 'failed'; error: WireError }
  | { type: 'lane-request'; slot: number }
  | { type: 'released'; partition: number }
  | { type: 'source-ended'; source: string; given: number }
  | { type: 'source-settled'; source: string; snapshot: SourceSnapshot }
  | { type: 'edge'; from: string; to: string }
  | { type: 'breaker'; io: string; open: boolean }
  | { type: 'source-failed'; source: string; error: WireError }
  | { type: 'actor-stopped'; actor: string; error: WireError }
  | { type: 'escalate'; actor: string; error: WireError }
  | { type: 'recycle'; reason: 'zombie' | 'heap'; ledger: number[] }
  | { type: 'heap'; used: number; limit: number }
  | { type: 'closed' }
  | { type: 'snapshot'; ticket: number; snapshot: ThreadSnapshot }
  | { type: 'answer'; ticket: number; value: unknown }
  | { type: 'log'; level: 'debug' | 'info' | 'warn' | 'error'; fields: Record<string, unknown>; text: string };
