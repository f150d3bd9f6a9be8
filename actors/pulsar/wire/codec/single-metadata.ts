/** What stands before the payload of each message of a batch (SingleMessageMetadata, reference/pulsar.md 3.3). The numbers are tags. */
import { Pairs } from './pairs.ts';
import { absent, Reader } from './reader.ts';
import { Writer } from './writer.ts';

/** Read with the defaults of the reference. */
export interface SingleMessageMetadata {
  readonly properties?: Readonly<Record<string, string>> | undefined;
  readonly partitionKey?: string | undefined;
  /** Bytes. */
  readonly payloadSize: number;
  readonly compactedOut?: boolean | undefined;
  /** ms since 1970; 0 for none. */
  readonly eventTime?: number | undefined;
  readonly partitionKeyB64Encoded?: boolean | undefined;
  readonly orderingKey?: Uint8Array | undefined;
  readonly sequenceId?: number | undefined;
  readonly nullValue?: boolean | undefined;
  readonly nullPartitionKey?: boolean | undefined;
}

export function encodeSingleMessageMetadata(single: SingleMessageMetadata): Uint8Array {
  const writer = new Writer(64);
  writer.pairsField(10, single.properties);
  writer.textField(18, single.partitionKey);
  writer.longField(24, single.payloadSize);
  writer.boolField(32, single.compactedOut);
  writer.longField(40, single.eventTime);
  writer.boolField(48, single.partitionKeyB64Encoded);
  writer.bytesField(58, single.orderingKey);
  writer.longField(64, single.sequenceId);
  writer.boolField(72, single.nullValue);
  writer.boolField(80, single.nullPartitionKey);
  return writer.taken();
}

/** Throws a WireFault. */
export function decodeSingleMessageMetadata(bytes: Uint8Array, from: number, to: number): SingleMessageMetadata {
  return readSingleMessageMetadata(new Reader(bytes, from, to));
}

/** Up to the end. Throws a WireFault. */
export function readSingleMessageMetadata(reader: Reader): SingleMessageMetadata {
  let properties: Record<string, string> | undefined;
  let partitionKey: string | undefined;
  let payloadSize: number | undefined;
  let compactedOut = false;
  let eventTime = 0;
  let partitionKeyB64Encoded = false;
  let orderingKey: Uint8Array | undefined;
  let sequenceId: number | undefined;
  let nullValue = false;
  let nullPartitionKey = false;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag())
    switch (tag) {
      case 10:
        reader.pair((properties ??= new Pairs<string>()));
        break;
      case 18:
        partitionKey = reader.text();
        break;
      case 24:
        payloadSize = reader.int();
        break;
      case 32:
        compactedOut = reader.bool();
        break;
      case 40:
        eventTime = reader.long();
        break;
      case 48:
        partitionKeyB64Encoded = reader.bool();
        break;
      case 58:
        orderingKey = reader.copy();
        break;
      case 64:
        sequenceId = reader.long();
        break;
      case 72:
        nullValue = reader.bool();
        break;
      case 80:
        nullPartitionKey = reader.bool();
        break;
      default:
        reader.skip(tag);
    }
  if (payloadSize === undefined) throw absent('payloadSize');
  return {
    properties,
    partitionKey,
    payloadSize,
    compactedOut,
    eventTime,
    partitionKeyB64Encoded,
    orderingKey,
    sequenceId,
    nullValue,
    nullPartitionKey,
  };
}
