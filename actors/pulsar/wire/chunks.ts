/** Puts messages together that came in chunks (reference/pulsar.md 2.5, pitfall 40). What stays incomplete is forgotten. */
import type { MessageMetadata } from './codec/metadata.ts';
import type { EntryId } from './held.ts';

interface Growing {
  readonly parts: { readonly id: EntryId; readonly payload: Buffer }[];
  bytes: number;
}

export interface Whole {
  readonly metadata: MessageMetadata;
  readonly payload: Buffer;
  /** Entries of all chunks but the last. */
  readonly parts: readonly EntryId[];
}

/** Messages that may be incomplete at a time. */
const MOST = 10;
/** Largest message in chunks. */
const MAX_BYTES = 256 * 1024 * 1024;
const NO_PARTS: readonly EntryId[] = [];

export class Chunks {
  readonly #growing = new Map<string, Growing>();

  /** The whole message, or null while parts of it are missing. */
  add(metadata: MessageMetadata, id: EntryId, payload: Buffer): Whole | null {
    const { uuid, chunkId = 0, numChunksFromMsg = 1, totalChunkMsgSize = 0 } = metadata;
    if (uuid === undefined || numChunksFromMsg <= 1) return { metadata, payload, parts: NO_PARTS };
    if (totalChunkMsgSize > MAX_BYTES) throw new Error(`a message in chunks of ${totalChunkMsgSize} bytes`);
    let growing = this.#growing.get(uuid);
    if (chunkId === 0) {
      growing = { parts: [], bytes: 0 };
      this.#growing.delete(uuid);
      this.#growing.set(uuid, growing);
      if (this.#growing.size > MOST) this.#growing.delete(this.#growing.keys().next().value!);
    }
    if (!growing || growing.parts.length !== chunkId) return null; // a part is missing, or came twice
    growing.parts.push({ id, payload: Buffer.from(payload) });
    growing.bytes += payload.length;
    if (growing.bytes > totalChunkMsgSize) throw new Error(`more than the ${totalChunkMsgSize} bytes it was to have`);
    if (chunkId < numChunksFromMsg - 1) return null;
    this.#growing.delete(uuid);
    const whole = Buffer.concat(growing.parts.map(part => part.payload));
    if (whole.length !== totalChunkMsgSize) throw new Error(`${whole.length} bytes of ${totalChunkMsgSize}`);
    return { metadata, payload: whole, parts: growing.parts.slice(0, -1).map(part => part.id) };
  }

  clear(): void {
    this.#growing.clear();
  }
}
