/** Numbers that senders give to keys (E4: what many keys cost). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashKey } from '../../runtime/lanes/key-hash.ts';
import { KeyNumbers, NUMBERED_KEYS } from '../../runtime/lanes/key-numbers.ts';
import { messageKey } from '../support/messages.ts';

/** Asks for so many keys nobody asked for before. */
function others(numbers: KeyNumbers, count: number, from: number): number[] {
  return Array.from({ length: count }, (_, i) => numbers.of(`other-${from + i}`));
}

describe('numbers of keys', () => {
  it('are negative the first time, stay what they are, and come with the hash', () => {
    fc.assert(
      fc.property(fc.array(messageKey, { maxLength: 40 }), keys => {
        const numbers = new KeyNumbers();
        const known = new Map<unknown, number>();
        for (const key of keys) {
          const number = numbers.of(key);
          expect(numbers.hash).toBe(hashKey(key));
          expect(number).toBe(known.get(key) ?? -(known.size + 1));
          known.set(key, Math.abs(number));
        }
      }),
    );
  });

  it('are given to so many keys at a time; the others have 0', () => {
    const numbers = new KeyNumbers();
    expect(others(numbers, NUMBERED_KEYS, 0).at(-1)).toBe(-NUMBERED_KEYS);
    expect(numbers.of('late')).toBe(0);
    expect(numbers.hash).toBe(hashKey('late'));
    expect(numbers.of('other-0')).toBe(1);
  });

  it('are kept while half of the messages meet one', () => {
    const numbers = new KeyNumbers();
    for (let i = 0; i < 20 * NUMBERED_KEYS; i++) {
      const number = numbers.of(`key-${i % (NUMBERED_KEYS + 100)}`);
      if (i > 2 * NUMBERED_KEYS) expect(Math.sign(number)).toBe(i % (NUMBERED_KEYS + 100) < NUMBERED_KEYS ? 1 : 0);
    }
  });

  it('are given up for a while where most keys come once, and then given anew, none twice', () => {
    const numbers = new KeyNumbers();
    const first = others(numbers, 4 * NUMBERED_KEYS, 0).filter(number => number !== 0);
    const rest = others(numbers, 64 * NUMBERED_KEYS, 1e9);
    expect(new Set(rest)).toEqual(new Set([0]));
    expect(numbers.of('other-0')).toBe(-(first.length + 1));
    expect(numbers.hash).toBe(hashKey('other-0'));
    expect(numbers.of('other-0')).toBe(first.length + 1);
  });
});
