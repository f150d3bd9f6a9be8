/**
 * The transaction of one session, by one of SQLite's. A snapshot is one that reads; what writes has the database's lock until
 * it ends. Between those, at READ COMMITTED, each statement sees what is committed when it begins; readers are not held up by
 * writers, as under READ_COMMITTED_SNAPSHOT.
 */
import type { DatabaseSync } from 'node:sqlite';
import { SqlError } from '../errors.ts';
import type { IsolationLevel } from '../requests.ts';
import type { Table } from './catalog.ts';
import type { Database } from './database.ts';

export class Transaction {
  level: IsolationLevel = 'read committed';
  /** BEGIN TRANSACTION without its COMMIT. */
  count = 0;
  /** Of what it changed in tracked tables; null before it has. */
  version: bigint | null = null;
  /** Its number in the log; null before it changed a captured table. */
  log: bigint | null = null;
  readonly #database: Database;
  readonly #db: DatabaseSync;

  readonly #isSecondary: boolean;

  constructor(database: Database, db: DatabaseSync, isSecondary: boolean) {
    this.#database = database;
    this.#db = db;
    this.#isSecondary = isSecondary;
  }

  get isOpen(): boolean {
    return this.#db.isOpen && this.#db.isTransaction;
  }

  get isSnapshot(): boolean {
    return this.level === 'snapshot' && this.count > 0;
  }

  /** Before a statement reads these tables. Throws 3952, 3961. */
  async read(tables: Iterable<Table>, signal: AbortSignal): Promise<void> {
    const own = [...tables].filter(table => table.kind === 'user');
    if (own.length === 0) return;
    if (this.level === 'snapshot') {
      if (!this.isOpen) this.#beginSnapshot();
      if (this.count > 0) for (const table of own) this.#mustBeAsItWas(table);
    } else if (this.count > 0 && (this.level === 'serializable' || this.level === 'repeatable read'))
      await this.write(signal);
  }

  /** Before a statement writes, or locks. Throws 3906, 3952, 3960. */
  async write(signal: AbortSignal): Promise<void> {
    const isReadOnly = this.#database.read('SELECT is_read_only AS is_so FROM "sys.databases"')!['is_so'] !== 0n;
    if (isReadOnly || this.#isSecondary)
      throw new SqlError(3906, `Failed to update database "${this.#database.name}" because the database is read-only.`);
    if (this.level === 'snapshot' && !this.isOpen) this.#beginSnapshot();
    await this.#database.lock.take(this, signal);
    if (!this.isOpen) return this.#db.exec('BEGIN IMMEDIATE');
    try {
      this.#db.exec('UPDATE "km.state" SET version = version');
    } catch (error) {
      if ((error as { errcode?: number }).errcode !== BUSY_SNAPSHOT) throw error;
      throw new SqlError(3960, 'Snapshot isolation transaction aborted due to update conflict.', {
        state: 2,
        rollsBack: true,
      });
    }
  }

  /** The version of what it changes: the next, as nobody else writes meanwhile. */
  takeVersion(): bigint {
    this.version ??= this.#database.version + 1n;
    return this.version;
  }

  takeLog(): bigint {
    this.log ??= (this.#database.read('SELECT lsn FROM "km.state"')!['lsn'] as bigint) + 1n;
    return this.log;
  }

  /** After a statement outside of a transaction. */
  settle(isDone: boolean): void {
    if (this.count > 0) return;
    if (isDone) this.commit();
    else this.rollback();
  }

  commit(): void {
    const { version, log } = this;
    try {
      if (this.isOpen) {
        const now = this.#database.now().slice(0, 23);
        if (version !== null)
          this.#db.exec(`UPDATE "km.state" SET version = ${version};
            INSERT INTO "sys.dm_tran_commit_table" VALUES (${version}, '${now}')`);
        if (log !== null)
          this.#db.exec(
            `UPDATE "km.state" SET lsn = ${log}; INSERT INTO "km.log" (tran, ended) VALUES (${log}, '${now}')`,
          );
        this.#db.exec('COMMIT');
      }
    } finally {
      this.#end();
    }
    if (log !== null) this.#database.captured();
  }

  rollback(): void {
    try {
      if (this.isOpen) this.#db.exec('ROLLBACK');
    } finally {
      this.#end();
    }
  }

  #end(): void {
    this.count = 0;
    this.version = null;
    this.log = null;
    this.#database.lock.free(this);
  }

  /** It begins with the first look at a table, not with BEGIN TRANSACTION. */
  #beginSnapshot(): void {
    if (this.#database.read('SELECT snapshot_isolation_state AS state FROM "sys.databases"')!['state'] !== 1n)
      throw new SqlError(
        3952,
        `Snapshot isolation transaction failed accessing database '${this.#database.name}' because snapshot isolation is not allowed in this database.`,
      );
    if (this.count === 0) return;
    this.#db.exec('BEGIN');
    this.#db.prepare('SELECT version FROM "km.state"').get();
  }

  #mustBeAsItWas({ objectId, name }: Table): void {
    const sql = `SELECT modify_date AS at FROM "sys.objects" WHERE object_id = ${objectId}`;
    const [now, then] = [this.#database.read(sql), this.#db.prepare(sql).get()];
    if (now?.['at'] !== then?.['at'])
      throw new SqlError(
        3961,
        `Snapshot isolation transaction failed in database '${this.#database.name}' because the object '${name}' accessed by the statement has been modified by a DDL statement in another concurrent transaction since the start of this transaction.`,
        { rollsBack: true },
      );
  }
}

const BUSY_SNAPSHOT = 517;
