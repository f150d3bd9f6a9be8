/**
 * The receiving end of a lane: keeps frames until the host wants more, unpacks them into items, and sends settlements,
 * replies and key holds back, many in one message. Nothing here waits on a mailbox (rule 7).
 */
import { countOf, type Frame, mayWait, withFrame } from '../lanes/frame.ts';
import type { Port, Returns, SettleCode } from '../lanes/port.ts';
import { ReturnsWriter } from '../lanes/returns.ts';
import type { Carried } from '../lanes/text.ts';
import { Arrival, Item, type Origin } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { Key } from '../topology/define.ts';
import type { KnownKeys } from './known-keys.ts';

/** Up to so many numbers for each that settled, marking beats sorting. */
const MOST_MARKS_A_RUN = 8;

export interface IntakeNeeds {
  /** The time of the clock. */
  now(): number;
  /** A frame came, of so many messages and bytes. `mayWait`: it need not be unpacked before others had their turns. */
  arrived(intake: Intake, mayWait: boolean, messages: number, bytes: number): void;
  /** Its messages are about to be accepted. */
  unpacked(messages: number, bytes: number): void;
  /** Where to keep what is known of the keys of an actor by the numbers of this sender; null for one that is not here. */
  known(intake: Intake, actor: number): KnownKeys | null;
  /**
   * A message of a frame that is unpacked. `homesSeen`: version of the partition table that its sender knew; `known`: the
   * mailbox of its key, which may have left memory. Returns the mailbox that took it, or undefined.
   */
  accept(item: Item, actor: number, homesSeen: number, known: Mailbox | undefined): Mailbox | undefined;
  /** Something is to be sent back. */
  dirty(intake: Intake): void;
}

export class Intake implements Origin {
  readonly slot: number;
  readonly incarnation: number;
  alive = true;
  readonly #port: Port;
  readonly #needs: IntakeNeeds;
  /** Frames that came, oldest first, and when. */
  readonly #packed: { frame: Carried; at: number }[] = [];
  /** Settled runs (first, last, code) but for the one that grows, which is below; -1 for none. */
  #runs: number[] = [];
  #first = 0;
  #lastSettled = 0;
  #code = -1;
  #ordered = true;
  readonly #writer = new ReturnsWriter();
  #hold: NonNullable<Returns['hold']> = [];
  #free: NonNullable<Returns['free']> = [];
  #released: NonNullable<Returns['released']> = [];
  #tried: NonNullable<Returns['tried']> = [];
  /** Sequence number of the message that came last. */
  #last = -1;
  #isDirty = false;

  constructor(slot: number, incarnation: number, port: Port, needs: IntakeNeeds) {
    this.slot = slot;
    this.incarnation = incarnation;
    this.#port = port;
    this.#needs = needs;
    port.onMessage(frame => this.#receive(frame));
  }

  settle(seq: number, code: SettleCode): void {
    if (!this.alive) return;
    if (code === this.#code && seq === this.#lastSettled + 1) {
      this.#lastSettled = seq;
      return; // and is marked dirty since the run began
    }
    if (this.#code >= 0) {
      this.#runs.push(this.#first, this.#lastSettled, this.#code);
      if (seq < this.#lastSettled) this.#ordered = false;
    }
    this.#first = this.#lastSettled = seq;
    this.#code = code;
    this.#touch();
  }

  tried(seq: number, calls: number, attempt: number): void {
    if (this.alive) this.#tried.push({ seq, calls, attempt });
  }

  reply(seq: number, ok: boolean, value: unknown): void {
    if (!this.alive) return;
    this.#writer.reply(seq, ok, value);
    this.#touch();
  }

  hold(actor: number, key: Key): void {
    if (!this.alive) return;
    this.#hold.push({ actor, key });
    this.#touch();
  }

  free(actor: number, key: Key): void {
    if (!this.alive) return;
    this.#free.push({ actor, key });
    this.#touch();
  }

  /** This host let go of a partition: what came of it so far is handled or bounced. */
  released(partition: number): void {
    if (!this.alive) return;
    this.#released.push({ partition, upTo: this.#last });
    this.#touch();
  }

  /** The sender died. */
  orphan(): void {
    this.alive = false;
    this.#port.close();
  }

  flush(): void {
    this.#isDirty = false;
    if (!this.alive) return;
    const returns: Omit<Returns, 'replies'> = {};
    if (this.#code >= 0) returns.runs = this.#takeRuns();
    if (this.#tried.length > 0) returns.tried = this.#tried;
    if (this.#hold.length > 0) returns.hold = this.#hold;
    if (this.#free.length > 0) returns.free = this.#free;
    if (this.#released.length > 0) returns.released = this.#released;
    this.#hold = [];
    this.#free = [];
    this.#released = [];
    this.#tried = [];
    this.#port.post(this.#writer.finish(returns));
  }

  #touch(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#needs.dirty(this);
  }

  /** Settled runs in order of their numbers: first, last, code. Neighbours are joined, those of a frame mostly all. */
  #takeRuns(): number[] {
    const runs = this.#runs;
    this.#runs = [];
    runs.push(this.#first, this.#lastSettled, this.#code);
    this.#code = -1;
    if (this.#ordered) return runs;
    this.#ordered = true;
    return joined(runs);
  }

  /** Unpacks the frame that came first; false when there is none. */
  unpackNext(): boolean {
    const packed = this.#packed.shift();
    if (packed === undefined) return false;
    this.#needs.unpacked(countOf(packed.frame), packed.frame.length);
    withFrame(packed.frame, (frame, { slot, incarnation }) => {
      if (incarnation === this.incarnation && slot === this.slot) this.#unpack(frame, packed.at); // each has a port of its own
    });
    return true;
  }

  #unpack(frame: Frame, at: number): void {
    const { bodies, keys } = frame;
    this.#last = frame.seqOf(frame.count - 1);
    let index = 0;
    let extra = 0;
    let newKey = 0;
    let knownKey = 0;
    let knownKeys: readonly Key[] | null = null;
    for (const [actor, flags, source, epoch, count, positions, paths] of frame.groups) {
      const arrival = new Arrival(source, epoch, flags, at);
      const known = this.#needs.known(this, actor);
      for (let i = 0; i < count; i++, index++) {
        const extras = frame.extras[extra]?.[0] === index ? frame.extras[extra++]![1] : null;
        const number = frame.numberOf(index);
        const mailbox = number > 0 ? known?.at(number) : undefined;
        let key: Key;
        if (mailbox !== undefined) key = mailbox.key;
        else if (number <= 0) key = keys[newKey]!;
        else {
          knownKeys ??= frame.knownKeys();
          key = knownKeys[knownKey]!;
        }
        if (number > 0) knownKey++;
        else newKey++;
        const item = new Item(
          bodies[index],
          key,
          frame.hashOf(index),
          this,
          frame.seqOf(index),
          frame.sizeOf(index),
          arrival,
          typeof positions === 'number' ? positions + i : positions[i]!,
          paths === 0 ? '' : paths[i]!,
          extras,
        );
        const took = this.#needs.accept(item, actor, frame.homes, mailbox);
        if (number !== 0 && took !== undefined && took !== mailbox) known?.learn(Math.abs(number), took);
      }
    }
  }

  #receive(frame: Carried): void {
    if (!this.alive) return;
    this.#packed.push({ frame, at: this.#needs.now() });
    this.#needs.arrived(this, mayWait(frame), countOf(frame), frame.length);
  }
}

/** Runs in any order, sorted and joined with their neighbours. */
function joined(runs: readonly number[]): number[] {
  let first = Number.POSITIVE_INFINITY;
  let last = 0;
  for (let at = 0; at < runs.length; at += 3) {
    if (runs[at]! < first) first = runs[at]!;
    if (runs[at + 1]! > last) last = runs[at + 1]!;
  }
  return last - first < MOST_MARKS_A_RUN * runs.length ? marked(runs, first, last) : sorted(runs);
}

/** Where many of the numbers settled: each is marked in its place, which takes a tenth of the time of sorting. */
function marked(runs: readonly number[], first: number, last: number): number[] {
  const codes = new Uint8Array(last - first + 2); // one more, never settled: it ends the last run
  for (let at = 0; at < runs.length; at += 3)
    for (let seq = runs[at]!; seq <= runs[at + 1]!; seq++) codes[seq - first] = runs[at + 2]! + 1;
  const result: number[] = [];
  let from = 0;
  for (let i = 0; i < codes.length; i++)
    if (codes[i] !== codes[from]) {
      if (codes[from] !== 0) result.push(first + from, first + i - 1, codes[from]! - 1);
      from = i;
    }
  return result;
}

function sorted(runs: readonly number[]): number[] {
  const order = Array.from({ length: runs.length / 3 }, (_, i) => 3 * i).sort((a, b) => runs[a]! - runs[b]!);
  const result: number[] = [];
  for (const at of order) {
    const end = result.length;
    if (end > 0 && result[end - 2]! + 1 === runs[at] && result[end - 1] === runs[at + 2])
      result[end - 2] = runs[at + 1]!;
    else result.push(runs[at]!, runs[at + 1]!, runs[at + 2]!);
  }
  return result;
}
