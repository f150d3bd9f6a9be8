/**
 * Writes bodies and keys in msgpack, as msgpackr reads it. Plain objects, arrays, bytes, Dates and primitives, which most
 * messages are made of, are written here, in a third of the time that msgpackr takes for them one by one; a body that
 * holds anything else is foreign: left to msgpackr as a whole, and packed as bytes. A plain object becomes a record: one
 * byte for its shape, then its values. The shapes of a frame are named once, in the frame, so that a reader keeps one
 * compiled function for each shape it ever met (readers of msgpackr's own records are compiled anew for each frame).
 */
import { Packr } from 'msgpackr';
import { KEPT_FROM, takeMemory } from './frame-memory.ts';
import { REMEMBERED, Shape, signatureBytes } from './shapes.ts';
import { type Carried, textOf } from './text.ts';

export const CODEC = { useRecords: true, moreTypes: true, useBigIntExtension: true, mapsAsObjects: false } as const;
/** msgpackr's flag for "return the working buffer with start and end set", which saves a subarray a value. */
const REUSE_BUFFER = 512;

/** Shapes that one frame can name: msgpack tokens 0x40 to 0x7f. */
const SHAPES = 64;
const FIRST_SHAPE = 0x40;
/** Objects with more properties are tables, not records: each would be a shape of its own. */
const MOST_PROPERTIES = 64;
/** Its length must fit 16 bits. */
const LONGEST_SIGNATURE = 0xffff;
/** Deeper values are msgpackr's; a cycle ends there. */
const MAX_DEPTH = 100;
/** msgpackr writes functions as undefined unless told otherwise: losing a part of a message silently is not an option. */
export class StrictPackr extends Packr {
  writeFunction(): never {
    throw new Error('a function');
  }
}

const encoder = new TextEncoder();
type Working = Buffer & { start: number; end: number };

/** Bytes, Dates and bigints have no shapes: they may stand among our own values as they are. */
const leaves = new StrictPackr({ ...CODEC, useRecords: false });
const foreign = new StrictPackr({ ...CODEC, sequential: true } as ConstructorParameters<typeof Packr>[0]);

/** One value by itself, with all it needs to be read. Valid until the next call. */
export function packForeign(value: unknown): Working {
  (foreign as unknown as { structures: unknown[] }).structures = [];
  return foreign.pack(value, REUSE_BUFFER) as Working;
}

/** How msgpackr marks an array of a type, and this type. */
const [TYPED_ARRAY, UINT8_ARRAY] = new StrictPackr(CODEC).pack(Uint8Array.of(0)).subarray(2, 4) as unknown as [
  number,
  number,
];

export class BodyPacker {
  #bytes: Uint8Array;
  #view: DataView;
  /** Where the next byte goes, and where the first one of a frame does. */
  length: number;
  readonly #start: number;
  #root = new Shape([]);
  #steps = 0;
  #frame = 0;
  readonly #shapes: Shape[] = [];
  /** Something foreign was met. */
  #isForeign = false;
  /** Bytes that naming the shapes of this frame takes. */
  shapeBytes = 0;

  /** `start`: bytes to leave free at the beginning, for whoever writes the head. */
  constructor(room: number, start = 0) {
    this.#bytes = new Uint8Array(room);
    this.#view = new DataView(this.#bytes.buffer);
    this.#start = this.length = start;
  }

  get shapeCount(): number {
    return this.#shapes.length;
  }

  /** A new frame begins. One large message must not pin its room for ever. */
  reset(mostRoom: number): void {
    this.length = this.#start;
    this.shapeBytes = 0;
    this.#shapes.length = 0;
    this.#frame++;
    if (this.#bytes.length > mostRoom) this.#become(new Uint8Array(mostRoom));
    if (this.#steps > REMEMBERED) {
      this.#root = new Shape([]);
      this.#steps = 0;
    }
  }

  /** Takes back what was written since the packer had this length and so many shapes. */
  rewind(length: number, shapeCount: number): void {
    this.length = length;
    this.#isForeign = false;
    while (this.#shapes.length > shapeCount) {
      const shape = this.#shapes.pop()!;
      shape.frame = -1;
      this.shapeBytes -= signatureBytes(shape.signature);
    }
  }

  /** The bytes so far, to be written to at any place. Valid until the next value. */
  get view(): DataView {
    return this.#view;
  }

  /** All written so far: as text where it is short, as it will travel, else in memory of its own (frame-memory.ts). */
  carried(): Carried {
    if (this.length < KEPT_FROM) return textOf(this.#bytes, this.length);
    const copy = takeMemory(this.length);
    copy.set(this.#bytes.subarray(0, this.length));
    return copy;
  }

  /** Makes room for so many bytes more, and returns where they begin. */
  skip(bytes: number): number {
    this.#need(bytes);
    const at = this.length;
    this.length += bytes;
    return at;
  }

  /** The signatures of the shapes of this frame, each behind its length (u16). */
  writeSignatures(): void {
    for (const { signature } of this.#shapes) {
      const at = this.skip(signatureBytes(signature));
      this.#view.setUint16(at, this.length - at - 2, true);
      encoder.encodeInto(signature, this.#bytes.subarray(at + 2, this.length));
    }
  }

  /**
   * Any value that msgpackr takes; throws what it throws. True if it is foreign: then the reader finds bytes, as
   * `packForeign` makes them.
   */
  body(value: unknown): boolean {
    const { length } = this;
    const shapes = this.#shapes.length;
    this.value(value);
    if (!this.#isForeign) return false;
    this.#isForeign = false;
    this.rewind(length, shapes);
    const packed = packForeign(value);
    this.#need(packed.end - packed.start + 5);
    this.#bytes[this.length++] = 0xc6; // bytes with a 32-bit length
    this.#int32(packed.end - packed.start);
    this.#copy(packed);
    return true;
  }

  /** A value that is not foreign. */
  value(value: unknown, depth = 0): void {
    switch (typeof value) {
      case 'string':
        return this.#string(value);
      case 'number':
        return this.#number(value);
      case 'boolean':
        return this.#byte(value ? 0xc3 : 0xc2);
      case 'undefined':
        this.#need(3);
        this.#bytes[this.length++] = 0xd4;
        this.#bytes[this.length++] = 0;
        this.#bytes[this.length++] = 0;
        return;
      case 'object':
        if (value === null) return this.#byte(0xc0);
        if (value.constructor === Object) return this.#object(value as Record<string, unknown>, depth);
        if (Array.isArray(value) && depth < MAX_DEPTH) return this.#array(value, depth);
        if (value.constructor === Buffer || value.constructor === Uint8Array) return this.#raw(value as Uint8Array);
        if (ArrayBuffer.isView(value) || value instanceof Date) return this.#copy(leaves.pack(value, REUSE_BUFFER));
        this.#isForeign = true;
        return;
      case 'bigint':
        return this.#copy(leaves.pack(value, REUSE_BUFFER));
      default:
        this.#isForeign = true;
    }
  }

  #object(object: Record<string, unknown>, depth: number): void {
    const shape = depth < MAX_DEPTH ? this.#shapeOf(object) : null;
    if (shape === null) {
      this.#isForeign = true;
      return;
    }
    this.#byte(FIRST_SHAPE + shape.number);
    for (const name in object) {
      this.value(object[name], depth + 1);
      if (this.#isForeign) return;
    }
  }

  /** The shape of an object, numbered in this frame; null where there are too many. */
  #shapeOf(object: Record<string, unknown>): Shape | null {
    let step = this.#root;
    let properties = 0;
    for (const name in object) {
      let next = step.to(name);
      if (next === null) {
        if (++properties > MOST_PROPERTIES || this.#steps > 2 * REMEMBERED) return null;
        next = step.add(name);
        this.#steps++;
      }
      step = next;
    }
    if (step.frame === this.#frame) return step;
    if (this.#shapes.length === SHAPES || step.names.length > MOST_PROPERTIES) return null;
    if (signatureBytes(step.signature) > LONGEST_SIGNATURE) return null;
    step.frame = this.#frame;
    step.number = this.#shapes.length;
    this.#shapes.push(step);
    this.shapeBytes += signatureBytes(step.signature);
    return step;
  }

  /** What another one packed behind five bytes that it left free, as an array of so many elements. It must name no shapes. */
  array(elements: BodyPacker, count: number): void {
    const { length } = elements;
    this.#need(length);
    this.#bytes.set(elements.#bytes.subarray(0, length), this.length);
    this.#bytes[this.length] = 0xdd; // an array with a 32-bit length
    this.#view.setUint32(this.length + 1, count);
    this.length += length;
  }

  #array(array: readonly unknown[], depth: number): void {
    const { length } = array;
    this.#need(5);
    const bytes = this.#bytes;
    if (length < 16) bytes[this.length++] = 0x90 | length;
    else if (length < 0x10000) {
      bytes[this.length++] = 0xdc;
      bytes[this.length++] = length >> 8;
      bytes[this.length++] = length;
    } else {
      bytes[this.length++] = 0xdd;
      this.#view.setUint32(this.length, length);
      this.length += 4;
    }
    for (let i = 0; i < length && !this.#isForeign; i++) this.value(array[i], depth + 1);
  }

  #raw(value: Uint8Array): void {
    const { length } = value;
    this.#need(length + 7);
    const bytes = this.#bytes;
    const isBuffer = value.constructor === Buffer;
    const counted = isBuffer ? length : length + 1;
    const width = counted < 0x100 ? 0 : counted < 0x10000 ? 1 : 2;
    bytes[this.length++] = (isBuffer ? 0xc4 : 0xc7) + width; // bytes, or an extension, with a length of 8, 16 or 32 bits
    if (width === 0) bytes[this.length++] = counted;
    else if (width === 1) {
      bytes[this.length++] = counted >> 8;
      bytes[this.length++] = counted;
    } else this.#int32(counted);
    if (!isBuffer) {
      bytes[this.length++] = TYPED_ARRAY;
      bytes[this.length++] = UINT8_ARRAY;
    }
    bytes.set(value, this.length);
    this.length += length;
  }

  #string(text: string): void {
    const { length } = text;
    if (length < 32) {
      this.#need(33);
      const bytes = this.#bytes;
      const at = this.length + 1;
      let i = 0;
      for (; i < length; i++) {
        const unit = text.charCodeAt(i);
        if (unit > 127) break;
        bytes[at + i] = unit;
      }
      if (i === length) {
        bytes[this.length] = 0xa0 | length;
        this.length = at + length;
        return;
      }
    }
    const size = Buffer.byteLength(text);
    this.#need(size + 5);
    const bytes = this.#bytes;
    if (size < 32) bytes[this.length++] = 0xa0 | size;
    else if (size < 0x100) {
      bytes[this.length++] = 0xd9;
      bytes[this.length++] = size;
    } else if (size < 0x10000) {
      bytes[this.length++] = 0xda;
      bytes[this.length++] = size >> 8;
      bytes[this.length++] = size;
    } else {
      bytes[this.length++] = 0xdb;
      this.#view.setUint32(this.length, size);
      this.length += 4;
    }
    this.length += encoder.encodeInto(text, bytes.subarray(this.length, this.length + size)).written;
  }

  #number(value: number): void {
    this.#need(9);
    const bytes = this.#bytes;
    if ((value | 0) === value) {
      if (value >= 0) {
        if (value < 0x80 && value < FIRST_SHAPE) bytes[this.length++] = value;
        else if (value < 0x100) {
          bytes[this.length++] = 0xcc;
          bytes[this.length++] = value;
        } else if (value < 0x10000) {
          bytes[this.length++] = 0xcd;
          bytes[this.length++] = value >> 8;
          bytes[this.length++] = value;
        } else {
          bytes[this.length++] = 0xce;
          this.#int32(value);
        }
      } else if (value >= -32) bytes[this.length++] = value;
      else {
        bytes[this.length++] = 0xd2;
        this.#int32(value);
      }
    } else {
      bytes[this.length] = 0xcb;
      this.#view.setFloat64(this.length + 1, value);
      this.length += 9;
    }
  }

  #int32(value: number): void {
    const bytes = this.#bytes;
    bytes[this.length++] = value >> 24;
    bytes[this.length++] = value >> 16;
    bytes[this.length++] = value >> 8;
    bytes[this.length++] = value;
  }

  #byte(byte: number): void {
    this.#need(1);
    this.#bytes[this.length++] = byte;
  }

  #copy(packed: Uint8Array): void {
    const { start, end } = packed as Working;
    this.#need(end - start);
    this.#bytes.set(packed.subarray(start, end), this.length);
    this.length += end - start;
  }

  #need(room: number): void {
    const needed = this.length + room;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, needed));
    grown.set(this.#bytes.subarray(0, this.length));
    this.#become(grown);
  }

  #become(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}
