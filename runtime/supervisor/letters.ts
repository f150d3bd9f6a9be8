/** The dead letters as an operator handles them: list, show, replay, drop (D3). */
import type { DeadLetter } from '../delivery/dead-letter.ts';
import type { DeadLetterClient } from '../delivery/dead-letters.ts';
import { isKeymillError } from '../errors.ts';
import type { Tells } from './tells.ts';

export interface DeadLetters {
  list: DeadLetterClient['list'];
  /** Rejects with DEAD_LETTER_UNKNOWN. */
  show: DeadLetterClient['show'];
  /**
   * Tells the message again, under a new id, and resolves with its letter when it is done. The letter is struck out once
   * the message settled, and not before. Rejects with ASK_REJECTED when it died again, which is a letter of its own; with
   * MAILBOX_FULL or RUNTIME_STOPPED, and keeps the letter, when it was dropped or there was no time to settle.
   */
  replay(id: string): Promise<DeadLetter>;
  drop(id: string): Promise<void>;
}

/** `tells`: a way in of its own. What it told and did not settle is not spooled: its letter is still there. */
export function deadLettersOf(client: DeadLetterClient, tells: Tells): DeadLetters {
  const replaying = new Map<string, Promise<DeadLetter>>();
  const replay = async (id: string): Promise<DeadLetter> => {
    const letter = await client.show(id);
    try {
      await tells.tell(letter.actor as never, letter.message, { until: 'settled' });
    } catch (error) {
      if (isKeymillError(error, 'ASK_REJECTED')) await client.strike(id, 'replayed');
      throw error;
    }
    await client.strike(id, 'replayed');
    return letter;
  };
  return {
    list: options => client.list(options),
    show: id => client.show(id),
    drop: id => client.strike(id, 'dropped'),
    replay(id) {
      let running = replaying.get(id);
      if (!running) {
        running = replay(id).finally(() => replaying.delete(id));
        replaying.set(id, running);
      }
      return running;
    },
  };
}
