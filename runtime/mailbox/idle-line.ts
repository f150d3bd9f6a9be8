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

  /**
   * A key that has been idle for about the longest, null when none of `most` keys at the front is idle. Those among them
   * that were used since they stood in line get a new place; the longest idle of them may still be the one. Never `but`.
   */
  eldest(now: number, most: number, but: Mailbox | null = null): Mailbox | null {
    let eldest: Mailbox | null = null;
    for (; most > 0 && this.size > 0; most--) {
      const mailbox = this.#line[this.#at]!;
      const isIdle = mailbox.isResident && mailbox.standing === 'idle' && mailbox !== but;
      if (isIdle && (eldest === null || mailbox.idleSince < eldest.idleSince)) eldest = mailbox;
      if (isIdle && mailbox.idleSince <= mailbox.listedAt) break;
      this.shift();
      if (mailbox.isResident) this.push(mailbox, now);
    }
    return eldest;
  }

  /** A key leaves memory; if it does not stand at the front, its place is found empty later. */
  leave(mailbox: Mailbox): void {
    if (this.size > 0 && this.#line[this.#at] === mailbox) this.shift();
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
