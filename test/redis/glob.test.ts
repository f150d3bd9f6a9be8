import fc from 'fast-check';
import { expect, test } from 'vitest';
import { globMatcher } from '../../actors/redis/glob.ts';

test.each([
  ['', '', true],
  ['', 'a', false],
  ['abc', 'abc', true],
  ['a*c', 'abbbc', true],
  ['a*c', 'abbbcd', false],
  ['*a*b*', 'xxaxxbxx', true],
  ['a?c', 'ac', false],
  ['[abc]', 'b', true],
  ['[^abc]', 'b', false],
  ['[^abc]', 'd', true],
  ['[a-c]x', 'bx', true],
  ['[c-a]x', 'bx', true],
  ['[a-]', '-', true],
  ['[\\]]', ']', true],
  ['[]', 'a', false],
  ['[ab', 'b', true],
  ['\\*', '*', true],
  ['\\*', 'a', false],
  ['a\\', 'a\\', true],
  ['a.c', 'abc', false],
  ['(a|b)+', 'a', false],
])('%j on %j is %j', (pattern, text, expected) => {
  expect(globMatcher(pattern)(text)).toBe(expected);
});

test('matches as the regular expression that it stands for', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 12 });
  const part = fc.constantFrom('a', 'b', '*', '?', '[ab]', '[^a]', '[a-b]');
  const asRegExp: Record<string, string> = { '*': '.*', '?': '.' };
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), text, (parts, text) => {
      const expression = new RegExp(`^${parts.map(one => asRegExp[one] ?? one).join('')}$`);
      expect(globMatcher(parts.join(''))(text)).toBe(expression.test(text));
    }),
    { numRuns: 1000 },
  );
});

test('takes its time by the lengths, not by how often the stars could be tried', () => {
  const matches = globMatcher(`${'*a'.repeat(50)}b`);
  expect(matches('a'.repeat(20_000))).toBe(false);
});
