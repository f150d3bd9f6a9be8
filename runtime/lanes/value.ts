/** One value by itself: packed, unpacked, copied within a bound, and what is wrong with one that cannot be. */
import { Unpackr } from 'msgpackr';
import { describe, KeymillError } from '../errors.ts';
import { CODEC, packForeign } from './body-packer.ts';
import { carry } from './carry.ts';

/** For copies. Throws MESSAGE_NOT_CARRIABLE. */
export function packValue(value: unknown): Uint8Array {
  try {
    const packed = packForeign(value);
    return new Uint8Array(packed.subarray(packed.start, packed.end)); // copies: msgpackr's own buffer is shared
  } catch (cause) {
    throw uncarriable(value, cause);
  }
}

/**
 * A deep copy of a body that waits before it is packed. Throws MESSAGE_NOT_CARRIABLE, and MESSAGE_TOO_LARGE when it would
 * take more than `maxBytes` in a frame of its own, so that packing it later cannot fail.
 */
export function carryWithin(body: unknown, maxBytes: number): unknown {
  const { value, bytes } = carry(body);
  if (bytes * 4 > maxBytes) {
    const size = packValue(value).length;
    if (size > maxBytes) throw new KeymillError('MESSAGE_TOO_LARGE', `${size} bytes, maxMessageBytes is ${maxBytes}`);
  }
  return value;
}

const values = new Unpackr({ ...CODEC });

export function unpackValue(bytes: Uint8Array): unknown {
  return values.unpack(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

/** Says which part of a value could not be packed. */
export function uncarriable(value: unknown, cause: unknown): unknown {
  try {
    carry(value);
  } catch (error) {
    return error;
  }
  return new KeymillError('MESSAGE_NOT_CARRIABLE', `${describe(value)} (${String(cause)})`, { cause });
}
