/** Compression in the forms of the wire. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Codec, compress, decompress } from '../../../actors/pulsar/wire/codec/compression.ts';
import { COMPRESSIONS } from '../../../actors/pulsar/wire/codec/enums.ts';
import { WireFault } from '../../../actors/pulsar/wire/codec/fault.ts';

const MAX = 5 * 1024 * 1024;
const SAMPLES: Readonly<Record<string, Buffer>> = {
  empty: Buffer.alloc(0),
  'one byte': Buffer.from([7]),
  text: Buffer.from('keyed work on every core '.repeat(40)),
  zeros: Buffer.alloc(1_000_000),
  'of no pattern': Buffer.from(Array.from({ length: 70_000 }, (_, i) => (Math.imul(i, 2_654_435_761) >>> 13) & 255)),
};

it('has the codecs in the order of the wire', () => {
  expect(COMPRESSIONS).toEqual(['none', 'lz4', 'zlib', 'zstd', 'snappy']);
});

describe.each([...COMPRESSIONS])('%s', codec => {
  it.each(Object.entries(SAMPLES))('there and back: %s', (_name, bytes) => {
    const compressed = compress(codec, bytes);
    expect(decompress(codec, compressed, bytes.length, MAX).equals(bytes)).toBe(true);
    // Of a plain Uint8Array, and of one within a larger buffer.
    const plain = new Uint8Array(compressed);
    const within = new Uint8Array(
      Buffer.concat([Buffer.alloc(3), plain, Buffer.alloc(3)]).subarray(3, 3 + plain.length),
    );
    expect(decompress(codec, within, bytes.length, MAX).equals(bytes)).toBe(true);
    expect(decompress(codec, compress(codec, new Uint8Array(bytes)), bytes.length, MAX).equals(bytes)).toBe(true);
  });

  it('any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), bytes => {
        expect(decompress(codec, compress(codec, bytes), bytes.length, 500).equals(bytes)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});

/** Made by hand from the formats. */
describe('foreign bytes', () => {
  it.each<[Codec, string, string, string]>([
    ['lz4', 'literals', '5068656c6c6f', 'hello'],
    ['lz4', 'a match, and literals', '1361010050' + '6262626262', 'aaaaaaaabbbbb'],
    ['zlib', 'with Adler-32', '789ccb48cdc9c90700062c0215', 'hello'],
    ['zstd', 'a raw block', '28b52ffd200529000068656c6c6f', 'hello'],
    ['snappy', 'literals', '051068656c6c6f', 'hello'],
    ['snappy', 'a copy', '0800610d01', 'aaaaaaaa'],
  ])('%s: %s', (codec, _what, bytes, expected) => {
    expect(decompress(codec, Buffer.from(bytes, 'hex'), expected.length, MAX).toString()).toBe(expected);
  });

  it('an LZ4 block has no size before it, zlib its header', () => {
    expect(Buffer.from(compress('lz4', Buffer.from('hello'))).toString('hex')).toBe('5068656c6c6f');
    expect(compress('zlib', Buffer.from('hello'))[0]).toBe(0x78);
    expect(Buffer.from(compress('zstd', Buffer.from('hello'))).readUInt32LE(0)).toBe(0xfd2fb528);
    expect(Buffer.from(compress('snappy', Buffer.from('hello'))).toString('hex')).toBe('051068656c6c6f');
  });
});

describe.each(['lz4', 'zlib', 'zstd', 'snappy'] as const)('what is refused of %s', codec => {
  const zeros = Buffer.alloc(20_000_000);
  const bomb = compress(codec, zeros);
  const bytes = Buffer.from('some text, some text, some text, some text');
  const compressed = Buffer.from(compress(codec, bytes));

  it('more than is allowed, before anything is done', () => {
    expect(() => decompress(codec, bomb, zeros.length, MAX)).toThrow(WireFault);
    for (const size of [-1, Number.NaN, 2 ** 32, Number.POSITIVE_INFINITY])
      expect(() => decompress(codec, compressed, size, MAX), `${size}`).toThrow(WireFault);
  });

  it('more than it says, without the memory for that', () => {
    const before = process.memoryUsage();
    expect(() => decompress(codec, bomb, 1000, MAX)).toThrow(WireFault);
    if (codec === 'snappy') expect(() => decompress(codec, bomb, 1000, MAX)).toThrow('it says 20000000 bytes');
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(2_000_000);
  });

  it('less or more than it says by one', () => {
    for (const size of [bytes.length - 1, bytes.length + 1, 0])
      expect(() => decompress(codec, compressed, size, MAX)).toThrow(WireFault);
  });

  it('what is cut off or broken', () => {
    for (let end = 0; end < compressed.length; end++)
      expect(() => decompress(codec, compressed.subarray(0, end), bytes.length, MAX), `${end}`).toThrow(WireFault);
    fc.assert(
      fc.property(fc.nat(compressed.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(2000), (at, flip, size) => {
        const broken = Buffer.from(compressed);
        broken[at]! ^= flip;
        try {
          expect(decompress(codec, broken, size, MAX)).toHaveLength(size);
        } catch (error) {
          expect(error).toBeInstanceOf(WireFault);
        }
      }),
      { numRuns: 500 },
    );
  });
});
