/**
 * Writes protobuf (proto2) into one buffer that grows. A length is written when what it is the length of is written: one
 * byte is left for it, and the rare longer one moves what came after it.
 */
import { newWireBuffer, type WireBuffer } from './bytes.ts';
import { WireFault } from './fault.ts';

const TWO_32 = 2 ** 32;
/** Text up to so many characters is written here, if it is ASCII: a call into Node costs more than that. */
const SHORT_TEXT = 12;
/** Longer text is measured first; shorter gets the room that it can need at most, three bytes a character. */
const MEASURED_TEXT = 1024;
/** Of a varint. */
const MAX_VARINT = 10;

export class Writer {
  bytes: WireBuffer;
  at = 0;

  constructor(size: number) {
    this.bytes = newWireBuffer(size);
  }

  /** Makes room for so many more bytes. */
  reserve(count: number): void {
    if (this.at + count > this.bytes.length) this.#grow(this.at + count);
  }

  /** A copy of what was written. */
  taken(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.bytes, 0, this.at);
  }

  /** 4 bytes, the highest first; there must be room. */
  setUint32(value: number, at: number): void {
    const { bytes } = this;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
  }

  setUint16(value: number, at: number): void {
    this.bytes[at] = value >>> 8;
    this.bytes[at + 1] = value;
  }

  /** A varint from 0 to 2^32-1, as tags and lengths are. */
  uint(value: number): void {
    this.reserve(MAX_VARINT);
    this.#put(value);
  }

  /** A whole number of 64 bits with a sign, Infinity for 2^63-1; fractions are cut off. Throws for all others. */
  long(value: number): void {
    this.reserve(MAX_VARINT);
    if (value >= 0 && value < TWO_32) this.#put(value);
    else this.#putLong(value);
  }

  /** 64 bits of two words. */
  words(low: number, high: number): void {
    this.reserve(MAX_VARINT);
    this.#putWords(low, high);
  }

  longField(tag: number, value: number | undefined): void {
    if (value === undefined) return;
    this.reserve(2 * MAX_VARINT);
    this.#put(tag);
    if (value >= 0 && value < TWO_32) this.#put(value);
    else this.#putLong(value);
  }

  boolField(tag: number, value: boolean | undefined): void {
    if (value === undefined) return;
    this.reserve(2 * MAX_VARINT);
    this.#put(tag);
    this.#put(value ? 1 : 0);
  }

  doubleField(tag: number, value: number | undefined): void {
    if (value === undefined) return;
    this.uint(tag);
    this.reserve(8);
    this.at = this.bytes.writeDoubleLE(value, this.at);
  }

  textField(tag: number, value: string | undefined): void {
    if (value === undefined) return;
    this.uint(tag);
    this.#text(value);
  }

  bytesField(tag: number, value: Uint8Array | undefined): void {
    if (value === undefined) return;
    this.uint(tag);
    this.uint(value.length);
    this.raw(value);
  }

  /** Bytes as they are. Returns how many. */
  raw(value: Uint8Array): number {
    const { length } = value;
    this.reserve(length);
    this.bytes.set(value, this.at);
    this.at += length;
    return length;
  }

  /** UTF-8 with no length before it. Returns the bytes it has. */
  text(value: string): number {
    const room = roomFor(value);
    this.reserve(room);
    const written = this.bytes.utf8Write(value, this.at, room);
    this.at += written;
    return written;
  }

  /** Repeated KeyValue. */
  pairsField(tag: number, pairs: Readonly<Record<string, string>> | undefined): void {
    if (pairs === undefined) return;
    for (const key in pairs) {
      if (!Object.hasOwn(pairs, key)) continue;
      const body = this.begin(tag);
      this.textField(10, key);
      this.textField(18, pairs[key]!);
      this.end(body);
    }
  }

  /** Begins a message within. Returns what `end` takes. */
  begin(tag: number): number {
    this.uint(tag);
    this.uint(0);
    return this.at;
  }

  end(body: number): void {
    this.#setLength(body, this.at - body);
  }

  #grow(length: number): void {
    const grown = newWireBuffer(Math.max(2 * this.bytes.length, length));
    grown.set(this.bytes.subarray(0, this.at));
    this.bytes = grown;
  }

  #put(value: number): void {
    const { bytes } = this;
    let { at } = this;
    let rest = value;
    while (rest > 127) {
      bytes[at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.at = at;
  }

  /** What no varint of 32 bits is. */
  #putLong(value: number): void {
    if (value === Number.POSITIVE_INFINITY) return this.#putWords(0xffffffff, 0x7fffffff);
    const whole = Math.trunc(value);
    if (!Number.isSafeInteger(whole)) throw new WireFault(`${value} has no form on the wire`);
    this.#putWords(whole >>> 0, Math.floor(whole / TWO_32));
  }

  #putWords(low: number, high: number): void {
    const { bytes } = this;
    let { at } = this;
    let lower = low >>> 0;
    let upper = high >>> 0;
    while (upper !== 0 || lower > 127) {
      bytes[at++] = (lower & 127) | 128;
      lower = ((lower >>> 7) | (upper << 25)) >>> 0;
      upper >>>= 7;
    }
    bytes[at++] = lower;
    this.at = at;
  }

  #text(value: string): void {
    const { length } = value;
    if (length <= SHORT_TEXT) {
      this.reserve(1 + 3 * SHORT_TEXT);
      const { bytes, at } = this;
      let i = 0;
      while (i < length) {
        const code = value.charCodeAt(i);
        if (code > 127) break;
        bytes[at + 1 + i++] = code;
      }
      if (i === length) {
        bytes[at] = length;
        this.at = at + 1 + length;
        return;
      }
    }
    this.reserve(1);
    const body = ++this.at;
    this.#setLength(body, this.text(value));
  }

  /** Writes the length of what begins at `body` and ends at `at`; one byte is free before it. */
  #setLength(body: number, length: number): void {
    if (length < 128) {
      this.bytes[body - 1] = length;
      return;
    }
    let width = 1;
    for (let rest = length; rest > 127; rest >>>= 7) width++;
    this.reserve(width - 1);
    this.bytes.copyWithin(body + width - 1, body, body + length);
    this.at = body - 1;
    this.uint(length);
    this.at += length;
  }
}

/** Bytes that text takes at most. */
function roomFor(text: string): number {
  return text.length <= MEASURED_TEXT ? 3 * text.length : Buffer.byteLength(text);
}
