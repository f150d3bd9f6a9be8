/**
 * The way to one server, or to the master that sentinels name: one connection, which keeps the order, with a bounded number
 * of batches under way. When it is lost, what was under way goes first on the next one, as it was: the script knows what it
 * did already.
 */
import { KeymillError } from '../../../runtime/index.ts';
import type { Batch, BatchReply } from './batch.ts';
import { type Connection, within } from './connection.ts';
import { masterIdIn } from './epochs.ts';
import { faultOf, isPassing, isReply, lostFault } from './faults.ts';
import { Link } from './link.ts';
import {
  argumentsOf,
  CLOSING_MS,
  isDemoted,
  isGivenUp,
  type Node,
  type Road,
  type RoadNeeds,
  staleIn,
} from './road.ts';

const WINDOW = 16;
/** While no connection can be made, what was never sent waits no longer than this and until the next attempt has failed. */
const PATIENCE_MS = 1000;

export class Pipe implements Road {
  readonly #needs: RoadNeeds;
  readonly #link: Link<Connection>;
  /** To be sent, in order. */
  #queue: Batch[] = [];
  /** Sent and not answered, in order. */
  #flying: Batch[] = [];
  #number = 0;

  constructor(needs: RoadNeeds) {
    this.#needs = needs;
    this.#link = new Link(needs, {
      open: () => this.#connect(),
      up: () => this.#pump(),
      down: wasUp => this.#down(wasUp),
    });
  }

  get fault(): unknown {
    return this.#link.connection === null ? this.#link.fault : null;
  }

  submit(batch: Batch): void {
    if (this.#link.isClosed) batch.fail(lostFault(this.#needs.connector.name, 'closed'));
    else {
      this.#queue.push(batch);
      this.#pump();
    }
  }

  overdue(batch: Batch): void {
    const { clock } = this.#needs.environment;
    const { commandTimeoutMs } = this.#needs;
    const { connection } = this.#link;
    // The timer that says so may be a little early for what was sent a little later.
    if (clock.now() - batch.sentAt > 0.8 * commandTimeoutMs)
      connection?.end(lostFault(connection.at, `no answer in ${commandTimeoutMs} ms`));
  }

  async nodes(): Promise<readonly Node[]> {
    const connection = await this.#link.opened();
    return [
      {
        name: '',
        call: (command, ...args) => this.#timely(connection, connection.redis.callBuffer(command, ...args)),
      },
    ];
  }

  async epoch(): Promise<number> {
    const [node] = await this.nodes();
    await this.#refresh(masterIdIn(String(await node!.call('INFO', 'replication'))));
    return this.#needs.epochs.epoch;
  }

  async probe(): Promise<void> {
    const [node] = await this.nodes();
    await node!.call('PING');
  }

  async close(): Promise<void> {
    if (this.#link.isClosed) return;
    this.#link.close();
    const left = [...this.#flying, ...this.#queue].map(batch => batch.settled);
    const { clock } = this.#needs.environment;
    if (this.#link.connection !== null && left.length > 0)
      await within(clock, CLOSING_MS, Promise.all(left), () => null).catch(() => {});
    const closed = lostFault(this.#needs.connector.name, 'closed');
    this.#link.connection?.end(closed);
    for (const batch of [...this.#flying.splice(0), ...this.#queue.splice(0)]) batch.fail(closed);
  }

  // ── the connection ─────────────────────────────────────────────────────────────────────────────────────────────────

  async #connect() {
    const { connector, scripts } = this.#needs;
    const connection = await connector.open('asks');
    try {
      if (this.#link.isClosed) throw lostFault(connector.name, 'closed');
      await this.#timely(connection, connection.redis.script('LOAD', scripts.batch.text));
      return { connection, ended: connection.ended };
    } catch (error) {
      connection.end(error);
      throw error;
    }
  }

  #down(wasUp: boolean): void {
    if (!wasUp) this.#giveUp(this.#needs.environment.clock.now());
    this.#queue = [...this.#flying.splice(0), ...this.#queue];
    for (const batch of this.#queue) batch.sentAt = Number.NaN;
  }

  /** Fails what cannot wait until a connection can be made. */
  #giveUp(now: number): void {
    const { fault } = this.#link;
    const isFatal = fault instanceof KeymillError && fault.class === 'fatal';
    this.#queue = this.#queue.filter(batch => {
      const isNew = batch.number === 0;
      const isOver = isFatal || isGivenUp(batch, now) || (isNew && now - batch.wantedAt > PATIENCE_MS);
      if (isOver) batch.fail(fault);
      return !isOver;
    });
  }

  #timely<T>(connection: Connection, call: Promise<T>): Promise<T> {
    return connection.timely(this.#needs.environment.clock, this.#needs.commandTimeoutMs, call);
  }

  // ── batches ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #pump(): void {
    const { connection } = this.#link;
    if (connection === null || connection.isEnded) return;
    const now = this.#needs.environment.clock.now();
    while (this.#queue.length > 0 && this.#flying.length < WINDOW) {
      // One that may have to be sent again, after the epoch was raised, must not be overtaken by the next.
      if (this.#flying.at(-1)?.needsEpoch) return;
      const batch = this.#queue.shift()!;
      if (isGivenUp(batch, now)) {
        batch.fail(lostFault(connection.at, 'given up'));
        continue;
      }
      if (batch.writes && batch.number === 0) batch.number = ++this.#number;
      this.#flying.push(batch);
      this.#send(connection, batch);
    }
  }

  #send(connection: Connection, batch: Batch): void {
    const { scripts, environment, meters } = this.#needs;
    batch.sentAt = environment.clock.now();
    connection.redis.callBuffer('evalsha', scripts.batch.sha, ...argumentsOf(batch, this.#needs, WINDOW)).then(
      reply => {
        if (connection.isEnded) return; // it was sent again, or will be
        meters.answered(batch, environment.clock.now() - batch.sentAt);
        batch.answer(reply as BatchReply);
        this.#landed(batch);
        if (isDemoted(reply as BatchReply)) connection.end(lostFault(connection.at, 'it is a replica now'));
      },
      (error: unknown) => {
        if (!connection.isEnded) void this.#failed(connection, batch, error);
      },
    );
  }

  #landed(batch: Batch): void {
    const place = this.#flying.indexOf(batch);
    if (place >= 0) this.#flying.splice(place, 1);
    this.#pump();
  }

  async #failed(connection: Connection, batch: Batch, error: unknown): Promise<void> {
    const fault = faultOf(error, connection.at);
    if (!isReply(error) || isPassing(error)) {
      connection.end(fault);
      return;
    }
    const stale = staleIn(error);
    if (stale === null) {
      batch.fail(fault);
      this.#landed(batch);
      return;
    }
    try {
      await this.#refresh(stale);
      if (!connection.isEnded) this.#send(connection, batch);
    } catch (cause) {
      if (connection.isEnded) return;
      batch.fail(cause);
      this.#landed(batch);
    }
  }

  async #refresh(id: string): Promise<void> {
    const { epochs, names } = this.#needs;
    const [node] = await this.nodes();
    await epochs.refresh(args => node!.call('EVAL', epochs.script.text, '1', names.epoch, ...args), [id]);
  }
}
