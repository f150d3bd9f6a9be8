/**
 * Returns as bytes: what flows back on a lane travels as frames do. A small object costs the thread that posts it five
 * times as much as the text that such bytes become (message-port.ts; measured at rest, where asks wait for it).
 *
 * Layout, little-endian: shapes (u16) · where their signatures begin (u32) · one msgpack array (Content) · the signatures.
 * Values of replies are packed at the moment of the reply, as bodies are at the moment of the send: who replied may change
 * its object right after, and what cannot be carried becomes an error in its place.
 */
import { Unpackr } from 'msgpackr';
import { KeymillError, toWire } from '../errors.ts';
import { BodyPacker, CODEC } from './body-packer.ts';
import type { Returns } from './port.ts';
import { readShapes } from './shapes.ts';
import { type Carried, withBytes } from './text.ts';
import { uncarriable, unpackValue } from './value.ts';

const HEAD = 6;
/** Behind the head: the heads of the content and of its first element, whose length is known last. */
const BEFORE_REPLIES = HEAD + 6;
/** Room that a writer keeps. */
const ROOM = 64 * 1024;

/** What a reply is. */
const ERROR = 0;
const VALUE = 1;
/** Added where the reader finds the bytes of a foreign value (body-packer.ts). */
const FOREIGN = 2;

/** Objects as arrays; 0 for a part that is not there. `replies`: sequence number, what it is, and value in turn. */
type Content = [
  replies: unknown[],
  runs: number[] | 0,
  tried: [seq: number, calls: number, attempt: number][] | 0,
  hold: [actor: number, key: string | number | bigint][] | 0,
  free: [actor: number, key: string | number | bigint][] | 0,
  released: [partition: number, upTo: number][] | 0,
];

/** Collects replies until the returns leave. One per lane; reused. */
export class ReturnsWriter {
  readonly #packer = new BodyPacker(256, BEFORE_REPLIES);
  #replies = 0;

  /** The reply to an ask: `ok` for a value, else an error of any kind. */
  reply(seq: number, ok: boolean, value: unknown): void {
    try {
      this.#reply(seq, ok ? VALUE : ERROR, ok ? value : toWire(value));
    } catch (cause) {
      const error = new KeymillError('MESSAGE_NOT_CARRIABLE', 'the reply of the handler', {
        cause: uncarriable(value, cause),
      });
      this.#reply(seq, ERROR, toWire(error));
    }
  }

  #reply(seq: number, what: number, value: unknown): void {
    const packer = this.#packer;
    const { length, shapeCount } = packer;
    packer.value(seq);
    const at = packer.skip(1);
    try {
      const isForeign = packer.body(value);
      packer.view.setUint8(at, isForeign ? what + FOREIGN : what);
    } catch (error) {
      packer.rewind(length, shapeCount);
      throw error;
    }
    this.#replies++;
  }

  /** The replies so far and these parts; the writer is empty afterwards. */
  finish({ runs, tried, hold, free, released }: Omit<Returns, 'replies'>): Carried {
    const packer = this.#packer;
    packer.value(runs ?? 0);
    packer.value(tried?.map(({ seq, calls, attempt }) => [seq, calls, attempt]) ?? 0);
    packer.value(hold?.map(({ actor, key }) => [actor, key]) ?? 0);
    packer.value(free?.map(({ actor, key }) => [actor, key]) ?? 0);
    packer.value(released?.map(({ partition, upTo }) => [partition, upTo]) ?? 0);
    const signatures = packer.length;
    packer.writeSignatures();
    const { view } = packer;
    view.setUint16(0, packer.shapeCount, true);
    view.setUint32(2, signatures, true);
    view.setUint8(HEAD, 0x96); // an array of six
    view.setUint8(HEAD + 1, 0xdd); // an array with a 32-bit length
    view.setUint32(HEAD + 2, 3 * this.#replies);
    const carried = packer.carried();
    packer.reset(ROOM);
    this.#replies = 0;
    return carried;
  }
}

type Structures = Unpackr & { structures: unknown[] };
/** Byte arrays are copies: what they are read from is used again. */
const unpackr = new Unpackr({ ...CODEC, copyBuffers: true } as ConstructorParameters<typeof Unpackr>[0]) as Structures;

export function readReturns(carried: Carried): Returns {
  const [replies, runs, tried, hold, free, released] = withBytes(carried, unpack);
  const returns: Returns = {};
  if (replies.length > 0) {
    returns.replies = [];
    for (let i = 0; i < replies.length; i += 3) {
      const what = replies[i + 1] as number;
      const value = what >= FOREIGN ? unpackValue(replies[i + 2] as Uint8Array) : replies[i + 2];
      returns.replies.push({ seq: replies[i] as number, ok: (what & VALUE) === VALUE, value });
    }
  }
  if (runs !== 0) returns.runs = runs;
  if (tried !== 0) returns.tried = tried.map(([seq, calls, attempt]) => ({ seq, calls, attempt }));
  if (hold !== 0) returns.hold = hold.map(([actor, key]) => ({ actor, key }));
  if (free !== 0) returns.free = free.map(([actor, key]) => ({ actor, key }));
  if (released !== 0) returns.released = released.map(([partition, upTo]) => ({ partition, upTo }));
  return returns;
}

function unpack(bytes: Buffer): Content {
  const signatures = bytes.readUInt32LE(2);
  unpackr.structures = readShapes(bytes, bytes.readUInt16LE(0), signatures);
  return unpackr.unpack(bytes, { start: HEAD, end: signatures }) as Content;
}
