/**
 * The bytes of one record, collected over the chunks of a stream. Holds at most `maxBytes` and the chunk that passed
 * them: what is longer is cut to its first KEPT_BYTES at once, and the rest of it is only counted.
 */

/** How much is kept of what is too long, to show what it was. */
export const KEPT_BYTES = 1024;

const NOTHING: Buffer = Buffer.alloc(0);

export class Span {
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get tooLong(): boolean {
    return this.#bytes > this.#maxBytes;
  }

  /** The first byte held. */
  peek(): number | undefined {
    return this.#pieces[0]?.[0];
  }

  add(chunk: Buffer, start: number, end: number): void {
    if (end <= start) return;
    const wasTooLong = this.tooLong;
    this.#bytes += end - start;
    if (wasTooLong) return;
    this.#pieces.push(chunk.subarray(start, end));
    // Copied, so that the chunks can go.
    if (this.tooLong) this.#pieces = [Buffer.from(this.#joined().subarray(0, KEPT_BYTES))];
  }

  /** What was collected (its beginning, if it was too long); the span is empty afterwards. */
  take(): Buffer {
    const joined = this.#joined();
    this.#pieces = [];
    this.#bytes = 0;
    return joined;
  }

  #joined(): Buffer {
    return this.#pieces.length === 1
      ? this.#pieces[0]!
      : this.#pieces.length === 0
        ? NOTHING
        : Buffer.concat(this.#pieces);
  }
}

const MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Takes the UTF-8 byte order mark off the start of a stream, however it is cut into chunks. */
export class ByteOrderMark {
  #held: Buffer | undefined = NOTHING;

  strip(chunk: Buffer): Buffer {
    if (this.#held === undefined) return chunk;
    const head = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const length = Math.min(MARK.length, head.length);
    const matches = MARK.compare(head, 0, length, 0, length) === 0;
    if (matches && length < MARK.length) {
      this.#held = head;
      return NOTHING;
    }
    this.#held = undefined;
    return matches ? head.subarray(MARK.length) : head;
  }

  /** The beginning of a mark that never came to its end. */
  end(): Buffer {
    const held = this.#held ?? NOTHING;
    this.#held = undefined;
    return held;
  }
}
