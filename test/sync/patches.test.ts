import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeRow, encodeRow, recordIdOf } from '../../actors/sync/message.ts';
import { patchBetween, patched } from '../../actors/sync/patches.ts';

test('a patch makes the one of the other', () => {
  const row = fc.option(fc.dictionary(fc.string(), fc.oneof(fc.integer(), fc.string(), fc.constant(null))), {
    nil: null,
  });
  fc.assert(
    fc.property(row, row, (before, after) => {
      const safe = (one: Record<string, unknown> | null) =>
        one &&
        Object.fromEntries(Object.entries(one).filter(([name]) => !/^(__proto__|constructor|prototype)$/.test(name)));
      expect(patched(safe(before), patchBetween(safe(before), safe(after)))).toEqual(safe(after));
    }),
  );
});

test.each(['/__proto__/x', '/constructor/prototype/x', '/a/__proto__'])('the path %s is refused', path => {
  expect(() => patched({ a: 1 }, [{ op: 'add', path, value: 1 }])).toThrow(
    expect.objectContaining({ code: 'RECORD_BROKEN' }),
  );
  expect(({} as Record<string, unknown>)['x']).toBeUndefined();
});

test('a patch that does not fit is refused', () => {
  expect(() => patched({ a: 1 }, [{ op: 'remove', path: '/b' }])).toThrow(
    expect.objectContaining({ code: 'RECORD_BROKEN' }),
  );
  expect(() => patched(null, [{ op: 'replace', path: '/a', value: 1 }])).toThrow(
    expect.objectContaining({ code: 'RECORD_BROKEN' }),
  );
});

test('rows survive JSON', () => {
  const row = {
    big: 2n ** 60n,
    bytes: new Uint8Array([1, 255]),
    at: new Date(5),
    none: null,
    text: 'é',
    n: 1.5,
    yes: true,
  };
  expect(decodeRow(JSON.parse(JSON.stringify(encodeRow(row))))).toEqual(row);
});

test('keys as text: equal keys, equal text; one column as it is', () => {
  expect(recordIdOf({ id: 5 })).toBe('5');
  expect(recordIdOf({ a: 1, b: 'x/y' })).toBe('[1,"x/y"]');
  expect(recordIdOf({ id: 2n ** 60n })).toBe('[{"$bigint":"1152921504606846976"}]');
});
