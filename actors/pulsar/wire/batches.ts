/**
 * The open batches of a producer: one for each key, or a single one (P3). With a batch a key, everything of a Key_Shared
 * subscription that has one key is with one consumer; batches then leave in the order of their first messages.
 * What is added is written at once, so the caller may change its bytes afterwards.
 */
import { BatchWriter } from './codec/batch.ts';
import type { Prepared } from './prepared.ts';

export class OpenBatch {
  readonly messages: Prepared[] = [];
  readonly first: number;
  highest: number;
  readonly writer: BatchWriter;

  constructor(writer: BatchWriter, first: number) {
    this.writer = writer;
    this.first = this.highest = first;
  }

  /** All of it; or for a single message its payload as it is, null for a tombstone. Valid until the writer is used again. */
  take(): { readonly payload: Uint8Array; readonly isNull: boolean } {
    const bytes = this.writer.take();
    if (this.messages.length > 1) return { payload: bytes, isNull: false };
    const head = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    return { payload: bytes.subarray(4 + head), isNull: this.messages[0]!.payload === null };
  }
}

/** Writers that are kept for the next batches. */
const KEPT_WRITERS = 64;

export class Batches {
  readonly #byKey: boolean;
  #open = new Map<string, OpenBatch>();
  readonly #writers: BatchWriter[] = [];
  count = 0;
  bytes = 0;

  constructor(byKey: boolean) {
    this.#byKey = byKey;
  }

  add(message: Prepared, sequenceId: number): void {
    const name = this.#nameOf(message);
    let batch = this.#open.get(name);
    if (!batch) {
      batch = new OpenBatch(this.#writers.pop() ?? new BatchWriter(), sequenceId);
      this.#open.set(name, batch);
    }
    const { key, orderingKey, properties, eventTime, payload } = message;
    batch.writer.add(
      {
        key,
        orderingKey: orderingKey === undefined ? undefined : Buffer.from(orderingKey),
        properties,
        eventTime,
        sequenceId,
      },
      payload,
    );
    batch.messages.push(message);
    batch.highest = sequenceId;
    this.count++;
    this.bytes += message.size;
  }

  /** All of them, in the order of their first messages; none is open afterwards. */
  take(): Iterable<OpenBatch> {
    const open = this.#open;
    this.#open = new Map();
    this.count = 0;
    this.bytes = 0;
    return open.values();
  }

  giveBack({ writer }: OpenBatch): void {
    if (this.#writers.length < KEPT_WRITERS) this.#writers.push(writer);
  }

  /** Whether a message of this key would be in another batch than all that is open. */
  isOfAnother(message: Prepared): boolean {
    return this.#open.size > 0 && !(this.#open.size === 1 && this.#open.has(this.#nameOf(message)));
  }

  #nameOf({ key, orderingKey }: Prepared): string {
    return this.#byKey ? (orderingKey ?? key ?? '') : '';
  }
}
