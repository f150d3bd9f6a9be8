/** What a broker puts before an entry, outside its checksum (reference/pulsar.md 2.1, 3.3). */
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

export interface BrokerEntryMetadata {
  /** ms since 1970. */
  readonly brokerTimestamp?: number | undefined;
  /** Of the entry's last message, counted in the topic. */
  readonly index?: number | undefined;
}

export function encodeBrokerEntryMetadata(entry: BrokerEntryMetadata): Uint8Array {
  const writer = new Writer(32);
  writer.longField(8, entry.brokerTimestamp);
  writer.longField(16, entry.index);
  return writer.taken();
}

/** Throws a WireFault. */
export function decodeBrokerEntryMetadata(bytes: Uint8Array, from: number, to: number): BrokerEntryMetadata {
  const reader = new Reader(bytes, from, to);
  let brokerTimestamp: number | undefined;
  let index: number | undefined;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    if (tag === 8) brokerTimestamp = reader.long();
    else if (tag === 16) index = reader.long();
    else reader.skip(tag);
  return { brokerTimestamp, index };
}
