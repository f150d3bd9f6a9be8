/** Arbitrary messages, keys and envelopes, for properties. */
import fc from 'fast-check';
import type { Envelope, Extras } from '../../runtime/lanes/envelope.ts';
import type { Frame } from '../../runtime/lanes/frame.ts';
import { hashKey } from '../../runtime/lanes/key-hash.ts';
import type { Carried } from '../../runtime/lanes/text.ts';
import type { Key } from '../../runtime/topology/define.ts';

/** Text of whole characters: half a surrogate pair has no UTF-8. */
const text = fc.string({ unit: 'grapheme', maxLength: 40 });

const scalar = fc.oneof(
  text,
  fc.integer(),
  fc.double().map(value => (value === 0 ? 0 : value)), // the codec knows one zero
  fc.bigInt(),
  fc.boolean(),
  fc.constant(null),
  fc.constant(undefined),
  fc.date({ noInvalidDate: false }),
  fc.uint8Array({ maxLength: 64 }).map(bytes => Buffer.from(bytes)),
  fc.uint8Array({ maxLength: 16 }),
  fc.int32Array({ maxLength: 8 }),
  fc.float64Array({ maxLength: 8 }),
  fc.bigInt64Array({ maxLength: 4 }),
);

/** `__proto__` as the name of a property is renamed on the way; a test of its own says so. */
const name = fc
  .oneof(fc.constantFrom('id', 'name', 'value', 'at', 'constructor', 'toString', 'hasOwnProperty', ''), text)
  .filter(one => one !== '__proto__');

/** Anything a message may hold: JSON and what only structured clone knows, nested. */
export const messageBody: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    { weight: 4, arbitrary: scalar },
    { weight: 2, arbitrary: fc.dictionary(name, tie('value'), { maxKeys: 6, noNullPrototype: true }) },
    { weight: 1, arbitrary: fc.array(tie('value'), { maxLength: 6 }) },
    {
      weight: 1,
      arbitrary: fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 }).map(pairs => new Map(pairs)),
    },
    { weight: 1, arbitrary: fc.array(tie('value'), { maxLength: 4 }).map(values => new Set(values)) },
  ),
})).value;

export const messageKey: fc.Arbitrary<Key> = fc.oneof(
  text,
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(key => (key === 0 ? 0 : key)),
  fc.bigInt(),
);

const extras: fc.Arbitrary<Extras | null> = fc.option(
  fc.record(
    {
      priority: fc.integer({ min: -1, max: 7 }),
      deadline: fc.oneof(fc.constant(0), fc.double({ min: 1e12, max: 2e12, noNaN: true })),
      chain: fc.option(fc.array(text, { maxLength: 3 })),
      calls: fc.nat({ max: 20 }),
      attempt: fc.nat({ max: 20 }),
      trace: fc.option(text),
    },
    { noNullPrototype: true },
  ),
);

/** Envelopes as lanes see them: mostly runs of one actor and source with growing positions. */
export const envelope: fc.Arbitrary<Envelope> = fc
  .record({
    actor: fc.nat({ max: 3 }),
    key: messageKey,
    number: fc.integer({ min: -3, max: 3 }),
    body: messageBody,
    source: fc.constantFrom('orders', 'tell', 'größe'),
    epoch: fc.constantFrom(0, 1, 1_700_000_000_000),
    position: fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: Number.MAX_SAFE_INTEGER })),
    path: fc.constantFrom('', '', '0', '3.14'),
    flags: fc.nat({ max: 7 }),
    extras,
  })
  .map(part => ({ ...part, hash: hashKey(part.key) }));

/** A plain envelope for tests that care for one thing only. */
export function message(part: Partial<Envelope> = {}): Envelope {
  const key = part.key ?? 'k';
  return {
    actor: 0,
    key,
    hash: hashKey(key),
    number: 0,
    body: null,
    source: 'test',
    epoch: 0,
    position: 0,
    path: '',
    flags: 0,
    extras: null,
    ...part,
  };
}

/** Bodies and keys of a frame, in order. */
export function bodiesOf(frame: Frame): unknown[] {
  return [...frame.bodies];
}
export function keysOf(frame: Frame): Key[] {
  const keys = frame.keys.values();
  const known = frame.knownKeys().values();
  return Array.from({ length: frame.count }, (_, i) => (frame.numberOf(i) > 0 ? known : keys).next().value!);
}

/** A copy, of a text too. */
export function bytesOf(carried: Carried): Uint8Array {
  return typeof carried === 'string' ? Buffer.from(carried, 'latin1') : Uint8Array.from(carried);
}
