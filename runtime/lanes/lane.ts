/**
 * The sending end of a lane: an open frame, the outbox, and the windows. Flow control is by credit: a lane has, per
 * target actor, a window of unsettled messages and bytes (rule 7), so settlements are what gives credit back and no
 * actor can use up another's. The receiving end is host/intake.ts.
 */
import type { Environment } from '../environment.ts';
import type { Key } from '../topology/define.ts';
import type { Envelope } from './envelope.ts';
import { FRAME_BYTES, FRAME_MESSAGES, FrameWriter, type Sending } from './frame.ts';
import { ColumnsWriter, Outbox, OutFrame } from './outbox.ts';
import type { Owner, Port } from './port.ts';

/** What a sender must know of an actor. */
export interface Target {
  readonly name: string;
  /** The one thread of an I/O actor, or null for actors whose keys live on the hosts. */
  readonly slot: number | null;
  readonly windowMessages: number;
  readonly windowBytes: number;
  readonly maxMessageBytes: number;
  /** Its messages may lie packed at their host while many keys are before them: it takes them one by one, and none is urgent. */
  readonly mayWait: boolean;
}

/** Unsettled messages of one lane to one actor. */
export interface Window {
  messages: number;
  bytes: number;
}

/** Frames that leave one after the other without a word from the receiver; then messages collect for a while. */
const UNANSWERED = 4;

export class Lane {
  readonly slot: number;
  readonly outbox = new Outbox();
  readonly windows: Window[] = [];
  /** Keys that the receiver asked to hold, by actor. */
  readonly held = new Map<number, Set<Key>>();
  #port: Port | null = null;
  readonly #writer = new FrameWriter();
  readonly #columns = new ColumnsWriter();
  #firstSeq = 1;
  #nextSeq = 1;
  /** Version of the partition table when the messages of the open frame found their homes: what the frame can vouch for. */
  #homesSeen = 0;
  readonly #sending: Sending;
  readonly #environment: Environment;
  /** Frames that left since the receiver last said something. */
  #unanswered = 0;
  /** Holds messages that its sender has not flushed. */
  isDirty = false;
  frames = 0;
  messages = 0;
  bytes = 0;
  replayed = 0;
  /** How often it was opened: each time to another incarnation of its receiver. */
  openings = 0;
  /** Messages that their home handled and then let go of: they wait for their children only, and hold up no move. */
  readonly excused = new Set<number>();

  constructor(slot: number, sending: Sending, environment: Environment) {
    this.slot = slot;
    this.#sending = sending;
    this.#environment = environment;
  }

  /** Messages that are not settled, those of the open frame included. */
  get unsettled(): number {
    return this.outbox.messages + this.#writer.count;
  }

  /** The receiver has frames enough to go on with: a larger one later costs both sides less than many small ones. */
  get isAhead(): boolean {
    return this.#unanswered >= UNANSWERED;
  }

  /** The receiver said something. */
  answered(): void {
    this.#unanswered = 0;
  }

  get isOpen(): boolean {
    return this.#port !== null;
  }

  windowOf(actor: number): Window {
    this.windows[actor] ??= { messages: 0, bytes: 0 };
    return this.windows[actor];
  }

  isHeld(actor: number, key: Key): boolean {
    return this.held.size > 0 && this.held.get(actor)?.has(key) === true;
  }

  /**
   * Packs a message into the open frame and returns its size in bytes. `homesSeen` is the version of the partition table read before its home was
   * looked up. Throws what `FrameWriter.add` throws, and then nothing was taken.
   */
  append(
    message: Envelope,
    owner: Owner | null,
    token: number,
    { maxMessageBytes, mayWait }: Pick<Target, 'maxMessageBytes' | 'mayWait'>,
    homesSeen: number,
  ): number {
    // A frame vouches for one version: with an older one the receiver might bounce this message and not those after it.
    if (homesSeen !== this.#homesSeen) this.flush();
    const size = this.#writer.add(message, this.#nextSeq, maxMessageBytes, mayWait);
    if (this.#writer.count === 1) {
      this.#firstSeq = this.#nextSeq;
      this.#homesSeen = homesSeen;
    }
    this.#nextSeq++;
    const window = this.windowOf(message.actor);
    window.messages++;
    window.bytes += size;
    this.#columns.add(message.actor, owner, token);
    if (this.#writer.count >= FRAME_MESSAGES || this.#writer.bytes >= FRAME_BYTES) this.flush();
    return size;
  }

  /** Ends the open frame: it stands in the outbox from now on, and leaves if the lane is open. */
  flush(): void {
    if (this.#writer.count === 0) return;
    const columns = this.#columns.finish(this.#writer);
    const bytes = this.#writer.finish(this.#sending, this.#homesSeen);
    const frame = new OutFrame(this.#firstSeq, null, this.#homesSeen, bytes, columns);
    this.outbox.push(frame);
    if (this.#port !== null) this.#post(frame);
  }

  /** The lane reached a (new) incarnation of its receiver: everything unsettled leaves again, in order, before anything new. */
  open(port: Port): void {
    this.#port = port;
    this.#unanswered = 0;
    this.openings++;
    this.#environment.probe?.('lane.opened');
    for (let frame of this.outbox.unsettled()) {
      if (frame.remaining < frame.count) frame = this.#repack(frame);
      if (frame.posted) {
        this.replayed += frame.count;
        this.#environment.probe?.('frame.replayed');
      }
      this.#post(frame);
    }
  }

  /** The receiver died. What it had not settled stays in the outbox, and what was held waits on until the lane reopens. */
  close(): void {
    if (this.#port === null) return;
    this.#environment.probe?.('lane.closed');
    this.#port.close();
    this.#port = null;
  }

  /** Gives memory back when frames with little left pin much of it. */
  compact(): void {
    if (!this.outbox.wasteful) return;
    for (const frame of this.outbox.unsettled()) if (frame.remaining * 4 <= frame.count) this.#repack(frame);
  }

  #repack(frame: OutFrame): OutFrame {
    this.#environment.probe?.('frame.repacked');
    return this.outbox.repack(frame, this.#sending);
  }

  #post(frame: OutFrame): void {
    this.#environment.probe?.('frame.sent');
    frame.posted = true;
    this.#unanswered++;
    this.frames++;
    this.messages += frame.count;
    this.bytes += frame.bytes.length;
    this.#port!.post(frame.bytes);
  }
}
