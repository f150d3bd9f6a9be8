/**
 * A TDS 7.4 and 8.0 server on loopback that knows the wire and no statement: those are plugged in by `open`. It stands in for
 * SQL Server in tests, and the protocol's reference is section 3 of sql-server-and-tds.md.
 *
 * Where a client would see something else than from SQL Server: no MARS, no text/ntext/image, sql_variant, table-valued
 * parameters or CLR types, no cursors, no login of a domain or by token, no nested transactions; TLS 1.2 at most within TDS 7;
 * texts of messages partly in own words; every narrow text is of code page 1252; DONE tells the command of a SELECT only.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { NullForm } from './answer.ts';
import type { TdsFault } from './bytes.ts';
import { Connection, type House, type SecureContexts } from './connection.ts';
import { type Fault, Faults, type FaultWatch } from './faults.ts';
import type { Handler, Session } from './handler.ts';
import type { Login, Route } from './login.ts';

export interface TdsServerOptions {
  /** Admits a login and gives who answers it. Throws a SqlError to refuse it. */
  readonly open: (session: Session) => Handler | Promise<Handler>;
  /** PEMs of the server's certificate and key. Without them it speaks no TLS. */
  readonly tls?: Pick<SecureContextOptions, 'cert' | 'key'>;
  /** Refuses clients that do not encrypt; false. */
  readonly isTlsForced?: boolean;
  /** Sends the client elsewhere; null, or without it: it stays. */
  readonly route?: (login: Login) => Route | null;
  /** Of one packet, without its header, from 1; what the client asks for unless said. */
  readonly packetBytes?: number;
  /** Of one message of a client; 256 MiB. */
  readonly maxMessageBytes?: number;
  /** How rows tell nulls; as is shorter. */
  readonly nulls?: NullForm;
  /** Any that is free unless said. */
  readonly port?: number;
}

/** What tests may know of a connection, and do to it. */
export type OpenConnection = Pick<Connection, 'spid' | 'session' | 'isBusy' | 'isFull' | 'cut' | 'close'>;

const HOST = '127.0.0.1';
const FIRST_SPID = 51;
const MAX_SPID = 32_767;
const MESSAGE_BYTES = 256 << 20;
const FIRST_TRANSACTION = 0x1_0000_0001n;

export class TdsServer {
  readonly host = HOST;
  /** What handlers threw that is no SqlError: mistakes of the test, or of the statements. */
  readonly failures: unknown[] = [];
  /** What clients sent that is no TDS. */
  readonly breaches: TdsFault[] = [];
  /** Connections that were accepted since the start. */
  accepted = 0;
  readonly #house: House;
  readonly #faults = new Faults();
  readonly #connections = new Set<Connection>();
  #server: Server | null = null;
  #port: number;

  constructor(options: TdsServerOptions) {
    this.#port = options.port ?? 0;
    const { tls, isTlsForced = false, route = () => null, packetBytes = null, nulls = 'shorter' } = options;
    let transactions = FIRST_TRANSACTION;
    this.#house = {
      tls: tls ? contextsOf(tls) : null,
      isTlsForced,
      payloadBytes: packetBytes,
      maxMessageBytes: options.maxMessageBytes ?? MESSAGE_BYTES,
      nulls,
      faults: this.#faults,
      open: session => options.open(session),
      route,
      nextTransaction: () => transactions++,
      failed: error => void this.failures.push(error),
      breached: fault => void this.breaches.push(fault),
    };
  }

  /** The same for ever, once it listened. */
  get port(): number {
    return this.#port;
  }

  /** Those that are open now. */
  get connections(): readonly OpenConnection[] {
    return [...this.#connections];
  }

  async listen(): Promise<this> {
    if (this.#server) return this;
    const server = createServer(socket => {
      const spid = FIRST_SPID + (this.accepted++ % (MAX_SPID - FIRST_SPID));
      const connection = new Connection(socket, spid, this.#house);
      this.#connections.add(connection);
      socket.on('close', () => this.#connections.delete(connection));
    });
    this.#server = server;
    server.listen(this.#port, this.host);
    await once(server, 'listening');
    const address = server.address();
    if (address !== null && typeof address === 'object') this.#port = address.port;
    return this;
  }

  /** Lets something go wrong. Faults hold until they are removed or have hit as often as they say. */
  fault(fault: Fault): FaultWatch {
    return this.#faults.add(fault);
  }

  /** No fault hits any more. What is broken stays so. */
  heal(): void {
    this.#faults.clear();
  }

  /** Accepts no connection; those that are there live on, until `listen`. */
  refuse(): void {
    this.#server?.close();
    this.#server = null;
  }

  /** As when the process dies: all connections are reset. `listen` starts it again. */
  kill(): void {
    this.refuse();
    for (const connection of this.#connections) connection.cut('reset');
  }

  close(): void {
    this.refuse();
    for (const connection of this.#connections) connection.close();
    this.#connections.clear();
  }
}

/** Within TDS 7 there is no TLS 1.3: it says things after its handshake for which packets have no place. */
function contextsOf(tls: NonNullable<TdsServerOptions['tls']>): SecureContexts {
  const own = { ...tls, minVersion: 'TLSv1.2' } as const;
  return { inner: createSecureContext({ ...own, maxVersion: 'TLSv1.2' }), outer: createSecureContext(own) };
}
