/**
 * Frames of a producer that the broker did not confirm yet, in the order sent. After a reconnection they are sent again as
 * they were, byte by byte, before anything new (reference/pulsar.md pitfalls 11 and 24).
 */
import type { Prepared } from './prepared.ts';

export interface Frame {
  /** Of its first message, as SEND and the metadata say. */
  readonly sequenceId: number;
  readonly highestSequenceId: number;
  readonly bytes: Uint8Array;
  /** None for a chunk that is not the last of its message. */
  readonly messages: readonly Prepared[];
  /** Sent as a batch, so that ids of its messages have an index. */
  readonly isBatch: boolean;
  /** `clock.now()`. */
  readonly sentAt: number;
}

const TRIM = 1024;

export class Pending {
  #frames: Frame[] = [];
  #head = 0;
  messages = 0;
  bytes = 0;

  get head(): Frame | undefined {
    return this.#frames[this.#head];
  }

  get isEmpty(): boolean {
    return this.#head === this.#frames.length;
  }

  push(frame: Frame): void {
    this.#frames.push(frame);
    this.messages += frame.messages.length;
    this.bytes += frame.bytes.length;
  }

  shift(): void {
    const frame = this.head!;
    this.messages -= frame.messages.length;
    this.bytes -= frame.bytes.length;
    this.#head++;
    if (this.isEmpty) {
      this.#frames = [];
      this.#head = 0;
    } else if (this.#head === TRIM) {
      this.#frames = this.#frames.slice(TRIM);
      this.#head = 0;
    }
  }

  all(): readonly Frame[] {
    return this.#frames.slice(this.#head);
  }

  takeAll(): readonly Frame[] {
    const frames = this.all();
    this.#frames = [];
    this.#head = 0;
    this.messages = 0;
    this.bytes = 0;
    return frames;
  }
}
