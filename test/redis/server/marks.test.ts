/** Values as they stand on a server. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RedisValue } from '../../../actors/redis/contract.ts';
import { pack, packVersioned, unpack, unpackVersioned } from '../../../actors/redis/server/marks.ts';

const value: fc.Arbitrary<RedisValue> = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: fc.constantFrom('\0', '\x01', '\x02', '\x03', '\x04', 'a') }),
  fc.uint8Array(),
);
const sent = (packed: string | Buffer): Buffer => Buffer.from(packed as string);

test('come back as what they were, versioned or not', () => {
  fc.assert(
    fc.property(value, one => {
      expect(unpack(sent(pack(one)))).toEqual(one);
      expect(unpackVersioned(sent(packVersioned(one)))).toEqual(one);
    }),
  );
});

test('text is as it is to others, and theirs is text', () => {
  expect(pack('plain')).toBe('plain');
  expect(unpack(Buffer.from('of another program'))).toBe('of another program');
  expect(unpack(Buffer.alloc(0))).toBe('');
  expect(unpack(Buffer.of(255, 254))).toEqual(Uint8Array.of(255, 254));
});

test('one kind is not the other', () => {
  expect(unpack(sent(packVersioned('a')))).toBe(null);
  expect(unpackVersioned(sent(pack('a')))).toBe(null);
  expect(unpack(Buffer.from('\x02some-id\0text'))).toBe('text');
  expect(unpack(Buffer.from('\x02some-id\0\x01\x03text'))).toBe('\x03text');
});
