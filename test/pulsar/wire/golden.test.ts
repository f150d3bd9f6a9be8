/** The frames of reference/pulsar.md 2.10, both ways. */
import { describe, expect, it } from 'vitest';
import { BatchWriter, readBatch } from '../../../actors/pulsar/wire/codec/batch.ts';
import { type Command, encodeCommand } from '../../../actors/pulsar/wire/codec/commands.ts';
import { decodeFrame, encodeSend } from '../../../actors/pulsar/wire/codec/frames.ts';

const CONNECT = {
  type: 'connect',
  clientVersion: 'ts-client',
  protocolVersion: 19,
  authMethodName: 'none',
  featureFlags: { supportsAuthRefresh: true, supportsBrokerEntryMetadata: true },
} as const;
const PUBLISH_TIME = 1_700_000_000_000;
const BATCH =
  '0e01b0b2a742000000110a017010001880d095ffbc315802c001010000000712016b1805400068656c6c6f0000000418064001776f726c6421';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const frameOf = (text: string): ReturnType<typeof decodeFrame> => decodeFrame(Buffer.from(text, 'hex'));

/** Field order is free, so that of connect, which the reference does not keep to, is compared when read. */
describe('commands', () => {
  it.each<[string, Command, string]>([
    ['PING', { type: 'ping' }, '00000009000000050812920100'],
    ['PONG', { type: 'pong' }, '000000090000000508139a0100'],
    ['CONNECT', CONNECT, '000000210000001d080212190a0974732d636c69656e7420132a046e6f6e65520408011001'],
    [
      'CONNECT through a proxy',
      {
        ...CONNECT,
        authMethodName: 'token',
        authData: new TextEncoder().encode('tok'),
        proxyToBrokerUrl: 'broker-1:6650',
      },
      '00000036000000320802122e0a0974732d636c69656e741a03746f6b20132a05746f6b656e320d62726f6b65722d313a36363530520408011001',
    ],
    [
      'LOOKUP',
      { type: 'lookupTopic', topic: 'persistent://public/default/t', requestId: 1, authoritative: false },
      '0000002c000000280817ba01230a1d70657273697374656e743a2f2f7075626c69632f64656661756c742f7410011800',
    ],
    [
      'PARTITIONED_METADATA',
      { type: 'partitionMetadata', topic: 'persistent://public/default/t', requestId: 0 },
      '0000002a000000260815aa01210a1d70657273697374656e743a2f2f7075626c69632f64656661756c742f741000',
    ],
    ['FLOW', { type: 'flow', consumerId: 1, messagePermits: 1000 }, '0000000d00000009080b5a05080110e807'],
  ])('%s', (_name, command, bytes) => {
    expect(frameOf(bytes).command).toMatchObject(command);
    expect(hex(encodeCommand(command))).toBe(bytes);
  });
});

describe('messages', () => {
  const single = '000000290000000a080632060801100018010e01cf85822f0000000c0a017010001880d095ffbc3168656c6c6f';
  const batch = `000000490000000c080632080801100018023001${BATCH}`;
  const received = `000000580000000c08094a0808071204080a10030e020000000908fbd095ffbc311029${BATCH}`;
  const metadata = { producerName: 'p', sequenceId: 0, publishTime: PUBLISH_TIME };
  const ofBatch = { ...metadata, numMessagesInBatch: 2, highestSequenceId: 1 };

  const messagesOf = (frame: string): unknown[] => {
    const seen: unknown[] = [];
    readBatch(frameOf(frame).message!.payload, 2, (index, { partitionKey, sequenceId, nullValue }, payload) =>
      seen.push([index, partitionKey, sequenceId, nullValue, payload?.toString()]),
    );
    return seen;
  };
  const both = [
    [0, 'k', 0, false, 'hello'],
    [1, undefined, 1, false, 'world!'],
  ];

  it('SEND of one', () => {
    const { command, message } = frameOf(single);
    expect(command).toMatchObject({ type: 'send', producerId: 1, sequenceId: 0, numMessages: 1 });
    expect(message).toMatchObject({ isIntact: true, metadata, payload: Buffer.from('hello') });
    expect(message!.metadata!.numMessagesInBatch).toBeUndefined();
    expect(hex(encodeSend({ producerId: 1, sequenceId: 0, numMessages: 1 }, metadata, Buffer.from('hello')))).toBe(
      single,
    );
  });

  it('SEND of a batch', () => {
    const { command, message } = frameOf(batch);
    expect(command).toMatchObject({ type: 'send', producerId: 1, numMessages: 2, highestSequenceId: 1 });
    expect(message).toMatchObject({ isIntact: true, metadata: ofBatch, brokerEntry: undefined });
    expect(messagesOf(batch)).toEqual(both);
    const writer = new BatchWriter();
    writer.add({ key: 'k', sequenceId: 0 }, 'hello');
    writer.add({ sequenceId: 1 }, Buffer.from('world!'));
    const head = { producerId: 1, sequenceId: 0, numMessages: 2, highestSequenceId: 1 };
    expect(hex(encodeSend(head, ofBatch, writer.take()))).toBe(batch);
  });

  it('MESSAGE with what the broker adds', () => {
    const { command, message } = frameOf(received);
    expect(command).toMatchObject({
      type: 'message',
      consumerId: 7,
      messageId: { ledgerId: 10, entryId: 3, partition: -1, batchIndex: -1 },
      redeliveryCount: 0,
      ackSet: undefined,
    });
    expect(message).toMatchObject({
      isIntact: true,
      metadata: ofBatch,
      brokerEntry: { brokerTimestamp: 1_700_000_000_123, index: 41 },
    });
    expect(messagesOf(received)).toEqual(both);
  });
});
