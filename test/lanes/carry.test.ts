/** Copies of what waits: deep, equal to what would have travelled at once, and about as large. */
import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { carry } from '../../runtime/lanes/carry.ts';
import { carryWithin, packValue, unpackValue } from '../../runtime/lanes/value.ts';
import { messageBody } from '../support/messages.ts';

/** Every object reachable from a value. */
function objectsOf(value: unknown, found = new Set<object>()): Set<object> {
  if (typeof value !== 'object' || value === null || found.has(value)) return found;
  found.add(value);
  if (ArrayBuffer.isView(value)) found.add(value.buffer);
  else if (value instanceof Map) for (const pair of value) for (const part of pair) objectsOf(part, found);
  else if (value instanceof Set) for (const part of value) objectsOf(part, found);
  else for (const part of Object.values(value)) objectsOf(part, found);
  return found;
}

describe('a copy', () => {
  it('equals the message and shares no object with it', () => {
    fc.assert(
      fc.property(messageBody, body => {
        const { value } = carry(body);
        deepStrictEqual(value, body);
        const originals = objectsOf(body);
        for (const object of objectsOf(value))
          if (object instanceof ArrayBuffer ? object.byteLength < 8192 : true)
            expect(originals.has(object) && !isPool(object)).toBe(false);
      }),
    );
  });

  it('is what the receiver would have got had it left at once', () => {
    class Money {
      readonly cents = 5;
      toJSON(): string {
        return `${this.cents} ct`;
      }
    }
    class Point {
      readonly x = 1;
      get y(): number {
        return 2;
      }
    }
    const inheriting = Object.create({ inherited: 1 }) as object;
    const samples = [
      new Money(),
      [new Point()],
      { at: new URL('http://host/path?q=1') },
      Object.assign(inheriting, { own: 1 }),
      new Array(3),
      JSON.parse('{"__proto__": {"isAdmin": true}, "id": 1}'),
      { re: /a+/giu },
      new ArrayBuffer(4),
      new DataView(new ArrayBuffer(2)),
    ];
    for (const body of samples) {
      const direct = unpackValue(packValue(body));
      deepStrictEqual(unpackValue(packValue(carry(body).value)), direct);
    }
  });

  it('of an error keeps its name, text and cause', () => {
    const error = new TypeError('broken', { cause: new Error('inner') });
    expect(carry({ error }).value.error).toMatchObject({
      name: 'TypeError',
      message: 'broken',
      cause: { message: 'inner' },
    });
    expect(carry({ error }).value.error).not.toBe(error);
  });

  it('never reaches the prototype of an object', () => {
    const { value } = carry(JSON.parse('{"__proto__": {"isAdmin": true}}'));
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect((value as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });
});

describe('what cannot be carried', () => {
  const cycle: { list: unknown[] } = { list: [] };
  cycle.list.push({ up: cycle });
  let deep: unknown = 1;
  for (let i = 0; i < 500; i++) deep = [deep];

  it.each<[string, unknown, RegExp]>([
    ['a function', () => 1, /message is a function$/],
    ['a method', { a: [{ run() {} }] }, /message\.a\[0\]\.run is a function$/],
    ['a class', { type: Map }, /message\.type is a function$/],
    ['a symbol', { a: { b: Symbol.iterator } }, /message\.a\.b is a symbol$/],
    ['a function behind a key of a Map', new Map([[7n, { f: () => 1 }]]), /message\.get\(7\)\.f is a function$/],
    ['a symbol as the key of a Map', new Map([[Symbol('k'), 1]]), /message\.keys\(\) is a symbol$/],
    ['a function in a Set', [new Set([() => 1])], /message\[0\]\.values\(\) is a function$/],
    [
      'a cycle',
      cycle,
      /message\.list\[0\]\.up\.list\[0\]\.up.* … is nested more than 200 deep, or refers back to what contains it \(a cycle\)$/,
    ],
    ['more depth than a stack holds', deep, /nested more than 200 deep/],
  ])('names its path: %s', (_name, body, text) => {
    expect(() => carry(body)).toThrow(
      expect.objectContaining({ code: 'MESSAGE_NOT_CARRIABLE', message: expect.stringMatching(text) }),
    );
  });

  it('is not what merely occurs twice', () => {
    const shared = { id: 1 };
    deepStrictEqual(carry([shared, shared]).value, [{ id: 1 }, { id: 1 }]);
  });
});

describe('the size of a copy', () => {
  const word = fc.stringMatching(/^[a-z]{1,12}$/);
  const ordinary = fc.letrec<{ value: unknown; record: unknown }>(tie => ({
    value: fc.oneof(
      { maxDepth: 3 },
      {
        weight: 6,
        arbitrary: fc.oneof(
          fc.stringMatching(/^[\x20-\x7e]{0,60}$/),
          fc.integer(),
          fc.double(),
          fc.boolean(),
          fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes)),
        ),
      },
      { weight: 1, arbitrary: tie('record') },
      { weight: 1, arbitrary: fc.array(tie('record'), { maxLength: 8 }) },
    ),
    record: fc.dictionary(word, tie('value'), { minKeys: 3, maxKeys: 12, noNullPrototype: true }),
  }));

  it('is within a factor of two of what it has when packed, for records like those of events and rows', () => {
    fc.assert(
      fc.property(ordinary.record, body => {
        const packed = packValue(body).length;
        const { bytes } = carry(body);
        expect(bytes).toBeLessThanOrEqual(2 * packed + 16);
        expect(bytes * 2 + 16).toBeGreaterThanOrEqual(packed);
      }),
      { numRuns: 300 },
    );
  });

  it('is never less than a quarter of it, so that a bound need not be packed to be trusted', () => {
    const wide = fc.oneof(
      messageBody,
      fc.string({ unit: 'binary' }),
      fc.bigInt({ min: -(2n ** 4000n), max: 2n ** 4000n }),
      fc.array(
        fc.constantFrom(
          '日本',
          '',
          new Error('日本'.repeat(50), { cause: '日'.repeat(80) }),
          /a/,
          new Map(),
          new Set(),
        ),
      ),
    );
    fc.assert(
      fc.property(wide, body => {
        expect(carry(body).bytes * 4).toBeGreaterThanOrEqual(packValue(body).length);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['fits by its estimate and does not when packed', '日'.repeat(2000), 6003],
    [
      'is over by its estimate and fits when packed',
      Array.from({ length: 500 }, () => ({ anything: 1, whatever: 2 })),
      packValue(Array.from({ length: 500 }, () => ({ anything: 1, whatever: 2 }))).length,
    ],
  ])('does not decide what is too large: a message that %s', (_name, body, size) => {
    deepStrictEqual(carryWithin(body, size), body);
    expect(() => carryWithin(body, size - 1)).toThrow(
      `MESSAGE_TOO_LARGE: ${size} bytes, maxMessageBytes is ${size - 1}`,
    );
  });

  it('counts the bytes of buffers and typed arrays', () => {
    expect(carry(Buffer.alloc(1000)).bytes).toBeGreaterThanOrEqual(1000);
    expect(carry({ a: new Float64Array(1000) }).bytes).toBeGreaterThanOrEqual(8000);
    expect(carry([new ArrayBuffer(500)]).bytes).toBeGreaterThanOrEqual(500);
  });
});

/** Small Buffers share a pool of memory by design. */
function isPool(object: object): boolean {
  return object instanceof ArrayBuffer && object.byteLength === Buffer.poolSize;
}
