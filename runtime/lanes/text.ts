/**
 * Bytes as text of one byte a letter (latin1), as they travel through a MessagePort (message-port.ts), and back. A text
 * becomes bytes when it is read, in memory that is used again and again: an ArrayBuffer for each frame costs more than
 * its bytes.
 */
import { SHARED_FROM } from './frame-memory.ts';

/** Bytes, or a text of one byte a letter. */
export type Carried = Uint8Array | string;

/** Of any Uint8Array; not in the types of Node. */
const latin1Slice = (Buffer.prototype as unknown as { latin1Slice(this: Uint8Array, from: number, to: number): string })
  .latin1Slice;

export function textOf(bytes: Uint8Array, length: number): string {
  return latin1Slice.call(bytes, 0, length);
}

/** Text for what travels faster as such: less than SHARED_FROM bytes. */
export function toText(carried: Carried): Carried {
  return typeof carried === 'string' || carried.length >= SHARED_FROM ? carried : textOf(carried, carried.length);
}

const scratch = Buffer.allocUnsafeSlow(SHARED_FROM);
let isBusy = false;

/** Calls `use` with the bytes, which are gone afterwards: it must keep none of them. */
export function withBytes<T>(carried: Carried, use: (bytes: Buffer, length: number) => T): T {
  if (typeof carried !== 'string')
    return use(Buffer.from(carried.buffer, carried.byteOffset, carried.byteLength), carried.length);
  if (isBusy || carried.length > scratch.length) return use(Buffer.from(carried, 'latin1'), carried.length);
  isBusy = true;
  try {
    return use(scratch, scratch.write(carried, 0, 'latin1'));
  } finally {
    isBusy = false;
  }
}

export function byteAt(carried: Carried, index: number): number {
  return typeof carried === 'string' ? carried.charCodeAt(index) : carried[index]!;
}
