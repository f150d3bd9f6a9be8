/** Every command, to and from bytes, against a general protobuf library. */
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, it, test } from 'vitest';
import { type Command, decodeCommand, encodeCommand } from '../../../actors/pulsar/wire/codec/commands.ts';
import { WireFault } from '../../../actors/pulsar/wire/codec/fault.ts';
import { anyOf, COMMAND_TYPES, decoded, encoded, typeOf, type Value, withDefaults } from './protocol.ts';

const BASE = typeOf('BaseCommand');
const { type: MESSAGE_TYPE, number: MESSAGE } = COMMAND_TYPES.get('message')!;

/** The BaseCommand within a frame, whose sizes must be right. */
function bodyOf(frame: Uint8Array): Buffer {
  const bytes = Buffer.from(frame);
  expect(bytes.readUInt32BE(0)).toBe(bytes.length - 4);
  expect(bytes.readUInt32BE(4)).toBe(bytes.length - 8);
  return bytes.subarray(8);
}

function read(bytes: Uint8Array): ReturnType<typeof decodeCommand> {
  return decodeCommand(bytes, 0, bytes.length);
}

/** A BaseCommand by hand: its type, then one field with that number. */
function base(number: number, body: Uint8Array): Buffer {
  const writer = BASE.encode({ type: number });
  return Buffer.from(
    writer
      .uint32(number * 8 + 2)
      .bytes(body)
      .finish(),
  );
}

it('knows all commands of the reference but those of transactions within the broker', () => {
  expect(COMMAND_TYPES.size).toBe(54);
});

describe.each([...COMMAND_TYPES])('%s', (type, { number, type: message }) => {
  const field = BASE.fieldsById[number]!.name;

  it('is read by the library as it was written', () => {
    fc.assert(
      fc.property(anyOf(message), value => {
        const library = BASE.decode(bodyOf(encodeCommand({ ...value, type } as unknown as Command)));
        expect(Object.keys(library).sort()).toEqual(['type', field].sort());
        expect(library).toMatchObject({ type: number });
        expect(decoded(message, message.encode((library as unknown as Value)[field] as Value).finish())).toEqual(value);
      }),
      { numRuns: 60 },
    );
  });

  it('is read as the library wrote it, with defaults', () => {
    fc.assert(
      fc.property(anyOf(message), value => {
        const command = read(base(number, encoded(message, value)));
        expect(command).toEqual({ ...withDefaults(message, value), type });
        // And once more there and back.
        expect(read(bodyOf(encodeCommand(command as Command)))).toEqual(command);
      }),
      { numRuns: 60 },
    );
  });

  it('is refused without a field that it must have', () => {
    fc.assert(
      fc.property(anyOf(message), value => {
        for (const one of message.fieldsArray.filter(each => each.required)) {
          const bytes = encoded(message, value);
          const lacking = without(bytes, one.id);
          expect(() => read(base(number, lacking)), one.name).toThrow(WireFault);
        }
      }),
      { numRuns: 5 },
    );
  });
});

/** The bytes of a message without a field. */
function without(bytes: Uint8Array, id: number): Buffer {
  const kept: Uint8Array[] = [];
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const from = reader.pos;
    const tag = reader.uint32();
    reader.skipType(tag & 7);
    if (tag >>> 3 !== id) kept.push(bytes.subarray(from, reader.pos));
  }
  return Buffer.concat(kept);
}

describe('what is read', () => {
  const hex = (text: string): Buffer => Buffer.from(text.replace(/ /g, ''), 'hex');
  const message = (body: string): unknown => read(base(MESSAGE, hex(body)));

  it('may have fields that are not known, or of another wire type, anywhere', () => {
    fc.assert(
      fc.property(anyOf(MESSAGE_TYPE), fc.nat(3), fc.integer({ min: 0, max: 2 ** 29 - 1 }), (value, kind, id) => {
        const other = [Buffer.from([150, 1]), Buffer.alloc(8, 1), Buffer.from([3, 1, 2, 3]), Buffer.alloc(4, 255)][
          kind
        ]!;
        const unknown = Buffer.concat([
          protobuf.Writer.create()
            .uint32(((id < 6 ? id + 6 : id) * 8 + [0, 1, 2, 5][kind]!) >>> 0)
            .finish(),
          other,
        ]);
        const bytes = Buffer.concat([unknown, encoded(MESSAGE_TYPE, value), unknown]);
        expect(read(base(MESSAGE, bytes))).toEqual({ ...withDefaults(MESSAGE_TYPE, value), type: 'message' });
      }),
    );
    // Field 1 with a length, field 3 of 32 bits.
    expect(message('0a0107 1d01020304 0807 1204080a1003')).toMatchObject({ consumerId: 7, redeliveryCount: 0 });
  });

  it('is the last of several of one name', () => {
    expect(message('0801 0807 1204080a1003 1801 1802')).toMatchObject({ consumerId: 7, redeliveryCount: 2 });
  });

  it('may have its type behind it', () => {
    expect(read(hex('5a05 0801 10e807 080b'))).toEqual({ type: 'flow', consumerId: 1, messagePermits: 1000 });
  });

  it('is unknown when its type is, and of those of transactions within the broker', () => {
    for (const number of [0, 1, 41, 58, 61, 70, 81, 9999])
      expect(read(base(number || 100, Buffer.from([8, 1])))).toEqual({ type: 'unknown', number: number || 100 });
    expect(read(hex('08e8079a3f00'))).toEqual({ type: 'unknown', number: 1000 });
  });

  it('has bits of an acknowledgement as words, packed or not', () => {
    const words = Uint32Array.from([0xffffffff, 0x7fffffff, 5, 0x80000000]);
    const first = 'ffffffffffffffff7f';
    const second = '85808080808080808001';
    expect(message(`0807 1204080a1003 20${first} 20${second}`)).toMatchObject({ ackSet: words });
    expect(message(`0807 1204080a1003 2213${first}${second}`)).toMatchObject({ ackSet: words });
    expect(message(`0807 1219080a10032a13${first}${second}`)).toMatchObject({ messageId: { ackSet: words } });
    expect(message('0807 1204080a1003')).toMatchObject({ ackSet: undefined });
  });

  it('has 64 bits as a number where that is exact', () => {
    const of = (varint: string): unknown => {
      const command = read(base(COMMAND_TYPES.get('reachedEndOfTopic')!.number, hex(`08${varint}`)));
      return command.type === 'reachedEndOfTopic' && command.consumerId;
    };
    expect(of('ffffffffffffffffff01')).toBe(-1);
    expect(of('ffffffffffffffff7f')).toBe(Number.POSITIVE_INFINITY);
    expect(of('ffffffffffffff0f')).toBe(Number.MAX_SAFE_INTEGER);
    expect(of('81808080808080f0ff01')).toBe(-Number.MAX_SAFE_INTEGER);
    expect(of('80808000')).toBe(0);
    expect(of('8180808080808080807e')).toBe(1); // ten bytes hold 70 bits; those above 64 are nothing
    for (const varint of [
      '8080808080808010', // 2^53
      '808080808080808001', // 2^56
      'feffffffffffffff7f', // 2^63 - 2
      '80808080808080808001', // -2^63
      '80808080808080f0ff01', // -2^53
      'ffffffffffffffffffff01', // eleven bytes
      'ff', // cut off
      '',
    ])
      expect(() => of(varint), varint).toThrow(WireFault);
  });

  it('may have an enum, or a number of 32 bits, that no table has', () => {
    expect(read(base(14, hex('0801 10e807 1a00')))).toEqual({ type: 'error', requestId: 1, error: 1000, message: '' });
    expect(read(base(14, hex('0801 10ffffffffffffffffff01 1a00')))).toMatchObject({ error: -1 });
  });

  it('is refused when ids are within each other without end', () => {
    const seek = (depth: number): Buffer => {
      const parts: Uint8Array[] = [];
      let length = 0;
      const wrap = (tag: number, body: string): void => {
        const head = Buffer.concat([hex(body), protobuf.Writer.create().uint32(tag).uint32(length).finish()]);
        parts.unshift(head);
        length += head.length;
      };
      parts.push(hex('08011001'));
      length = 4;
      for (let i = 1; i < depth; i++) wrap(58, '08011001');
      wrap(26, '08011001');
      return base(28, Buffer.concat(parts));
    };
    for (const depth of [1, 2, 16]) expect(read(seek(depth))).toMatchObject({ messageId: { ledgerId: 1 } });
    for (const depth of [17, 20_000]) expect(() => read(seek(depth))).toThrow(WireFault);
  });

  it.each([
    ['nothing', ''],
    ['no type', '5a0408011001'],
    ['no body', '080b'],
    ['no body, which would have nothing in it', '0812'],
    ['the body of another', '080b120408011001'],
    ['a field with the number 0', '080b0001'],
    ['a group', '080b0b0c'],
    ['wire type 7', '080b0f'],
    ['a length beyond the end', '080b5a05080110'],
    ['a length beyond all', '080b5affffffff0f0801'],
    ['a varint that is cut off', '080b5a03080190'],
    ['32 bits that are cut off', '080b5a0408011d00'],
    ['64 bits that are cut off', '080b5a04080119000000'],
  ])('is refused with %s', (_what, bytes) => {
    expect(() => read(hex(bytes))).toThrow(WireFault);
  });

  it('is a stretch of the bytes, and none beyond', () => {
    const bytes = hex('ffff 080b5a0408011005 ffff');
    expect(decodeCommand(bytes, 2, 10)).toEqual({ type: 'flow', consumerId: 1, messagePermits: 5 });
    expect(() => decodeCommand(bytes, 2, 9)).toThrow(WireFault);
    for (const [from, to] of [
      [-1, 2],
      [3, 2],
      [0, 13],
      [Number.NaN, 2],
    ] as const)
      expect(() => decodeCommand(bytes, from, to)).toThrow(WireFault);
    expect(decodeCommand(new Uint8Array(bytes), 2, 10)).toMatchObject({ type: 'flow' });
  });

  it('keeps names that objects have', () => {
    const command = read(
      base(
        COMMAND_TYPES.get('lookupTopic')!.number,
        encoded(COMMAND_TYPES.get('lookupTopic')!.type, {
          topic: 't',
          requestId: 1,
          properties: Object.fromEntries([
            ['__proto__', 'a'],
            ['constructor', 'b'],
            ['toString', 'c'],
          ]),
        }),
      ),
    );
    const { properties } = command as { properties: Record<string, string> };
    expect(Object.keys(properties).sort()).toEqual(['__proto__', 'constructor', 'toString']);
    expect([
      Object.getOwnPropertyDescriptor(properties, '__proto__')?.value,
      properties['constructor'],
      properties['hasOwnProperty'],
    ]).toEqual(['a', 'b', undefined]);
  });

  it('is a copy where it is bytes', () => {
    const bytes = base(
      36,
      encoded(COMMAND_TYPES.get('authChallenge')!.type, { challenge: { authData: Buffer.alloc(50, 1) } }),
    );
    const command = read(bytes);
    bytes.fill(0);
    expect(command).toMatchObject({ challenge: { authData: new Uint8Array(50).fill(1) } });
  });
});

describe('what is written', () => {
  const written = (consumerId: number): number => {
    const command = read(bodyOf(encodeCommand({ type: 'reachedEndOfTopic', consumerId })));
    return command.type === 'reachedEndOfTopic' ? command.consumerId : Number.NaN;
  };

  it('has numbers without their fractions, and refuses those that 64 bits or a number do not hold', () => {
    expect([1.9, -1.9, 0.5, -0.5, 2 ** 40 + 0.5].map(written)).toEqual([1, -1, 0, 0, 2 ** 40]);
    for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 53, -(2 ** 53), 1e300])
      expect(() => written(bad)).toThrow(WireFault);
  });

  it('is refused without what must be there', () => {
    expect(() => encodeCommand({ type: 'success' } as unknown as Command)).toThrow(WireFault);
  });

  it('does not change when the next is written, and is right after one that was refused or large', () => {
    const first = encodeCommand({ type: 'flow', consumerId: 1, messagePermits: 2 });
    const copy = Buffer.from(first);
    const token = Buffer.alloc(200_000, 'x');
    expect(() => encodeCommand({ type: 'flow', consumerId: 3, messagePermits: Number.NaN })).toThrow(WireFault);
    const large = read(bodyOf(encodeCommand({ type: 'connect', clientVersion: 'v', authData: token })));
    expect(large).toMatchObject({ authData: new Uint8Array(token) });
    expect(encodeCommand({ type: 'flow', consumerId: 1, messagePermits: 2 })).toEqual(copy);
    expect(first).toEqual(copy);
  });

  it('has text of all lengths and scripts', () => {
    for (const unit of ['a', 'é', '漢', '😀', '\ud800'])
      for (const count of [0, 1, 12, 13, 42, 43, 63, 64, 127, 128, 1024, 1025, 6000, 20_000]) {
        const message = unit.repeat(count);
        const command = read(bodyOf(encodeCommand({ type: 'error', requestId: 1, error: 2, message })));
        expect(command).toEqual({ type: 'error', requestId: 1, error: 2, message: message.toWellFormed() });
      }
  });

  it('has the words of an acknowledgement in pairs', () => {
    const messageId = { ledgerId: 1, entryId: 2, ackSet: Uint32Array.from([7]) };
    expect(read(bodyOf(encodeCommand({ type: 'seek', consumerId: 1, requestId: 2, messageId })))).toMatchObject({
      messageId: { ackSet: Uint32Array.from([7, 0]) },
    });
  });
});

test('an acknowledgement of ten thousand ids is whole', () => {
  const messageId = Array.from({ length: 10_000 }, (_, i) => ({ ledgerId: i, entryId: 2 ** 40 + i, partition: -1 }));
  const ack = read(bodyOf(encodeCommand({ type: 'ack', consumerId: 1, ackType: 0, messageId })));
  expect(ack).toMatchObject({ type: 'ack', messageId });
});
