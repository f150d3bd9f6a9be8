/** Messages, however they are cut into packets and these into chunks. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HEADER_BYTES, type Message, MessageReader, PACKET, PacketWriter, packetBytesFor } from './packets.ts';

const MESSAGE_BYTES = 1 << 20;

/** All messages of these bytes, which come in chunks so long. */
function read(bytes: Buffer, chunks: readonly number[]): Message[] {
  const reader = new MessageReader(MESSAGE_BYTES);
  const messages: Message[] = [];
  const take = (chunk: Buffer): void => {
    reader.push(chunk);
    for (let message = reader.next(); message; message = reader.next()) messages.push(message);
  };
  let at = 0;
  for (const length of chunks) {
    take(bytes.subarray(at, at + length));
    at += length;
  }
  take(bytes.subarray(at));
  return messages;
}

const types = fc.constantFrom(PACKET.batch, PACKET.rpc, PACKET.bulk, PACKET.transaction);

describe('a message', () => {
  it('is whole again, whatever the packets and the chunks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(types, fc.uint8Array({ maxLength: 60 })), { maxLength: 5 }),
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.nat(12)),
        (messages, payloadBytes, chunks) => {
          const bytes = messages.map(([type, payload]) =>
            new PacketWriter(payloadBytes, 51, type).cut(Buffer.from(payload), true),
          );
          const got = read(Buffer.concat(bytes), chunks);
          expect(got.map(({ type, payload }) => [type, [...payload]])).toEqual(
            messages.map(([type, payload]) => [type, [...payload]]),
          );
        },
      ),
    );
  });

  it('says whether it resets, and whether it is given up', () => {
    const told = (status: number): Message => {
      const packets = new PacketWriter(4, 0, PACKET.batch).cut(Buffer.alloc(8), true);
      packets[1] = status & ~1;
      packets[4 + HEADER_BYTES + 1] = 1 | (status & 2);
      return read(packets, [])[0]!;
    };
    expect(told(0)).toMatchObject({ resets: 'no', isIgnored: false });
    expect(told(0x08)).toMatchObject({ resets: 'all', isIgnored: false });
    expect(told(0x10)).toMatchObject({ resets: 'keep', isIgnored: false });
    expect(told(0x02)).toMatchObject({ resets: 'no', isIgnored: true });
  });

  it('that is not whole is dropped by an attention', () => {
    const half = new PacketWriter(4, 0, PACKET.batch).cut(Buffer.alloc(8), false);
    const attention = new PacketWriter(4, 0, PACKET.attention).cut(Buffer.alloc(0), true);
    expect(read(Buffer.concat([half, attention]), [3, 11])).toMatchObject([{ type: PACKET.attention }]);
  });

  it.each([
    ['of a type that there is not', [0x77, 1, 0, 8, 0, 0, 0, 0]],
    ['of a length that there is not', [1, 1, 0, 7, 0, 0, 0, 0]],
    ['that is too long', [1, 1, 0x80, 0, 0, 0, 0, 0]],
    ['within another', [1, 0, 0, 8, 0, 0, 0, 0, 3, 1, 0, 8, 0, 0, 0, 0]],
  ])('with a packet %s is none', (_what, bytes) => {
    expect(() => read(Buffer.from(bytes), [])).toThrow('a packet of');
  });
});

describe('packets of the server', () => {
  it('are full, save for the last, which ends the message', () => {
    const writer = new PacketWriter(3, 0x1234);
    expect(writer.cut(Buffer.from('abcdefg'), true)).toEqual(
      Buffer.concat([
        Buffer.from([4, 0, 0, 11, 0x12, 0x34, 1, 0]),
        Buffer.from('abc'),
        Buffer.from([4, 0, 0, 11, 0x12, 0x34, 2, 0]),
        Buffer.from('def'),
        Buffer.from([4, 1, 0, 9, 0x12, 0x34, 3, 0]),
        Buffer.from('g'),
      ]),
    );
    expect([0, 1, 3, 4, 6, 7].map(length => writer.ready(length))).toEqual([0, 0, 0, 3, 3, 6]);
  });

  it('are of the size that was asked for, within bounds', () => {
    expect([0, 100, 512, 8192, 40_000].map(packetBytesFor)).toEqual([4096, 512, 512, 8192, 32_767]);
  });
});
