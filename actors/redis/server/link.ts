/** Connected as long as it is not closed: when a connection ends, for whatever reason, another is made, after a pause that grows. */
import { asError } from '../../../runtime/index.ts';
import { within } from './connection.ts';
import { faultOf, lostFault } from './faults.ts';
import { PAUSES, type RoadNeeds } from './road.ts';

export interface LinkEnds<C> {
  /** Resolves when it can be used; `ended` resolves with the reason, and never rejects. Throws IO_FAILED, ACCESS_REFUSED and the like. */
  open(): Promise<{ readonly connection: C; readonly ended: Promise<unknown> }>;
  /** There is one. */
  up(connection: C): void;
  /** There is none any more, or still none. */
  down(wasUp: boolean): void;
}

export class Link<C> {
  readonly #needs: RoadNeeds;
  readonly #at: string;
  readonly #ends: LinkEnds<C>;
  #connection: C | null = null;
  #connected = Promise.withResolvers<C>();
  #hasConnected = false;
  /** Ends each pause. */
  readonly #pauses = new Set<() => void>();
  /** Why there is no connection, where there is none. */
  fault: unknown;
  isClosed = false;

  constructor(needs: RoadNeeds, ends: LinkEnds<C>) {
    this.#needs = needs;
    this.#at = needs.connector.name;
    this.#ends = ends;
    this.fault = lostFault(this.#at, 'not connected yet');
    void this.#stayConnected();
  }

  get connection(): C | null {
    return this.#connection;
  }

  /** Waits for one as long as a command may take. Throws why there is none. */
  opened(): Promise<C> {
    if (this.#connection !== null) return Promise.resolve(this.#connection);
    const { environment, commandTimeoutMs } = this.#needs;
    return within(environment.clock, commandTimeoutMs, this.#connected.promise, () => this.fault);
  }

  /** Half of `ms` to all of it; shorter where a connection is made meanwhile, or this is closed. */
  pause(ms: number): Promise<void> {
    const { clock, random } = this.#needs.environment;
    return new Promise(resolve => {
      const wake = (): void => {
        timer.cancel();
        this.#pauses.delete(wake);
        resolve();
      };
      const timer = clock.after(ms * (0.5 + 0.5 * random()), wake);
      this.#pauses.add(wake);
    });
  }

  /** No other is made. To end the one there is, is its owner's. */
  close(): void {
    this.isClosed = true;
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#pauses]) wake();
  }

  async #stayConnected(): Promise<void> {
    const { environment, log } = this.#needs;
    const { clock } = environment;
    for (let pauseMs = PAUSES.firstMs; !this.isClosed; pauseMs = Math.min(2 * pauseMs, PAUSES.mostMs)) {
      let since = Number.NaN;
      try {
        const { connection, ended } = await this.#ends.open();
        since = clock.now();
        this.#use(connection);
        this.fault = await ended;
        if (!this.isClosed) log.warn({ at: this.#at, error: asError(this.fault).message }, 'connection lost');
      } catch (error) {
        this.fault = faultOf(error, this.#at);
      }
      if (clock.now() - since > PAUSES.mostMs) pauseMs = PAUSES.firstMs;
      const wasUp = this.#connection !== null;
      if (wasUp) this.#connected = Promise.withResolvers();
      this.#connection = null;
      this.#ends.down(wasUp);
      if (!this.isClosed) await this.pause(pauseMs);
    }
  }

  #use(connection: C): void {
    if (this.#hasConnected) {
      this.#needs.meters.reconnects++;
      this.#needs.log.info({ at: this.#at }, 'connected again');
    }
    this.#hasConnected = true;
    this.#connection = connection;
    this.#connected.resolve(connection);
    this.#wake();
    this.#ends.up(connection);
  }
}
