/** Two methods that every Buffer has and its types leave out: reading and writing UTF-8 with no look at their arguments. */
export type WireBuffer = Buffer & {
  utf8Slice(from: number, to: number): string;
  /** Returns the bytes written. Half of a pair of surrogates is written as U+FFFD. */
  utf8Write(text: string, at: number, room: number): number;
};

/** A view of the same bytes. */
export function asWireBuffer(bytes: Uint8Array): WireBuffer {
  return (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)) as WireBuffer;
}

export function newWireBuffer(size: number): WireBuffer {
  return Buffer.allocUnsafeSlow(size) as WireBuffer;
}
