/** Bytes of any kind are read, or refused with a WireFault, and in little time; nothing else ever happens. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BatchWriter, readBatch } from '../../../actors/pulsar/wire/codec/batch.ts';
import { decodeCommand } from '../../../actors/pulsar/wire/codec/commands.ts';
import { decompress } from '../../../actors/pulsar/wire/codec/compression.ts';
import { COMPRESSIONS } from '../../../actors/pulsar/wire/codec/enums.ts';
import { WireFault } from '../../../actors/pulsar/wire/codec/fault.ts';
import { decodeFrame, encodeSend, FrameSplitter } from '../../../actors/pulsar/wire/codec/frames.ts';
import {
  decodeBrokerEntryMetadata,
  decodeMessageMetadata,
  decodeSingleMessageMetadata,
} from '../../../actors/pulsar/wire/codec/metadata.ts';
import { anyOf, COMMAND_TYPES, encoded, typeOf } from './protocol.ts';

/** Far above what any of these takes, and far below what a loop without end would. */
const MAX_MS = 2000;

function survives(read: () => unknown): void {
  const start = performance.now();
  try {
    read();
  } catch (error) {
    if (!(error instanceof WireFault)) throw error;
  }
  expect(performance.now() - start).toBeLessThan(MAX_MS);
}

const READERS: Readonly<Record<string, (bytes: Buffer) => unknown>> = {
  decodeCommand: bytes => decodeCommand(bytes, 0, bytes.length),
  decodeMessageMetadata: bytes => decodeMessageMetadata(bytes, 0, bytes.length),
  decodeSingleMessageMetadata: bytes => decodeSingleMessageMetadata(bytes, 0, bytes.length),
  decodeBrokerEntryMetadata: bytes => decodeBrokerEntryMetadata(bytes, 0, bytes.length),
  decodeFrame,
  readBatch: bytes => readBatch(bytes, 1000, () => undefined),
  split: bytes => {
    const splitter = new FrameSplitter(10_000);
    splitter.push(bytes);
    for (let frame = splitter.next(); frame; frame = splitter.next()) decodeFrame(frame);
  },
};

const changes = fc.array(
  fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('set', 'insert', 'remove', 'repeat'),
    bytes: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 10 }),
      fc.constantFrom(
        Uint8Array.of(255),
        Uint8Array.of(128),
        new Uint8Array(10).fill(255),
        Uint8Array.of(255, 255, 255, 127),
      ),
    ),
  }),
  { minLength: 1, maxLength: 4 },
);

function changed(bytes: Buffer, how: typeof changes extends fc.Arbitrary<infer T> ? T : never): Buffer {
  let now = Buffer.from(bytes);
  for (const { at: place, kind, bytes: by } of how) {
    const at = now.length === 0 ? 0 : place % now.length;
    const tail = now.subarray(kind === 'insert' ? at : kind === 'repeat' ? at >> 1 : at + by.length);
    now = Buffer.concat(
      [now.subarray(0, at), kind === 'remove' ? '' : by, tail].filter(part => typeof part !== 'string'),
    );
  }
  return now;
}

it.each(Object.entries(READERS))('any bytes: %s', (_name, read) => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ maxLength: 1500, size: 'max' })), bytes =>
      survives(() => read(Buffer.from(bytes))),
    ),
    { numRuns: 2000 },
  );
});

it('any bytes where a command is', () => {
  const numbers = [...COMMAND_TYPES.values()].map(({ number }) => number);
  fc.assert(
    fc.property(fc.constantFrom(...numbers), fc.uint8Array({ maxLength: 127 }), (number, body) => {
      const tag = number * 8 + 2;
      const field = tag < 128 ? [tag] : [(tag & 127) | 128, tag >> 7];
      const bytes = Buffer.from([8, number, ...field, body.length, ...body]);
      survives(() => decodeCommand(bytes, 0, bytes.length));
    }),
    { numRuns: 5000 },
  );
});

it('every command, changed', () => {
  const any = fc.constantFrom(...COMMAND_TYPES.values()).chain(({ number, type }) =>
    fc.tuple(
      fc.constant(number),
      anyOf(type).map(value => encoded(type, value)),
    ),
  );
  const base = typeOf('BaseCommand');
  fc.assert(
    fc.property(any, changes, ([number, body], how) => {
      const bytes = Buffer.from(
        base
          .encode({ type: number })
          .uint32(number * 8 + 2)
          .bytes(changed(body, how))
          .finish(),
      );
      survives(() => decodeCommand(bytes, 0, bytes.length));
      survives(() => decodeCommand(changed(bytes, how), 0, bytes.length));
    }),
    { numRuns: 3000 },
  );
});

it('a frame with a batch, changed', () => {
  const writer = new BatchWriter();
  for (let i = 0; i < 20; i++)
    writer.add({ key: `k${i}`, sequenceId: i, properties: { a: 'b' } }, i % 5 ? 'payload' : null);
  const metadata = { producerName: 'p', sequenceId: 0, publishTime: 1, numMessagesInBatch: 20, properties: { x: 'y' } };
  const frame = Buffer.from(encodeSend({ producerId: 1, sequenceId: 0, numMessages: 20 }, metadata, writer.take()));
  let intact = 0;
  fc.assert(
    fc.property(changes, fc.boolean(), (how, fixesSize) => {
      const bytes = changed(frame, how);
      if (fixesSize && bytes.length > 4) bytes.writeUInt32BE(bytes.length - 4);
      survives(() => {
        const { message } = decodeFrame(bytes);
        if (message?.isIntact) intact++;
        if (message?.metadata) readBatch(message.payload, message.metadata.numMessagesInBatch ?? 1, () => undefined);
      });
      survives(() => READERS['split']!(bytes));
    }),
    { numRuns: 3000 },
  );
  expect(intact).toBeLessThan(3000);
});

it('any bytes that say they are compressed', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...COMPRESSIONS),
      fc.uint8Array({ maxLength: 200 }),
      fc.nat(5000),
      (codec, bytes, size) => survives(() => decompress(codec, bytes, size, 4000)),
    ),
    { numRuns: 3000 },
  );
});

it('five megabytes made to be slow', () => {
  const size = 5_000_000;
  const base = (number: number, body: Buffer): Buffer => {
    const head = typeOf('BaseCommand')
      .encode({ type: number })
      .uint32(number * 8 + 2)
      .uint32(body.length);
    return Buffer.concat([head.finish(), body]);
  };
  const repeated = (hex: string): Buffer => {
    const one = Buffer.from(hex, 'hex');
    return Buffer.alloc(Math.floor(size / one.length) * one.length, one);
  };
  for (const body of [
    repeated('3a00'), // ids within ids
    repeated('2000'), // words one by one
    repeated('0a00'), // text
    repeated('1204080a1003'), // ids
    repeated('5200'), // properties
    repeated('120a0a01ff120500000000ff'),
    repeated('ff'),
    repeated('80'),
    repeated('5a80808080808080808000'), // fields that are not known
    Buffer.concat([Buffer.from('22c096b102', 'hex'), Buffer.alloc(size - 10)]), // words in one piece
  ])
    for (const number of [4, 9, 10, 20, 33])
      survives(() => decodeCommand(base(number, body), 0, base(number, body).length));
  for (const one of ['2200', '22060a0161120162', '3a00', 'f801', '6a00', '0a060a0161120162'])
    survives(() => decodeMessageMetadata(repeated(one), 0, repeated(one).length));
  survives(() => readBatch(repeated('000000021800'), 2 ** 31 - 1, () => undefined));
});
