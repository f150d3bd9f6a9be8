/**
 * One connection to the server. One request at a time; every promise settles: a request without an answer is cancelled on the
 * wire after its time, and where the cancel is not answered either, the connection is given up. It does not connect again.
 *
 * tedious stops its own timer at the first packet of an answer, so time is kept here: bytes must move (reference
 * sql-server-and-tds 0.5).
 */
import { type BulkLoad, Request, Connection as Tedious, TYPES } from 'tedious';
import type { Environment, KeymillError, Log, Timer } from '../../../runtime/index.ts';
import type { SqlValue } from '../contract.ts';
import type { Command } from './command.ts';
import { configOf } from './config.ts';
import { lostError, mssqlError, serverError } from './errors.ts';
import { type Listener, RowStream } from './row-stream.ts';
import type { ConnectOptions } from './server-options.ts';
import { type ColumnMetadata, type Reader, readerOf, tediousParameter } from './values.ts';

interface ResultSet {
  readonly names: readonly string[];
  readonly rows: SqlValue[][];
}

export interface Answer {
  readonly sets: readonly ResultSet[];
  /** Of all statements together. */
  readonly rowCount: number;
}

export interface BulkColumn {
  readonly name: string;
  readonly kind: 'int' | 'text' | 'longText';
}

/** Bytes of a connection so far. */
interface Traffic {
  readonly read: number;
  readonly written: number;
  /** Some wait to be written. */
  readonly isSending: boolean;
}

/** What a cancel that is never answered may take longer than tedious waits. */
const GRACE_MS = 1000;
/** SNAPSHOT of ISOLATION_LEVEL. */
const SNAPSHOT = 5;

export class Connection {
  /** Of the server, without secrets. */
  readonly at: string;
  readonly openedAt: number;
  usedAt: number;
  /** Something of the session may have been changed: it must be reset before another uses it. */
  isDirty = false;
  readonly #tedious: Tedious;
  readonly #environment: Environment;
  readonly #options: ConnectOptions;
  #isOpen = true;
  #isBusy = false;
  readonly #onLost: () => void;

  private constructor(tedious: Tedious, options: ConnectOptions, environment: Environment, onLost: () => void) {
    this.at = options.address.text;
    this.#tedious = tedious;
    this.#options = options;
    this.#environment = environment;
    this.#onLost = onLost;
    this.openedAt = this.usedAt = environment.clock.now();
    tedious.on('end', () => this.#ended());
    tedious.on('error', () => this.#ended());
  }

  /** `onLost`: it ended, and not by `close`. Rejects with SQL_UNAVAILABLE, ACCESS_REFUSED, CONFIG_INVALID. */
  static async open(
    options: ConnectOptions,
    environment: Environment,
    log: Log,
    onLost: () => void = () => undefined,
  ): Promise<Connection> {
    const at = options.address.text;
    const tedious = new Tedious(configOf(options));
    let said: { number: number; message: string } | null = null;
    tedious.on('errorMessage', message => {
      said = { number: message.number, message: message.message };
    });
    tedious.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      const late = environment.clock.after(options.connectMs + GRACE_MS, () => {
        reject(lostError(at, `not connected within ${options.connectMs} ms`));
        tedious.close();
      });
      tedious.connect(error => {
        late.cancel();
        if (!error) return resolve();
        const known = said as { number: number; message: string } | null;
        reject(known ? serverError(known.number, known.message, at, error) : mssqlError(error, at));
      });
    });
    log.debug({ server: at }, 'connected');
    return new Connection(tedious, options, environment, onLost);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Runs a statement and gives all that it answers. `maxRows`: with more of them it is cancelled, and `tooMany` thrown. */
  async run(
    command: Command,
    { signal, maxRows, tooMany }: { signal?: AbortSignal | undefined; maxRows?: number; tooMany?: () => Error } = {},
  ): Promise<Answer> {
    const sets: ResultSet[] = [];
    let readers: Reader[] = [];
    let rows: SqlValue[][] = [];
    let count = 0;
    let failure: unknown;
    const rowCount = await this.#perform(
      command,
      {
        columns: columns => {
          readers = columns.map(readerOf);
          rows = [];
          sets.push({ names: columns.map(column => column.colName), rows });
        },
        row: values => {
          if (failure !== undefined) return;
          if (++count > (maxRows ?? Number.POSITIVE_INFINITY)) failure = tooMany?.();
          else
            try {
              rows.push(values.map(({ value }, i) => readers[i]!(value)));
            } catch (error) {
              failure = error;
            }
          if (failure !== undefined) this.#tedious.cancel();
        },
      },
      signal,
    ).catch((error: unknown) => {
      throw failure ?? error;
    });
    if (failure !== undefined) throw failure;
    return { sets, rowCount };
  }

  /** Rows as they are asked for: the server waits for the reader. */
  stream(command: Command): RowStream {
    return new RowStream(listener => {
      const request = this.#requestOf(command, listener);
      const done = this.#guarded(request, listener, undefined, () => this.#send(command, request.request));
      return { done: done.then(() => undefined), request: request.request };
    });
  }

  /** Rows of text into a temporary table of this session. Gives the bytes that it sent. */
  async bulk(
    table: string,
    columns: readonly BulkColumn[],
    rows: Iterable<readonly (string | number | null)[]>,
    signal?: AbortSignal,
  ): Promise<number> {
    const before = this.#traffic.written;
    const outcome = Promise.withResolvers<number>();
    const load: BulkLoad = this.#tedious.newBulkLoad(table, {}, (error, count) =>
      error ? outcome.reject(error) : outcome.resolve(count ?? 0),
    );
    for (const { name, kind } of columns) {
      if (kind === 'int') load.addColumn(name, TYPES.Int, { nullable: false });
      else
        load.addColumn(name, TYPES.NVarChar, {
          nullable: true,
          length: kind === 'text' ? 4000 : Number.POSITIVE_INFINITY,
        });
    }
    load.setTimeout(0);
    await this.#guarded({ request: load, settled: outcome.promise }, {}, signal, () =>
      this.#tedious.execBulkLoad(load, rows as Iterable<never>),
    );
    return this.#traffic.written - before;
  }

  /** Begins a transaction at the level SNAPSHOT. */
  beginSnapshot(signal?: AbortSignal): Promise<void> {
    this.isDirty = true;
    return this.#managed(signal, done => this.#tedious.beginTransaction(done, '', SNAPSHOT));
  }

  rollback(): Promise<void> {
    if (!this.#tedious.inTransaction) return Promise.resolve();
    return this.#managed(undefined, done => this.#tedious.rollbackTransaction(done));
  }

  /** Drops what the session has: temporary tables, an open transaction, settings. */
  async reset(): Promise<void> {
    // tedious would go on naming a transaction that a reset has ended.
    await this.rollback();
    await this.#managed(undefined, done => this.#tedious.reset(done));
    this.isDirty = false;
  }

  close(): void {
    this.#isOpen = false;
    this.#tedious.close();
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #perform(command: Command, listener: Listener, signal: AbortSignal | undefined): Promise<number> {
    const request = this.#requestOf(command, listener);
    return this.#guarded(request, listener, signal, () => this.#send(command, request.request));
  }

  #send({ isBatch }: Command, request: Request): void {
    if (isBatch) this.#tedious.execSqlBatch(request);
    else this.#tedious.execSql(request);
  }

  #requestOf(command: Command, listener: Listener): { request: Request; settled: Promise<number> } {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const request = new Request(command.sql, (error, rowCount) => (error ? reject(error) : resolve(rowCount ?? 0)));
    request.setTimeout(0);
    for (const parameter of command.params) {
      const { type, value, options } = tediousParameter(parameter);
      request.addParameter(parameter.name, type, value, options ?? {});
    }
    request.on('columnMetadata', columns => listener.columns?.(columns as readonly ColumnMetadata[]));
    if (listener.row) request.on('row', values => listener.row!(values));
    return { request, settled: promise };
  }

  #managed(signal: AbortSignal | undefined, call: (done: (error?: Error | null) => void) => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const request = { cancel: () => void this.#tedious.cancel() };
    return this.#guarded({ request, settled: promise }, {}, signal, () =>
      call(error => (error ? reject(error) : resolve(0))),
    ).then(() => undefined);
  }

  /** Sends, and watches over the answer. */
  async #guarded(
    { request, settled }: { readonly request: { cancel(): void }; readonly settled: Promise<number> },
    listener: Listener,
    signal: AbortSignal | undefined,
    send: () => void,
  ): Promise<number> {
    settled.catch(() => undefined);
    if (!this.#isOpen) throw lostError(this.at, 'the connection was lost');
    if (this.#isBusy) throw lostError(this.at, 'the connection is in use');
    if (signal?.aborted) throw lostError(this.at, 'cancelled before it was sent', signal.reason);
    this.#isBusy = true;
    const { clock } = this.#environment;
    const { requestMs, idleMs, cancelMs } = this.#options;
    const given = Promise.withResolvers<never>();
    given.promise.catch(() => undefined);
    let why: KeymillError | null = null;
    let timer: Timer;
    const cancel = (error: KeymillError): void => {
      if (why) return;
      why = error;
      timer.cancel();
      timer = clock.after(cancelMs + GRACE_MS, () => {
        given.reject(error);
        this.#tedious.close();
      });
      request.cancel();
    };
    const watch = (ms: number, { read, written }: Traffic): void => {
      timer = clock.after(ms, () => {
        const now = this.#traffic;
        const sends = now.isSending && now.written !== written;
        if (now.read !== read || sends || listener.isHeld?.()) watch(idleMs, now);
        else cancel(lostError(this.at, `no answer in ${ms} ms: cancelled`));
      });
    };
    const aborted = (): void => cancel(lostError(this.at, 'cancelled', signal?.reason));
    watch(requestMs, this.#traffic);
    signal?.addEventListener('abort', aborted, { once: true });
    try {
      send();
      return await Promise.race([settled, given.promise]);
    } catch (error) {
      this.isDirty = true;
      throw why ?? mssqlError(error, this.at);
    } finally {
      timer!.cancel();
      signal?.removeEventListener('abort', aborted);
      this.#isBusy = false;
      this.usedAt = clock.now();
      if (this.#tedious.closed) this.#ended();
    }
  }

  get #traffic(): Traffic {
    const { socket } = this.#tedious;
    if (!socket) return { read: 0, written: 0, isSending: false };
    const waiting = socket.writableLength;
    return { read: socket.bytesRead, written: socket.bytesWritten - waiting, isSending: waiting > 0 };
  }

  #ended(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#onLost();
  }
}
