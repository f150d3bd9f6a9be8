/** CRC-32C: known values, and the two ways to reckon it against each other and against a bit at a time. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32c, crc32cByTables, nativeCrc32c } from '../../../actors/pulsar/wire/codec/crc32c.ts';

const native = nativeCrc32c();

function bitByBit(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** RFC 3720 B.4 has all but the first two. */
const KNOWN: readonly (readonly [string, Uint8Array, number])[] = [
  ['nothing', Buffer.alloc(0), 0],
  ['123456789', Buffer.from('123456789'), 0xe3069283],
  ['32 zeros', Buffer.alloc(32), 0x8a9136aa],
  ['32 ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['32 up', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
  ['32 down', Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), 0x113fdb5c],
];

type Crc = (bytes: Uint8Array, seed: number) => number;
const WAYS: readonly (readonly [string, Crc])[] = [
  ['by tables', crc32cByTables],
  ['as it is used', crc32c],
  ...(native ? [['by the processor', native] as const] : []),
];

describe.each(WAYS)('%s', (_name, crc) => {
  it.each(KNOWN)('%s', (_what, bytes, expected) => {
    expect(crc(bytes, 0)).toBe(expected);
  });

  it('is that of any bytes, in one piece or in two', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000, size: 'max' }), fc.nat(2000), (bytes, cut) => {
        const whole = bitByBit(bytes);
        expect(crc(bytes, 0)).toBe(whole);
        expect(crc(bytes.subarray(cut), crc(bytes.subarray(0, cut), 0))).toBe(whole);
      }),
      { numRuns: 200 },
    );
  });
});

it('is of the bytes from a place on', () => {
  const bytes = Buffer.alloc(3000).map((_, i) => i * 7);
  for (const from of [0, 1, 5, 1000, 2990, 3000])
    expect(crc32c(bytes, 9, from)).toBe(crc32cByTables(bytes.subarray(from), 9));
});

it('is reckoned by the processor where the tests run', () => {
  expect(native).not.toBeNull();
});
