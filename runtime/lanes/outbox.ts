/**
 * The outbox of a lane: the bytes of every frame sent, until all of its messages settled. It is what a crash of the
 * receiver replays, and its bytes are the bound of the lane. Frames stand in order of their sequence numbers.
 */

import type { Envelope } from './envelope.ts';
import { eachEnvelope, FrameWriter, type Sending } from './frame.ts';
import { giveMemory } from './frame-memory.ts';
import type { Owner } from './port.ts';
import type { Carried } from './text.ts';

/** A frame that left, or will leave when the lane opens. Columns are plain arrays, index i runs over its messages. */
export class OutFrame {
  readonly firstSeq: number;
  /** Null while the sequence numbers run without holes. */
  readonly seqs: readonly number[] | null;
  /** Version of the partition table that its bytes vouch for. */
  readonly homes: number;
  bytes: Carried;
  readonly actors: readonly number[];
  readonly hashes: readonly number[];
  readonly sizes: readonly number[];
  readonly owners: readonly (Owner | null)[];
  readonly tokens: readonly number[];
  remaining: number;
  /** 1 for each message that settled; made with the first that does so alone. */
  settled: Uint8Array | null = null;
  /** Posted to an earlier incarnation of the receiver: posting it again is a replay. */
  posted = false;

  constructor(firstSeq: number, seqs: readonly number[] | null, homes: number, bytes: Carried, columns: FrameColumns) {
    this.firstSeq = firstSeq;
    this.seqs = seqs;
    this.homes = homes;
    this.bytes = bytes;
    this.actors = columns.actors;
    this.hashes = columns.hashes;
    this.sizes = columns.sizes;
    this.owners = columns.owners;
    this.tokens = columns.tokens;
    this.remaining = columns.actors.length;
  }

  get count(): number {
    return this.actors.length;
  }

  get lastSeq(): number {
    return this.seqs === null ? this.firstSeq + this.count - 1 : this.seqs[this.count - 1]!;
  }

  seqOf(index: number): number {
    return this.seqs === null ? this.firstSeq + index : this.seqs[index]!;
  }

  /** Index of the first message with a sequence number of at least `seq`. */
  indexFrom(seq: number): number {
    if (this.seqs === null) return Math.max(0, seq - this.firstSeq);
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.seqs[middle]! < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  isSettled(index: number): boolean {
    return this.remaining === 0 || (this.settled !== null && this.settled[index] === 1);
  }
}

/** What the sender remembers of each message of a frame. */
export interface FrameColumns {
  readonly actors: number[];
  readonly hashes: number[];
  readonly sizes: number[];
  readonly owners: (Owner | null)[];
  readonly tokens: number[];
}

/** Collects them beside a FrameWriter, and is used again: arrays that grow anew for each frame are three times the garbage. */
export class ColumnsWriter {
  #count = 0;
  readonly #actors: number[] = [];
  readonly #owners: (Owner | null)[] = [];
  readonly #tokens: number[] = [];

  add(actor: number, owner: Owner | null, token: number): void {
    const count = this.#count++;
    this.#actors[count] = actor;
    this.#owners[count] = owner;
    this.#tokens[count] = token;
  }

  /** To be called before the writer finishes its frame. */
  finish({ hashes, sizes }: FrameWriter): FrameColumns {
    const count = this.#count;
    const columns = {
      actors: this.#actors.slice(0, count),
      hashes: hashes.slice(0, count),
      sizes: sizes.slice(0, count),
      owners: this.#owners.slice(0, count),
      tokens: this.#tokens.slice(0, count),
    };
    this.#owners.fill(null, 0, count);
    this.#count = 0;
    return columns;
  }
}

/** Below this, frames with few messages left are not worth repacking. */
const REPACK_ABOVE_BYTES = 4 * 1024 * 1024;

export class Outbox {
  #frames: OutFrame[] = [];
  #empty = 0;
  /** Unsettled messages and their bytes, and the bytes that the frames which hold them keep in memory. */
  messages = 0;
  bytes = 0;
  retainedBytes = 0;

  push(frame: OutFrame): void {
    this.#frames.push(frame);
    this.messages += frame.count;
    this.retainedBytes += frame.bytes.length;
    for (const size of frame.sizes) this.bytes += size;
  }

  /** Calls `visit` with each message of the run first … last that was not settled yet, and forgets it. */
  settle(first: number, last: number, visit: (frame: OutFrame, index: number) => void): void {
    const frames = this.#frames;
    for (let f = this.#find(first); f < frames.length; f++) {
      const frame = frames[f]!;
      if (frame.firstSeq > last) break;
      if (frame.remaining === 0) continue;
      const from = frame.indexFrom(first);
      for (let i = from; i < frame.count && frame.seqOf(i) <= last; i++) {
        if (frame.isSettled(i)) continue;
        if (--frame.remaining > 0) {
          frame.settled ??= new Uint8Array(frame.count);
          frame.settled[i] = 1;
        }
        this.messages--;
        this.bytes -= frame.sizes[i]!;
        visit(frame, i);
        if (frame.remaining === 0) {
          this.#empty++;
          this.retainedBytes -= frame.bytes.length;
          if (typeof frame.bytes !== 'string') giveMemory(frame.bytes);
          frame.bytes = '';
          break;
        }
      }
    }
    if (this.#empty > 32 && this.#empty * 2 > frames.length) {
      this.#frames = frames.filter(frame => frame.remaining > 0);
      this.#empty = 0;
    }
  }

  /** The frame and index of an unsettled message, or undefined. */
  find(seq: number): { frame: OutFrame; index: number } | undefined {
    const frame = this.#frames[this.#find(seq)];
    if (frame === undefined || seq < frame.firstSeq) return undefined;
    const index = frame.indexFrom(seq);
    if (index >= frame.count || frame.seqOf(index) !== seq || frame.isSettled(index)) return undefined;
    return { frame, index };
  }

  /** Frames with something unsettled, oldest first. */
  unsettled(): OutFrame[] {
    return this.#frames.filter(frame => frame.remaining > 0);
  }

  /** True when frames keep much more memory than what is unsettled in them. */
  get wasteful(): boolean {
    return this.retainedBytes > REPACK_ABOVE_BYTES && this.retainedBytes > 3 * this.bytes;
  }

  /**
   * Replaces `frame` by one that holds only what is unsettled in it. It vouches for the version it did before: were it a
   * newer one, the receiver could take messages of this frame and bounce older ones of the same key before it.
   */
  repack(frame: OutFrame, sending: Sending): OutFrame {
    const packed = repack(frame, sending);
    packed.posted = frame.posted;
    this.#frames[this.#frames.indexOf(frame)] = packed;
    this.retainedBytes += packed.bytes.length - frame.bytes.length;
    return packed;
  }

  /** Index of the first frame that may hold `seq` or something later. */
  #find(seq: number): number {
    let low = 0;
    let high = this.#frames.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#frames[middle]!.lastSeq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function repack(frame: OutFrame, sending: Sending): OutFrame {
  const writer = new FrameWriter();
  const columns: FrameColumns = { actors: [], hashes: [], sizes: [], owners: [], tokens: [] };
  const seqs: number[] = [];
  eachEnvelope(frame.bytes, (envelope: Envelope, seq, index) => {
    if (frame.isSettled(index)) return;
    writer.add(envelope, seq, Number.POSITIVE_INFINITY);
    seqs.push(seq);
    columns.actors.push(frame.actors[index]!);
    columns.hashes.push(frame.hashes[index]!);
    columns.sizes.push(frame.sizes[index]!); // as the windows have it: packed with others it may have another
    columns.owners.push(frame.owners[index]!);
    columns.tokens.push(frame.tokens[index]!);
  });
  const first = seqs[0]!;
  const contiguous = seqs[seqs.length - 1]! - first === seqs.length - 1;
  const { homes } = frame;
  return new OutFrame(first, contiguous ? null : seqs, homes, writer.finish(sending, homes), columns);
}
