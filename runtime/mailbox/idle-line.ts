/**
 * The keys in memory, about in the order in which they were used last. A key in use stays where it stands, so that using
 * it costs nothing, and gets a new place when it comes to the front (second chance). So the one that leaves has been idle
 * for about the longest.
 */
import type { Mailbox } from './mailbox.ts';

/** Places from which on those left behind at the front are given up. */
const TRIM = 4096;

export class IdleLine {
  #line: Mailbox[] = [];
  #at = 0;

  get size(): number {
    return this.#line.length - this.#at;
  }

  push(mailbox: Mailbox, now: number): void {
    mailbox.listedAt = Math.floor(now);
    this.#line.push(mailbox);
  }

  /** The key at the front that is idle and was not used since it stood in line; looks at `most` keys. */
  eldest(now: number, most: number): Mailbox | null {
    for (; most > 0 && this.size > 0; most--) {
      const mailbox = this.#line[this.#at]!;
      if (mailbox.isResident && mailbox.standing === 'idle' && mailbox.idleSince <= mailbox.listedAt) return mailbox;
      this.shift();
      if (mailbox.isResident) this.push(mailbox, now);
    }
    return null;
  }

  /** Takes the key at the front out. */
  shift(): void {
    this.#at++;
    if (this.#at >= TRIM && this.#at * 2 >= this.#line.length) {
      this.#line = this.#line.slice(this.#at);
      this.#at = 0;
    }
  }
}
