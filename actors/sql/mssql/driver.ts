/**
 * The driver for SQL Server (S1, S2, S5, S9). What is decided here:
 *
 * - **One call for each thing.** A batch of writes, the pages of all tables that are asked for in one turn (looks.ts): each is one
 *   round trip, with its transaction in it.
 * - **Another database** is told by the fork guid of its recovery, which every look has. Where the user may not see it, a lost
 *   connection counts as one to another database, and `connection` rises: then bookmarks are compared anew.
 * - **Without snapshots** pages are read by the rule of statements/pages.ts, unless `requireSnapshot`.
 */
import { type Environment, type IoMetric, type IoReply, KeymillError, type Log } from '../../../runtime/index.ts';
import type { Params, Row, TableInfo, Tracked, TrackOptions } from '../contract.ts';
import type { Bookmark, ChangePage, Fence, Leases, RowPage, RowsRequest, SqlCursor, SqlDriver } from '../driver.ts';
import { valuesOfKey } from '../driver.ts';
import type { PageRequest, WriteOp } from '../ops.ts';
import { Captured } from './captured.ts';
import { CapturedDriver } from './captured-driver.ts';
import { Changes } from './changes.ts';
import { type Command, ownCommand } from './command.ts';
import { type Answer, Connection } from './connection.ts';
import { MssqlCursor } from './cursor.ts';
import { mssqlError, numberOf } from './errors.ts';
import { leasesOf } from './leases.ts';
import { MssqlMeters } from './meters.ts';
import { keyColumns, type Table } from './names.ts';
import { OwnTables } from './own-tables.ts';
import { Pool } from './pool.ts';
import { Schema } from './schema.ts';
import type { MssqlOptions } from './server-options.ts';
import { trackCommand, trackDatabaseCommand, untrackCommand } from './statements/ct.ts';
import { fenced } from './statements/leaders.ts';
import {
  bookmarkCommand,
  olderThanCommand,
  pointCommand,
  setBookmarkCommand,
  setPointCommand,
} from './statements/own.ts';
import { ALIVE, SERVER, type ServerFacts, serverFacts } from './statements/server.ts';
import { Writer } from './writer.ts';

/** OPENJSON is there from this level on: SQL Server 2016. */
const JSON_LEVEL = 130;
/** The object is not there. */
const NO_OBJECT = 208;
/** Tracking is on already, for the database or the table. */
const ALREADY_ON = new Set([5088, 4996]);

export class MssqlDriver implements SqlDriver {
  connection = 1;
  readonly #options: MssqlOptions;
  readonly #environment: Environment;
  readonly #log: Log;
  readonly #pool: Pool;
  readonly #meters: MssqlMeters;
  readonly #schema: Schema;
  readonly #own: OwnTables;
  readonly #changes: Changes;
  readonly #writer: Writer;
  readonly #cursors = new Set<MssqlCursor>();
  readonly leases: Leases;
  #facts: Promise<ServerFacts> | null = null;
  #isSnapshotRefused = false;
  /** The last look told the fork that the database is on. */
  #isForkKnown = true;

  /** Connects when it is first asked for something. */
  constructor(options: MssqlOptions, environment: Environment, log: Log) {
    this.#options = options;
    this.#environment = environment;
    this.#log = log;
    const { address, connectMs } = options.connect;
    this.#meters = new MssqlMeters(environment.clock);
    this.#pool = new Pool(
      { ...options.pool, at: address.text, connectMs },
      environment,
      log,
      () => Connection.open(options.connect, environment, log, () => this.#lost()),
      this.#meters,
    );
    this.#schema = new Schema(command => this.#ask([command]));
    this.#own = new OwnTables(this.#pool, options.ownSchema, log);
    this.leases = leasesOf({
      own: this.#own,
      ownSchema: options.ownSchema,
      refused: this.#noBookmarks(),
      ask: command => this.#ask([command]),
    });
    this.#changes = new Changes({
      schema: this.#schema,
      ask: commands => this.#ask(commands),
      how: () => this.#how(),
      snapshotRefused: error => this.#snapshotRefused(error),
      looked: ({ forkGuid }) => {
        this.#isForkKnown = forkGuid !== null;
      },
      endOfTurn: fn => environment.endOfTurn(fn),
    });
    this.#writer = new Writer({
      pool: this.#pool,
      schema: this.#schema,
      own: this.#own,
      ownSchema: options.ownSchema,
      at: address.text,
      log,
      meters: this.#meters,
      id: () => uuid(environment),
      takesJson: async () => (await this.#server()).compatibility >= JSON_LEVEL,
      track: (table, how, signal) => this.#track(table, how, signal),
    });
  }

  write(ops: readonly WriteOp[], signal: AbortSignal): Promise<IoReply[]> {
    return this.#writer.write(ops, signal);
  }

  async query(sql: string, params: Params, maxRows: number): Promise<Row[]> {
    const tooMany = (): Error =>
      new KeymillError('SQL_FAILED', `the query has more than ${maxRows} rows: use stream`, { class: 'fatal' });
    const { sets } = await this.#pool.use(connection => connection.run(ownCommand(sql, params), { maxRows, tooMany }));
    const [first] = sets;
    if (!first) return [];
    return first.rows.map(values => Object.fromEntries(values.map((value, i) => [first.names[i]!, value])));
  }

  async open(sql: string, params: Params): Promise<SqlCursor> {
    const { snapshot } = await this.#how();
    const cursor = await MssqlCursor.open(this.#pool, ownCommand(sql, params), snapshot, one =>
      this.#cursors.delete(one),
    );
    this.#cursors.add(cursor);
    return cursor;
  }

  async describe(name: string): Promise<TableInfo> {
    // Whoever asks wants to know how it is now.
    this.#schema.forget(name);
    const { table, columns, key, isTracked } = await this.#schema.table(name);
    return {
      table,
      columns: columns.map(({ name: column, type, isKey, isComputed }) => ({ name: column, type, isKey, isComputed })),
      key,
      isTracked,
    };
  }

  tracked(table: string): Promise<Tracked> {
    return this.#changes.tracked(table);
  }

  changes(request: PageRequest): Promise<ChangePage> {
    return this.#changes.page(request);
  }

  rows(request: RowsRequest): Promise<RowPage & Tracked> {
    return this.#changes.rows(request);
  }

  async olderThan(
    name: string,
    epoch: number,
    after: string | null,
    limit: number,
  ): Promise<{ pk: Row; key: string }[]> {
    const table = await this.#schema.table(name);
    const keys = keyColumns(table);
    const command = olderThanCommand(this.#options.ownSchema, { name: spelt(table), epoch, after: after ?? '', limit });
    const rows = await this.#unlessMissing(command);
    return rows.map(row => {
      const key = String(row[0]);
      const values = valuesOfKey(key);
      return { pk: Object.fromEntries(keys.map((column, i) => [column.name, values[i]!])), key };
    });
  }

  async bookmark(consumer: string, table: string): Promise<Bookmark | null> {
    return this.#bookmark(consumer, table, spelt(await this.#schema.table(table)));
  }

  /** Throws STORE_READ_ONLY where none can be kept. */
  async setBookmark(bookmark: Bookmark, fence?: Fence): Promise<void> {
    await this.#setBookmark(bookmark, spelt(await this.#schema.table(bookmark.table)), fence);
  }

  /** The face for one source that reads a table by CDC. */
  captured(table: string, consumer: string): SqlDriver {
    const { ownSchema } = this.#options;
    const captured = new Captured({
      table,
      environment: this.#environment,
      log: this.#log,
      find: name => this.#schema.table(name),
      forget: name => this.#schema.forget(name),
      ask: command => this.#ask([command]),
      point: async (name, version) => {
        if (!this.#options.bookmarks) return null;
        const [row] = await this.#unlessMissing(pointCommand(ownSchema, { consumer, name, version }));
        return row ? { version: Number(row[0]), lsn: row[1] as Uint8Array } : null;
      },
      setPoint: async (name, version, lsn, fence) => {
        if (!this.#options.bookmarks || !(await this.#own.want('keymill_captured'))) return false;
        const command = setPointCommand(ownSchema, { consumer, name, version, lsn });
        await this.#ask([fence ? fenced(ownSchema, command, fence) : command]);
        return true;
      },
    });
    return new CapturedDriver(this, captured, {
      bookmark: async () => this.#bookmark(consumer, table, `cdc ${spelt(await this.#schema.table(table))}`),
      setBookmark: async (one, fence) => this.#setBookmark(one, `cdc ${spelt(await this.#schema.table(table))}`, fence),
    });
  }

  async probe(): Promise<void> {
    await this.#ask([ALIVE]);
  }

  metrics(): readonly IoMetric[] {
    return this.#meters.metrics(this.#pool.numbers);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#cursors].map(cursor => cursor.close()));
    await this.#pool.close();
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #bookmark(consumer: string, table: string, name: string): Promise<Bookmark | null> {
    if (!this.#options.bookmarks) return null;
    const [row] = await this.#unlessMissing(bookmarkCommand(this.#options.ownSchema, consumer, name));
    return row ? { consumer, table, version: Number(row[0]), epoch: Number(row[1]) } : null;
  }

  /** Why none can be kept; null where they can. */
  #noBookmarks(): string | null {
    const { bookmarks, connect } = this.#options;
    if (!bookmarks) return 'bookmarks are turned off';
    return connect.readOnlyIntent ? 'a readable secondary is read (readOnlyIntent)' : null;
  }

  async #setBookmark({ consumer, version, epoch }: Bookmark, name: string, fence?: Fence): Promise<void> {
    const { ownSchema } = this.#options;
    const why = this.#noBookmarks();
    if (why !== null) throw noBookmarks(why);
    await this.#own.need('keymill_bookmarks');
    if (fence) await this.#own.need('keymill_leaders');
    const command = setBookmarkCommand(ownSchema, { consumer, name, version, epoch });
    try {
      await this.#ask([fence ? fenced(ownSchema, command, fence) : command]);
    } catch (error) {
      if (!(error instanceof KeymillError)) throw error;
      if (error.code === 'ACCESS_REFUSED' && numberOf(error) > 0)
        throw noBookmarks(`${error.message}; GRANT SELECT, INSERT, UPDATE on ${ownSchema}.keymill_bookmarks`);
      throw this.#own.isGone(error) ?? error;
    }
  }

  /** On one connection, in order; gives the last answer. */
  #ask(commands: readonly Command[], signal?: AbortSignal): Promise<Answer> {
    return this.#pool.use(async connection => {
      let answer: Answer = { sets: [], rowCount: 0 };
      for (const command of commands) {
        if (command.isBatch) connection.isDirty = true;
        answer = await connection.run(command, { signal });
      }
      return answer;
    }, signal);
  }

  /** Rows of the first answer; none where the table is missing. */
  async #unlessMissing(command: Command): Promise<Answer['sets'][number]['rows']> {
    try {
      return (await this.#ask([command])).sets[0]?.rows ?? [];
    } catch (error) {
      if (numberOf(error) === NO_OBJECT) return [];
      throw error;
    }
  }

  #server(): Promise<ServerFacts> {
    if (!this.#facts) {
      this.#facts = this.#ask([SERVER]).then(({ sets }) => serverFacts(sets[0]?.rows[0] ?? []));
      this.#facts.catch(() => {
        this.#facts = null;
      });
    }
    return this.#facts;
  }

  async #how(): Promise<{ snapshot: boolean; tellsCommitTimes: boolean }> {
    const { allowsSnapshots, tellsCommitTimes } = await this.#server();
    const { snapshot, requireSnapshot } = this.#options;
    if (requireSnapshot && !allowsSnapshots) throw noSnapshot();
    return { snapshot: snapshot && allowsSnapshots && !this.#isSnapshotRefused, tellsCommitTimes };
  }

  #snapshotRefused(error: unknown): void {
    if (this.#options.requireSnapshot) throw noSnapshot(error);
    this.#isSnapshotRefused = true;
    this.#log.warn(
      { server: this.#options.connect.address.text },
      'the database allows no snapshots: changes are read without, and more of them come twice',
    );
  }

  #lost(): void {
    // The server may allow other things when it is back.
    this.#facts = null;
    this.#isSnapshotRefused = false;
    if (!this.#isForkKnown) this.connection++;
  }

  async #track(name: string, how: TrackOptions | null, signal: AbortSignal): Promise<void> {
    this.#schema.forget(name);
    const table = await this.#schema.table(name);
    if (how === null) {
      if (table.isTracked) await this.#ask([untrackCommand(table)], signal);
    } else if (!table.isTracked) {
      keyColumns(table);
      const minutes = Math.max(1, Math.ceil(this.#options.retentionMs / 60_000));
      await this.#unlessOn(trackDatabaseCommand(minutes), signal);
      await this.#unlessOn(trackCommand(table, how.columns ?? true), signal);
    }
    this.#schema.forget(name);
  }

  /** Another may have turned it on at the same moment. */
  async #unlessOn(command: Command, signal: AbortSignal): Promise<void> {
    try {
      await this.#ask([command], signal);
    } catch (error) {
      if (!ALREADY_ON.has(numberOf(error))) throw mssqlError(error, this.#options.connect.address.text);
    }
  }
}

function spelt({ schema, name }: Table): string {
  return `${schema}.${name}`;
}

function noBookmarks(why: string): KeymillError {
  return new KeymillError('STORE_READ_ONLY', `no bookmark is kept: ${why}`);
}

function noSnapshot(cause?: unknown): KeymillError {
  return new KeymillError(
    'SQL_FAILED',
    'the database allows no snapshots: ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON, or leave requireSnapshot out',
    { class: 'fatal', ...(cause === undefined ? {} : { cause }) },
  );
}

/** Version 4. */
function uuid({ random }: Environment): string {
  const hex = Array.from({ length: 32 }, (_, i) => {
    const digit = Math.floor(random() * 16);
    return (i === 12 ? 4 : i === 16 ? 8 + (digit & 3) : digit).toString(16);
  }).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
