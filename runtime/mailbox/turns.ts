/**
 * Whose turn it is. Ready mailboxes stand in eight lines, one per priority, each first in, first out; a turn is one
 * batch, after which the key goes to the end of its line, so hot and cold keys alternate. Waiting `ageMs` lifts the
 * head of a line by one priority, so nothing starves (rule 12).
 */
import { type Mailbox, MailboxList } from './mailbox.ts';

export class Turns {
  readonly #lines = Array.from({ length: 8 }, () => new MailboxList());
  readonly #ageMs: number;
  size = 0;

  constructor(ageMs: number) {
    this.#ageMs = ageMs;
  }

  push(mailbox: Mailbox, now: number): void {
    mailbox.standing = 'ready';
    mailbox.line = 'turns';
    mailbox.readySince = Math.floor(now);
    this.#lines[mailbox.priority]!.push(mailbox);
    this.size++;
  }

  /** A more urgent message came for a key that already stands in line. */
  raise(mailbox: Mailbox, priority: number): void {
    if (priority >= mailbox.priority) return;
    this.#lines[mailbox.priority]!.remove(mailbox);
    mailbox.priority = priority;
    this.#lines[priority]!.push(mailbox);
  }

  remove(mailbox: Mailbox): void {
    this.#lines[mailbox.priority]!.remove(mailbox);
    mailbox.standing = 'waiting';
    mailbox.line = null;
    this.size--;
  }

  /** Takes the next mailbox out of its line, or null. */
  next(now: number): Mailbox | null {
    if (this.size === 0) return null;
    let best: MailboxList | null = null;
    let bestRank = Number.POSITIVE_INFINITY;
    for (let priority = 0; priority < 8; priority++) {
      const line = this.#lines[priority]!;
      if (line.head === null) continue;
      const rank = this.#ageMs === 0 ? priority : priority - (now - line.head.readySince) / this.#ageMs;
      if (rank < bestRank) {
        best = line;
        bestRank = rank;
      }
    }
    const mailbox = best!.head!;
    best!.remove(mailbox);
    mailbox.standing = 'waiting';
    mailbox.line = null;
    this.size--;
    return mailbox;
  }
}
