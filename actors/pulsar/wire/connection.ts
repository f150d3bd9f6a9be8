/**
 * One connection to a broker: the handshake, requests and their answers, signs of life, and the frames of the producers and
 * consumers on it (reference/pulsar.md 2.2, 2.3, 2.8). What is written in one turn leaves in one call. It does not connect
 * again: whoever uses it is told that it is lost.
 */
import { isIP, type Socket, connect as tcpConnect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { asError, type Environment, KeymillError, type Log, type Timer } from '../../../runtime/index.ts';
import { type Address, spelt } from './address.ts';
import type { Auth } from './auth.ts';
import { type Command, type CommandOf, encodeCommand } from './codec/commands.ts';
import { decodeFrame, type FramedMessage, FrameSplitter } from './codec/frames.ts';
import { lostFault, serverFault } from './faults.ts';

export interface TlsOptions {
  /** PEM of the authorities that are trusted; the system's where it is left out. */
  readonly ca?: string | Buffer | undefined;
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  /** Whether the certificate must be of the host; true. */
  readonly checksHost?: boolean | undefined;
}

export interface ConnectionOptions {
  readonly address: Address;
  readonly isSecure: boolean;
  readonly tls: TlsOptions;
  /** Through a Pulsar proxy: the broker behind it. */
  readonly proxyTo?: Address | undefined;
  readonly auth: Auth;
  readonly clientVersion: string;
  readonly connectMs: number;
  readonly operationMs: number;
  readonly keepAliveMs: number;
}

/** A producer or consumer on a connection. */
export interface Guest {
  command(command: Command, message?: FramedMessage): void;
  /** The connection is gone, or will not serve it any more. Called once. */
  lost(fault: KeymillError): void;
}

interface Request {
  readonly answer: Command['type'];
  readonly at: string;
  resolve(command: never): void;
  reject(fault: KeymillError): void;
  readonly timer: Timer;
}

/** All requests with an answer, by the name of what they are. */
type Asked = Extract<Command, { readonly requestId?: number | undefined }> & { readonly requestId: number };

/** Newest version of the protocol whose duties are all done here. */
const PROTOCOL_VERSION = 19;
/** Until the broker tells of another. */
const MAX_MESSAGE_BYTES = 5 * 1024 * 1024;
/** What a frame may be larger than a message. */
const PADDING_BYTES = 10 * 1024;

export class Connection {
  readonly name: string;
  /** Of a message with its metadata, as the broker says. */
  maxMessageBytes = MAX_MESSAGE_BYTES;
  readonly producers = new Map<number, Guest>();
  readonly consumers = new Map<number, Guest>();
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #environment: Environment;
  readonly #log: Log;
  readonly #requests = new Map<number, Request>();
  readonly #splitter = new FrameSplitter(MAX_MESSAGE_BYTES + PADDING_BYTES);
  #out: Uint8Array[] = [];
  #handshake: { resolve(): void; reject(fault: KeymillError): void } | null = null;
  #fault: KeymillError | null = null;
  #timer: Timer | null = null;
  #heard = true;
  #closed: () => void = () => undefined;

  private constructor(socket: Socket, options: ConnectionOptions, environment: Environment, log: Log) {
    this.name = spelt(options.address);
    this.#socket = socket;
    this.#options = options;
    this.#environment = environment;
    this.#log = log;
    socket.setNoDelay(true);
    socket.on('data', chunk => this.#received(chunk));
    socket.on('error', error => this.destroy(lostFault(this.name, error.message, error)));
    socket.on('close', () => this.destroy(lostFault(this.name, 'the connection was closed')));
  }

  /** Rejects with IO_FAILED, ACCESS_REFUSED. */
  static async open(options: ConnectionOptions, environment: Environment, log: Log): Promise<Connection> {
    const socket = socketTo(options);
    const connection = new Connection(socket, options, environment, log);
    const late = environment.clock.after(options.connectMs, () =>
      connection.destroy(lostFault(connection.name, `not connected within ${options.connectMs} ms`)),
    );
    try {
      await connection.#greet();
    } finally {
      late.cancel();
    }
    connection.#watch();
    return connection;
  }

  get isOpen(): boolean {
    return this.#fault === null;
  }

  /** Requests that are not answered yet. */
  get requests(): number {
    return this.#requests.size;
  }

  /** Called once, when it is lost or closed. */
  set onClosed(listener: () => void) {
    if (this.#fault) listener();
    else this.#closed = listener;
  }

  /** Leaves with all that is written in this turn. */
  write(frame: Uint8Array): void {
    if (this.#fault) return;
    this.#out.push(frame);
    if (this.#out.length === 1) this.#environment.soon(() => this.#writeOut());
  }

  send(command: Command): void {
    this.write(encodeCommand(command));
  }

  /**
   * Sends a request and resolves with its answer. Rejects with what the broker answered in its place, and with IO_FAILED
   * when the connection is lost or `ms` passed (Infinity: never). `at`: what it is about, for errors.
   */
  request<T extends Command['type']>(
    command: Asked,
    answer: T,
    at: string,
    ms = this.#options.operationMs,
  ): Promise<CommandOf<T>> {
    if (this.#fault) return Promise.reject(this.#fault);
    return new Promise((resolve, reject) => {
      const { requestId } = command;
      const timer = this.#environment.clock.after(ms, () => {
        this.#requests.delete(requestId);
        reject(lostFault(at, `no answer to ${command.type} within ${ms} ms`));
      });
      this.#requests.set(requestId, { answer, at, resolve, reject, timer });
      this.send(command);
    });
  }

  /** Whoever waits for something is told so. */
  destroy(fault: KeymillError): void {
    if (this.#fault) return;
    this.#fault = fault;
    this.#timer?.cancel();
    this.#out = [];
    this.#socket.destroy();
    this.#handshake?.reject(fault);
    for (const { reject, timer } of this.#requests.values()) {
      timer.cancel();
      reject(fault);
    }
    this.#requests.clear();
    const guests = [...this.producers.values(), ...this.consumers.values()];
    this.producers.clear();
    this.consumers.clear();
    this.#closed();
    for (const guest of guests) guest.lost(fault);
  }

  async #greet(): Promise<void> {
    const { auth, clientVersion, proxyTo } = this.#options;
    const authData = await auth.data().catch((error: unknown) => {
      this.destroy(error instanceof KeymillError ? error : lostFault(this.name, asError(error).message, error));
      throw error;
    });
    if (this.#fault) throw this.#fault;
    const connected = new Promise<void>((resolve, reject) => {
      this.#handshake = { resolve, reject };
    });
    this.send({
      type: 'connect',
      clientVersion,
      authMethodName: auth.method,
      authData,
      protocolVersion: PROTOCOL_VERSION,
      proxyToBrokerUrl: proxyTo && spelt(proxyTo),
      featureFlags: { supportsAuthRefresh: true, supportsBrokerEntryMetadata: true },
    });
    await connected;
  }

  #writeOut(): void {
    const frames = this.#out;
    if (frames.length === 0) return;
    this.#out = [];
    this.#socket.cork();
    for (const frame of frames) this.#socket.write(frame);
    this.#socket.uncork();
  }

  /** A sign of life is asked for when none came in one interval, and must have come when the next is over. */
  #watch(): void {
    this.#timer = this.#environment.clock.after(this.#options.keepAliveMs, () => {
      if (!this.#heard)
        return this.destroy(lostFault(this.name, `no sign of life for ${2 * this.#options.keepAliveMs} ms`));
      this.#heard = false;
      this.send({ type: 'ping' });
      this.#watch();
    });
  }

  #received(chunk: Buffer): void {
    this.#heard = true;
    try {
      this.#splitter.push(chunk);
      for (let frame = this.#splitter.next(); frame !== null && !this.#fault; frame = this.#splitter.next()) {
        const { command, message } = decodeFrame(frame);
        if (command.type !== 'unknown') this.#take(command, message);
        else this.#log.debug({ broker: this.name, number: command.number }, 'a command that is not known');
      }
    } catch (cause) {
      this.destroy(lostFault(this.name, `what the broker sent cannot be read (${asError(cause).message})`, cause));
    }
  }

  #take(command: Command, message?: FramedMessage): void {
    switch (command.type) {
      case 'message':
        this.consumers.get(command.consumerId)?.command(command, message);
        return;
      case 'sendReceipt':
      case 'sendError':
        this.producers.get(command.producerId)?.command(command);
        return;
      case 'ping':
        return this.send({ type: 'pong' });
      case 'closeProducer':
        this.producers.get(command.producerId)?.command(command);
        return;
      case 'closeConsumer':
      case 'activeConsumerChange':
      case 'reachedEndOfTopic':
        this.consumers.get(command.consumerId)?.command(command);
        return;
      case 'connected':
        return this.#connected(command);
      case 'authChallenge':
        void this.#prove();
        return;
      case 'error':
        return this.#failed(command);
      default:
        if ('requestId' in command) this.#answered(command);
    }
  }

  #connected({ maxMessageSize, protocolVersion, serverVersion }: CommandOf<'connected'>): void {
    if (maxMessageSize !== undefined && maxMessageSize > 0) this.maxMessageBytes = maxMessageSize;
    this.#splitter.maxFrameBytes = this.maxMessageBytes + PADDING_BYTES;
    this.#log.debug({ broker: this.name, serverVersion, protocolVersion }, 'connected');
    this.#handshake?.resolve();
    this.#handshake = null;
  }

  /** An answer to something whose time is over already is for nobody. */
  #answered(command: Extract<Command, { readonly requestId?: number | undefined }>): void {
    const { requestId = -1 } = command;
    const request = this.#requests.get(requestId);
    if (!request) return;
    if (request.answer !== command.type)
      return this.destroy(lostFault(this.name, `${command.type} came as an answer, ${request.answer} was expected`));
    if (command.type === 'producerSuccess' && command.producerReady === false) return; // the second one counts
    this.#requests.delete(requestId);
    request.timer.cancel();
    (request.resolve as (command: Command) => void)(command);
  }

  #failed({ requestId, error, message }: CommandOf<'error'>): void {
    if (this.#handshake) return this.destroy(serverFault(error, message, this.name));
    const request = this.#requests.get(requestId);
    if (!request) return;
    this.#requests.delete(requestId);
    request.timer.cancel();
    request.reject(serverFault(error, message, request.at));
  }

  /** The broker wants to know anew who we are. */
  async #prove(): Promise<void> {
    const { auth, clientVersion } = this.#options;
    try {
      const authData = (await auth.data()) ?? new Uint8Array(0);
      this.send({
        type: 'authResponse',
        clientVersion,
        response: { authMethodName: auth.method, authData },
        protocolVersion: PROTOCOL_VERSION,
      });
    } catch (error) {
      this.#log.warn({ broker: this.name, err: asError(error).message }, 'no proof of identity for the broker');
    }
  }
}

function socketTo({ address: { host, port }, isSecure, tls }: ConnectionOptions): Socket {
  if (!isSecure) return tcpConnect({ host, port });
  const { ca, cert, key, checksHost = true } = tls;
  return tlsConnect({
    host,
    port,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(checksHost ? {} : { checkServerIdentity: () => undefined }),
  });
}
