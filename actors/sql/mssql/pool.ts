/**
 * Connections that are open, and no more of them than are needed. One that was idle is tried before it is used, one whose
 * session was changed is reset before the next has it, an old one is not used again.
 */
import { Pool as Tarn, TimeoutError } from 'tarn';
import type { Environment, KeymillError, Log } from '../../../runtime/index.ts';
import type { Connection } from './connection.ts';
import { lostError, mssqlError } from './errors.ts';
import { type CloseReason, MssqlMeters, type PoolNumbers } from './meters.ts';
import type { MssqlOptions } from './server-options.ts';
import { ALIVE } from './statements/server.ts';

export type Link = Pick<Connection, 'isOpen' | 'isDirty' | 'openedAt' | 'usedAt' | 'run' | 'reset' | 'close'>;

/** More than the driver itself waits, so that its own error is the one that is told. */
const GRACE_MS = 2000;

export class Pool<C extends Link = Connection> {
  readonly #tarn: Tarn<C>;
  readonly #environment: Environment;
  readonly #log: Log;
  readonly #options: MssqlOptions['pool'];
  readonly #at: string;
  readonly #meters: MssqlMeters;
  /** Of those that are given up. */
  readonly #why = new WeakMap<C, CloseReason>();
  #isClosed = false;

  constructor(
    options: MssqlOptions['pool'] & { readonly at: string; readonly connectMs: number },
    environment: Environment,
    log: Log,
    open: () => Promise<C>,
    meters = new MssqlMeters(environment.clock),
  ) {
    this.#meters = meters;
    this.#options = options;
    this.#environment = environment;
    this.#log = log;
    this.#at = options.at;
    this.#tarn = new Tarn<C>({
      create: (async () => {
        const connection = await open();
        meters.opened();
        return connection;
      }) as never,
      destroy: (connection: C) => {
        meters.closed(this.#reasonOf(connection));
        connection.close();
      },
      // It may answer later, though its types do not say so.
      validate: ((connection: C) => this.#isGood(connection)) as never,
      log: message => log.debug({ server: options.at }, message),
      min: options.min,
      max: options.max,
      acquireTimeoutMillis: options.acquireMs,
      createTimeoutMillis: options.connectMs + GRACE_MS,
      idleTimeoutMillis: options.idleMs,
      propagateCreateError: true,
    });
  }

  get numbers(): PoolNumbers {
    const used = this.#tarn.numUsed();
    return { open: used + this.#tarn.numFree(), used, waiting: this.#tarn.numPendingAcquires() };
  }

  /** Rejects with SQL_UNAVAILABLE where none is free in time, and with what connecting says. */
  async acquire(signal?: AbortSignal): Promise<C> {
    if (this.#isClosed) throw lostError(this.#at, 'the driver is closed');
    if (signal?.aborted) throw lostError(this.#at, 'cancelled before it was sent', signal.reason);
    const pending = this.#tarn.acquire();
    const abort = (): void => pending.abort();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      return await this.#meters.acquire(pending.promise);
    } catch (error) {
      if (signal?.aborted) throw lostError(this.#at, 'cancelled before it was sent', signal.reason);
      if (error instanceof TimeoutError)
        throw lostError(this.#at, `no connection was free in ${this.#options.acquireMs} ms`, error);
      throw mssqlError(error, this.#at);
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Gives it back when it is clean again; does not wait for that. */
  release(connection: C): void {
    if (connection.isOpen && connection.isDirty)
      connection
        .reset()
        .catch(() => this.#giveUp(connection, 'unclean').close())
        .finally(() => this.#tarn.release(connection));
    else this.#tarn.release(connection);
  }

  async use<T>(fn: (connection: C) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const connection = await this.acquire(signal);
    try {
      return await fn(connection);
    } finally {
      this.release(connection);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#tarn.destroy();
  }

  async #isGood(connection: C): Promise<boolean> {
    const now = this.#environment.clock.now();
    if (!connection.isOpen) return false;
    if (now - connection.openedAt > this.#options.maxLifeMs) {
      this.#giveUp(connection, 'old');
      return false;
    }
    if (now - connection.usedAt <= this.#options.validateMs) return true;
    try {
      await connection.run(ALIVE);
      return true;
    } catch (error) {
      const { message } = error as KeymillError;
      this.#log.debug({ server: this.#at, err: message }, 'an idle connection was lost');
      this.#giveUp(connection, 'lost');
      return false;
    }
  }

  #giveUp(connection: C, why: CloseReason): C {
    this.#why.set(connection, why);
    return connection;
  }

  #reasonOf(connection: C): CloseReason {
    const why = this.#why.get(connection);
    if (why !== undefined) return why;
    if (!connection.isOpen) return 'lost';
    return this.#isClosed ? 'stopped' : 'idle';
  }
}
