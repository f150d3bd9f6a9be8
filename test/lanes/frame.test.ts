/** The codec of frames: what goes in comes out, sizes are exact, and a bad body spoils nothing. */
import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../runtime/lanes/envelope.ts';
import { eachEnvelope, FRAME_BYTES, FrameWriter, readFrame, readHead } from '../../runtime/lanes/frame.ts';
import type { Carried } from '../../runtime/lanes/text.ts';
import { packValue, unpackValue } from '../../runtime/lanes/value.ts';
import { bytesOf, envelope, message, messageBody } from '../support/messages.ts';

const SENDING = { slot: 3, incarnation: 7 };
const UNBOUNDED = Number.POSITIVE_INFINITY;

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

function written(messages: readonly Envelope[], seqs: readonly number[], writer = new FrameWriter()): Carried {
  for (const [i, one] of messages.entries()) writer.add(one, seqs[i]!, UNBOUNDED);
  return writer.finish(SENDING, 9);
}

function read(carried: Carried): { envelopes: Envelope[]; seqs: number[] } {
  const envelopes: Envelope[] = [];
  const seqs: number[] = [];
  eachEnvelope(carried, (one, seq, index) => {
    expect(index).toBe(envelopes.length);
    envelopes.push(one);
    seqs.push(seq);
  });
  return { envelopes, seqs };
}

/** Growing sequence numbers, with holes or without. */
const gaps = fc.oneof(fc.constant([1]), fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1 }));

function seqsOf(first: number, steps: readonly number[], count: number): number[] {
  const seqs = [first];
  while (seqs.length < count) seqs.push(seqs.at(-1)! + steps[seqs.length % steps.length]!);
  return seqs.slice(0, count);
}

describe('messages of a frame', () => {
  it('come out as they went in, frame after frame of one writer', () => {
    const writer = new FrameWriter();
    const frame = fc.tuple(fc.array(envelope, { minLength: 1, maxLength: 12 }), fc.nat({ max: 2 ** 40 }), gaps);
    fc.assert(
      fc.property(frame, ([messages, first, steps]) => {
        const seqs = seqsOf(first, steps, messages.length);
        const { envelopes, seqs: seen } = read(written(messages, seqs, writer));
        deepStrictEqual(envelopes, messages);
        expect(seen).toEqual(seqs);
      }),
      { numRuns: 500 },
    );
  });

  it('share their columns and still keep positions apart, consecutive or not', () => {
    const position = fc.array(fc.nat({ max: 6 }), { minLength: 1, maxLength: 30 });
    const runs = fc.array(
      fc.record({
        actor: fc.nat({ max: 1 }),
        source: fc.constantFrom('a', 'b'),
        path: fc.constantFrom('', '1'),
        flags: fc.nat({ max: 1 }),
      }),
      { minLength: 1, maxLength: 30 },
    );
    fc.assert(
      fc.property(position, runs, (positions, parts) => {
        const messages = positions.map((at, i) => message({ position: at, body: i, ...parts[i % parts.length]! }));
        deepStrictEqual(read(written(messages, seqsOf(1, [1], messages.length))).envelopes, messages);
      }),
    );
  });

  it('are described by one group when only their positions count up', () => {
    const messages = Array.from({ length: 200 }, (_, i) => message({ position: 1000 + i, key: i, body: { id: i } }));
    const bytes = written(messages, seqsOf(5, [1], 200));
    expect(readHead(bytes)).toEqual({ slot: 3, incarnation: 7, mayWait: false });
    const frame = readFrame(bytes);
    expect(frame.groups).toEqual([[0, 0, 'test', 0, 200, 1000, 0]]);
    expect(frame).toMatchObject({ homes: 9, count: 200 });
    expect(frame.seqOf(199)).toBe(204);
  });

  it('may have more shapes than the codec keeps at a time', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 150 }), { minLength: 100, maxLength: 256 }), shapes => {
        const messages = shapes.map((shape, i) =>
          message({ position: i, body: { [`f${shape}`]: i, [`g${shape}`]: [{ [`n${shape % 7}`]: shape }] } }),
        );
        deepStrictEqual(read(written(messages, seqsOf(1, [1], messages.length))).envelopes, messages);
      }),
      { numRuns: 30 },
    );
  });

  it('may have names of any length, and any number of them', () => {
    const long = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`${'n'.repeat(2000)}${i}`, i]));
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`n${i}`, i]));
    const messages = [message({ body: long }), message({ body: many }), message({ body: { inner: [long, many] } })];
    deepStrictEqual(read(written(messages, [1, 2, 3])).envelopes, messages);
  });

  it('need no other frame to be read: each describes its shapes itself', () => {
    const writer = new FrameWriter();
    const first = written([message({ body: { a: 1 } })], [1], writer);
    const second = written([message({ body: { a: 2 } })], [2], writer);
    expect(read(second).envelopes[0]!.body).toEqual({ a: 2 });
    expect(read(first).envelopes[0]!.body).toEqual({ a: 1 });
  });

  it('are packed at the call, so that the caller may change its object right after', () => {
    const writer = new FrameWriter();
    const body = { count: 1, bytes: Buffer.from('abc') };
    writer.add(message({ body }), 1, UNBOUNDED);
    body.count = 2;
    body.bytes.fill(0);
    expect(read(writer.finish(SENDING, 1)).envelopes[0]!.body).toEqual({ count: 1, bytes: Buffer.from('abc') });
  });

  it('come out whole when one of them is large, and what follows is small again', () => {
    const writer = new FrameWriter();
    const large = { text: 'ä'.repeat(3_000_000), bytes: Buffer.alloc(2_000_000, 7) };
    const messages = [
      message({ body: { id: 1 } }),
      message({ body: large, position: 1 }),
      message({ body: { id: 2 }, position: 2 }),
    ];
    deepStrictEqual(read(written(messages, [1, 2, 3], writer)).envelopes, messages);
    const next = written([message({ body: { id: 3 } })], [4], writer);
    expect(next).toBeTypeOf('string');
    expect(next.length).toBeLessThan(200);
    expect(read(next).envelopes[0]!.body).toEqual({ id: 3 });
  });

  it('rename a property called __proto__, so that no message reaches the prototype of an object', () => {
    const body = JSON.parse('{"__proto__": {"isAdmin": true}, "id": 1}');
    const { body: seen } = read(written([message({ body })], [1])).envelopes[0]!;
    expect(Object.getPrototypeOf(seen)).toBe(Object.prototype);
    expect(seen).toEqual({ __proto_: { isAdmin: true }, id: 1 });
  });
});

describe('raw bytes', () => {
  it.each([
    ['a Buffer', Buffer.from([0, 0xc1, 0xff, 0x92])],
    ['a Uint8Array', new Uint8Array([1, 0xdd, 3])],
    ['a view into a larger buffer', Buffer.from('xxhelloxx').subarray(2, 7)],
    ['floats that are not aligned', new Float64Array([1.5, Number.NaN, Number.NEGATIVE_INFINITY])],
    ['no bytes', Buffer.alloc(0)],
    ['large bytes', Buffer.alloc(3 * FRAME_BYTES, 0xc1)],
  ])('pass through untouched: %s', (_name, bytes) => {
    const seen = read(written([message({ body: 1 }), message({ body: bytes })], [1, 2])).envelopes[1]!.body;
    deepStrictEqual(seen, bytes);
    expect((seen as Uint8Array).constructor).toBe(bytes.constructor);
  });

  it('of a small frame do not pin the frame when they are kept', () => {
    const bytes = bytesOf(written([message({ body: Buffer.from('kept') })], [1]));
    const kept = read(bytes).envelopes[0]!.body as Buffer;
    expect(kept.buffer).not.toBe(bytes.buffer);
    bytes.fill(0);
    expect(kept.toString()).toBe('kept');
  });
});

describe('a body that cannot be carried', () => {
  const cyclic: Record<string, unknown> = { id: 1 };
  cyclic['inner'] = { back: [cyclic] };

  it.each<[string, unknown, string | RegExp]>([
    ['a function', () => 1, 'message is a function'],
    ['a nested function', { a: { b: [1, () => 1] } }, 'message.a.b[1] is a function'],
    ['a symbol', { a: Symbol('x') }, 'message.a is a symbol'],
    ['a function in a Map', new Map([['k', () => 1]]), 'message.get(k) is a function'],
    ['a function in a Set', { s: new Set([() => 1]) }, 'message.s.values() is a function'],
    ['a cycle', cyclic, /message\.inner\.back\[0\]\.inner.*a cycle/],
  ])('fails at the call with its path: %s', (_name, body, text) => {
    const writer = new FrameWriter();
    expect(thrownBy(() => writer.add(message({ body }), 1, UNBOUNDED))).toMatchObject({
      code: 'MESSAGE_NOT_CARRIABLE',
      message: expect.stringMatching(text instanceof RegExp ? text : literal(text)),
    });
    expect(writer.count).toBe(0);
    expect(writer.bytes).toBe(0);
  });

  it('or is too large leaves the frame as it was, and those after it decode right', () => {
    const bad = fc.constantFrom<unknown>({ id: 1, f: () => 1 }, { x: { y: Symbol('s') } }, [{ a: 1 }, cyclic], {
      id: 1,
      big: 'x'.repeat(5000),
    });
    const step = fc.oneof(
      { weight: 3, arbitrary: envelope.map(good => ({ good })) },
      { weight: 1, arbitrary: bad.map(body => ({ body })) },
    );
    const writer = new FrameWriter();
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), steps => {
        const good: Envelope[] = [];
        const seqs: number[] = [];
        steps.forEach((one, i) => {
          if ('good' in one) {
            writer.add(one.good, i, UNBOUNDED);
            good.push(one.good);
            seqs.push(i);
            return;
          }
          const before = [writer.count, writer.bytes];
          expect(() => writer.add(message({ body: one.body }), i, 4000)).toThrow(
            /MESSAGE_NOT_CARRIABLE|MESSAGE_TOO_LARGE/,
          );
          expect([writer.count, writer.bytes]).toEqual(before);
        });
        if (good.length === 0) return;
        const seen = read(writer.finish(SENDING, 1));
        deepStrictEqual(seen.envelopes, good);
        expect(seen.seqs).toEqual(seqs);
      }),
      { numRuns: 300 },
    );
  });
});

describe('sizes', () => {
  it('are the packed bytes of each body, and add up to those of the frame', () => {
    fc.assert(
      fc.property(fc.array(envelope, { minLength: 1, maxLength: 10 }), messages => {
        const writer = new FrameWriter();
        const sizes = messages.map((one, i) => writer.add(one, i, UNBOUNDED));
        const total = writer.bytes;
        expect(sizes.reduce((sum, one) => sum + one, 0)).toBe(total);
        const bytes = writer.finish(SENDING, 1);
        const frame = readFrame(bytes);
        expect(messages.map((_, i) => frame.sizeOf(i))).toEqual(sizes);
        expect(messages.map((_, i) => frame.hashOf(i))).toEqual(messages.map(one => one.hash));
        // What is left of the frame is its columns: packing it without bodies is that much smaller, but for the list of
        // bodies that are foreign.
        const bare = new FrameWriter();
        const nulls = messages.map((one, i) => bare.add({ ...one, body: null }, i, UNBOUNDED));
        expect(nulls.every(size => size === 1)).toBe(true);
        const foreign = bytes.length - total - (bare.finish(SENDING, 1).length - messages.length);
        expect(foreign).toBeGreaterThanOrEqual(0);
        expect(foreign).toBeLessThanOrEqual(messages.length);
      }),
    );
  });

  it.each([
    ['text', 'x'.repeat(100), 102],
    ['text of two bytes a letter', 'ä'.repeat(100), 202],
    ['bytes', Buffer.alloc(1000), 1003],
  ])('decide MESSAGE_TOO_LARGE to the byte: %s', (_name, body, size) => {
    const writer = new FrameWriter();
    expect(writer.add(message({ body }), 1, size)).toBe(size);
    const error = thrownBy(() => writer.add(message({ body }), 2, size - 1));
    expect(error).toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      message: expect.stringContaining(`${size} bytes, maxMessageBytes is ${size - 1}`),
    });
    expect(read(writer.finish(SENDING, 1)).envelopes).toHaveLength(1);
  });
});

it('a frame of another envelope version is refused', () => {
  const bytes = bytesOf(written([message()], [1]));
  bytes[0] = 2;
  expect(() => readFrame(bytes)).toThrow('frame of envelope version 2, this is 1');
});

describe('a value by itself', () => {
  it('comes out as it went in', () => {
    fc.assert(
      fc.property(messageBody, value => {
        deepStrictEqual(unpackValue(packValue(value)), value);
      }),
    );
  });

  it('stays as it is while others are packed', () => {
    const first = packValue({ a: 1, b: 'one' });
    packValue({ a: 2, b: 'two', c: Buffer.alloc(10_000, 1) });
    expect(unpackValue(first)).toEqual({ a: 1, b: 'one' });
  });

  it('that cannot be carried names the path', () => {
    expect(() => packValue({ reply: [() => 1] })).toThrow('MESSAGE_NOT_CARRIABLE: message.reply[0] is a function');
  });
});

function literal(text: string): RegExp {
  return new RegExp(text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
}
