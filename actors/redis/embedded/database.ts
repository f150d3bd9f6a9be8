/**
 * The file of a `file:` store: a SQLite database with a row an entry, held by one process from opening to closing. A batch
 * is one transaction. With WAL a commit survives the death of the process, and with `synchronous = FULL` a power cut.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { APPLICATION_ID, decode, encode, FORMAT } from './codec.ts';
import type { Entry } from './entries.ts';
import { corrupt, sqliteFault } from './faults.ts';
import { prepareFolder } from './file-place.ts';
import { Tokens } from './moment.ts';

/** How long the opening waits for a process that is about to close it. The thread stands still meanwhile. */
const BUSY_MS = 1000;
/** Bytes of a trial at most. */
const MOST_TRIAL_BYTES = 1 << 20;

const SCHEMA = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (key TEXT PRIMARY KEY, entry TEXT NOT NULL);
CREATE TABLE trial (bytes BLOB);
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${FORMAT};
`;

export interface DatabaseOptions {
  readonly fsync: 'batch' | 'none';
  /** The epoch of a store that is made now. */
  readonly born: number;
}

export class Database {
  readonly #path: string;
  readonly epoch: number;
  /** The highest token given. */
  token: number;
  readonly #db: DatabaseSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #setMeta: StatementSync;
  /** Bytes of the batch that could not be written last. */
  #failed = 0;

  /** Throws STORE_CORRUPT, STORE_READ_ONLY, STORE_IN_USE, OUTPUT_FULL, IO_FAILED. */
  constructor(path: string, { fsync, born }: DatabaseOptions) {
    this.#path = path;
    prepareFolder(path);
    let db: DatabaseSync | undefined;
    try {
      db = new DatabaseSync(path, { timeout: BUSY_MS });
      // Before the first read: then there is no shared memory, and the lock stays until the file is closed.
      db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL');
      db.exec(`PRAGMA synchronous = ${fsync === 'batch' ? 'FULL' : 'NORMAL'}; PRAGMA journal_size_limit = 67108864`);
      this.#db = db;
      const isNew = this.#begin(born);
      this.#put = db.prepare(
        'INSERT INTO entries VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET entry = excluded.entry',
      );
      this.#delete = db.prepare('DELETE FROM entries WHERE key = ?');
      this.#setMeta = db.prepare('INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value');
      this.epoch = isNew ? born : this.#meta('epoch');
      this.token = this.#meta('token');
    } catch (error) {
      db?.close();
      throw sqliteFault(error, path, true);
    }
  }

  /** All that it holds. Throws STORE_CORRUPT. */
  *entries(): Generator<[string, Entry], void, void> {
    try {
      const all = this.#db.prepare('SELECT entry FROM entries');
      all.setReturnArrays(true); // in less than half the time
      for (const [entry] of all.iterate() as unknown as Iterable<[string]>) {
        try {
          yield decode(entry);
        } catch (cause) {
          throw corrupt(this.#path, 'an entry of it cannot be read', cause);
        }
      }
    } catch (error) {
      throw sqliteFault(error, this.#path, true);
    }
  }

  /** All or nothing. Throws OUTPUT_FULL, STORE_READ_ONLY, IO_FAILED (all of which may heal), STORE_CORRUPT. */
  write(changes: Iterable<[string, Entry | undefined]>, token: number): void {
    let bytes = 0;
    try {
      this.#transaction(() => {
        for (const [key, entry] of changes) {
          if (entry) {
            const text = encode(key, entry);
            bytes += text.length;
            this.#put.run(key, text);
          } else this.#delete.run(key);
        }
        if (token !== this.token) this.#setMeta.run('token', token);
      });
      this.token = token;
      this.#failed = 0;
    } catch (error) {
      this.#failed = Math.max(1, bytes);
      throw sqliteFault(error, this.#path);
    }
  }

  /** Throws while what could not be written last could not be now. */
  tryOut(): void {
    if (this.#failed === 0) return;
    try {
      const bytes = Math.min(this.#failed, MOST_TRIAL_BYTES);
      this.#transaction(() => this.#db.prepare('INSERT INTO trial VALUES (zeroblob(?))').run(bytes));
      this.#transaction(() => this.#db.exec('DELETE FROM trial'));
      this.#failed = 0;
    } catch (error) {
      throw sqliteFault(error, this.#path);
    }
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }

  /** Makes the tables of a new file, and writes once: what cannot be written must stop the start. True if it was new. */
  #begin(born: number): boolean {
    const { application_id: id } = this.#db.prepare('PRAGMA application_id').get()!;
    const { user_version: format } = this.#db.prepare('PRAGMA user_version').get()!;
    const { n: tables } = this.#db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()!;
    const isNew = tables === 0 && id === 0;
    if (!isNew && id !== APPLICATION_ID) throw corrupt(this.#path, 'it is a database, but no store of keymill');
    if (!isNew && format !== FORMAT) throw corrupt(this.#path, `its format is ${format}, known here is ${FORMAT}`);
    this.#transaction(() => {
      if (isNew) this.#db.exec(SCHEMA);
      const set = this.#db.prepare('INSERT OR IGNORE INTO meta VALUES (?, ?)');
      set.run('epoch', born);
      set.run('token', Tokens.first(born));
      this.#db.exec("UPDATE meta SET value = value WHERE name = 'epoch'; DELETE FROM trial");
    });
    return isNew;
  }

  #meta(name: string): number {
    const row = this.#db.prepare('SELECT value FROM meta WHERE name = ?').get(name);
    if (typeof row?.['value'] !== 'number') throw corrupt(this.#path, `it has no ${name}`);
    return row['value'];
  }

  #transaction(fn: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      fn();
      this.#db.exec('COMMIT');
    } catch (error) {
      try {
        if (this.#db.isTransaction) this.#db.exec('ROLLBACK'); // SQLite has rolled back by itself after some errors
      } catch {
        // The first error says more.
      }
      throw error;
    }
  }
}
