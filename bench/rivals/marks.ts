/**
 * The least a sender of raw postMessages needs so that its queue does not grow without end: every so often a mark goes
 * with the messages and comes back when they were handled, and with too many marks out the sender waits. One for each
 * worker; the bounds are those of keymill's window of a lane, 81,920 messages and 64 MiB.
 */
const EVERY_MESSAGES = 1024;
const EVERY_BYTES = 1 << 20;
const MOST_MESSAGES = 81_920;
const MOST_BYTES = 64 << 20;

export class Marks {
  readonly #post: () => void;
  /** What lies between marks, oldest first. */
  readonly #out: { messages: number; bytes: number }[] = [];
  #messages = 0;
  #bytes = 0;
  #outMessages = 0;
  #outBytes = 0;
  #wake: (() => void) | null = null;

  /** `post` sends a mark, behind all that was sent. */
  constructor(post: () => void) {
    this.#post = post;
  }

  /** A message was sent; a promise where the sender must wait now. */
  sent(bytes: number): Promise<void> | undefined {
    this.#bytes += bytes;
    if (++this.#messages < EVERY_MESSAGES && this.#bytes < EVERY_BYTES) return undefined;
    this.#out.push({ messages: this.#messages, bytes: this.#bytes });
    this.#outMessages += this.#messages;
    this.#outBytes += this.#bytes;
    this.#messages = this.#bytes = 0;
    this.#post();
    if (this.#outMessages < MOST_MESSAGES && this.#outBytes < MOST_BYTES) return undefined;
    return new Promise(resolve => {
      this.#wake = resolve;
    });
  }

  /** A mark came back. */
  returned(): void {
    const { messages, bytes } = this.#out.shift()!;
    this.#outMessages -= messages;
    this.#outBytes -= bytes;
    this.#wake?.();
    this.#wake = null;
  }
}
