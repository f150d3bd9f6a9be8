/**
 * The database of a bus: opened, locked, its statements prepared, transactions. What is decided here:
 *
 * - **One process.** SQLite's exclusive locking mode: the lock is the system's, on the file, so it is gone with the process
 *   however that ended. Who comes second gets STORE_IN_USE.
 * - **Durable.** A transaction counts when its COMMIT returned: with `fsync: 'batch'` the log is on the disk then
 *   (synchronous FULL), with 'none' it is with the system, which a kill of the process does not lose, a power cut may.
 * - **All or none.** What fails in a transaction is rolled back, and the fault is one of keymill's codes (faults.ts).
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { KeymillError } from '../../../runtime/index.ts';
import { storeFault } from './faults.ts';
import { APPLICATION_ID, FORMAT, SCHEMA, STATEMENTS, type StatementName } from './schema.ts';

export interface StoreOptions {
  /** Path of the file; `:memory:` for none. */
  readonly file: string;
  readonly fsync: 'batch' | 'none';
  /** Largest size of the whole; 0 for no bound. */
  readonly maxBytes: number;
}

/** Pages kept in memory, in KiB. */
const CACHE_KIB = 16_384;
/** What the write-ahead log is cut back to after it was written into the file. */
const LOG_BYTES = 64 * 1024 * 1024;

/** Row of a probe; of a process that was killed meanwhile it stays until the next probe, and is of no topic. */
const PROBE_ID = -1;
const MAX_PROBE_BYTES = 1 << 20;

export class Store {
  readonly file: string;
  readonly #database: DatabaseSync;
  readonly #statements: Readonly<Record<StatementName, StatementSync>>;

  /** Throws STORE_IN_USE, STORE_CORRUPT, STORE_READ_ONLY, OUTPUT_FULL, IO_FAILED. */
  static open(options: StoreOptions): Store {
    let database: DatabaseSync | undefined;
    try {
      if (options.file !== ':memory:') mkdirSync(dirname(options.file), { recursive: true });
      database = new DatabaseSync(options.file);
      return new Store(options, database);
    } catch (error) {
      try {
        database?.close();
      } catch {
        // what matters is why it could not be opened
      }
      throw storeFault(error, options.file);
    }
  }

  private constructor({ file, fsync, maxBytes }: StoreOptions, database: DatabaseSync) {
    this.file = file;
    this.#database = database;
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;');
    database.exec(
      `PRAGMA synchronous = ${fsync === 'batch' ? 'FULL' : 'NORMAL'}; PRAGMA temp_store = MEMORY;
       PRAGMA cache_size = -${CACHE_KIB}; PRAGMA journal_size_limit = ${LOG_BYTES};`,
    );
    database.exec('BEGIN IMMEDIATE'); // takes the lock, or says that another has it
    this.#recognise();
    database.exec('COMMIT');
    if (maxBytes > 0) {
      const pageBytes = this.#pragma('page_size');
      database.exec(`PRAGMA max_page_count = ${Math.max(64, Math.floor(maxBytes / pageBytes))}`);
    }
    const statements: Partial<Record<StatementName, StatementSync>> = {};
    for (const name of Object.keys(STATEMENTS) as StatementName[]) {
      const statement = database.prepare(STATEMENTS[name]);
      statement.setReturnArrays(true);
      statements[name] = statement;
    }
    this.#statements = statements as Record<StatementName, StatementSync>;
  }

  /** Rows as arrays, typed by the caller after schema.ts. */
  all<Row>(name: StatementName, ...values: SQLInputValue[]): Row[] {
    try {
      return this.#statements[name].all(...values) as unknown as Row[];
    } catch (error) {
      throw storeFault(error, this.file);
    }
  }

  /** Shows rows one by one, so that no more are in memory than are wanted; ends when `visit` returns false. */
  each<Row>(name: StatementName, visit: (row: Row) => boolean, ...values: SQLInputValue[]): void {
    try {
      for (const row of this.#statements[name].iterate(...values)) if (!visit(row as unknown as Row)) return;
    } catch (error) {
      throw storeFault(error, this.file);
    }
  }

  /** Returns the id of the row that was put in. Its faults are turned by `transaction`. */
  run(name: StatementName, ...values: SQLInputValue[]): number {
    return Number(this.#statements[name].run(...values).lastInsertRowid);
  }

  /** What `write` does is durable when this returns, or is not there when it throws. */
  transaction<T>(write: () => T): T {
    try {
      this.#statements.begin.run();
      const value = write();
      this.#statements.commit.run();
      return value;
    } catch (error) {
      if (this.#database.isOpen && this.#database.isTransaction) this.#rollBack();
      throw storeFault(error, this.file);
    }
  }

  /** Writes so many bytes and takes them out again: only that tells whether there is room. Throws as `transaction`. */
  probe(bytes: number): void {
    const payload = new Uint8Array(Math.min(bytes, MAX_PROBE_BYTES));
    this.transaction(() => this.run('addMessage', PROBE_ID, 0, 0, 0, '', 0, null, null, null, null, null, payload));
    this.transaction(() => this.run('dropMessages', PROBE_ID, PROBE_ID + 1));
  }

  close(): void {
    if (!this.#database.isOpen) return;
    try {
      this.#database.close();
    } catch (error) {
      throw storeFault(error, this.file);
    }
  }

  /** SQLite rolls back by itself after some faults. */
  #rollBack(): void {
    try {
      this.#statements.rollback.run();
    } catch {
      // the fault that led here says more
    }
  }

  #recognise(): void {
    const format = this.#pragma('user_version');
    const application = this.#pragma('application_id');
    const isEmpty = this.#database.prepare('SELECT 1 FROM sqlite_master LIMIT 1').get() === undefined;
    if (isEmpty && application === 0) {
      this.#database.exec(`${SCHEMA}; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${FORMAT};`);
      return;
    }
    const fault =
      application !== APPLICATION_ID
        ? 'is a database of something else'
        : format !== FORMAT
          ? `has format ${format}, this keymill reads ${FORMAT}`
          : undefined;
    if (fault) throw new KeymillError('STORE_CORRUPT', `${this.file} ${fault}`, { place: { at: this.file } });
  }

  #pragma(name: string): number {
    const row = this.#database.prepare(`PRAGMA ${name}`).get() as Record<string, number>;
    return row[name]!;
  }
}
