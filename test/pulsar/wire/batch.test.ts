/** Batches: what goes in comes out, and what is none is refused. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchWriter, readBatch } from '../../../actors/pulsar/wire/codec/batch.ts';
import { WireFault } from '../../../actors/pulsar/wire/codec/fault.ts';
import { encodeSingleMessageMetadata, type SingleMessageMetadata } from '../../../actors/pulsar/wire/codec/metadata.ts';
import { decoded, typeOf } from './protocol.ts';

const SINGLE = typeOf('SingleMessageMetadata');

type Seen = readonly [index: number, single: SingleMessageMetadata, payload: Buffer | null];

function read(bytes: Uint8Array, count: number): Seen[] {
  const seen: Seen[] = [];
  readBatch(Buffer.from(bytes), count, (...one) => seen.push(one));
  return seen;
}

const text = fc.oneof(fc.string({ maxLength: 30 }), fc.string({ unit: 'binary', maxLength: 600 }));
const messages = fc.array(
  fc.record({
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      text,
      fc.constantFrom(null, '', 'x'.repeat(5000), 'é'.repeat(100), '漢'.repeat(2000), '\ud800'),
    ),
    single: fc.record(
      {
        key: text,
        orderingKey: fc.uint8Array({ maxLength: 200 }),
        properties: fc.dictionary(text, text, { maxKeys: 4 }),
        eventTime: fc.maxSafeNat(),
        sequenceId: fc.maxSafeNat(),
      },
      { requiredKeys: [] },
    ),
  }),
  { minLength: 1, maxLength: 12 },
);

describe('a batch', () => {
  it('has all messages as they were added, also for the library', () => {
    const writer = new BatchWriter(); // the same one for all, as a producer uses it
    fc.assert(
      fc.property(messages, all => {
        let bytes = 0;
        for (const [i, { single, payload }] of all.entries()) {
          writer.add(single, payload);
          expect(writer.count).toBe(i + 1);
          expect(writer.bytes).toBeGreaterThan(bytes);
          bytes = writer.bytes;
        }
        const batch = Buffer.from(writer.take());
        expect(batch).toHaveLength(bytes);
        expect([writer.count, writer.bytes]).toEqual([0, 0]);
        let at = 0;
        for (const [index, single, payload] of read(batch, all.length)) {
          const { single: its, payload: wanted } = all[index]!;
          const body = wanted === null ? null : typeof wanted === 'string' ? Buffer.from(wanted) : Buffer.from(wanted);
          expect(payload === null).toBe(body === null);
          if (body) expect(payload!.equals(body)).toBe(true);
          const hasProperties = its.properties && Object.keys(its.properties).length > 0;
          const expected = {
            partitionKey: its.key,
            orderingKey: its.orderingKey,
            properties: hasProperties ? its.properties : undefined,
            sequenceId: its.sequenceId,
            payloadSize: body?.length ?? 0,
          };
          expect(single).toMatchObject({ ...expected, eventTime: its.eventTime ?? 0, nullValue: body === null });
          const size = batch.readUInt32BE(at);
          expect(decoded(SINGLE, batch.subarray(at + 4, at + 4 + size))).toEqual({
            ...Object.fromEntries(Object.entries(expected).filter(([, value]) => value !== undefined)),
            ...(its.eventTime === undefined ? {} : { eventTime: its.eventTime }),
            ...(body === null ? { nullValue: true } : {}),
          });
          at += 4 + size + single.payloadSize;
        }
        expect(at).toBe(batch.length);
      }),
      { numRuns: 300 },
    );
  });

  it('has a tombstone for null, and not for what is empty', () => {
    const writer = new BatchWriter();
    writer.add({}, null);
    writer.add({}, '');
    writer.add({}, new Uint8Array(0));
    writer.add({ isNull: true }, 'not sent');
    expect(read(writer.take(), 4).map(([, { nullValue }, payload]) => [nullValue, payload?.length])).toEqual([
      [true, undefined],
      [false, 0],
      [false, 0],
      [true, undefined],
    ]);
  });

  it('grows, and is a view until the writer is used again', () => {
    const writer = new BatchWriter();
    const payloads = [10, 100_000, 0, 3_000_000, 5].map((size, i) => Buffer.alloc(size, i + 1));
    for (const payload of payloads) writer.add({ key: 'k' }, payload);
    const large = writer.take();
    writer.add({}, 'next');
    expect(read(large, 5).map(([, , payload]) => payload!.equals(payloads.shift()!))).toEqual(Array(5).fill(true));
    expect(read(writer.take(), 1)[0]![2]!.toString()).toBe('next');
  });

  it('does not keep what its messages were made of', () => {
    const writer = new BatchWriter();
    const payload = Buffer.from('before');
    writer.add({}, payload);
    payload.fill('x');
    expect(read(writer.take(), 1)[0]![2]!.toString()).toBe('before');
  });

  it('is as it was before a message that has no form on the wire', () => {
    const writer = new BatchWriter();
    writer.add({ key: 'a' }, 'one');
    for (const eventTime of [Number.NaN, 2 ** 60])
      expect(() => writer.add({ key: 'b', eventTime }, 'no')).toThrow(WireFault);
    expect(writer.count).toBe(1);
    writer.add({ key: 'c', eventTime: 1.5 }, 'two');
    expect(read(writer.take(), 2).map(([, { partitionKey, eventTime }]) => [partitionKey, eventTime])).toEqual([
      ['a', 0],
      ['c', 1],
    ]);
  });
});

describe('what is read', () => {
  const sized = (single: Uint8Array, payload: Uint8Array): Buffer => {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(single.length);
    return Buffer.concat([size, single, payload]);
  };

  it('may have been taken out by compaction', () => {
    const bytes = sized(encodeSingleMessageMetadata({ payloadSize: 0, compactedOut: true }), Buffer.alloc(0));
    expect(read(bytes, 1)[0]![1]).toMatchObject({ compactedOut: true });
  });

  it('may be a tombstone that says -1, or has bytes', () => {
    const bytes = Buffer.concat([
      sized(encodeSingleMessageMetadata({ payloadSize: -1, nullValue: true }), Buffer.alloc(0)),
      sized(encodeSingleMessageMetadata({ payloadSize: 3, nullValue: true }), Buffer.from('abc')),
      sized(encodeSingleMessageMetadata({ payloadSize: 2 }), Buffer.from('ok')),
    ]);
    expect(read(bytes, 3).map(([, , payload]) => payload?.toString())).toEqual([undefined, undefined, 'ok']);
  });

  it('may be fewer than there are', () => {
    const writer = new BatchWriter();
    for (const payload of ['a', 'b', 'c']) writer.add({}, payload);
    const bytes = Buffer.from(writer.take());
    expect(read(bytes, 2)).toHaveLength(2);
    expect(read(bytes, 0)).toEqual([]);
  });

  it('may read another batch while one is read', () => {
    const batchOf = (...payloads: string[]): Buffer => {
      const writer = new BatchWriter();
      for (const payload of payloads) writer.add({}, payload);
      return Buffer.from(writer.take());
    };
    const seen: string[] = [];
    const within = batchOf('x', 'y');
    readBatch(batchOf('a', 'b'), 2, (_, __, payload) => {
      readBatch(within, 2, (_i, _s, inner) => seen.push(`${payload}${inner}`));
    });
    expect(seen).toEqual(['ax', 'ay', 'bx', 'by']);
  });

  it('is refused where a size is impossible, wherever it is cut off, and when more is said than there is', () => {
    const writer = new BatchWriter();
    for (const payload of ['one', null, 'three']) writer.add({ key: 'key', sequenceId: 1 }, payload);
    const bytes = Buffer.from(writer.take());
    for (let end = 0; end < bytes.length; end++) expect(() => read(bytes.subarray(0, end), 3)).toThrow(WireFault);
    for (const count of [4, 2 ** 31 - 1]) expect(() => read(bytes, count)).toThrow(WireFault);
    for (const payloadSize of [-1, 5, 2 ** 31 - 1])
      expect(() => read(sized(encodeSingleMessageMetadata({ payloadSize }), Buffer.from('four')), 1)).toThrow(
        WireFault,
      );
    expect(() => read(Buffer.from('ffffffff0102', 'hex'), 1)).toThrow(WireFault);
    expect(() => read(Buffer.from('00000000', 'hex'), 1)).toThrow(WireFault);
  });
});
