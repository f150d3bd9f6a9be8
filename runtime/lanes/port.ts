import type { Carried } from './text.ts';

/**
 * One end of a two-way, ordered, lossless-while-both-live channel between two threads. A MessagePort fits; the
 * simulation has a twin in memory (memory-lane.ts).
 */
export interface Port {
  post(carried: Carried): void;
  /** The one listener; messages that came before it was set are delivered then. */
  onMessage(listener: (carried: Carried) => void): void;
  close(): void;
}

/** The reply to an ask: `ok` for a value, else it is an error on its way (errors.ts, `toWire`). */
export interface Reply {
  seq: number;
  ok: boolean;
  value: unknown;
}

/** Settlements and everything else that flows back to the sender. All parts are optional: most turns have runs only. */
export interface Returns {
  /** Settled runs in order: first seq, last seq, outcome, repeated. */
  runs?: number[];
  /** Of bounced messages that were tried: calls made with them, and calls charged to them. */
  tried?: { seq: number; calls: number; attempt: number }[];
  /** Replies to asks. */
  replies?: Reply[];
  /** Keys that are full: the sender holds its messages for them. */
  hold?: { actor: number; key: string | number | bigint }[];
  /** Keys that have room again. */
  free?: { actor: number; key: string | number | bigint }[];
  /** Partitions that the receiver let go of: up to this seq it has handled or bounced all that came of them (rule 19). */
  released?: { partition: number; upTo: number }[];
}

/** The single final outcome of a message, and BOUNCED, which is not final: the receiver is not its home any more. */
export const DONE = 0;
export const DEAD = 1;
export const DROPPED = 2;
export const BOUNCED = 3;
export type Outcome = typeof DONE | typeof DEAD | typeof DROPPED;
export type SettleCode = Outcome | typeof BOUNCED;

/**
 * Who hears of the outcome of a message sent: the window of a source, the parent of a child, a waiting ask.
 * `token` is what the owner gave with the message.
 */
export interface Owner {
  settled(token: number, outcome: Outcome): void;
  /** Nobody waits for it any more, and who gave it gives it again: it need not be replayed. */
  isOrphan?(token: number): boolean;
  /** The reply of an ask; comes at most once and not after `settled`. */
  replied?(token: number, ok: boolean, value: unknown): void;
}
