/** One connection: handshake, login, and then one request at a time, until either side ends it. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContext } from 'node:tls';
import { Answer, type NullForm } from './answer.ts';
import { TdsFault } from './bytes.ts';
import { type Loads, type Request, readRequest } from './dispatch.ts';
import { errors, SqlError } from './errors.ts';
import type { Break, Fault, Faults, FaultWatch, Seen } from './faults.ts';
import type { Handler, Session } from './handler.ts';
import {
  asksForFeatures,
  type Login,
  type Route,
  readLogin,
  writeRefusal,
  writeRerouted,
  writeWelcome,
} from './login.ts';
import { HEADER_BYTES, type Message, MessageReader, PACKET, packetBytesFor } from './packets.ts';
import { ENCRYPT, preloginAnswer, readPrelogin } from './prelogin.ts';
import { type Outlet, Response } from './response.ts';
import { SessionState } from './session.ts';
import { DONE, TOKEN, writeDone, writeReset } from './tokens.ts';
import { isTls, Tunnel } from './tunnel.ts';

/** Of the two modes. */
export interface SecureContexts {
  /** Within TDS 7. */
  readonly inner: SecureContext;
  /** Around TDS 8. */
  readonly outer: SecureContext;
}

/** What connections have of their server. */
export interface House {
  readonly tls: SecureContexts | null;
  readonly isTlsForced: boolean;
  /** Of one packet, without its header; null for what the client asks. */
  readonly payloadBytes: number | null;
  readonly maxMessageBytes: number;
  readonly nulls: NullForm;
  readonly faults: Faults;
  open(session: Session): Handler | Promise<Handler>;
  /** Null lets the client stay. */
  route(login: Login): Route | null;
  nextTransaction(): bigint;
  /** A handler threw what is no SqlError. */
  failed(error: unknown): void;
  /** A client sent what is no TDS. */
  breached(fault: TdsFault): void;
}

/** A request that is being handled. */
interface Running {
  readonly cancel: AbortController;
  readonly fault: Fault | null;
  isCancelled: boolean;
}

const CANCELLED = 'the client cancelled the request';
const GONE = 'the client is gone';
const FIRST_PACKET_BYTES = 4096;

export class Connection implements Outlet {
  readonly spid: number;
  readonly #socket: Socket;
  readonly #house: House;
  readonly #reader: MessageReader;
  readonly #loads: Loads = { next: null };
  #tunnel: Tunnel | null = null;
  #isTlsForLoginOnly = false;
  #stage: 'first' | 'prelogin' | 'login' | 'ready' | 'over' = 'first';
  #packetBytes = FIRST_PACKET_BYTES;
  #session: SessionState | null = null;
  #handler: Handler | null = null;
  #running: Running | null = null;
  #isStalled = false;

  constructor(socket: Socket, spid: number, house: House) {
    this.spid = spid;
    this.#socket = socket;
    this.#house = house;
    this.#reader = new MessageReader(house.maxMessageBytes);
    socket.setNoDelay(true);
    socket.on('data', chunk => this.#arrived(chunk));
    socket.on('error', () => this.close());
    socket.on('close', () => this.close());
  }

  /** Null before the login. */
  get session(): Session | null {
    return this.#session;
  }

  /** Whether a request is being handled. */
  get isBusy(): boolean {
    return this.#running !== null;
  }

  /** Whether the client reads slower than the server writes. */
  get isFull(): boolean {
    return this.stream.writableNeedDrain;
  }

  get stream(): Duplex {
    return this.#tunnel?.tls ?? this.#socket;
  }

  get payloadBytes(): number {
    return this.#house.payloadBytes ?? this.#packetBytes - HEADER_BYTES;
  }

  cut(by: Break['by']): void {
    this.#isStalled = true;
    if (by === 'stall') return;
    this.#stage = 'over';
    if (by === 'reset') this.#socket.resetAndDestroy();
    else this.#socket.end();
  }

  /** At once, whatever runs. */
  close(): void {
    this.#stage = 'over';
    this.#socket.destroy();
    this.#tunnel?.tls.destroy();
    this.#running?.cancel.abort(new Error(GONE));
    this.#handler?.close();
    this.#handler = null;
  }

  #arrived(chunk: Buffer): void {
    this.#guarded(() => {
      if (this.#stage === 'first') {
        this.#stage = 'prelogin';
        if (this.#house.tls && isTls(chunk)) this.#beginTls(this.#house.tls.outer, true);
      }
      if (this.#tunnel) this.#tunnel.received(chunk);
      else this.#received(chunk);
    });
  }

  #received(chunk: Buffer): void {
    if (this.#stage === 'over') return;
    this.#reader.push(chunk);
    for (let message = this.#reader.next(); message; message = this.#reader.next()) this.#take(message);
  }

  /** What is no TDS is told once, as far as that is possible, and ends the connection. */
  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof TdsFault)) throw error;
      this.#breached(error);
    }
  }

  #breached(fault: TdsFault): void {
    if (this.#stage === 'over') return;
    this.#house.breached(fault);
    if (this.#stage === 'ready' && !this.#running) {
      const response = new Response(this);
      writeRefusal(response.writer, errors.badStream(fault.message));
      response.end();
    }
    this.#running?.cancel.abort(new Error(GONE));
    this.#end();
  }

  #end(): void {
    this.#stage = 'over';
    this.stream.end();
  }

  #take(message: Message): void {
    if (this.#isStalled || this.#stage === 'over') return;
    if (this.#stage === 'prelogin') return this.#preloggedIn(message);
    if (message.type === PACKET.attention) return this.#attention();
    if (this.#running) throw new TdsFault('a request while another is being answered');
    if (this.#stage === 'login') return this.#loggedIn(message);
    if (message.isIgnored) return this.#acknowledge(DONE.error);
    void this.#handle(message, readRequest(message));
  }

  #preloggedIn(message: Message): void {
    if (message.type !== PACKET.prelogin) throw new TdsFault(`a message of type ${message.type} before all others`);
    const wish = readPrelogin(message.payload);
    void this.#attempt({ kind: 'prelogin', sql: '' }, async response => {
      const answer = this.#encryption(wish);
      response.writer.put(preloginAnswer(answer));
      this.#stage = 'login';
      response.end();
      if (answer === ENCRYPT.unsupported || this.#tunnel) return;
      this.#isTlsForLoginOnly = answer === ENCRYPT.off;
      if (this.#house.tls) this.#beginTls(this.#house.tls.inner, false);
    });
  }

  /** As a SQL Server answers that has a certificate, with and without forced encryption. A strict client is encrypted already. */
  #encryption(wish: number): number {
    const { tls, isTlsForced } = this.#house;
    if (!tls || this.#tunnel) return ENCRYPT.unsupported;
    if (wish === ENCRYPT.on || wish === ENCRYPT.required) return ENCRYPT.on;
    if (isTlsForced) return ENCRYPT.required;
    return wish === ENCRYPT.off ? ENCRYPT.off : ENCRYPT.unsupported;
  }

  #beginTls(secureContext: SecureContext, isStrict: boolean): void {
    const tunnel = new Tunnel(this.#socket, secureContext, isStrict, this.payloadBytes);
    this.#tunnel = tunnel;
    tunnel.tls.on('data', (chunk: Buffer) => this.#guarded(() => this.#received(chunk)));
    tunnel.tls.on('error', () => this.close());
    tunnel.tls.on('close', () => {
      if (this.#tunnel === tunnel) this.close();
    });
  }

  /** One request: its fault first, then `act`. */
  async #attempt(
    request: Pick<Seen, 'kind' | 'sql'>,
    act: (response: Response, running: Running) => Promise<void>,
  ): Promise<void> {
    const seen: Seen = { ...request, spid: this.spid };
    const watch = this.#house.faults.take(seen);
    const running: Running = { cancel: new AbortController(), fault: watch?.fault ?? null, isCancelled: false };
    const response = new Response(this, watch?.fault.breaks ?? null);
    this.#running = running;
    try {
      if (watch && (await this.#suffer(watch, running))) return;
      await act(response, running);
    } catch (error) {
      if (error instanceof TdsFault) {
        this.#running = null;
        this.#breached(error);
      } else if (this.#stage !== 'over') {
        this.#house.failed(error);
        this.close();
      }
    } finally {
      if (watch) watch.bytes = response.bytes;
      if (this.#running === running) this.#running = null;
    }
  }

  /** True: there is nothing more to do. */
  async #suffer({ fault }: FaultWatch, { cancel }: Running): Promise<boolean> {
    if (fault.delayMs !== undefined) {
      const signal = fault.attention ? undefined : cancel.signal;
      await sleep(fault.delayMs, undefined, { ...(signal ? { signal } : {}), ref: false }).catch(() => undefined);
    }
    if (fault.before) this.cut(fault.before);
    return fault.before !== undefined || this.#stage === 'over';
  }

  #loggedIn(message: Message): void {
    if (message.type !== PACKET.login) throw new TdsFault(`a message of type ${message.type} in place of a login`);
    const login = readLogin(message.payload);
    const isEncrypted = this.#tunnel !== null && !this.#isTlsForLoginOnly;
    if (this.#isTlsForLoginOnly) this.#tunnel = null;
    void this.#attempt({ kind: 'login', sql: '' }, async (response, { fault }) => {
      const session = new SessionState(this.spid, login, isEncrypted, this.#house.nextTransaction);
      const route = this.#house.route(login);
      const refusal = fault?.error ? errorOf(fault, 'login', this.spid) : route ? null : await this.#admit(session);
      if (this.#stage === 'over') return;
      if (refusal) writeRefusal(response.writer, refusal);
      else if (route) writeRerouted(response.writer, route);
      else this.#welcome(response, session, asksForFeatures(message.payload));
      response.end();
      if (refusal || route) this.#end();
    });
  }

  async #admit(session: SessionState): Promise<SqlError | null> {
    try {
      const handler = await this.#house.open(session);
      if (this.#stage === 'over') handler.close();
      else this.#handler = handler;
      return null;
    } catch (error) {
      return this.#sqlError(error);
    }
  }

  #welcome(response: Response, session: SessionState, hasFeatures: boolean): void {
    const before = this.#packetBytes;
    this.#packetBytes = packetBytesFor(session.login.packetBytes);
    this.#session = session;
    this.#stage = 'ready';
    writeWelcome(response.writer, {
      database: session.database,
      packetBytes: this.#packetBytes,
      before,
      hasFeatures,
    });
  }

  async #handle(message: Message, request: Request): Promise<void> {
    const session = this.#session!;
    const handler = this.#handler!;
    const { kind, isCall } = request;
    const sql = request.sql || session.prepared.get(request.handle ?? 0)?.sql || '';
    await this.#attempt({ kind, sql }, async (response, running) => {
      const answer = new Answer(response, session, running.cancel.signal, isCall, this.#house.nulls);
      try {
        if (message.resets !== 'no') await this.#reset(session, handler, message.resets === 'keep', response);
        else this.#check(request, session);
        if (running.fault?.error) throw errorOf(running.fault, kind, this.spid, sql);
        running.cancel.signal.throwIfAborted();
        await request.run(session, handler, this.#loads, answer);
      } catch (error) {
        if (error instanceof TdsFault) throw error;
        if (!running.cancel.signal.aborted) await this.#fail(error, session, handler, answer);
      }
      this.#finish(answer, running);
    });
  }

  /** An error of the answer; where it rolls back, that too. */
  async #fail(error: unknown, session: SessionState, handler: Handler, answer: Answer): Promise<void> {
    const told = this.#sqlError(error);
    answer.error(told);
    if (!told.rollsBack || session.transaction === 0n) return;
    await handler.rollback();
    answer.rolledBack();
  }

  #sqlError(error: unknown): SqlError {
    if (error instanceof SqlError) return error;
    this.#house.failed(error);
    return errors.refused(error instanceof Error ? error.message : String(error));
  }

  async #reset(session: SessionState, handler: Handler, keeps: boolean, response: Response): Promise<void> {
    await handler.reset(keeps);
    session.reset(keeps);
    this.#loads.next = null;
    writeReset(response.writer);
  }

  /** The rows of a load must follow its announcement, and the transaction must be the one that is open. */
  #check(request: Request, session: SessionState): void {
    if (request.transaction !== null && request.transaction !== session.transaction) throw errors.badDescriptor();
    if (!this.#loads.next || request.kind === 'bulk') return;
    this.#loads.next = null;
    throw errors.noBulkData();
  }

  #finish(answer: Answer, running: Running): void {
    this.#running = null;
    if (this.#stage === 'over') return;
    const { isCancelled, fault } = running;
    if (!isCancelled || fault?.attention === undefined) answer.finish(isCancelled);
    if (answer.isFatal) this.#end();
    else if (isCancelled && fault?.attention !== 'none') this.#acknowledge(DONE.attention);
  }

  /** What runs is ended by an answer of its own; then, or at once, the attention has its. */
  #attention(): void {
    if (!this.#running) return this.#acknowledge(DONE.attention);
    this.#running.isCancelled = true;
    this.#running.cancel.abort(new Error(CANCELLED));
  }

  #acknowledge(status: number): void {
    const response = new Response(this);
    writeDone(response.writer, TOKEN.done, status, 0, null);
    response.end();
  }
}

function errorOf({ error }: Fault, kind: Seen['kind'], spid: number, sql = ''): SqlError {
  return typeof error === 'function' ? error({ kind, sql, spid }) : error!;
}
