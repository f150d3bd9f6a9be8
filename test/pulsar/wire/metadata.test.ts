/** Metadata of entries and messages, to and from bytes, against a general protobuf library. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WireFault } from '../../../actors/pulsar/wire/codec/fault.ts';
import {
  decodeBrokerEntryMetadata,
  decodeMessageMetadata,
  decodeSingleMessageMetadata,
  encodeBrokerEntryMetadata,
  encodeMessageMetadata,
  encodeSingleMessageMetadata,
} from '../../../actors/pulsar/wire/codec/metadata.ts';
import { anyOf, decoded, encoded, typeOf, withDefaults } from './protocol.ts';

describe.each([
  ['MessageMetadata', encodeMessageMetadata, decodeMessageMetadata],
  ['SingleMessageMetadata', encodeSingleMessageMetadata, decodeSingleMessageMetadata],
  ['BrokerEntryMetadata', encodeBrokerEntryMetadata, decodeBrokerEntryMetadata],
] as const)('%s', (name, encode, decode) => {
  const type = typeOf(name);
  /** A batch of one is told from a message alone by this being there. */
  const NO_DEFAULT = 'numMessagesInBatch';

  it('is read by the library as it was written', () => {
    fc.assert(
      fc.property(anyOf(type), value => {
        expect(decoded(type, encode(value as never))).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  it('is read as the library wrote it, with defaults', () => {
    fc.assert(
      fc.property(anyOf(type), fc.uint8Array({ maxLength: 9 }), (value, around) => {
        const bytes = Buffer.concat([around, encoded(type, value), around]);
        const read = decode(bytes, around.length, bytes.length - around.length);
        expect(read).toEqual(withDefaults(type, value, NO_DEFAULT));
        const again = encode(read as never);
        expect(decode(again, 0, again.length)).toEqual(read);
      }),
      { numRuns: 300 },
    );
  });

  it('may have fields that are not known', () => {
    fc.assert(
      fc.property(anyOf(type), value => {
        const bytes = Buffer.concat([
          Buffer.from('98060ffa0601ff', 'hex'),
          encoded(type, value),
          Buffer.from('9d0600000000', 'hex'),
        ]);
        expect(decode(bytes, 0, bytes.length)).toEqual(withDefaults(type, value, NO_DEFAULT));
      }),
    );
  });

  it('has objects of one shape, whatever is in it', () => {
    fc.assert(
      fc.property(anyOf(type), anyOf(type), (one, other) => {
        const keys = [one, other].map(value => {
          const bytes = encoded(type, value);
          return Object.keys(decode(bytes, 0, bytes.length));
        });
        expect(keys[0]).toEqual(keys[1]);
      }),
    );
  });

  it('is refused where it is cut off, or a field is that it must have', () => {
    fc.assert(
      fc.property(anyOf(type), value => {
        const bytes = encoded(type, value);
        for (let end = 0; end < bytes.length; end += 1 + (end >> 3))
          try {
            decode(bytes, 0, end);
          } catch (error) {
            expect(error).toBeInstanceOf(WireFault);
          }
      }),
    );
    for (const field of type.fieldsArray.filter(one => one.required))
      expect(() => decode(Buffer.alloc(0), 0, 0), field.name).toThrow(WireFault);
  });
});

describe('properties', () => {
  const pair = (key: string, value: string): Buffer => {
    const body = encoded(typeOf('KeyValue'), { key, value });
    return Buffer.concat([Buffer.from([10, body.length]), body]);
  };
  const read = (...parts: readonly Uint8Array[]): Record<string, string> => {
    const bytes = Buffer.concat([Buffer.from([24, 0]), ...parts]);
    return { ...decodeSingleMessageMetadata(bytes, 0, bytes.length).properties };
  };

  it('are of the last where names are equal', () => {
    expect(read(pair('a', '1'), pair('b', '2'), pair('a', '3'))).toEqual({ a: '3', b: '2' });
  });

  it('must have a name and a value each', () => {
    for (const half of ['0a030a0161', '0a03120161', '0a00'])
      expect(() => read(Buffer.from(half, 'hex')), half).toThrow(WireFault);
  });

  it('have their names, though names that came before are kept', () => {
    // Alike in length, first, middle and last byte; ASCII or not; bytes that are no UTF-8.
    const names = [
      'abcde',
      'axcye',
      'aücxe',
      'abcdé',
      'é',
      'a',
      'ab',
      '',
      'x'.repeat(32),
      'x'.repeat(33),
      'x'.repeat(32),
    ];
    for (const round of [names, [...names].reverse(), names])
      for (const name of round) expect(Object.keys(read(pair(name, 'v')))).toEqual([name]);
    // The same characters in UTF-8, and in Latin-1, which is no UTF-8.
    for (let i = 0x8080; i < 0x10000; i += i % 256 === 255 ? 129 : 1) {
      const name = String.fromCharCode(i >> 8, i & 255);
      expect(Object.keys(read(pair(name, 'v')))).toEqual([name]);
      const bytes = Buffer.from([10, 7, 10, 2, i >> 8, i & 255, 18, 1, 65]);
      expect(Object.keys(read(bytes))).toEqual([bytes.toString('utf8', 4, 6)]);
    }
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), name => {
        const body = encoded(typeOf('KeyValue'), { key: name, value: 'v' });
        const length = body.length < 128 ? [body.length] : [(body.length & 127) | 128, body.length >> 7];
        expect(Object.keys(read(Buffer.from([10, ...length]), body))).toEqual([name]);
      }),
      { numRuns: 500 },
    );
  });

  it('of others’ prototypes are not written', () => {
    const inherited = Object.assign(Object.create({ no: 'x' }), { yes: 'y' });
    const bytes = encodeSingleMessageMetadata({ payloadSize: 0, properties: inherited });
    expect(decodeSingleMessageMetadata(bytes, 0, bytes.length).properties).toEqual({ yes: 'y' });
  });
});
