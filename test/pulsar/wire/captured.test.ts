/** Frames that a real broker and the official client sent each other (test/support/pulsar-peer-capture.ts). */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { readBatch } from '../../../actors/pulsar/wire/codec/batch.ts';
import { COMPRESSIONS, type Command, encodeCommand } from '../../../actors/pulsar/wire/codec/commands.ts';
import { decompress } from '../../../actors/pulsar/wire/codec/compression.ts';
import { decodeFrame, encodeSend } from '../../../actors/pulsar/wire/codec/frames.ts';

interface Captured {
  readonly name: string;
  readonly from: 'client' | 'broker';
  readonly note: string;
  readonly hex: string;
}

const captured = JSON.parse(readFileSync(new URL('captured.json', import.meta.url), 'utf8')) as readonly Captured[];

it.each(captured.map(one => [`${one.name} of the ${one.from}: ${one.note}`, one.hex] as const))('%s', (_name, hex) => {
  const frame = Buffer.from(hex, 'hex');
  const { command, message } = decodeFrame(frame);
  expect(command.type).not.toBe('unknown');
  if (!message) {
    expect(decodeFrame(Buffer.from(encodeCommand(command as Command)))).toEqual({ command, message: undefined });
    return;
  }
  const { metadata, payload } = message;
  expect(message.isIntact).toBe(true);
  const { compression = 0, uncompressedSize = 0, numMessagesInBatch } = metadata!;
  const isEncrypted = metadata!.encryptionKeys !== undefined;
  if (!isEncrypted) {
    const body = decompress(COMPRESSIONS[compression]!, payload, uncompressedSize, 5_000_000);
    let read = 0;
    if (numMessagesInBatch !== undefined) {
      readBatch(body, numMessagesInBatch, () => read++);
      expect(read).toBe(numMessagesInBatch);
    }
  }
  if (command.type !== 'send') return;
  expect(decodeFrame(Buffer.from(encodeSend(command, metadata!, payload)))).toEqual({ command, message });
});
