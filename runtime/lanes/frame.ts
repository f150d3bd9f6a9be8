/**
 * Frames: many messages in one block of bytes.
 *
 * Layout, little-endian: a head of HEAD bytes (below) · one msgpack array (Content) · one of the keys that the receiver
 * should know by their numbers · the hashes of the keys (i32 each), the sizes of the bodies (u32 each) and the numbers of
 * the keys (i32 each, key-numbers.ts) · the signatures of the shapes, each behind its length (u16). Groups hold what their
 * messages share (actor, source, epoch, flags). Bodies are packed one by one at the moment of the send, so the caller may
 * change its object right after, sizes are exact, and what cannot be carried fails at the call; each frame names its
 * shapes and keys itself and needs no shared state.
 */
import { Unpackr } from 'msgpackr';
import { KeymillError } from '../errors.ts';
import type { Key } from '../topology/define.ts';
import { BodyPacker, CODEC } from './body-packer.ts';
import { ENVELOPE_VERSION, type Envelope, type Extras } from './envelope.ts';
import { readShapes } from './shapes.ts';
import { byteAt, type Carried, withBytes } from './text.ts';
import { uncarriable, unpackValue } from './value.ts';

/** A frame leaves at this many messages (with 256 a tenth fewer small ones a second, with 1024 no more) … */
export const FRAME_MESSAGES = 512;
/** … or this many bytes, or at the end of the turn, whichever is first. A larger message makes a frame of its own. */
export const FRAME_BYTES = 64 * 1024;

/**
 * [0] version · [1] 1 if it may wait packed · [2] shapes (u16) · [4] slot (u32)
 * · [8] incarnation (u32) · [12] version of the partition table (u32) · [16] messages (u32) · [20] where the hashes
 * begin (u32) · [24] first sequence number (f64) · [32] where the known keys begin (u32).
 */
const HEAD = 36;
/** Behind the head: the heads of the content and of its first element, whose length is known last. */
const BEFORE_BODIES = HEAD + 6;
/** The head of an array whose length is known last. */
const BEFORE_KEYS = 5;
/** Hash, size and number of each message. */
const COLUMNS = 12;

/** Columns of a run of messages with the same actor, source, epoch and flags. */
type Group = [
  actor: number,
  flags: number,
  source: string,
  epoch: number,
  count: number,
  positions: number | number[],
  paths: string[] | 0,
];

/** Extras as an array: a plain map would be read as a Map. */
type PackedExtras = [
  index: number,
  priority: number,
  deadline: number,
  chain: readonly string[] | null,
  calls: number,
  attempt: number,
  trace: string | null,
];

/**
 * `seqs` is 0 while they count up from the first; `foreign` are the indexes of messages whose bodies are (body-packer.ts);
 * `keys` are those without a number, or that are new to it.
 */
type Content = [
  bodies: unknown[],
  groups: Group[],
  extras: PackedExtras[],
  seqs: number[] | 0,
  foreign: number[],
  keys: Key[],
];

type Structures = Unpackr & { structures: unknown[] };
const copying = new Unpackr({ ...CODEC, copyBuffers: true } as ConstructorParameters<typeof Unpackr>[0]) as Structures;

/** Who packs: goes into each frame, so that a receiver can tell the frames of a dead sender (rule 9). */
export interface Sending {
  readonly slot: number;
  readonly incarnation: number;
}

/** Collects messages until the frame leaves. One per lane; reused. */
export class FrameWriter {
  readonly #packer = new BodyPacker(1024, BEFORE_BODIES);
  readonly #newKeys = new BodyPacker(256, BEFORE_KEYS);
  readonly #knownKeys = new BodyPacker(256, BEFORE_KEYS);
  #known = 0;
  #groups: Group[] = [];
  #last: Group | null = null;
  #seqs: number[] | null = null;
  #firstSeq = 0;
  #extras: PackedExtras[] = [];
  #foreign: number[] = [];
  #mayWait = true;
  /** Messages in this frame: as many of the numbers in these arrays, which are used again, are theirs. */
  count = 0;
  readonly hashes: number[] = [];
  readonly sizes: number[] = [];
  readonly #numbers: number[] = [];

  /** Size of the bodies, the names of their shapes included. */
  bytes = 0;

  /**
   * Packs the body of one message behind those already here and returns its size in bytes, the name of its shape included
   * when it is the first of it. `mayWait`: the receiver need not know of it before its turn could come. Throws
   * MESSAGE_NOT_CARRIABLE or MESSAGE_TOO_LARGE and leaves the frame as it was.
   */
  add(message: Envelope, seq: number, maxBytes: number, mayWait = false): number {
    const packer = this.#packer;
    const { length, shapeCount, shapeBytes } = packer;
    let isForeign: boolean;
    try {
      isForeign = packer.body(message.body);
    } catch (cause) {
      packer.rewind(length, shapeCount);
      throw uncarriable(message.body, cause);
    }
    const size = packer.length - length + packer.shapeBytes - shapeBytes;
    if (size > maxBytes) {
      packer.rewind(length, shapeCount);
      throw new KeymillError('MESSAGE_TOO_LARGE', `${size} bytes, maxMessageBytes is ${maxBytes}`);
    }
    const { number } = message;
    if (number > 0) {
      this.#knownKeys.value(message.key);
      this.#known++;
    } else this.#newKeys.value(message.key);
    this.bytes += size;
    const count = this.count++;
    this.hashes[count] = message.hash;
    this.sizes[count] = size;
    this.#numbers[count] = number;
    if (isForeign) this.#foreign.push(count);
    const last = this.#last;
    if (
      last !== null &&
      last[0] === message.actor &&
      last[2] === message.source &&
      last[3] === message.epoch &&
      last[1] === message.flags &&
      (last[6] === 0) === (message.path === '')
    ) {
      const positions = last[5];
      if (typeof positions === 'number') {
        if (positions + last[4] !== message.position) {
          const listed: number[] = [];
          for (let i = 0; i < last[4]; i++) listed.push(positions + i);
          listed.push(message.position);
          last[5] = listed;
        }
      } else positions.push(message.position);
      if (last[6] !== 0) last[6].push(message.path);
      last[4]++;
    } else {
      this.#last = [
        message.actor,
        message.flags,
        message.source,
        message.epoch,
        1,
        message.position,
        message.path === '' ? 0 : [message.path],
      ];
      this.#groups.push(this.#last);
    }
    if (count === 0) this.#firstSeq = seq;
    else if (this.#seqs !== null) this.#seqs.push(seq);
    else if (seq !== this.#firstSeq + count) {
      this.#seqs = [];
      for (let i = 0; i < count; i++) this.#seqs.push(this.#firstSeq + i);
      this.#seqs.push(seq);
    }
    const { extras } = message;
    if (!mayWait || (extras !== null && extras.priority >= 0)) this.#mayWait = false;
    if (extras !== null) {
      this.#extras.push([
        count,
        extras.priority,
        extras.deadline,
        extras.chain,
        extras.calls,
        extras.attempt,
        extras.trace,
      ]);
    }
    return size;
  }

  /** The frame; the writer is empty afterwards. */
  finish(sending: Sending, homes: number): Carried {
    const { hashes, sizes, count } = this;
    const numbers = this.#numbers;
    const packer = this.#packer;
    packer.value(this.#groups);
    packer.value(this.#extras);
    packer.value(this.#seqs ?? 0);
    packer.value(this.#foreign);
    packer.array(this.#newKeys, count - this.#known);
    const knownKeys = packer.length;
    packer.array(this.#knownKeys, this.#known);
    const columns = packer.skip(COLUMNS * count);
    packer.writeSignatures();
    const { view } = packer;
    view.setUint8(0, ENVELOPE_VERSION);
    view.setUint8(1, this.#mayWait ? 1 : 0);
    view.setUint16(2, packer.shapeCount, true);
    view.setUint32(4, sending.slot, true);
    view.setUint32(8, sending.incarnation, true);
    view.setUint32(12, homes, true);
    view.setUint32(16, count, true);
    view.setUint32(20, columns, true);
    view.setFloat64(24, this.#firstSeq, true);
    view.setUint32(32, knownKeys, true);
    view.setUint8(HEAD, 0x96); // an array of six
    view.setUint8(HEAD + 1, 0xdd); // an array with a 32-bit length
    view.setUint32(HEAD + 2, count);
    for (let i = 0, at = columns; i < count; i++, at += 4) view.setInt32(at, hashes[i]!, true);
    for (let i = 0, at = columns + 4 * count; i < count; i++, at += 4) view.setUint32(at, sizes[i]!, true);
    for (let i = 0, at = columns + 8 * count; i < count; i++, at += 4) view.setInt32(at, numbers[i]!, true);
    const frame = packer.carried();
    this.#reset();
    return frame;
  }

  #reset(): void {
    this.#packer.reset(4 * FRAME_BYTES);
    this.#newKeys.reset(FRAME_BYTES);
    this.#knownKeys.reset(FRAME_BYTES);
    this.#known = 0;
    this.count = 0;
    this.bytes = 0;
    this.#groups = [];
    this.#last = null;
    this.#seqs = null;
    this.#extras = [];
    this.#foreign = [];
    this.#mayWait = true;
  }
}

/** What can be told of a frame without reading its messages. */
export interface FrameHead {
  readonly slot: number;
  readonly incarnation: number;
  /** Its messages need not be known before their turn could come. */
  readonly mayWait: boolean;
}

/** A frame as the receiver sees it. Index i runs over its messages. */
export class Frame {
  readonly count: number;
  readonly homes: number;
  readonly bodies: readonly unknown[];
  /** Of the messages whose number is 0 or negative, in their order. */
  readonly keys: readonly Key[];
  readonly groups: readonly Group[];
  readonly extras: readonly [index: number, extras: Extras][];
  readonly #buffer: Buffer;
  readonly #view: DataView;
  readonly #columns: number;
  readonly #firstSeq: number;
  readonly #seqs: readonly number[] | 0;

  constructor(buffer: Buffer, view: DataView, count: number, columns: number, content: Content) {
    const [bodies, groups, extras, seqs, foreign, keys] = content;
    for (const index of foreign) bodies[index] = unpackValue(bodies[index] as Uint8Array);
    this.count = count;
    this.homes = view.getUint32(12, true);
    this.bodies = bodies;
    this.keys = keys;
    this.groups = groups;
    this.extras = extras.length === 0 ? NO_EXTRAS : extras.map(unpackExtras);
    this.#buffer = buffer;
    this.#view = view;
    this.#columns = columns;
    this.#firstSeq = view.getFloat64(24, true);
    this.#seqs = seqs;
  }

  seqOf(i: number): number {
    return this.#seqs === 0 ? this.#firstSeq + i : this.#seqs[i]!;
  }

  hashOf(i: number): number {
    return this.#view.getInt32(this.#columns + 4 * i, true);
  }

  sizeOf(i: number): number {
    return this.#view.getUint32(this.#columns + 4 * (this.count + i), true);
  }

  /** As KeyNumbers has it. */
  numberOf(i: number): number {
    return this.#view.getInt32(this.#columns + 4 * (2 * this.count + i), true);
  }

  /** The keys of messages that have a number which is not new, in their order. */
  knownKeys(): readonly Key[] {
    return copying.unpack(this.#buffer, { start: this.#view.getUint32(32, true), end: this.#columns }) as Key[];
  }
}

const NO_EXTRAS: readonly [number, Extras][] = [];

function unpackExtras(packed: PackedExtras): [number, Extras] {
  const [index, priority, deadline, chain, calls, attempt, trace] = packed;
  return [index, { priority, deadline, chain, calls, attempt, trace }];
}

function mustBeCurrent(bytes: Uint8Array): void {
  if (bytes[0] !== ENVELOPE_VERSION)
    throw new Error(`frame of envelope version ${bytes[0]}, this is ${ENVELOPE_VERSION}`);
}

export function readHead(carried: Carried): FrameHead {
  return withFrame(carried, (_, head) => head);
}

function headOf(view: DataView): FrameHead {
  return { slot: view.getUint32(4, true), incarnation: view.getUint32(8, true), mayWait: view.getUint8(1) === 1 };
}

/** Whether a frame need not be unpacked before others had their turns (see FrameWriter.add). */
export function mayWait(carried: Carried): boolean {
  return byteAt(carried, 1) === 1;
}

/** Messages of a frame. */
export function countOf(carried: Carried): number {
  return (
    byteAt(carried, 16) + byteAt(carried, 17) * 0x100 + byteAt(carried, 18) * 0x10000 + byteAt(carried, 19) * 2 ** 24
  );
}

/** Reads a frame that came on a lane; it is gone when `use` returns. */
export function withFrame<T>(carried: Carried, use: (frame: Frame, head: FrameHead) => T): T {
  return withBytes(carried, bytes => {
    const frame = unpack(bytes);
    return use(frame, headOf(viewOf(bytes)));
  });
}

/** As `withFrame`, and the frame may be kept. */
export function readFrame(carried: Carried): Frame {
  return unpack(
    typeof carried === 'string'
      ? Buffer.from(carried, 'latin1')
      : Buffer.from(carried.buffer, carried.byteOffset, carried.byteLength),
  );
}

/** The view of a buffer, kept where msgpackr looks for it. */
function viewOf(buffer: Buffer & { dataView?: DataView }): DataView {
  buffer.dataView ??= new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  return buffer.dataView;
}

/** Byte arrays are copies: a kept one must not pin the whole frame, and a changed one not change what a crash replays. */
function unpack(buffer: Buffer): Frame {
  mustBeCurrent(buffer);
  const view = viewOf(buffer);
  const count = view.getUint32(16, true);
  const columns = view.getUint32(20, true);
  copying.structures = readShapes(buffer, view.getUint16(2, true), columns + COLUMNS * count);
  const content = copying.unpack(buffer, { start: HEAD, end: view.getUint32(32, true) }) as Content;
  return new Frame(buffer, view, count, columns, content);
}

/** Calls `visit` with each message of a frame, rebuilt as an envelope. For rare paths: repacking, bouncing. */
export function eachEnvelope(carried: Carried, visit: (envelope: Envelope, seq: number, index: number) => void): void {
  const frame = readFrame(carried);
  const keys = frame.keys.values();
  const knownKeys = frame.knownKeys().values();
  let index = 0;
  let extra = 0;
  for (const [actor, flags, source, epoch, count, positions, paths] of frame.groups)
    for (let i = 0; i < count; i++, index++) {
      let extras: Extras | null = null;
      if (frame.extras[extra]?.[0] === index) extras = frame.extras[extra++]![1];
      const position = typeof positions === 'number' ? positions + i : positions[i]!;
      const number = frame.numberOf(index);
      const envelope = {
        actor,
        key: (number > 0 ? knownKeys : keys).next().value!,
        hash: frame.hashOf(index),
        number,
        body: frame.bodies[index],
        source,
        epoch,
        position,
        path: paths === 0 ? '' : paths[i]!,
        flags,
        extras,
      };
      visit(envelope, frame.seqOf(index), index);
    }
}
