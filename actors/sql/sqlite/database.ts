/** One connection to a SQLite file: statements kept prepared, values in and out, SQLite's errors as keymill's. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import type { Params, Row, SqlValue } from '../contract.ts';
import { sqliteError } from './errors.ts';

/** Statements kept prepared; the one used longest ago goes. */
const PREPARED = 256;

export interface DatabaseOptions {
  /** How long a statement waits for a lock of another connection. The thread stands still meanwhile. */
  readonly busyMs: number;
  /** `full` syncs each commit, and what was answered survives a power cut; `normal` survives any death of the process. */
  readonly synchronous: 'normal' | 'full';
}

export class Database {
  readonly path: string;
  readonly #db: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  /** Throws SQL_UNAVAILABLE, STORE_CORRUPT, STORE_READ_ONLY. */
  constructor(path: string, { busyMs, synchronous }: DatabaseOptions) {
    this.path = path;
    try {
      this.#db = new DatabaseSync(path, { timeout: busyMs });
    } catch (error) {
      throw sqliteError(error, path);
    }
    this.guard(() => {
      this.#db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA foreign_keys = ON`);
      // REPLACE INTO fires delete triggers only so.
      this.#db.exec('PRAGMA recursive_triggers = ON');
    });
  }

  /** Runs what touches the database; what it throws is keymill's. */
  guard<T>(fn: () => T): T {
    try {
      return fn();
    } catch (error) {
      throw sqliteError(error, this.path);
    }
  }

  exec(sql: string): void {
    this.guard(() => this.#db.exec(sql));
  }

  prepare(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (statement) {
      this.#prepared.delete(sql);
    } else {
      statement = this.guard(() => this.#db.prepare(sql));
      if (this.#prepared.size >= PREPARED) this.#prepared.delete(this.#prepared.keys().next().value!);
    }
    this.#prepared.set(sql, statement);
    return statement;
  }

  all(sql: string, params: Params = {}): Row[] {
    const statement = this.prepare(sql);
    return this.guard(() => exactly(statement, () => statement.all(bind(params)) as Row[]));
  }

  /** Rows as arrays, in the order of the statement's columns. */
  arrays(sql: string, params: Params = {}): SqlValue[][] {
    const statement = this.prepare(sql);
    statement.setReturnArrays(true);
    return this.guard(() => exactly(statement, () => statement.all(bind(params)) as unknown as SqlValue[][]));
  }

  first(sql: string, params: Params = {}): Row | undefined {
    const statement = this.prepare(sql);
    return this.guard(() => exactly(statement, () => statement.get(bind(params)) as Row | undefined));
  }

  /** How many rows it changed. */
  run(sql: string, params: Params = {}): number {
    const statement = this.prepare(sql);
    statement.setReadBigInts(true); // the row id of an insert may be one that no number holds
    return this.guard(() => Number(statement.run(bind(params)).changes));
  }

  /** Throws away a half that failed. Nests in nothing: SQLite has one transaction a connection. */
  transaction<T>(kind: 'DEFERRED' | 'IMMEDIATE', fn: () => T): T {
    this.exec(`BEGIN ${kind}`);
    try {
      const value = fn();
      this.exec('COMMIT');
      return value;
    } catch (error) {
      if (this.#db.isTransaction) this.exec('ROLLBACK');
      throw error;
    }
  }

  get isInTransaction(): boolean {
    return this.#db.isTransaction;
  }

  close(): void {
    this.#prepared.clear();
    if (this.#db.isOpen) this.#db.close();
  }
}

/** With whole numbers beyond 2⁵³ the rows are read again with all of them as bigint, and those that fit made numbers. */
function exactly<T>(statement: StatementSync, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_OUT_OF_RANGE') throw error;
  }
  statement.setReadBigInts(true);
  try {
    return narrow(read()) as T;
  } finally {
    statement.setReadBigInts(false);
  }
}

/** bigint that fit into a number become one. */
export function narrow(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(narrow);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, narrow(one)]));
}

export function bind(params: Params): Record<string, SQLInputValue> {
  const bound: Record<string, SQLInputValue> = {};
  for (const name in params) bound[name] = inputOf(params[name]!);
  return bound;
}

/** SQLite has neither booleans nor dates: 0 and 1, and text as ISO 8601 has it. */
export function inputOf(value: SqlValue): SQLInputValue {
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (value instanceof Date) return value.toISOString();
  return value;
}
