/** What the receiver of a lane knows of the keys of one actor: their mailboxes, by the numbers of their sender. */
import { NUMBERED_KEYS } from '../lanes/key-numbers.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';

export class KnownKeys {
  /** By the last digits of numbers: the whole numbers, and the mailboxes. */
  #numbers: number[] = [];
  #mailboxes: (Mailbox | undefined)[] = [];

  /** The mailbox of a key that has this number. It may have left memory. */
  at(number: number): Mailbox | undefined {
    const place = number & (NUMBERED_KEYS - 1);
    return this.#numbers[place] === number ? this.#mailboxes[place] : undefined;
  }

  learn(number: number, mailbox: Mailbox): void {
    const place = number & (NUMBERED_KEYS - 1);
    for (let length = this.#numbers.length; length < place; length++) {
      this.#numbers.push(0); // no holes: they would make it a table of another, slow kind
      this.#mailboxes.push(undefined);
    }
    this.#numbers[place] = number;
    this.#mailboxes[place] = mailbox;
  }

  clear(): void {
    this.#numbers = [];
    this.#mailboxes = [];
  }
}
