/**
 * The envelope, version 1 (rule 1): what travels with a message. Its id is (source, epoch, position, child path); a
 * child has the source, epoch and position of the message it came from and a path that says which send it was, so a
 * rerun gives the same ids.
 */
import type { Key } from '../topology/define.ts';

export const ENVELOPE_VERSION = 1;

/** Rare parts of an envelope; most messages have none. */
export interface Extras {
  /** 0 to 7, or -1 for the actor's own. */
  priority: number;
  /** Wall clock ms, or 0. */
  deadline: number;
  /** Asks only: the (actor, key) pairs that wait for this ask, outermost first, each as `actor/key`. */
  chain: readonly string[] | null;
  /** When it was bounced to a new home: calls made with it at the old one, and how many of them were charged to it. */
  calls: number;
  attempt: number;
  /** W3C traceparent, or null. */
  trace: string | null;
}

/** A message on its way out. */
export interface Envelope {
  actor: number;
  key: Key;
  /** Of its key (key-numbers.ts), or 0. */
  number: number;
  hash: number;
  body: unknown;
  source: string;
  epoch: number;
  position: number;
  /** '' for what a source or a tell gave; `0`, `0.2`, … for children. */
  path: string;
  flags: number;
  extras: Extras | null;
}

/** Its sender can give it again if the sender dies: input of replayable sources, and every child. */
export const REPLAYABLE = 1;
/** May be dropped by a drop mode: a tell, or an actor that allows loss. */
export const DROPPABLE = 2;
/** A timer of a key, not a message. */
export const TIMER = 4;
/** The sender waits for a reply. */
export const ASK = 8;

export function formatId(source: string, epoch: number, position: number, path: string): string {
  return path === '' ? `${source}/${epoch}/${position}` : `${source}/${epoch}/${position}.${path}`;
}

export const NO_EXTRAS: Extras = Object.freeze({
  priority: -1,
  deadline: 0,
  chain: null,
  calls: 0,
  attempt: 0,
  trace: null,
});
