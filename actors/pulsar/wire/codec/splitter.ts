/** Cuts what a socket gives into frames (reference/pulsar.md 2.1 and pitfalls 1 and 2). */
import { WireFault } from './fault.ts';

/** Of the size that a frame begins with, which does not count these. */
const SIZE_BYTES = 4;
/** The size of the command, which every frame has. */
const MIN_SIZE = 4;
/** Taken at once for a frame that comes in pieces; beyond it no more than twice of what has come. */
const FIRST_PIECE_BYTES = 1024 * 1024;
/** What begins so is of another protocol: a record of TLS, or an answer of HTTP. */
const TLS_RECORD = 0x1603;
const TLS_ALERT = 0x1503;
const HTTP = 0x48545450;

export class FrameSplitter {
  /** With its size in front. May be raised at any time. */
  maxFrameBytes: number;
  #chunk: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Chunks that came while the one before was not read to its end. */
  readonly #later: Buffer[] = [];
  #laterAt = 0;
  /** A frame that lies in several chunks, or as much of it as came. */
  #piece: Buffer | null = null;
  #filled = 0;
  /** Of #piece: its bytes when it is whole. Until its size is known, those of the size. */
  #wanted = 0;

  constructor(maxFrameBytes: number) {
    this.maxFrameBytes = maxFrameBytes;
  }

  push(chunk: Buffer): void {
    if (this.#at < this.#chunk.length || this.#later.length > 0) {
      this.#later.push(chunk);
      return;
    }
    this.#chunk = chunk;
    this.#at = 0;
  }

  /**
   * The next frame with its size in front, null when it is not there yet. A view of the chunk where it lies in one. Throws a
   * WireFault for a size that is too large or impossible, and does so again.
   */
  next(): Buffer | null {
    for (;;) {
      const left = this.#chunk.length - this.#at;
      if (left === 0) {
        if (this.#laterAt === this.#later.length) return null;
        this.#chunk = this.#later[this.#laterAt++]!;
        this.#at = 0;
        if (this.#laterAt === this.#later.length) this.#later.length = this.#laterAt = 0;
      } else if (this.#piece !== null) {
        const frame = this.#fill(this.#piece, left);
        if (frame) return frame;
      } else {
        const wanted = left < SIZE_BYTES ? SIZE_BYTES : this.#frameBytes(this.#chunk.readUInt32BE(this.#at));
        if (left >= wanted) return this.#chunk.subarray(this.#at, (this.#at += wanted));
        this.#wanted = wanted;
        this.#filled = 0;
        this.#piece = Buffer.allocUnsafe(Math.min(wanted, Math.max(left, FIRST_PIECE_BYTES)));
      }
    }
  }

  /** Takes what is there and belongs to the piece. Null while that is not whole. */
  #fill(piece: Buffer, left: number): Buffer | null {
    const count = Math.min(left, this.#wanted - this.#filled);
    const into = this.#roomFor(piece, this.#filled + count);
    this.#chunk.copy(into, this.#filled, this.#at, this.#at + count);
    this.#at += count;
    this.#filled += count;
    if (this.#filled < this.#wanted) return null;
    if (this.#wanted === SIZE_BYTES) {
      this.#wanted = this.#frameBytes(into.readUInt32BE(0));
      return null;
    }
    this.#piece = null;
    return into;
  }

  #roomFor(piece: Buffer, count: number): Buffer {
    if (count <= piece.length) return piece;
    const grown = Buffer.allocUnsafe(Math.min(this.#wanted, Math.max(2 * count, FIRST_PIECE_BYTES)));
    piece.copy(grown, 0, 0, this.#filled);
    this.#piece = grown;
    return grown;
  }

  #frameBytes(size: number): number {
    const bytes = SIZE_BYTES + size;
    if (size >= MIN_SIZE && bytes <= this.maxFrameBytes) return bytes;
    const head = size >>> 16;
    const hint = head === TLS_RECORD || head === TLS_ALERT ? ': this is TLS' : size === HTTP ? ': this is HTTP' : '';
    throw new WireFault(`a frame of ${bytes} bytes, where ${this.maxFrameBytes} are allowed${hint}`);
  }
}
