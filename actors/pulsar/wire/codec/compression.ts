/**
 * Compression of payloads in the forms that they have on the wire (reference/pulsar.md 2.1): LZ4 is a raw block, zlib a stream
 * with header and Adler-32, zstd a frame, snappy a raw block that begins with its size. lz4-napi and snappy are loaded when
 * they are first used.
 */
import { createRequire } from 'node:module';
import { deflateSync, inflateSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { asError, isKeymillError, KeymillError } from '../../../../runtime/index.ts';
import { asWireBuffer } from './bytes.ts';
import type { COMPRESSIONS } from './enums.ts';
import { WireFault } from './fault.ts';
import { Reader } from './reader.ts';

export type Codec = (typeof COMPRESSIONS)[number];

/** lz4-napi writes the size before a block, 4 bytes with the lowest first; the wire has it in the metadata. */
const LZ4_SIZE_BYTES = 4;
/** Of memory that zlib is given at once. */
const MAX_PIECE_BYTES = 256 * 1024;

interface Lz4 {
  compressSync(bytes: Buffer): Buffer;
  uncompressSync(bytes: Buffer): Buffer;
}

interface Snappy {
  compressSync(bytes: Buffer): Buffer;
  uncompressSync(bytes: Buffer, options: { readonly asBuffer: true }): Buffer;
}

let lz4Loaded: Lz4 | undefined;
let snappyLoaded: Snappy | undefined;

/** Throws CONFIG_INVALID for a codec that is not installed. */
export function compress(codec: Codec, bytes: Uint8Array): Uint8Array {
  switch (codec) {
    case 'none':
      return bytes;
    case 'lz4':
      return lz4().compressSync(asWireBuffer(bytes)).subarray(LZ4_SIZE_BYTES);
    case 'zlib':
      return deflateSync(bytes);
    case 'zstd':
      return zstdCompressSync(bytes);
    case 'snappy':
      return snappy().compressSync(asWireBuffer(bytes));
  }
}

/**
 * Exactly `uncompressedSize` bytes, which must not be more than `maxBytes`; of `none` a view of the bytes as they are. Throws a
 * WireFault for what is not so, or is not compressed in this way, and CONFIG_INVALID for a codec that is not installed.
 */
export function decompress(codec: Codec, bytes: Uint8Array, uncompressedSize: number, maxBytes: number): Buffer {
  if (codec === 'none') return asWireBuffer(bytes);
  if (!(uncompressedSize >= 0 && uncompressedSize <= maxBytes))
    throw new WireFault(`${uncompressedSize} bytes when decompressed, where ${maxBytes} are allowed`);
  let result: Buffer;
  try {
    result = decompressed(codec, bytes, uncompressedSize);
  } catch (cause) {
    if (isKeymillError(cause)) throw cause;
    throw new WireFault(`not readable as ${codec}: ${asError(cause).message}`, { cause });
  }
  if (result.length !== uncompressedSize)
    throw new WireFault(`${result.length} bytes of ${codec}, where ${uncompressedSize} are said`);
  return result;
}

/** Stops where there is more than `size`, before it takes memory for that. */
function decompressed(codec: Exclude<Codec, 'none'>, bytes: Uint8Array, size: number): Buffer {
  switch (codec) {
    case 'lz4': {
      const sized = Buffer.allocUnsafe(LZ4_SIZE_BYTES + bytes.length);
      sized.writeUInt32LE(size);
      sized.set(bytes, LZ4_SIZE_BYTES);
      return lz4().uncompressSync(sized);
    }
    case 'snappy': {
      const said = new Reader(bytes, 0, bytes.length).uint();
      if (said !== size) throw new WireFault(`it says ${said} bytes`);
      return snappy().uncompressSync(asWireBuffer(bytes), { asBuffer: true });
    }
    case 'zlib':
      return inflateSync(bytes, inOnePiece(size));
    case 'zstd':
      return zstdDecompressSync(bytes, inOnePiece(size));
  }
}

/** A little more than fits, or zlib would ask for one more piece to see that it is the end. */
function inOnePiece(size: number): { readonly chunkSize: number; readonly maxOutputLength: number } {
  return { chunkSize: Math.min(size, MAX_PIECE_BYTES) + 64, maxOutputLength: Math.max(1, size) };
}

function lz4(): Lz4 {
  return (lz4Loaded ??= load<Lz4>('lz4-napi', 'lz4'));
}

function snappy(): Snappy {
  return (snappyLoaded ??= load<Snappy>('snappy', 'snappy'));
}

function load<T>(name: string, codec: Codec): T {
  try {
    return createRequire(import.meta.url)(name) as T;
  } catch (cause) {
    throw new KeymillError('CONFIG_INVALID', `compression ${codec} needs the package ${name}: npm install ${name}`, {
      cause,
    });
  }
}
