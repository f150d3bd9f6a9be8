/** Packets and the messages that are cut into them (reference 3.1). */
import { TdsFault } from './bytes.ts';

export const PACKET = {
  batch: 0x01,
  rpc: 0x03,
  response: 0x04,
  attention: 0x06,
  bulk: 0x07,
  transaction: 0x0e,
  login: 0x10,
  prelogin: 0x12,
} as const;

export const HEADER_BYTES = 8;
/** The largest packet that a client may ask for, and the smallest. */
const MAX_PACKET_BYTES = 32_767;
const MIN_PACKET_BYTES = 512;

const END = 0x01;
const IGNORE = 0x02;
const RESET = 0x08;
const RESET_KEEPING_TRANSACTION = 0x10;
const KNOWN: ReadonlySet<number> = new Set(Object.values(PACKET));

/** A whole message of a client. */
export interface Message {
  readonly type: number;
  readonly payload: Buffer;
  /** The client gave it up before it was sent: it is answered, not done. */
  readonly isIgnored: boolean;
  /** The session is to be as new before the request; with `keep` its transaction stays. */
  readonly resets: 'no' | 'all' | 'keep';
}

/** Puts messages together. Whatever comes is either one, or throws a TdsFault, or waits for more. */
export class MessageReader {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #length = 0;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #type = 0;
  #status = 0;

  /** `maxBytes`: of a message. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** The next message that is whole; null where more must come. An attention ends a message that was not whole. */
  next(): Message | null {
    for (let packet = this.#packet(); packet !== null; packet = this.#packet()) {
      const type = packet[0]!;
      const status = packet[1]!;
      if (this.#parts.length > 0 && type !== this.#type) {
        if (type !== PACKET.attention) throw new TdsFault(`a packet of type ${type} within a message of ${this.#type}`);
        this.#drop();
      }
      if (this.#parts.length === 0) this.#status = 0;
      this.#type = type;
      this.#status |= status;
      this.#parts.push(packet.subarray(HEADER_BYTES));
      this.#partBytes += packet.length;
      if (this.#partBytes > this.#maxBytes) throw new TdsFault(`a message of more than ${this.#maxBytes} bytes`);
      if (status & END) return this.#message();
    }
    return null;
  }

  /** Whether a message begins here whose first byte is one of these, so that it is none. */
  isAtRecord(first: number, last: number): boolean {
    const byte = this.#chunks[0]?.[0];
    return this.#parts.length === 0 && byte !== undefined && byte >= first && byte <= last;
  }

  /** What came and was not used, e.g. what follows the last plain message. */
  takeRest(): Buffer {
    const rest = this.#joined();
    this.#chunks = [];
    this.#length = 0;
    return rest;
  }

  #message(): Message {
    const payload = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    const status = this.#status;
    this.#drop();
    return {
      type: this.#type,
      payload,
      isIgnored: (status & IGNORE) !== 0,
      resets: status & RESET_KEEPING_TRANSACTION ? 'keep' : status & RESET ? 'all' : 'no',
    };
  }

  #drop(): void {
    this.#parts = [];
    this.#partBytes = 0;
  }

  #packet(): Buffer | null {
    if (this.#length < HEADER_BYTES) return null;
    if (this.#chunks[0]!.length < HEADER_BYTES) this.#chunks = [this.#joined()];
    const head = this.#chunks[0]!;
    const type = head[0]!;
    const length = head.readUInt16BE(2);
    if (!KNOWN.has(type)) throw new TdsFault(`a packet of type ${type}`);
    if (length < HEADER_BYTES || length > MAX_PACKET_BYTES) throw new TdsFault(`a packet of ${length} bytes`);
    if (this.#length < length) return null;
    const all = head.length < length ? this.#joined() : head;
    const packet = all.subarray(0, length);
    const rest = all.subarray(length);
    const others = all === head ? this.#chunks.slice(1) : [];
    this.#chunks = rest.length > 0 ? [rest, ...others] : others;
    this.#length -= length;
    return packet;
  }

  #joined(): Buffer {
    return this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
  }
}

/** The size of packets that a client gets who asked for one: within what the protocol allows, and 4096 for none. */
export const packetBytesFor = (asked: number): number =>
  asked === 0 ? 4096 : Math.min(Math.max(asked, MIN_PACKET_BYTES), MAX_PACKET_BYTES);

/** Cuts one message of the server's into packets. */
export class PacketWriter {
  readonly #payloadBytes: number;
  readonly #type: number;
  readonly #spid: number;
  #id = 0;

  constructor(payloadBytes: number, spid: number, type: number = PACKET.response) {
    this.#payloadBytes = payloadBytes;
    this.#spid = spid;
    this.#type = type;
  }

  /** How many of so many bytes `cut` would take before the message ends: whole packets, and never the last byte. */
  ready(length: number): number {
    return length <= this.#payloadBytes ? 0 : Math.floor((length - 1) / this.#payloadBytes) * this.#payloadBytes;
  }

  /** All of `payload` in packets, the last of which ends the message if `isEnd`. */
  cut(payload: Buffer, isEnd: boolean): Buffer {
    const step = this.#payloadBytes;
    const count = Math.max(1, Math.ceil(payload.length / step));
    const out = Buffer.allocUnsafe(payload.length + count * HEADER_BYTES);
    let to = 0;
    for (let index = 0; index < count; index++) {
      const from = index * step;
      const length = Math.min(step, payload.length - from);
      this.#id = (this.#id + 1) & 0xff;
      out[to] = this.#type;
      out[to + 1] = isEnd && index === count - 1 ? END : 0;
      out.writeUInt16BE(length + HEADER_BYTES, to + 2);
      out.writeUInt16BE(this.#spid, to + 4);
      out[to + 6] = this.#id;
      out[to + 7] = 0;
      payload.copy(out, to + HEADER_BYTES, from, from + length);
      to += length + HEADER_BYTES;
    }
    return out;
  }
}
