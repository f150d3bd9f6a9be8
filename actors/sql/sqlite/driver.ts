/**
 * The embedded database: node:sqlite in the I/O thread. One connection writes, one reads, so that a long read has its
 * snapshot while writes go on. All writes that are waiting become one transaction of the file, each with a savepoint and a
 * version of its own: what fails, fails alone, and one sync to disk does for all.
 */
import { statSync } from 'node:fs';
import { asError, type Environment, type IoReply, KeymillError, type Log } from '../../../runtime/index.ts';
import type { Params, Row, TableInfo, Tracked } from '../contract.ts';
import type { Bookmark, ChangePage, Fence, Leases, RowPage, RowsRequest, SqlCursor, SqlDriver } from '../driver.ts';
import type { PageRequest, WriteOp } from '../ops.ts';
import { Changes, type OnStep } from './changes.ts';
import { Cleaning } from './cleaning.ts';
import { bind, Database, narrow } from './database.ts';
import { endsTransaction, sqliteError } from './errors.ts';
import { checkFence, leasesOf } from './leases.ts';
import { columnOf, quote } from './names.ts';
import { applyDeltas, removeSql, rowsOlderThan, upsertSql } from './replica.ts';
import { Schema } from './schema.ts';
import { cleanUp, closeVersion, openVersion, track, untrack } from './tracking.ts';

/** Looks at the file itself are made with every so many pages (S3: a connection check every 10 queries). */
const CHECK_EVERY = 10;

export interface SqliteOptions {
  readonly path: string;
  readonly busyMs: number;
  readonly synchronous: 'normal' | 'full';
  readonly snapshot: boolean;
  readonly retentionMs: number;
  readonly onStep?: OnStep | undefined;
}

/** The two connections and what is known of the schema; made anew when another file stands in its place. */
interface Connections {
  readonly writer: Database;
  readonly reader: Database;
  readonly writerSchema: Schema;
  readonly readerSchema: Schema;
  readonly changes: Changes;
  readonly inode: bigint;
}

export class SqliteDriver implements SqlDriver {
  readonly #options: SqliteOptions;
  #open: Connections;
  connection = 1;
  #pages = 0;
  readonly #cursors = new Set<SqliteCursor>();
  readonly #cleaning: Cleaning;
  readonly leases: Leases;

  /** Throws SQL_UNAVAILABLE, STORE_CORRUPT, STORE_READ_ONLY. */
  constructor(options: SqliteOptions, environment: Environment, log: Log) {
    this.#options = options;
    this.#open = connect(options);
    this.leases = leasesOf(() => {
      this.#check();
      return this.#open;
    });
    this.#cleaning = new Cleaning(environment, log, nowMs => this.cleanUp(nowMs));
  }

  async write(ops: readonly WriteOp[]): Promise<IoReply[]> {
    const { writer } = this.#open;
    const replies: IoReply[] = [];
    try {
      writer.transaction('IMMEDIATE', () => {
        for (const op of ops) replies.push(this.#writeOne(op));
      });
    } catch (error) {
      // Nothing of the whole transaction stands; what failed by itself keeps its own error.
      return ops.map((_, index) => {
        const own = replies[index];
        return own && 'error' in own ? own : { error };
      });
    }
    return replies;
  }

  async query(sql: string, params: Params, maxRows: number): Promise<Row[]> {
    const { reader } = this.#open;
    const statement = reader.prepare(sql);
    statement.setReadBigInts(true);
    const rows: Row[] = [];
    return reader.guard(() => {
      for (const row of statement.iterate(bind(params)) as Iterable<Row>) {
        if (rows.length === maxRows)
          throw new KeymillError('SQL_FAILED', `the query has more than ${maxRows} rows: use stream`, {
            class: 'fatal',
          });
        rows.push(narrow(row) as Row);
      }
      return rows;
    });
  }

  async open(sql: string, params: Params): Promise<SqlCursor> {
    const cursor = new SqliteCursor(this.#options, sql, params, () => this.#cursors.delete(cursor));
    this.#cursors.add(cursor);
    return cursor;
  }

  async describe(table: string): Promise<TableInfo> {
    return this.#open.readerSchema.table(table);
  }

  async tracked(table: string): Promise<Tracked> {
    this.#check();
    return this.#open.changes.tracked(table);
  }

  async changes(request: PageRequest): Promise<ChangePage> {
    if (this.#pages++ % CHECK_EVERY === 0) this.#check();
    return this.#open.changes.page(request);
  }

  async rows(request: RowsRequest): Promise<RowPage & Tracked> {
    return this.#open.changes.rows(request);
  }

  async olderThan(
    table: string,
    epoch: number,
    after: string | null,
    limit: number,
  ): Promise<{ pk: Row; key: string }[]> {
    return rowsOlderThan(this.#open.reader, this.#open.readerSchema.table(table), epoch, after, limit);
  }

  async bookmark(consumer: string, table: string): Promise<Bookmark | null> {
    const { reader, readerSchema } = this.#open;
    if (!readerSchema.hasTracking) return null;
    const row = reader.first(
      'SELECT version, epoch FROM keymill_ct_bookmarks WHERE consumer = @consumer AND name = @name',
      { consumer, name: readerSchema.table(table).table },
    );
    return row ? { consumer, table, version: row['version'] as number, epoch: row['epoch'] as number } : null;
  }

  async setBookmark({ consumer, table, version, epoch }: Bookmark, fence?: Fence): Promise<void> {
    const { writer, writerSchema } = this.#open;
    const name = writerSchema.table(table).table;
    writer.transaction('IMMEDIATE', () => {
      if (fence) checkFence(writer, fence);
      writer.run(
        `INSERT INTO keymill_ct_bookmarks VALUES (@consumer, @name, @version, @epoch)
         ON CONFLICT DO UPDATE SET version = excluded.version, epoch = excluded.epoch`,
        { consumer, name, version, epoch },
      );
    });
  }

  /** Deletes changes older than the retention. True when some are left for another time. */
  cleanUp(nowMs: number): boolean {
    const { writer, writerSchema } = this.#open;
    if (!writerSchema.hasTracking) return false;
    let more = false;
    for (const { name } of writer.all('SELECT name FROM keymill_ct_tables')) {
      const info = writerSchema.table(String(name));
      if (info.isTracked)
        more = writer.transaction('IMMEDIATE', () => cleanUp(writer, info, nowMs - this.#options.retentionMs)) || more;
    }
    return more;
  }

  /** Succeeds when the file is there and takes a write. */
  async probe(): Promise<void> {
    this.#check();
    this.#open.writer.transaction('IMMEDIATE', () => undefined);
  }

  async close(): Promise<void> {
    this.#cleaning.close();
    for (const cursor of this.#cursors) await cursor.close();
    disconnect(this.#open);
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Another file may stand in its place: a backup that was put back. */
  #check(): void {
    let inode: bigint | undefined;
    try {
      inode = statSync(this.#options.path, { bigint: true }).ino;
    } catch {}
    if (inode === this.#open.inode) return;
    if (inode === undefined)
      throw new KeymillError('SQL_UNAVAILABLE', `${this.#options.path} is not there any more`, {
        place: { at: this.#options.path },
      });
    const before = this.#open;
    this.#open = connect(this.#options);
    this.connection++;
    disconnect(before);
  }

  #writeOne(op: WriteOp): IoReply {
    const { writer, writerSchema } = this.#open;
    writer.exec('SAVEPOINT one');
    try {
      const { hasTracking } = writerSchema;
      if (hasTracking) openVersion(writer, 'context' in op ? (op.context ?? null) : null);
      const value = this.#do(op);
      if (hasTracking) closeVersion(writer);
      writer.exec('RELEASE one');
      return { value };
    } catch (thrown) {
      const error = sqliteError(thrown, writer.path);
      if (endsTransaction(error) || !writer.isInTransaction) throw error;
      writer.exec('ROLLBACK TO one; RELEASE one');
      return { error };
    }
  }

  #do(op: WriteOp): unknown {
    const { writer, writerSchema } = this.#open;
    switch (op.op) {
      case 'transaction':
        return op.statements.map(({ sql, params, expectRows }) => {
          const rows = writer.run(sql, params ?? {});
          if (expectRows !== undefined && rows !== expectRows)
            throw new KeymillError('SQL_CONSTRAINT', `${rows} rows were changed, ${expectRows} expected: ${sql}`);
          return { rows };
        });
      case 'insert':
      case 'upsert':
      case 'remove': {
        const info = writerSchema.table(op.table);
        const { columns, values } = op.rows;
        if (values.length === 0) return { rows: 0 };
        if (op.op !== 'insert') mustHaveKey(info, columns);
        const sql =
          op.op === 'insert'
            ? insertSql(info, columns)
            : op.op === 'upsert'
              ? upsertSql(info, columns)
              : removeSql(info, columns);
        let rows = 0;
        for (const row of values) rows += writer.run(sql, Object.fromEntries(row.map((value, i) => [`c${i}`, value])));
        return { rows };
      }
      case 'apply': {
        const info = writerSchema.table(op.table);
        mustHaveKey(info, info.key);
        return applyDeltas(writer, info, op.deltas);
      }
      case 'track':
        return track(writer, writerSchema.table(op.table), op.options);
      case 'untrack':
        return untrack(writer, writerSchema.table(op.table), writerSchema.hasTracking);
    }
  }
}

/** Rows one after the other on a connection of their own, whose snapshot stays that of the first row. */
class SqliteCursor implements SqlCursor {
  readonly #db: Database;
  readonly #rows: Iterator<Row>;
  readonly #closed: () => void;

  constructor(options: SqliteOptions, sql: string, params: Params, closed: () => void) {
    this.#db = new Database(options.path, options);
    this.#closed = closed;
    const statement = this.#db.prepare(sql);
    statement.setReadBigInts(true);
    this.#rows = this.#db.guard(() => statement.iterate(bind(params)) as Iterator<Row>);
  }

  async next(rows: number): Promise<Row[]> {
    return this.#db.guard(() => {
      const found: Row[] = [];
      while (found.length < rows) {
        const next = this.#rows.next();
        if (next.done) break;
        found.push(narrow(next.value) as Row);
      }
      return found;
    });
  }

  async close(): Promise<void> {
    this.#rows.return?.();
    this.#db.close();
    this.#closed();
  }
}

function connect(options: SqliteOptions): Connections {
  const writer = new Database(options.path, options);
  try {
    const reader = new Database(options.path, options);
    const readerSchema = new Schema(reader);
    return {
      writer,
      reader,
      writerSchema: new Schema(writer),
      readerSchema,
      changes: new Changes(reader, readerSchema, options),
      inode: statSync(options.path, { bigint: true }).ino,
    };
  } catch (error) {
    writer.close();
    throw sqliteError(asError(error), options.path);
  }
}

function disconnect({ reader, writer }: Connections): void {
  reader.close();
  writer.close();
}

function insertSql(info: TableInfo, names: readonly string[]): string {
  const columns = names.map(name => quote(columnOf(info, name)));
  return `INSERT INTO ${quote(info.table)} (${columns.join(', ')}) VALUES (${names.map((_, i) => `@c${i}`).join(', ')})`;
}

/** Throws TABLE_NO_KEY, SQL_IDENTIFIER. */
function mustHaveKey(info: TableInfo, names: readonly string[]): void {
  if (info.key.length === 0)
    throw new KeymillError('TABLE_NO_KEY', `${info.table} has no primary key`, { place: { at: info.table } });
  const given = new Set(names.map(name => columnOf(info, name)));
  const missing = info.key.filter(name => !given.has(name));
  if (missing.length > 0)
    throw new KeymillError(
      'SQL_IDENTIFIER',
      `the key of ${info.table} is ${info.key.join(', ')}; missing: ${missing.join(', ')}`,
      {
        place: { at: info.table },
      },
    );
}
