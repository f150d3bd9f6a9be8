/** How the messages of a topic are shared out among the consumers of one subscription: one way for each pair of types. */
import type { Clock } from '../../../runtime/index.ts';
import type { Cursor, CursorChange } from './cursor.ts';
import type { Member } from './member.ts';
import type { Stored, Topic } from './topic.ts';

export interface DispatcherNeeds {
  readonly clock: Clock;
  /** A message's time has come: run. */
  due(): void;
  readonly topic: Topic;
  readonly cursor: Cursor;
  /**
   * Publishes a message to its dead-letter topic and acknowledges it, in one commit. `failed` is called when that could
   * not be done: it is then to be given again.
   */
  bury(member: Member, stored: Stored, failed: () => void): void;
}

export interface Dispatcher {
  add(member: Member): void;
  /** What the member holds is given to others, or to who comes next. */
  remove(member: Member): void;
  /** Gives what can be given. Throws what reading throws. */
  run(): void;
  /** The member took a message out of its inbox. */
  taken(member: Member, seq: number): void;
  /** What the member was given of these, or all of it, is given again. */
  redeliver(member: Member, seqs: readonly number[] | 'all'): void;
  /** After a commit. */
  changed(change: CursorChange): void;
  /** Lets go of timers. */
  close(): void;
}

/** Rows read at once. */
export const READ_ROWS = 500;
