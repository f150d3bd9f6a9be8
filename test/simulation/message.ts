/** What the simulated messages say: how their handler shall behave. Made from the seed, before anything runs. */
import type { ErrorClass } from '../../runtime/errors.ts';

export interface Message {
  /** Unique, and the same at every delivery. */
  id: string;
  /** Who gives it, in what order: a source, the tells, or the key of its parent's actor. */
  stream: string;
  n: number;
  actor: string;
  key: string;
  /** Virtual ms the handler takes; 0 is synchronous. */
  sleep: number;
  /** Classes of the errors of its first calls. */
  fails: ErrorClass[];
  /** The first call takes this long, or for ever with -1. */
  hang: number;
  /** Kills its host in every call. */
  poison: boolean;
  children: Message[];
  ask: { actor: string; key: string; value: number } | null;
  /** Writes its id to the output before it ends. */
  writes: boolean;
  /** Asked, not told: reply with this. */
  value: number | null;
}

/** Calls that cost an attempt, before it succeeds. */
export function costOf(message: Message): number {
  return message.fails.filter(one => one === 'unknown' || one === 'poison').length;
}

export function mayDie(message: Message, attempts: number): boolean {
  return message.poison || message.fails.includes('fatal') || costOf(message) >= attempts;
}

export function* withChildren(message: Message): Iterable<Message> {
  yield message;
  for (const child of message.children) yield* withChildren(child);
}
