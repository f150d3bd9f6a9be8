/** Murmur3 as Pulsar's clients use it: vectors of reference/pulsar.md 2.10. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { murmur3, partitionOfKey } from '../../actors/pulsar/murmur3.ts';
import { Router } from '../../actors/pulsar/routing.ts';

const VECTORS: readonly [text: string, masked: number, raw: number][] = [
  ['k1', 2110152746, 4257636394],
  ['k2', 1479966664, 3627450312],
  ['key1', 462881061, 2610364709],
  ['key2', 1936800180, 1936800180],
  ['key01', 39696932, 2187180580],
  ['key02', 751761803, 751761803],
  ['', 0, 0],
  ['a', 1009084850, 1009084850],
  ['ключ', 442048578, 2589532226],
  ['😀', 1051995898, 3199479546],
];

test.each(VECTORS)('%j', (text, masked, raw) => {
  expect(murmur3(text)).toBe(raw);
  for (const partitions of [1, 2, 3, 7, 64]) expect(partitionOfKey(text, partitions)).toBe(masked % partitions);
});

/** The algorithm as its author describes it, with big integers and no tricks. */
function described(text: string): number {
  const bytes = Buffer.from(text, 'utf8');
  const word = (n: bigint): bigint => BigInt.asUintN(32, n);
  const turned = (n: bigint, by: bigint): bigint => word(n << by) | (n >> (32n - by));
  const mixed = (n: bigint): bigint => word(turned(word(n * 0xcc9e2d51n), 15n) * 0x1b873593n);
  let h = 0n;
  const blocks = Math.floor(bytes.length / 4);
  for (let i = 0; i < blocks; i++)
    h = word(turned(h ^ mixed(BigInt(bytes.readUInt32LE(4 * i))), 13n) * 5n + 0xe6546b64n);
  let tail = 0n;
  for (const byte of bytes.subarray(4 * blocks).toReversed()) tail = (tail << 8n) | BigInt(byte);
  h ^= mixed(tail) ^ BigInt(bytes.length);
  h = word((h ^ (h >> 16n)) * 0x85ebca6bn);
  h = word((h ^ (h >> 13n)) * 0xc2b2ae35n);
  return Number(h ^ (h >> 16n));
}

test('any text is hashed as the algorithm is described, long ones too', () => {
  const texts = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.string({ minLength: 330, maxLength: 350 }));
  fc.assert(
    fc.property(texts, text => {
      expect(murmur3(text)).toBe(described(text));
    }),
    { numRuns: 300 },
  );
});

test('without a key partitions take turns, with one the key decides', () => {
  const router = new Router(3, 2);
  const turns = [null, null, 'k1', null, null].map(key => router.partitionFor(key));
  expect(turns).toEqual([2, 0, 2110152746 % 3, 1, 2]);
  expect(new Router(1).partitionFor('k1')).toBe(0);
});
