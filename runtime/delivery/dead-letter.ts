/** A message that will not be handled, with what is known about why. */
import type { WireError } from '../errors.ts';
import type { Failure } from '../mailbox/item.ts';
import type { Key } from '../topology/define.ts';

export interface DeadLetter {
  /** Id of the message, see envelope.ts. A dead letter written twice (crash in between) is one, by its id. */
  id: string;
  actor: string;
  key: Key;
  message: unknown;
  error: WireError;
  /** Its failed calls, oldest first, twenty at most. */
  history: Failure[];
  /** Calls charged to it. */
  attempts: number;
  /** Wall clock ms. */
  at: number;
}
