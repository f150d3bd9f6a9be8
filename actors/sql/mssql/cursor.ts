/** Rows of a statement on a connection of their own, of one moment where the database has snapshots. */
import type { Row } from '../contract.ts';
import type { SqlCursor } from '../driver.ts';
import type { Command } from './command.ts';
import type { Connection } from './connection.ts';
import { numberOf } from './errors.ts';
import type { Pool } from './pool.ts';
import type { RowStream } from './row-stream.ts';

const NO_SNAPSHOT = 3952;

export class MssqlCursor implements SqlCursor {
  readonly #pool: Pool;
  readonly #connection: Connection;
  readonly #command: Command;
  readonly #closed: (cursor: MssqlCursor) => void;
  #stream: RowStream;
  /** It may be begun anew without a snapshot while nothing was given. */
  #isFresh: boolean;
  #isClosed = false;

  private constructor(
    pool: Pool,
    connection: Connection,
    command: Command,
    snapshot: boolean,
    closed: (cursor: MssqlCursor) => void,
  ) {
    this.#pool = pool;
    this.#connection = connection;
    this.#command = command;
    this.#closed = closed;
    this.#isFresh = snapshot;
    this.#stream = connection.stream(command);
  }

  static async open(
    pool: Pool,
    command: Command,
    snapshot: boolean,
    closed: (cursor: MssqlCursor) => void,
  ): Promise<MssqlCursor> {
    const connection = await pool.acquire();
    try {
      if (snapshot) await connection.beginSnapshot();
      return new MssqlCursor(pool, connection, command, snapshot, closed);
    } catch (error) {
      pool.release(connection);
      throw error;
    }
  }

  async next(rows: number): Promise<Row[]> {
    try {
      const found = await this.#stream.next(rows);
      this.#isFresh = false;
      return found;
    } catch (error) {
      if (!this.#isFresh || numberOf(error) !== NO_SNAPSHOT) throw error;
    }
    this.#isFresh = false;
    await this.#stream.close();
    await this.#connection.reset();
    this.#stream = this.#connection.stream(this.#command);
    return this.#stream.next(rows);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closed(this);
    await this.#stream.close();
    // The reset ends the transaction.
    this.#connection.isDirty = true;
    this.#pool.release(this.#connection);
  }
}
