/** The payload of a batch: for each message the size of its metadata, the metadata, the payload (reference/pulsar.md 2.1). */
import { WireFault } from './fault.ts';
import { Reader } from './reader.ts';
import { readSingleMessageMetadata, type SingleMessageMetadata } from './single-metadata.ts';
import { Writer } from './writer.ts';

/** What a message of a batch may have of its own. */
export interface BatchMessage {
  readonly key?: string | undefined;
  readonly orderingKey?: Uint8Array | undefined;
  readonly properties?: Readonly<Record<string, string>> | undefined;
  /** ms since 1970; fractions are cut off. */
  readonly eventTime?: number | undefined;
  readonly sequenceId?: number | undefined;
  /** A tombstone, as a null payload is. */
  readonly isNull?: boolean | undefined;
}

/** Of the size of the metadata. */
const SIZE_BYTES = 4;
const FIRST_BYTES = 16 * 1024;
/** A writer that grew beyond this for a batch of large messages does not stay so large. */
const KEPT_BYTES = 512 * 1024;

/** Longer text is measured, shorter is taken for ASCII until it is written. */
const MEASURED_TEXT = 1024;

/** Tags of SingleMessageMetadata. */
const PROPERTIES = 10;
const KEY = 18;
const PAYLOAD_SIZE = 24;
const EVENT_TIME = 40;
const ORDERING_KEY = 58;
const SEQUENCE_ID = 64;
const NULL_VALUE = 72;

export class BatchWriter {
  #writer = new Writer(FIRST_BYTES);
  #count = 0;
  /** Where the last message ends; behind it lies at most what an add that threw has left. */
  #end = 0;

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#end;
  }

  /** Copies all that it is given. Throws a WireFault for a number that has no form on the wire; nothing is added then. */
  add(single: BatchMessage, payload: Uint8Array | string | null): void {
    const isNull = payload === null || single.isNull === true;
    const body = isNull ? null : payload;
    let size = body === null ? 0 : body.length;
    if (typeof body === 'string' && size > MEASURED_TEXT) size = Buffer.byteLength(body);
    const written = this.#write(single, body, size);
    // Text that is not ASCII has more bytes than characters.
    if (written !== size) this.#write(single, body, written);
    this.#end = this.#writer.at;
    this.#count++;
  }

  /** Writes a message whose payload is expected to have so many bytes. Returns how many it has. */
  #write(single: BatchMessage, payload: Uint8Array | string | null, size: number): number {
    const writer = this.#writer;
    const start = this.#end;
    writer.at = start + SIZE_BYTES;
    writer.pairsField(PROPERTIES, single.properties);
    writer.textField(KEY, single.key);
    writer.longField(PAYLOAD_SIZE, size);
    writer.longField(EVENT_TIME, single.eventTime);
    writer.bytesField(ORDERING_KEY, single.orderingKey);
    writer.longField(SEQUENCE_ID, single.sequenceId);
    if (payload === null) writer.boolField(NULL_VALUE, true);
    writer.setUint32(writer.at - start - SIZE_BYTES, start);
    if (payload === null) return 0;
    return typeof payload === 'string' ? writer.text(payload) : writer.raw(payload);
  }

  /** All of it, as a view that the next `add` overwrites. Nothing is in it afterwards. */
  take(): Uint8Array {
    const payload = this.#writer.bytes.subarray(0, this.#end);
    if (this.#writer.bytes.length > KEPT_BYTES) this.#writer = new Writer(FIRST_BYTES);
    this.#count = 0;
    this.#end = 0;
    return payload;
  }
}

/**
 * Visits the messages of an uncompressed batch in order; a payload is a view, and null for a tombstone. Throws a WireFault for
 * sizes that are impossible, after it visited those before.
 */
export function readBatch(
  payload: Buffer,
  count: number,
  visit: (index: number, single: SingleMessageMetadata, payload: Buffer | null) => void,
): void {
  const reader = new Reader(payload, 0, payload.length);
  const { length } = payload;
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (at + SIZE_BYTES > length) throw new WireFault(`a batch of ${count} messages ends after ${index}`);
    reader.at = at + SIZE_BYTES;
    reader.end = reader.at + payload.readUInt32BE(at);
    if (reader.end > length) throw new WireFault(`message ${index} of a batch begins with more than there is`);
    const single = readSingleMessageMetadata(reader);
    const from = reader.end;
    // Some say -1 of a tombstone.
    const size = single.nullValue === true ? Math.max(0, single.payloadSize) : single.payloadSize;
    at = from + size;
    if (size < 0 || at > length)
      throw new WireFault(`message ${index} of a batch has ${size} bytes where ${length - from} are left`);
    visit(index, single, single.nullValue === true ? null : payload.subarray(from, at));
  }
}
