/** The I/O actor itself: passes asks to the driver, reads tables for sources, and keeps the register of who reads which. */
import { hostname } from 'node:os';
import {
  describe,
  type IoContext,
  type IoReply,
  type IoResource,
  KeymillError,
  type SourceHalf,
} from '../../runtime/index.ts';
import type { RedisClient } from '../redis/contract.ts';
import { inDatabase, inRedis } from './changes/leader-places.ts';
import { ChangeSource } from './changes/source.ts';
import { Ticks } from './changes/ticks.ts';
import { Cursors } from './cursors.ts';
import type { SqlDriver } from './driver.ts';
import { isCursor, isSqlOp, isWrite, type ReadOp, type SqlOp, type WriteOp } from './ops.ts';
import { type LeaderOptions, parseRead, type SqlOptions } from './options.ts';

const QUERY_ROWS = 10_000;
const OLDER_ROWS = 500;
const OWNER_LENGTH = 200;

export class SqlResource implements IoResource {
  readonly #driver: SqlDriver;
  readonly #context: IoContext;
  readonly #cursors: Cursors;
  readonly #ticks: Ticks;
  /** `consumer table`, in lower case (S6). */
  readonly #readers = new Set<string>();

  constructor(driver: SqlDriver, options: SqlOptions, context: IoContext) {
    this.#driver = driver;
    this.#context = context;
    this.#ticks = new Ticks(context.environment.clock);
    this.#cursors = new Cursors(driver, context.environment.clock, options.cursorIdleMs);
  }

  async handleBatch(asks: readonly unknown[], signal: AbortSignal): Promise<readonly IoReply[]> {
    const replies = new Array<IoReply>(asks.length);
    const writes: number[] = [];
    const others: Promise<void>[] = [];
    asks.forEach((ask, index) => {
      if (!isSqlOp(ask))
        replies[index] = {
          error: new KeymillError('SQL_FAILED', `not an ask of a sql I/O actor: ${describe(ask)}`, { class: 'fatal' }),
        };
      else if (isWrite(ask)) writes.push(index);
      else
        others.push(
          this.#read(ask).then(
            value => void (replies[index] = { value }),
            (error: unknown) => void (replies[index] = { error }),
          ),
        );
    });
    if (writes.length > 0) {
      const done = await this.#driver.write(
        writes.map(index => asks[index] as WriteOp),
        signal,
      );
      writes.forEach((index, i) => {
        replies[index] = done[i]!;
      });
    }
    await Promise.all(others);
    return replies;
  }

  source(read: Record<string, unknown>): SourceHalf {
    const at = `read of ${this.#context.name}`;
    const { from, table, consumer = this.#context.name, ...settings } = parseRead(read, at);
    const { track, start, pollMs, monitorMs, leader, ...options } = settings;
    const reader = `${consumer} ${table}`.toLowerCase();
    if (this.#readers.has(reader))
      throw new KeymillError('TABLE_TRACKED_TWICE', `${consumer} already reads ${table}`, { place: { at } });
    this.#readers.add(reader);
    const { environment, log } = this.#context;
    return new ChangeSource({
      driver: this.#driver,
      environment,
      log,
      table,
      consumer,
      options,
      pollMs,
      ticks: this.#ticks,
      start,
      track,
      monitorMs,
      leader: leader ? this.#leader(leader, `${from === 'cdc' ? 'cdc ' : ''}${reader}`) : null,
      closed: () => this.#readers.delete(reader),
    });
  }

  /** `name` is the same in all replicas. Throws CONFIG_INVALID where the I/O actor of the lease is not there. */
  #leader({ leaseMs, renewMs = leaseMs / 3, in: where, owner }: LeaderOptions, name: string) {
    const { environment, io } = this.#context;
    // One process may have had its name before: another is another holder.
    const life = Math.floor(environment.random() * 2 ** 32).toString(36);
    const place =
      where === 'database'
        ? inDatabase(this.#driver, name)
        : inRedis(io!<RedisClient>(where.redis), where.redis, this.#driver, name);
    return { place, owner: `${owner ?? hostname()}:${process.pid}:${life}`.slice(-OWNER_LENGTH), leaseMs, renewMs };
  }

  probe(): Promise<void> {
    return this.#driver.probe();
  }

  async close(): Promise<void> {
    await this.#cursors.close();
    await this.#driver.close();
  }

  #read(op: Exclude<SqlOp, WriteOp>): Promise<unknown> {
    return isCursor(op) ? this.#cursors.do(op) : this.#look(op);
  }

  #look(op: ReadOp): Promise<unknown> {
    const driver = this.#driver;
    switch (op.op) {
      case 'query':
        return driver.query(op.sql, op.params ?? {}, QUERY_ROWS);
      case 'describe':
        return driver.describe(op.table);
      case 'tracked':
        return driver.tracked(op.table);
      case 'olderThan':
        return driver.olderThan(op.table, op.epoch, op.after, OLDER_ROWS);
      case 'changes':
        return driver.changes(op.request);
    }
  }
}
