/** Key → hash. The expected values come from mmh3 5 (Python), an independent murmur3. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { hashKey, murmur3 } from '../../runtime/lanes/key-hash.ts';

it.each([
  ['', 0],
  ['a', 0x3c2569b2],
  ['ab', 0x9bbfd75f],
  ['abc', 0xb3dd93fa],
  ['abcd', 0x43ed676a],
  ['hello', 0x248bfa47],
  ['Hello, world!', 0xc0363e43],
  ['The quick brown fox jumps over the lazy dog', 0x2e4ff723],
  ['x'.repeat(300), 0xbbd3159d],
])('%j has the published Murmur3_x86_32 hash', (text, hash) => {
  expect(hashKey(text) >>> 0).toBe(hash);
});

it.each([
  ['\u007f', 0x5589d599],
  ['\u0080', 0x4b961288],
  ['é', 0x10110787],
  ['日本語', 0xa5a47297],
  ['ключ', 0x9a592042],
  ['😀', 0xbeb42efa],
  ['a😀b', 0xba4460fc],
  ['\uffff', 0x3f4aff5c],
  ['é'.repeat(300), 0xefefcb00],
])('%j is hashed over its UTF-8', (text, hash) => {
  expect(hashKey(text) >>> 0).toBe(hash);
});

it('takes a half of a surrogate pair for U+FFFD, as UTF-8 must', () => {
  expect(hashKey('\ud83d') >>> 0).toBe(0xb69ca6c1);
  expect(hashKey('\ude00') >>> 0).toBe(0xb69ca6c1);
});

it('agrees with a hash over the encoded bytes, whatever the text and whatever was hashed before', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 700 }), { minLength: 1, maxLength: 5 }), texts => {
      for (const text of texts) {
        const bytes = new TextEncoder().encode(text);
        expect(hashKey(text) >>> 0).toBe(murmur3(bytes, bytes.length));
      }
    }),
  );
});

it('hashes a bigint, and a number that is no 32-bit integer, by its decimal text', () => {
  expect(hashKey(123456789012345678901234567890n) >>> 0).toBe(0x114195da);
  expect(hashKey(-1n) >>> 0).toBe(0x71ba248a);
  expect(hashKey(9007199254740993n) >>> 0).toBe(0x36bd75a1);
  expect(hashKey(1.5) >>> 0).toBe(0xeff69d11);
  expect(hashKey(4294967296) >>> 0).toBe(0x547ed36d);
});

it('gives -0 and 0 one hash, since they are one key', () => {
  expect(hashKey(-0)).toBe(hashKey(0));
});

it('is a signed 32-bit number for every key', () => {
  const key = fc.oneof(fc.string({ unit: 'binary' }), fc.double({ noNaN: true }), fc.integer(), fc.bigInt());
  fc.assert(
    fc.property(key, key => {
      const hash = hashKey(key);
      expect(hash | 0).toBe(hash);
      expect(hashKey(key)).toBe(hash);
    }),
  );
});

// Of 102,400 keys on 1024 partitions a uniform hash puts 100 ± 10 on each; 160 is six deviations away.
it.each([
  ['counting numbers', (i: number) => i],
  ['multiples of 1024', (i: number) => i * 1024],
  ['negative numbers', (i: number) => -i],
  ['names with a counter', (i: number) => `account-${i}`],
  ['padded numbers', (i: number) => String(i).padStart(12, '0')],
  ['bigints', (i: number) => BigInt(i) ** 3n],
  ['fractions', (i: number) => i + 0.5],
])('spreads %s evenly over partitions', (_name, keyOf) => {
  const counts = new Uint32Array(1024);
  for (let i = 0; i < 102_400; i++) counts[hashKey(keyOf(i)) & 1023]!++;
  expect(Math.max(...counts)).toBeLessThan(160);
  expect(Math.min(...counts)).toBeGreaterThan(40);
});
