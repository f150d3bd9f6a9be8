/**
 * What a source has given and not seen settled, by position. Positions are given in growing order. `low` is the
 * position below which everything settled: what a contiguous source may acknowledge.
 */
import { DONE, type Outcome } from '../lanes/port.ts';
import type { Position } from '../topology/define.ts';

class Entry {
  readonly position: Position;
  readonly givenAt: number;
  /** Targets that have not settled it. */
  remaining: number;
  bytes = 0;
  /** DONE, or the last other outcome of its targets. */
  worst: Outcome = DONE;
  constructor(position: Position, givenAt: number, targets: number) {
    this.position = position;
    this.givenAt = givenAt;
    this.remaining = targets;
  }
}

export class PositionWindow {
  #entries: Entry[] = [];
  #head = 0;
  #next: Position;
  unsettled = 0;
  bytes = 0;
  /** How the positions below `low` settled, by outcome. */
  readonly below: [done: number, dead: number, dropped: number] = [0, 0, 0];

  constructor(from: Position) {
    this.#next = from;
  }

  /** Before anything was given: begins at an earlier position. */
  rewind(to: Position): void {
    this.#next = Math.min(this.#next, to);
  }

  get low(): Position {
    const oldest = this.#entries[this.#head];
    return oldest ? oldest.position : this.#next;
  }

  /** The position after the last one given. */
  get next(): Position {
    return this.#next;
  }

  /** Positions between the oldest unsettled one and the newest, settled ones among them included. */
  get span(): number {
    return this.#entries.length - this.#head;
  }

  get oldestGivenAt(): number | undefined {
    return this.#entries[this.#head]?.givenAt;
  }

  give(position: Position, now: number, targets: number): void {
    this.#entries.push(new Entry(position, now, targets));
    this.#next = position + 1;
    this.unsettled++;
  }

  addBytes(position: Position, bytes: number): void {
    const entry = this.#find(position);
    if (!entry || entry.remaining === 0) return;
    entry.bytes += bytes;
    this.bytes += bytes;
  }

  /** One target settled this position. The outcome of all, the worst, when it was the last of them, else null. */
  settle(position: Position, outcome: Outcome): Outcome | null {
    const entry = this.#find(position);
    if (!entry || entry.remaining === 0) return null;
    if (outcome !== DONE) entry.worst = outcome;
    if (--entry.remaining > 0) return null;
    this.unsettled--;
    this.bytes -= entry.bytes;
    const entries = this.#entries;
    while (this.#head < entries.length && entries[this.#head]!.remaining === 0)
      this.below[entries[this.#head++]!.worst]++;
    if (this.#head > 1024 && this.#head * 2 > entries.length) {
      entries.splice(0, this.#head);
      this.#head = 0;
    }
    return entry.worst;
  }

  #find(position: Position): Entry | undefined {
    const entries = this.#entries;
    const first = entries[this.#head];
    if (!first) return undefined;
    // Positions mostly run without holes: look where it would be then.
    const guess = entries[this.#head + position - first.position];
    if (guess?.position === position) return guess;
    let low = this.#head;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (entries[middle]!.position < position) low = middle + 1;
      else high = middle;
    }
    return entries[low]?.position === position ? entries[low] : undefined;
  }
}
