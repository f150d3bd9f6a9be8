/** The keys of the embedded store: what they weigh, how they are taken back, written down, and swept. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decode, encode } from '../../actors/redis/embedded/codec.ts';
import { current } from '../../actors/redis/embedded/entries.ts';
import { Keyspace } from '../../actors/redis/embedded/keyspace.ts';
import { Tokens } from '../../actors/redis/embedded/moment.ts';
import { Store } from '../../actors/redis/embedded/store.ts';
import { Hub } from '../../actors/redis/hub.ts';
import type { DataOp } from '../../actors/redis/ops.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';

const LIMITS = { ttlMs: 1000, fieldsTtlMs: 2000, versionsMs: 3000, maxValueBytes: 10_000 };

function made(maxBytes = 1 << 20) {
  const keys = new Keyspace('store', maxBytes);
  const hub = new Hub('store', virtualEnvironment(), { maxMessages: 10, maxBytes: 1000 });
  const tokens = new Tokens(1000);
  return { keys, tokens, store: new Store({ keys, tokens, epoch: 7, limits: LIMITS, hub, birth: 'x' }) };
}

const key = fc.constantFrom('a', 'b', 'ü\0"', '__proto__');
const text = fc.string({ unit: 'grapheme', maxLength: 8 });
const value = fc.oneof(text, fc.uint8Array({ maxLength: 8 }));
const version = fc.record({ epoch: fc.constantFrom(1, 1_764_000_000_000), n: fc.integer({ min: 1, max: 6 }) });
const ttlMs = fc.constantFrom(null, 0, 500, 5000);
const id = fc.constantFrom(null, 'w1');
const names = fc.uniqueArray(fc.constantFrom('x', 'y', '__proto__', ''), { maxLength: 3 });

const fence = fc.option(fc.record({ lease: fc.constant('a'), token: fc.integer({ min: 990, max: 1010 }) }));
const merge = fc.record({
  op: fc.constant('merge' as const),
  key,
  version,
  names,
  values: fc.tuple(fc.option(value), fc.option(value), fc.option(value)),
  isWhole: fc.boolean(),
  isGone: fc.constantFrom(false, false, true),
  ttlMs,
  publish: fc.constant(null),
  fence,
});

const op: fc.Arbitrary<DataOp> = fc.oneof(
  fc.record({ op: fc.constant('set' as const), key, value, ttlMs, id }),
  fc.record({ op: fc.constant('delete' as const), keys: fc.array(key, { maxLength: 2 }) }),
  fc.record({ op: fc.constant('setVersioned' as const), key, value: fc.option(value), version, ttlMs, fence }),
  fc.record({ op: fc.constant('expire' as const), key, ttlMs: fc.constantFrom(0, 700) }),
  fc.record({
    op: fc.constant('compareAndSet' as const),
    key,
    expected: fc.oneof(fc.option(version), fc.constant('any' as const)),
    seen: fc.option(fc.option(version), { nil: undefined }),
    above: fc.option(version),
    value: fc.option(value),
    ttlMs,
    fence,
    id: fc.constantFrom('w1', 'w2'),
  }),
  merge.map(one =>
    one.isGone
      ? { ...one, names: [], values: [], isWhole: false }
      : { ...one, values: one.values.slice(0, one.names.length) },
  ),
  fc.record({ op: fc.constant('acquire' as const), name: key, holder: text, ttlMs: fc.constantFrom(10, 4000) }),
);

/** In the order of the keys' making; the order of fields means nothing. */
const pictured = (keys: Keyspace) =>
  [...keys.all()].map(([name, entry]) => {
    const slots = entry.kind === 'fields' ? [...entry.slots].toSorted(([a], [b]) => (a < b ? -1 : 1)) : [];
    return encode(name, entry.kind === 'fields' ? { ...entry, slots: new Map(slots) } : entry);
  });

test('what they weigh is what they hold; written down and read they are the same', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(op, fc.integer({ min: 0, max: 1500 })), { maxLength: 40 }), steps => {
      const { keys, store } = made();
      let now = 1_764_000_000_000;
      for (const [one, ms] of steps) {
        now += ms;
        try {
          store.do(store.at(now), one);
        } catch {
          // Of another kind, or fenced: nothing changed.
        }
        if (ms % 3 === 0) keys.sweep(now, 100);
        store.stands();
      }
      let bytes = 0;
      for (const [name, entry] of keys.all()) {
        bytes += entry.weight;
        expect(decode(encode(name, entry))).toEqual([name, entry]);
        expect(entry.keep).toBeGreaterThanOrEqual(entry.kind === 'lease' ? 0 : entry.until);
      }
      expect(keys.bytes).toBe(bytes);
      keys.sweep(Number.MAX_VALUE, 1000);
      const eternal = [...keys.all()].filter(([, entry]) => entry.keep !== Number.POSITIVE_INFINITY);
      expect(eternal).toEqual([]);
    }),
    { numRuns: 500 },
  );
});

test('what is taken back leaves nothing', () => {
  const many = fc.array(op, { maxLength: 15 });
  fc.assert(
    fc.property(many, many, many, (before, during, after) => {
      const { keys, store } = made();
      const run = (ops: readonly DataOp[], now: number) => {
        for (const one of ops)
          try {
            store.do(store.at(now), one);
          } catch {
            // As above.
          }
      };
      run(before, 10_000);
      store.stands();
      const stood = pictured(keys);
      const weighed = keys.bytes;
      run(during, 11_200);
      keys.sweep(11_200, 3);
      store.falls();
      expect(pictured(keys)).toEqual(stood);
      expect(keys.bytes).toBe(weighed);
      expect(keys.isChanged).toBe(false);
      run(after, 11_300);
      store.stands();
    }),
    { numRuns: 300 },
  );
});

test('reads are counted by what they found', () => {
  const { store } = made();
  const at = store.at(0);
  store.do(at, { op: 'set', key: 'a', value: '1', ttlMs: null, id: null });
  expect(store.do(at, { op: 'get', keys: ['a', 'none', 'a'] })).toEqual(['1', null, '1']);
  store.do(at, { op: 'getFields', keys: ['none'] });
  expect([store.hits, store.misses]).toEqual([2, 2]);
});

test('a sweep looks at so many, goes round, and lets go of what has expired, values before their versions', () => {
  const { keys, store } = made();
  for (let n = 0; n < 100; n++) {
    const [name, ttl] = [`k${n}`, n % 2 ? 100 : 0];
    store.do(store.at(0), {
      op: 'setVersioned',
      key: name,
      value: 'x',
      version: { epoch: 1, n: 1 },
      ttlMs: ttl,
      fence: null,
    });
  }
  const weighed = keys.bytes;
  keys.sweep(500, 30);
  expect(keys.bytes).toBe(weighed - 15 * 2);
  keys.sweep(500, 70);
  expect([keys.size, keys.bytes]).toEqual([100, weighed - 50 * 2]);
  keys.sweep(5000, 1000);
  keys.sweep(5000, 1000);
  keys.settle();
  expect(keys.size).toBe(50);
  expect([...keys.all()].every(([name, entry]) => current(name, entry, 5000) === entry)).toBe(true);
});
