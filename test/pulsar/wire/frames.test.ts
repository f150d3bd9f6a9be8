/** Frames with a message in them: their parts by a general protobuf library, and what is done with broken ones. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeCommand } from '../../../actors/pulsar/wire/codec/commands.ts';
import { crc32c } from '../../../actors/pulsar/wire/codec/crc32c.ts';
import { WireFault } from '../../../actors/pulsar/wire/codec/fault.ts';
import { decodeFrame, encodeSend } from '../../../actors/pulsar/wire/codec/frames.ts';
import { anyOf, COMMAND_TYPES, decoded, encoded, typeOf, withDefaults } from './protocol.ts';

const METADATA = typeOf('MessageMetadata');
const ENTRY = typeOf('BrokerEntryMetadata');
const SEND = COMMAND_TYPES.get('send')!.type;
const message = { type: 'message', consumerId: 7, messageId: { ledgerId: 10, entryId: 3 } } as const;

interface Parts {
  readonly entry?: Buffer | undefined;
  readonly metadata: Buffer;
  readonly payload: Uint8Array;
  readonly hasChecksum?: boolean | undefined;
}

function sized(bytes: Uint8Array): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(bytes.length);
  return Buffer.concat([size, bytes]);
}

/** A MESSAGE frame, put together from what the reference says. */
function frameOf({ entry, metadata, payload, hasChecksum = true }: Parts): Buffer {
  const checked = Buffer.concat([sized(metadata), payload]);
  const checksum = Buffer.from('0e0100000000', 'hex');
  checksum.writeUInt32BE(crc32c(checked), 2);
  const command = Buffer.from(encodeCommand(message)).subarray(8);
  return sized(
    Buffer.concat([
      sized(command),
      ...(entry ? [Buffer.from('0e02', 'hex'), sized(entry)] : []),
      ...(hasChecksum ? [checksum] : []),
      checked,
    ]),
  );
}

const parts = fc.record({
  entry: fc.option(anyOf(ENTRY), { nil: undefined }),
  metadata: anyOf(METADATA),
  payload: fc.uint8Array({ maxLength: 300 }),
  hasChecksum: fc.boolean(),
});

describe('encodeSend', () => {
  it('makes the frame that the reference has', () => {
    fc.assert(
      fc.property(anyOf(SEND), anyOf(METADATA), fc.uint8Array({ maxLength: 3000 }), (head, metadata, payload) => {
        const frame = Buffer.from(encodeSend(head as never, metadata as never, payload));
        expect(frame.readUInt32BE(0)).toBe(frame.length - 4);
        const commandEnd = 8 + frame.readUInt32BE(4);
        expect(decodeFrame(frame).command).toEqual({ ...withDefaults(SEND, head), type: 'send' });
        expect(frame.readUInt16BE(commandEnd)).toBe(0x0e01);
        expect(frame.readUInt32BE(commandEnd + 2)).toBe(crc32c(frame.subarray(commandEnd + 6)));
        const metadataEnd = commandEnd + 10 + frame.readUInt32BE(commandEnd + 6);
        expect(decoded(METADATA, frame.subarray(commandEnd + 10, metadataEnd))).toEqual(metadata);
        expect(frame.subarray(metadataEnd).equals(payload)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('keeps what it made, whatever is made afterwards', () => {
    const send = (i: number): Uint8Array =>
      encodeSend(
        { producerId: 1, sequenceId: i },
        { producerName: 'p', sequenceId: i, publishTime: 0 },
        Buffer.alloc(i, i),
      );
    const frames = Array.from({ length: 300 }, (_, i) => send(i));
    for (let i = 0; i < 300; i++) expect(Buffer.from(frames[i]!).equals(send(i))).toBe(true);
    const properties = { long: 'x'.repeat(300_000) };
    const large = encodeSend(
      { producerId: 1, sequenceId: 1 },
      { producerName: 'p', sequenceId: 1, publishTime: 0, properties },
      Buffer.alloc(0),
    );
    expect(decodeFrame(Buffer.from(large)).message).toMatchObject({ isIntact: true, metadata: { properties } });
    expect(Buffer.from(send(7)).equals(frames[7]!)).toBe(true);
  });
});

describe('decodeFrame', () => {
  it('reads all parts, with or without those that may be left out', () => {
    fc.assert(
      fc.property(parts, ({ entry, metadata, payload, hasChecksum }) => {
        const frame = frameOf({
          entry: entry && encoded(ENTRY, entry),
          metadata: encoded(METADATA, metadata),
          payload,
          hasChecksum,
        });
        const { command, message: read } = decodeFrame(frame);
        expect(command).toMatchObject(message);
        expect(read!.isIntact).toBe(true);
        expect(read!.brokerEntry).toEqual(entry);
        expect(read!.metadata).toEqual(withDefaults(METADATA, metadata, 'numMessagesInBatch'));
        expect(read!.payload.equals(payload)).toBe(true);
        if (payload.length > 0) expect(read!.payload.buffer).toBe(frame.buffer);
      }),
      { numRuns: 200 },
    );
  });

  it('sees every wrong bit behind the checksum, and reads on where it can', () => {
    const frame = frameOf({
      metadata: encoded(METADATA, { producerName: 'p', sequenceId: 1, publishTime: 2 }),
      payload: Buffer.from('payload'),
    });
    const from = 8 + frame.readUInt32BE(4) + 2;
    let unread = 0;
    for (let bit = from * 8; bit < frame.length * 8; bit++) {
      const broken = Buffer.from(frame);
      broken[bit >> 3]! ^= 1 << (bit & 7);
      const { message: read } = decodeFrame(broken);
      expect(read!.isIntact, `bit ${bit}`).toBe(false);
      if (read!.metadata === null) {
        unread++;
        expect(read!.payload).toHaveLength(0);
      }
    }
    expect(unread).toBeGreaterThan(20);
  });

  it('has no metadata where they cannot be read, though the checksum is right', () => {
    for (const metadata of ['', '0a0170', '0a01701000', 'ff', '0a0170100018ffffffffffffff7e']) {
      const { message: read } = decodeFrame(
        frameOf({ metadata: Buffer.from(metadata, 'hex'), payload: Buffer.from('x') }),
      );
      expect(read, metadata).toMatchObject({ isIntact: false, metadata: null, payload: Buffer.alloc(0) });
    }
  });

  it('has no message for other commands', () => {
    expect(decodeFrame(Buffer.from(encodeCommand({ type: 'ping' })))).toEqual({
      command: { type: 'ping' },
      message: undefined,
    });
  });

  it('refuses what is no frame', () => {
    const frame = frameOf({ entry: encoded(ENTRY, { index: 1 }), metadata: Buffer.alloc(0), payload: Buffer.alloc(0) });
    const commandEnd = 8 + frame.readUInt32BE(4);
    const changed = (change: (bytes: Buffer) => unknown): Buffer => {
      const bytes = Buffer.from(frame);
      change(bytes);
      return bytes;
    };
    for (const [what, bytes] of [
      ['empty', Buffer.alloc(0)],
      ['sizes only in part', Buffer.from('0000000400', 'hex')],
      ['another size than it has', changed(bytes => bytes.writeUInt32BE(frame.length, 0))],
      ['a command that is longer than it', changed(bytes => bytes.writeUInt32BE(frame.length, 4))],
      ['what the broker adds, longer than it', changed(bytes => bytes.writeUInt32BE(2 ** 32 - 1, commandEnd + 2))],
      ['what the broker adds, unreadable', changed(bytes => bytes.fill(0xff, commandEnd + 6, commandEnd + 8))],
    ] as const)
      expect(() => decodeFrame(bytes), what).toThrow(WireFault);
    // Cut off anywhere behind the command, with its size right: refused, or not intact.
    for (let end = commandEnd; end < frame.length; end++) {
      const cut = Buffer.from(frame.subarray(0, end));
      cut.writeUInt32BE(end - 4);
      try {
        expect(decodeFrame(cut).message).toMatchObject({ isIntact: false });
      } catch (error) {
        expect(error).toBeInstanceOf(WireFault);
      }
    }
  });
});
