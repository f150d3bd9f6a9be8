/** Reading and writing the little-endian parts of TDS: numbers, and texts with their length in front. */

/** What came cannot be TDS, or not a TDS that this server understands. */
export class TdsFault extends Error {
  override readonly name = 'TdsFault';
}

export class Reader {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get rest(): number {
    return this.bytes.length - this.at;
  }

  u8(): number {
    return this.bytes.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.bytes.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.#take(4));
  }

  i16(): number {
    return this.bytes.readInt16LE(this.#take(2));
  }

  i32(): number {
    return this.bytes.readInt32LE(this.#take(4));
  }

  u64(): bigint {
    return this.bytes.readBigUInt64LE(this.#take(8));
  }

  i64(): bigint {
    return this.bytes.readBigInt64LE(this.#take(8));
  }

  f32(): number {
    return this.bytes.readFloatLE(this.#take(4));
  }

  f64(): number {
    return this.bytes.readDoubleLE(this.#take(8));
  }

  /** Of 1 to 6 bytes. */
  uint(length: number): number {
    return this.bytes.readUIntLE(this.#take(length), length);
  }

  /** A view. */
  take(length: number): Buffer {
    const at = this.#take(length);
    return this.bytes.subarray(at, at + length);
  }

  /** UTF-16. */
  text(chars: number): string {
    return this.take(2 * chars).toString('utf16le');
  }

  /** B_VARCHAR: the number of chars in a byte. */
  shortText(): string {
    return this.text(this.u8());
  }

  #take(length: number): number {
    const { at } = this;
    if (length > this.rest) throw new TdsFault(`${length} bytes wanted at ${at}, and ${this.rest} are left`);
    this.at += length;
    return at;
  }
}

export class Writer {
  bytes: Buffer;
  at = 0;

  constructor(size = 1024) {
    this.bytes = Buffer.allocUnsafe(size);
  }

  u8(value: number): void {
    const at = this.#room(1);
    this.bytes.writeUInt8(value, at);
  }

  u16(value: number): void {
    const at = this.#room(2);
    this.bytes.writeUInt16LE(value, at);
  }

  u32(value: number): void {
    const at = this.#room(4);
    this.bytes.writeUInt32LE(value, at);
  }

  /** Big-endian, as some few numbers are. */
  u16be(value: number): void {
    const at = this.#room(2);
    this.bytes.writeUInt16BE(value, at);
  }

  u32be(value: number): void {
    const at = this.#room(4);
    this.bytes.writeUInt32BE(value, at);
  }

  i16(value: number): void {
    const at = this.#room(2);
    this.bytes.writeInt16LE(value, at);
  }

  i32(value: number): void {
    const at = this.#room(4);
    this.bytes.writeInt32LE(value, at);
  }

  u64(value: bigint): void {
    const at = this.#room(8);
    this.bytes.writeBigUInt64LE(value, at);
  }

  i64(value: bigint): void {
    const at = this.#room(8);
    this.bytes.writeBigInt64LE(value, at);
  }

  f32(value: number): void {
    const at = this.#room(4);
    this.bytes.writeFloatLE(value, at);
  }

  f64(value: number): void {
    const at = this.#room(8);
    this.bytes.writeDoubleLE(value, at);
  }

  /** In 1 to 6 bytes. */
  uint(value: number, length: number): void {
    const at = this.#room(length);
    this.bytes.writeUIntLE(value, at, length);
  }

  put(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.bytes.set(bytes, at);
  }

  /** UTF-16, without a length. */
  text(value: string): void {
    const length = 2 * value.length;
    const at = this.#room(length);
    this.bytes.write(value, at, length, 'utf16le');
  }

  /** A byte for each char; gives where it begins. */
  narrowText(value: string): number {
    const { length } = value;
    const at = this.#room(length);
    this.bytes.write(value, at, length, 'latin1');
    return at;
  }

  /** B_VARCHAR: the number of chars in a byte. */
  shortText(value: string): void {
    this.u8(value.length);
    this.text(value);
  }

  /** US_VARCHAR: the number of chars in two bytes. */
  longText(value: string): void {
    this.u16(value.length);
    this.text(value);
  }

  /** Writes something whose length in bytes stands in the two bytes before it. */
  counted(write: () => void): void {
    const at = this.#room(2);
    write();
    this.bytes.writeUInt16LE(this.at - at - 2, at);
  }

  /** A view of what is written. */
  get written(): Buffer {
    return this.bytes.subarray(0, this.at);
  }

  /** May put another buffer in the place of `bytes`. */
  #room(length: number): number {
    const { at } = this;
    this.at += length;
    if (this.at > this.bytes.length) {
      const bytes = Buffer.allocUnsafe(Math.max(this.at, 2 * this.bytes.length));
      this.bytes.copy(bytes, 0, 0, at);
      this.bytes = bytes;
    }
    return at;
  }
}
