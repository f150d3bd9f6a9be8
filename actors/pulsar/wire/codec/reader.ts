/**
 * Reads protobuf (proto2) from a stretch of bytes. Every read checks that it stayed within the stretch, and throws a WireFault
 * where it did not: an impossible length is seen before anything is made of it.
 */
import { asWireBuffer, type WireBuffer } from './bytes.ts';
import { WireFault } from './fault.ts';

/** How fields travel: the low three bits of a tag. */
const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;

/** Messages within messages; none of the protocol has more than three levels. */
const MAX_DEPTH = 16;
/** Text up to so many bytes is put together here, if it is ASCII: a call into Node costs more than that. */
const SHORT_TEXT = 12;
const SHORT_COPY = 32;
const shortCodes = Array.from({ length: SHORT_TEXT + 1 }, (_, length) => new Array<number>(length).fill(0));
/** Names of properties that came lately, by a few of their bytes. */
const LONGEST_NAME = 32;
const KEPT_NAMES = 256;
const names = new Array<string>(KEPT_NAMES).fill('');
const TWO_32 = 2 ** 32;

export class Reader {
  readonly bytes: WireBuffer;
  at: number;
  end: number;
  #depth = 0;
  /** The words of what #varint64 read. */
  #low = 0;
  #high = 0;

  /** Throws for a stretch that does not lie within the bytes. */
  constructor(bytes: Uint8Array, from: number, to: number) {
    if (!(from >= 0 && from <= to && to <= bytes.length)) throw new WireFault(`no bytes ${from} to ${to}`);
    this.bytes = asWireBuffer(bytes);
    this.at = from;
    this.end = to;
  }

  /** Number and wire type of the next field: number * 8 + type. 0 at the end. */
  tag(): number {
    if (this.at >= this.end) return 0;
    const tag = this.uint();
    if (tag < 8) throw new WireFault('a field has the number 0');
    return tag;
  }

  /** The low 32 bits of a varint, as a number from 0 on. */
  uint(): number {
    if (this.at < this.end) {
      const byte = this.bytes[this.at]!;
      if (byte < 128) {
        this.at++;
        return byte;
      }
    }
    return this.#longUint();
  }

  #longUint(): number {
    const { bytes, end } = this;
    let { at } = this;
    let value = 0;
    let byte = 128;
    for (let shift = 0; byte > 127; shift += 7) {
      if (shift === 70 || at >= end) throw notANumber(at, end);
      byte = bytes[at++]!;
      if (shift < 32) value |= (byte & 127) << shift;
    }
    this.at = at;
    return value >>> 0;
  }

  /** 32 bits with a sign; enums too. */
  int(): number {
    return this.uint() | 0;
  }

  bool(): boolean {
    this.#varint64();
    return (this.#low | this.#high) !== 0;
  }

  /** 64 bits with a sign. 2^63-1 is Infinity; throws for what a number cannot hold exactly. */
  long(): number {
    const { bytes, end } = this;
    let { at } = this;
    let short = 0;
    for (let shift = 0; shift < 28 && at < end; shift += 7) {
      const byte = bytes[at++]!;
      short |= (byte & 127) << shift;
      if (byte < 128) {
        this.at = at;
        return short;
      }
    }
    this.#varint64();
    const value = this.#high * TWO_32 + this.#low;
    if (Number.isSafeInteger(value)) return value;
    if (this.#low === 0xffffffff && this.#high === 0x7fffffff) return Number.POSITIVE_INFINITY;
    throw new WireFault(`${value} is beyond what a number holds exactly`);
  }

  /** 64 bits as two words, low and high, added to `words`. */
  wordPair(words: number[]): void {
    this.#varint64();
    words.push(this.#low, this.#high);
  }

  packedInts(into: number[]): void {
    const outer = this.enter();
    while (this.at < this.end) into.push(this.int());
    this.leave(outer);
  }

  double(): number {
    const { at } = this;
    this.#pass(8);
    return this.bytes.readDoubleLE(at);
  }

  /** Reads a length. What it is the length of begins at `at` and ends where this returns. */
  delimited(): number {
    const length = this.uint();
    const end = this.at + length;
    if (end > this.end) throw new WireFault(`a field of ${length} bytes where ${this.end - this.at} are left`);
    return end;
  }

  /** UTF-8; what is not is read as U+FFFD. */
  text(): string {
    const end = this.delimited();
    const from = this.at;
    this.at = end;
    const { bytes } = this;
    const length = end - from;
    if (length > SHORT_TEXT) return bytes.utf8Slice(from, end);
    const codes = shortCodes[length]!;
    for (let i = 0; i < length; i++) {
      const code = bytes[from + i]!;
      if (code >= 128) return bytes.utf8Slice(from, end);
      codes[i] = code;
    }
    return String.fromCharCode.apply(null, codes);
  }

  /** A copy. */
  copy(): Uint8Array {
    const end = this.delimited();
    const { at, bytes } = this;
    const copied = new Uint8Array(end - at);
    if (copied.length > SHORT_COPY) copied.set(bytes.subarray(at, end));
    else for (let i = 0; i < copied.length; i++) copied[i] = bytes[at + i]!;
    this.at = end;
    return copied;
  }

  /** A KeyValue, written to `into`. */
  pair(into: Record<string, string>): void {
    let key: string | undefined;
    let value: string | undefined;
    const outer = this.enter();
    for (let tag = this.tag(); tag !== 0; tag = this.tag())
      if (tag === 10) key = this.#name();
      else if (tag === 18) value = this.text();
      else this.skip(tag);
    this.leave(outer);
    if (key === undefined || value === undefined) throw absent(key === undefined ? 'key' : 'value');
    into[key] = value;
  }

  /** Enters a message within: reads end where it ends. Returns what `leave` takes. */
  enter(): number {
    const end = this.delimited();
    const outer = this.end;
    if (++this.#depth > MAX_DEPTH) throw new WireFault(`more than ${MAX_DEPTH} messages within each other`);
    this.end = end;
    return outer;
  }

  leave(outer: number): void {
    this.#depth--;
    this.at = this.end;
    this.end = outer;
  }

  /** Goes over a field that is not known, or of another wire type than is known. */
  skip(tag: number): void {
    switch (tag & 7) {
      case VARINT:
        this.#varint64();
        return;
      case FIXED64:
        return this.#pass(8);
      case DELIMITED:
        this.at = this.delimited();
        return;
      case FIXED32:
        return this.#pass(4);
      default:
        throw new WireFault(`field ${tag >>> 3} has the wire type ${tag & 7}`);
    }
  }

  /** Text that came before most likely, and is then the same string: as the name of a property it costs far less than a new one. */
  #name(): string {
    const { at: before, bytes } = this;
    const end = this.delimited();
    const from = this.at;
    const length = end - from;
    if (length === 0 || length > LONGEST_NAME) {
      this.at = before;
      return this.text();
    }
    const ends = bytes[from]! ^ (bytes[end - 1]! << 3) ^ (bytes[from + (length >> 1)]! << 6);
    const place = (ends ^ (length << 2)) & (KEPT_NAMES - 1);
    const kept = names[place]!;
    if (kept.length === length) {
      let i = 0;
      while (i < length && kept.charCodeAt(i) === bytes[from + i]) i++;
      if (i === length) {
        this.at = end;
        return kept;
      }
    }
    this.at = before;
    const name = this.text();
    // Only ASCII is as long as its bytes, so that these can be compared.
    if (name.length === length) names[place] = name;
    return name;
  }

  #pass(count: number): void {
    if (this.at + count > this.end) throw cutOff();
    this.at += count;
  }

  #varint64(): void {
    const { bytes, end } = this;
    let { at } = this;
    // Three parts, of 28, 28 and 8 bits.
    let low = 0;
    let middle = 0;
    let high = 0;
    let byte = 128;
    for (let i = 0; byte > 127; i++) {
      if (i === 10 || at >= end) throw notANumber(at, end);
      byte = bytes[at++]!;
      if (i < 4) low |= (byte & 127) << (7 * i);
      else if (i < 8) middle |= (byte & 127) << (7 * (i - 4));
      else high |= (byte & 127) << (7 * (i - 8));
    }
    this.at = at;
    this.#low = (low | (middle << 28)) >>> 0;
    this.#high = (middle >>> 4) | (high << 24);
  }
}

/** A required field is not there. */
export function absent(name: string): WireFault {
  return new WireFault(`${name} is missing`);
}

function notANumber(at: number, end: number): WireFault {
  return at >= end ? cutOff() : new WireFault('a number has more than ten bytes');
}

function cutOff(): WireFault {
  return new WireFault('it ends within a field');
}
