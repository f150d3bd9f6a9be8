/** What keys are called on a server: a key and its version in one slot, no two keys with one version, and back again. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Names } from '../../../actors/redis/server/names.ts';
import { SLOTS, slotOf, tagOf, tagOfSlot } from '../../../actors/redis/server/slots.ts';
import { isKeymillError } from '../../../runtime/index.ts';

const KINDS = [
  ['alone', '', false],
  ['with a prefix', 'app:', false],
  ['in a cluster', '', true],
  ['in a cluster, with a prefix', 'app:', true],
  ['in a cluster, with a prefix that has a hash tag', '{app}:', true],
] as const;

const key = fc.string({ unit: fc.constantFrom('{', '}', 'a', 'b', ':', '*', '\n', 'ü', ':version'), maxLength: 8 });

test('slots are those of the specification', () => {
  expect(slotOf('123456789')).toBe(0x31c3);
  expect(slotOf('{user1000}.following')).toBe(slotOf('{user1000}.followers'));
  expect(slotOf('foo{}{bar}')).not.toBe(slotOf('bar'));
  expect(slotOf('foo{{bar}}zap')).toBe(slotOf('{bar'));
  expect(slotOf('foo{bar}{zap}')).toBe(slotOf('bar'));
  expect(tagOf('')).toBe('');
  for (let slot = 0; slot < SLOTS; slot++) expect(slotOf(tagOfSlot(slot))).toBe(slot);
});

describe.for(KINDS)('keys %s', ([, prefix, isCluster]) => {
  const names = new Names(prefix, isCluster);
  /** Null where the key is refused. */
  const nameOf = (one: string): string | null => {
    try {
      return names.key(one);
    } catch (error) {
      if (isKeymillError(error, 'RECORD_BROKEN')) return null;
      throw error;
    }
  };

  test('are in the slot of their version, and come back from both', () => {
    fc.assert(
      fc.property(key, one => {
        const name = nameOf(one);
        if (name === null) return;
        const version = names.version(name);
        if (isCluster) expect(slotOf(version)).toBe(slotOf(name));
        expect([names.keyOf(name), names.keyOf(version)]).toEqual([one, one]);
      }),
      { numRuns: 2000 },
    );
  });

  test('have names of their own, and so have their versions', () => {
    fc.assert(
      fc.property(fc.uniqueArray(key, { minLength: 2, maxLength: 20 }), some => {
        const given = some.map(nameOf).filter(name => name !== null);
        const all = [...given, ...given.map(name => names.version(name))];
        expect(new Set(all).size).toBe(all.length);
      }),
      { numRuns: 2000 },
    );
  });

  test('that share a hash tag stay together', () => {
    if (!isCluster) return;
    expect(slotOf(names.key('{a}lock'))).toBe(slotOf(names.key('{a}b')));
    expect(slotOf(names.key('a'))).toBe(slotOf(names.key('{a}lock')));
  });

  test('that could be taken for others are refused, with the reason', () => {
    const refused: Readonly<Record<string, string>> = {
      'keymill:{x}': 'keeps for itself',
      '{a}:version': 'the version of another key',
      'x{a}b:version': 'the version of another key',
      '{a}': 'a hash tag and nothing else',
      'a}': 'a closing brace and no hash tag',
      '{}a': 'a closing brace and no hash tag',
    };
    for (const [one, why] of Object.entries(refused)) expect(() => names.key(one)).toThrow(why);
    if (!prefix.includes('{')) expect(names.key('a:version')).toContain('a:version');
    for (const one of ['a{', '{a}b', 'a{b}', '{a}}', 'a\nb', '__proto__']) expect(names.key(one)).toContain(one);
  });

  test('of ours are in the slot that they are for', () => {
    const name = names.key('a');
    const slot = names.slot(name);
    if (isCluster) expect(slotOf(names.memory(slot, 'driver', 3))).toBe(slotOf(name));
    expect([names.keyOf(names.epoch), names.keyOf(names.memory(slot, 'driver', 3))]).toEqual([null, null]);
  });
});

test('patterns and prefixes are found again, and stand for themselves', () => {
  const names = new Names('a*[b]?\\:', false);
  expect(names.patternOf(names.pattern('c*'))).toBe('c*');
  expect(names.pattern('c*')).toBe('a\\*\\[b\\]\\?\\\\:c*');
  expect(names.channelOf(names.channel('c'))).toBe('c');
});
