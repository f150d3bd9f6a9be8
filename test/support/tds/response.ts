/** One message of the server's on its way: in packets, cut or halted at a byte where a test wants it, and no faster than it is read. */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Writer } from './bytes.ts';
import type { Break } from './faults.ts';
import { PacketWriter } from './packets.ts';

/** So much is gathered before it is sent. */
const GATHER_BYTES = 16 * 1024;

export interface Outlet {
  /** Where bytes go now: the socket, or the TLS over it. */
  readonly stream: Duplex;
  readonly spid: number;
  /** Of one packet, without its header. */
  readonly payloadBytes: number;
  /** The connection ends here, as `by` says. */
  cut(by: Break['by']): void;
}

export class Response {
  /** The tokens that are not sent yet. */
  readonly writer = new Writer(4 * 1024);
  /** With the packets' headers. */
  bytes = 0;
  readonly #outlet: Outlet;
  readonly #packets: PacketWriter;
  readonly #break: Break | null;
  #isBroken = false;

  constructor(outlet: Outlet, breaks: Break | null = null) {
    this.#outlet = outlet;
    this.#packets = new PacketWriter(outlet.payloadBytes, outlet.spid);
    this.#break = breaks;
  }

  /** Sends what is enough to be sent. A promise: the socket is full; it resolves when there is room, and rejects as `signal` says. */
  gathered(signal: AbortSignal): Promise<void> | undefined {
    if (this.writer.at < GATHER_BYTES) return undefined;
    this.#send(this.#packets.ready(this.writer.at), false);
    return this.#room(signal);
  }

  /** Sends all that there is. */
  flush(signal: AbortSignal): Promise<void> | undefined {
    if (this.writer.at > 0) this.#send(this.writer.at, false);
    return this.#room(signal);
  }

  end(): void {
    this.#send(this.writer.at, true);
  }

  #send(length: number, isEnd: boolean): void {
    const { writer } = this;
    if (length === 0 && !isEnd) return;
    const packets = this.#packets.cut(writer.bytes.subarray(0, length), isEnd);
    writer.bytes.copyWithin(0, length, writer.at);
    writer.at -= length;
    this.#write(packets);
  }

  #write(packets: Buffer): void {
    const { stream } = this.#outlet;
    if (this.#isBroken || stream.destroyed || stream.writableEnded) return;
    const { at, by } = this.#break ?? { at: Number.POSITIVE_INFINITY, by: 'end' as const };
    const left = at - this.bytes;
    this.bytes += packets.length;
    if (left > packets.length) {
      stream.write(packets);
      return;
    }
    this.#isBroken = true;
    if (left > 0) stream.write(packets.subarray(0, left), () => this.#outlet.cut(by));
    else this.#outlet.cut(by);
  }

  #room(signal: AbortSignal): Promise<void> | undefined {
    const { stream } = this.#outlet;
    // Nobody reads: whoever writes without end must hear of it.
    if (this.#isBroken) return this.#break?.by === 'stall' ? until(stream, 'close', signal) : nextTurn();
    if (!stream.writableNeedDrain || stream.destroyed) return undefined;
    return until(stream, 'drain', signal);
  }
}

async function until(stream: Duplex, event: 'drain' | 'close', signal: AbortSignal): Promise<void> {
  try {
    await once(stream, event, { signal });
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}
