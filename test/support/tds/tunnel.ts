/**
 * What lies between a socket and the TLS over it. In TDS 7 the handshake travels in prelogin packets, one message of the
 * client's for one of the server's, and what follows is TLS as it is; in TDS 8 it is TLS from the first byte (reference 3.3).
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type SecureContext, TLSSocket } from 'node:tls';
import { TdsFault } from './bytes.ts';
import { MessageReader, PACKET, PacketWriter } from './packets.ts';

/** What records of TLS begin with, and packets of a handshake never. */
const RECORD = { change: 0x14, alert: 0x15, handshake: 0x16, data: 0x17 } as const;
const HANDSHAKE_BYTES = 1 << 20;

/** Whether these are the first bytes of a client that speaks TLS at once. */
export const isTls = (chunk: Buffer): boolean => chunk[0] === RECORD.handshake;

export class Tunnel extends Duplex {
  readonly tls: TLSSocket;
  readonly #socket: Socket;
  readonly #packets: PacketWriter;
  #reader: MessageReader | null;
  #isWrapping: boolean;
  #isSecure = false;
  #flight: Buffer[] = [];

  /** `isStrict`: as TDS 8 has it. */
  constructor(socket: Socket, secureContext: SecureContext, isStrict: boolean, payloadBytes: number) {
    super();
    this.#socket = socket;
    this.#packets = new PacketWriter(payloadBytes, 0, PACKET.prelogin);
    this.#reader = isStrict ? null : new MessageReader(HANDSHAKE_BYTES);
    this.#isWrapping = !isStrict;
    this.tls = new TLSSocket(this, {
      isServer: true,
      secureContext,
      ...(isStrict ? { ALPNProtocols: ['tds/8.0'] } : {}),
    });
    this.tls.on('secure', () => {
      this.#isSecure = true;
    });
  }

  /** Takes what came from the network. Throws a TdsFault. */
  received(chunk: Buffer): void {
    if (!this.#reader) return this.#pass(chunk);
    this.#reader.push(chunk);
    while (this.#reader) {
      if (this.#reader.isAtRecord(RECORD.change, RECORD.data)) {
        const rest = this.#reader.takeRest();
        this.#reader = null;
        return this.#pass(rest);
      }
      const message = this.#reader.next();
      if (!message) return;
      if (message.type !== PACKET.prelogin) throw new TdsFault(`a message of type ${message.type} while TLS begins`);
      this.#pass(message.payload);
    }
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    // The server's last flight may come after it finds the handshake done.
    if (this.#isSecure && (chunk[0] === RECORD.data || chunk[0] === RECORD.alert)) this.#endWrapping();
    if (!this.#isWrapping) {
      this.#socket.write(chunk, () => done());
      return;
    }
    // All that is said in one turn is one message.
    if (this.#flight.length === 0) setImmediate(() => this.#sendFlight());
    this.#flight.push(chunk);
    done();
  }

  override _final(done: () => void): void {
    this.#socket.end();
    done();
  }

  override _destroy(_error: Error | null, done: () => void): void {
    this.#socket.destroy();
    done();
  }

  #pass(bytes: Buffer): void {
    if (!this.push(bytes)) this.#socket.pause();
  }

  #endWrapping(): void {
    if (!this.#isWrapping) return;
    this.#sendFlight();
    this.#isWrapping = false;
  }

  #sendFlight(): void {
    const flight = this.#flight;
    this.#flight = [];
    if (flight.length > 0) this.#socket.write(this.#packets.cut(Buffer.concat(flight), true));
  }
}
