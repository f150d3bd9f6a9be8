/** What flows back on a lane, as bytes and as text. */
import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeymillError, toWire } from '../../runtime/errors.ts';
import { SHARED_FROM } from '../../runtime/lanes/frame-memory.ts';
import type { Reply, Returns } from '../../runtime/lanes/port.ts';
import { readReturns } from '../../runtime/lanes/returns.ts';
import { toText } from '../../runtime/lanes/text.ts';
import { bytesOf, messageBody, messageKey } from '../support/messages.ts';
import { packReturns } from '../support/returns.ts';

const seq = fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 2 ** 40 }), fc.maxSafeNat());
const actorAndKey = fc.record({ actor: fc.nat({ max: 300 }), key: messageKey }, { noNullPrototype: true });

const primitive = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.integer(),
  fc.double().map(value => (value === 0 ? 0 : value)), // the codec knows one zero
  fc.bigInt(),
  fc.boolean(),
  fc.constantFrom(null, undefined, Number.NaN, Number.POSITIVE_INFINITY),
);
const reply: fc.Arbitrary<Reply> = fc.oneof(
  fc.tuple(seq, fc.oneof(primitive, messageBody)).map(([its, value]) => ({ seq: its, ok: true, value })),
  fc.tuple(seq, fc.string()).map(([its, text]) => ({
    seq: its,
    ok: false,
    value: toWire(new KeymillError('IO_FAILED', text)),
  })),
);

const few = { maxLength: 8 };
const returns = fc.record(
  {
    runs: fc.array(fc.tuple(seq, seq, fc.nat({ max: 3 })), { maxLength: 40 }).map(runs => runs.flat()),
    tried: fc.array(fc.record({ seq, calls: fc.nat(), attempt: fc.nat() }, { noNullPrototype: true }), few),
    replies: fc.array(reply, { ...few, minLength: 1 }),
    hold: fc.array(actorAndKey, few),
    free: fc.array(actorAndKey, few),
    released: fc.array(fc.record({ partition: fc.nat(), upTo: seq }, { noNullPrototype: true }), few),
  },
  { requiredKeys: [], noNullPrototype: true },
) as fc.Arbitrary<Returns>;

describe('returns', () => {
  it('come back as they were, any part of them there or not, as bytes and as text', () => {
    fc.assert(
      fc.property(returns, given => {
        const bytes = bytesOf(packReturns(given));
        deepStrictEqual(readReturns(bytes), given);
        deepStrictEqual(readReturns(toText(bytes)), given);
      }),
      { numRuns: 1000 },
    );
  });

  it('have no part that nobody gave, and keep one that is there and empty', () => {
    expect(Object.keys(readReturns(packReturns({})))).toEqual([]);
    expect(readReturns(packReturns({ runs: [], hold: [] }))).toEqual({ runs: [], hold: [] });
  });

  it('are not disturbed by what is packed and read after them', () => {
    fc.assert(
      fc.property(fc.array(returns, { minLength: 2, maxLength: 5 }), all => {
        const packed = all.map(one => bytesOf(packReturns(one)));
        const texts = packed.map(toText);
        deepStrictEqual(packed.map(readReturns), all);
        deepStrictEqual(texts.map(readReturns), all);
        const seen = texts.map(readReturns);
        for (const bytes of packed) bytes.fill(0);
        deepStrictEqual(seen, all); // bytes of replies are copies
      }),
      { numRuns: 300 },
    );
  });

  it('may be large: they come back whole, in memory that threads can share, and what follows is small', () => {
    const runs = Array.from({ length: 30_000 }, (_, i) => i * 7);
    const value = { text: 'x'.repeat(200_000) };
    const given: Returns = { runs, replies: [{ seq: 1, ok: true, value }] };
    const bytes = packReturns(given) as Uint8Array;
    expect(bytes.length).toBeGreaterThan(SHARED_FROM);
    expect([bytes.buffer instanceof SharedArrayBuffer, toText(bytes)]).toEqual([true, bytes]);
    const read = readReturns(bytes);
    expect(read.runs).toEqual(runs);
    expect(read.replies).toEqual(given.replies);
    const next = packReturns({ runs: [1, 2, 0] });
    expect(next).toBeTypeOf('string');
    expect(next.length).toBeLessThan(24);
  });
});
