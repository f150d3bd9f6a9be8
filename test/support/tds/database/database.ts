/**
 * One database: a file of SQLite, which each session opens for itself, so that a snapshot is one of SQLite's and what is
 * committed is there after any death of the process. What it says beside its transactions, like the version it is at, is read
 * by a connection of its own.
 */

import { randomUUID } from 'node:crypto';
import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { WriteLock } from './lock.ts';
import { makeDatabase } from './system-tables.ts';

/** What no document says of SQL Server, both ways (reference 5). */
export interface Unsure {
  /** CHANGE_TRACKING_CURRENT_VERSION() within a snapshot: that of now, or of when it began. */
  readonly currentVersion: 'now' | 'snapshot';
  /** So for CHANGE_TRACKING_MIN_VALID_VERSION(). */
  readonly minValidVersion: 'now' | 'snapshot';
  /** Where tracking begins when it is turned on, and anew by TRUNCATE: at a version of their own, or at the current one. */
  readonly beginVersion: 'own' | 'current';
}

export interface DatabaseOptions {
  readonly name: string;
  readonly path: string;
  readonly unsure: Unsure;
  /** Ms since 1970. */
  readonly clock: () => number;
}

/** What a session is to its database. */
export interface Member {
  /** Its transaction is undone, and its connection gone. */
  cut(): void;
}

const BUSY_MS = 5000;

export class Database {
  readonly name: string;
  readonly path: string;
  readonly unsure: Unsure;
  readonly lock = new WriteLock();
  readonly members = new Set<Member>();
  /** Permissions that logins lack: `VIEW CHANGE TRACKING dbo.t`, `VIEW DATABASE STATE`; in upper case up to the object. */
  readonly denied = new Set<string>();
  readonly #clock: () => number;
  #live: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** Changes are committed, and wait to be captured. */
  captured: () => void = () => undefined;

  constructor({ name, path, unsure, clock }: DatabaseOptions) {
    this.name = name;
    this.path = path;
    this.unsure = unsure;
    this.#clock = clock;
    const isNew = !existsSync(path);
    this.#live = this.open();
    if (!isNew) return;
    this.#live.exec('BEGIN IMMEDIATE');
    const [guid, fork] = [randomUUID().toUpperCase(), randomUUID().toUpperCase()];
    makeDatabase(this.#live, { name, now: this.now().slice(0, 23), guid, fork });
    this.#live.exec('COMMIT');
  }

  /** A connection. What a process that is killed had committed is kept, a power cut is not stood for. */
  open(): DatabaseSync {
    const db = new DatabaseSync(this.path, { timeout: BUSY_MS, enableForeignKeyConstraints: false });
    db.exec(
      'PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000',
    );
    return db;
  }

  /** UTC, with seven digits behind the seconds. */
  now(): string {
    return `${new Date(this.#clock()).toISOString().slice(0, 23).replace('T', ' ')}0000`;
  }

  /** What is committed at this moment. Whole numbers come as bigint. */
  read(sql: string, ...values: (string | bigint | Uint8Array)[]): Record<string, unknown> | undefined {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#live.prepare(sql);
      statement.setReadBigInts(true);
      this.#statements.set(sql, statement);
    }
    return statement.get(...values) as Record<string, unknown> | undefined;
  }

  /** Changes something from outside of all sessions, when no transaction of theirs is writing. */
  async change<T>(act: (db: DatabaseSync) => T): Promise<T> {
    const owner = {};
    await this.lock.take(owner);
    try {
      this.#live.exec('BEGIN IMMEDIATE');
      const result = act(this.#live);
      this.#live.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.#live.isTransaction) this.#live.exec('ROLLBACK');
      throw error;
    } finally {
      this.lock.free(owner);
    }
  }

  get version(): bigint {
    return this.read('SELECT version FROM "km.state"')!['version'] as bigint;
  }

  get isTracked(): boolean {
    return this.read('SELECT 1 FROM "sys.change_tracking_databases"') !== undefined;
  }

  isDenied(permission: string, object = ''): boolean {
    return this.denied.has(`${permission.toUpperCase()} ${object.toLowerCase()}`.trim());
  }

  /** A copy as BACKUP makes it. */
  backUp(to: string): void {
    rmSync(to, { force: true });
    this.#live.prepare('VACUUM INTO ?').run(to);
  }

  /** As RESTORE does: all sessions end, and a new fork of the database's life begins. */
  restore(from: string): void {
    this.#replace(() => {
      copyFileSync(from, `${this.path}.new`);
      renameSync(`${this.path}.new`, this.path);
    });
    this.#live
      .prepare('UPDATE "sys.database_recovery_status" SET recovery_fork_guid = ?')
      .run(randomUUID().toUpperCase());
  }

  close(): void {
    for (const member of [...this.members]) member.cut();
    this.#statements.clear();
    if (this.#live.isOpen) this.#live.close();
  }

  #replace(act: () => void): void {
    this.close();
    for (const end of ['-wal', '-shm']) rmSync(this.path + end, { force: true });
    act();
    this.#live = this.open();
  }
}
