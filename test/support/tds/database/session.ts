/** One session: its settings, variables of the batch that runs, its temporary tables, and what it may. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { SqlError } from '../errors.ts';
import type { SqlType } from '../types.ts';
import { Catalog, type Column, columnNamed, type Table } from './catalog.ts';
import type { Database, Member } from './database.ts';
import { Definitions } from './definitions.ts';
import { type Asked, addFunctions, type CaptureStep } from './functions.ts';
import { TokenReader } from './reader.ts';
import { maskOf } from './tracking.ts';
import { Transaction } from './transaction.ts';
import type { Cell } from './values.ts';

export interface Variable {
  readonly type: SqlType;
  cell: Cell;
}

/** Variables of one batch; a text that sp_executesql runs has its own. */
export type Variables = Map<string, Variable>;

export interface Who {
  readonly spid: number;
  readonly user: string;
  readonly isEncrypted: boolean;
  /** The tests' own, which may do everything. */
  readonly isAdmin: boolean;
  /** It asked for a readable secondary, and is on one. */
  readonly isSecondary: boolean;
  /** Ends its connection. */
  readonly cut: () => void;
}

const STATEMENTS = 400;
const LEVELS = ['read uncommitted', 'read committed', 'repeatable read', 'serializable', 'snapshot'];
const VERSION = '16.0.4200.1';

export class SqlSession implements Asked, Member {
  readonly database: Database;
  readonly db: DatabaseSync;
  readonly catalog: Catalog;
  readonly definitions: Definitions;
  readonly transaction: Transaction;
  isCounting = true;
  abortsOnError = false;
  rowCount = 0;
  /** Tables that take values for their identity column. */
  readonly identityInsert = new Set<number>();
  /** Of the write that runs: the columns that an UPDATE names, and its context. */
  sets: readonly Column[] | null = null;
  context: Uint8Array | null = null;
  #command = 0n;
  /** What the rows of a write have in common: `sets` is another array with each statement. */
  #mask: { readonly of: readonly Column[]; readonly objectId: number; readonly mask: Uint8Array | null } | null = null;
  readonly #who: Who;
  readonly #statements = new Map<string, StatementSync>();
  #isClosed = false;

  constructor(database: Database, who: Who) {
    this.database = database;
    this.#who = who;
    this.db = database.open();
    this.catalog = new Catalog(this.db);
    this.definitions = new Definitions(this.db, this.catalog, () => database.now().slice(0, 23));
    this.transaction = new Transaction(database, this.db, who.isSecondary);
    addFunctions(this.db, this);
    database.members.add(this);
  }

  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.db.prepare(sql);
      statement.setReadBigInts(true);
      statement.setReturnArrays(true);
      if (this.#statements.size >= STATEMENTS) this.#statements.clear();
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** As after a login. */
  reset(): void {
    this.transaction.rollback();
    this.dropTemporary(this.catalog.temporary);
    this.transaction.level = 'read committed';
    this.isCounting = true;
    this.abortsOnError = false;
    this.rowCount = 0;
    this.identityInsert.clear();
  }

  dropTemporary(tables: readonly Table[]): void {
    for (const table of tables) this.definitions.drop(table);
  }

  cut(): void {
    this.close();
    this.#who.cut();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.database.members.delete(this);
    this.#statements.clear();
    try {
      this.transaction.rollback();
    } finally {
      this.db.close();
    }
  }

  beginCommand(): void {
    this.#command++;
    this.#mask = null;
  }

  // ── what functions ask ───────────────────────────────────────────────────────────────────────────────────────────

  get spid(): number {
    return this.#who.spid;
  }

  get user(): string {
    return this.#who.user;
  }

  get isEncrypted(): boolean {
    return this.#who.isEncrypted;
  }

  get databaseName(): string {
    return this.database.name;
  }

  get transactionCount(): number {
    return this.transaction.count;
  }

  now(): string {
    return this.database.now();
  }

  objectId(name: string): number | null {
    const reader = new TokenReader(name);
    const found = this.catalog.find(reader.names());
    return found?.kind === 'user' ? found.objectId : null;
  }

  columnId(objectId: number, name: string): number | null {
    const table = this.catalog.byId(objectId);
    return (table && columnNamed(table, name)?.id) ?? null;
  }

  get isolation(): number {
    return 1 + LEVELS.indexOf(this.transaction.level);
  }

  /** Null for what there is not. */
  may(object: string, kind: string, permission: string): boolean | null {
    if (kind.toUpperCase() === 'DATABASE') return this.isGranted(permission);
    const table = this.catalog.find(new TokenReader(object).names());
    return table ? this.isGranted(permission, table) : null;
  }

  isGranted(permission: string, table?: Table): boolean {
    if (this.#who.isAdmin) return true;
    return !this.database.isDenied(permission, table ? `${table.schema}.${table.name}` : '');
  }

  /** Throws 229. */
  mustBeGranted(permission: string, table: Table): void {
    if (table.kind !== 'user' || this.isGranted(permission, table)) return;
    throw new SqlError(
      229,
      `The ${permission} permission was denied on the object '${table.name}', database '${this.databaseName}', schema '${table.schema}'.`,
      { class: 14, state: 5 },
    );
  }

  serverProperty(name: string): string | null {
    return { productversion: VERSION, edition: 'Developer Edition (64-bit)' }[name.toLowerCase()] ?? null;
  }

  databaseProperty(name: string): string | null {
    if (name.toLowerCase() !== 'updateability') return null;
    return this.database.read('SELECT is_read_only AS is_so FROM "sys.databases"')!['is_so'] === 0n
      ? 'READ_WRITE'
      : 'READ_ONLY';
  }

  trackedVersion(): bigint {
    return this.transaction.takeVersion();
  }

  trackedContext(): Uint8Array | null {
    return this.context;
  }

  trackedMask(objectId: number): Uint8Array | null {
    const { sets } = this;
    if (sets === null) return null;
    if (this.#mask?.of !== sets || this.#mask.objectId !== objectId) {
      const table = this.catalog.byId(objectId);
      const ids = sets.map(column => column.id);
      this.#mask = { of: sets, objectId, mask: table && maskOf(table, ids) };
    }
    return this.#mask.mask;
  }

  currentVersion(): bigint | null {
    this.#mustBePrimary();
    if (!this.database.isTracked) return null;
    if (this.database.unsure.currentVersion === 'now' || !this.transaction.isSnapshot) return this.database.version;
    return (this.prepare('SELECT version FROM "km.state"').get() as unknown as [bigint])[0];
  }

  minValidVersion(objectId: number): bigint | null {
    this.#mustBePrimary();
    const sql = `SELECT min_valid_version AS v FROM "sys.change_tracking_tables" WHERE object_id = ${objectId}`;
    const isNow = this.database.unsure.minValidVersion === 'now' || !this.transaction.isSnapshot;
    const found = isNow
      ? this.database.read(sql)?.['v']
      : (this.prepare(sql).get() as unknown as [bigint] | undefined)?.[0];
    const table = this.catalog.byId(objectId);
    if (found === undefined || !table || !this.isGranted('VIEW CHANGE TRACKING', table)) return null;
    return found as bigint;
  }

  nextIdentity(objectId: number): bigint {
    const sql = 'UPDATE "km.columns" SET last = last + step WHERE object_id = ? AND step IS NOT NULL RETURNING last';
    return (this.prepare(sql).get(objectId) as unknown as [bigint])[0];
  }

  lsn(): Uint8Array | null {
    return (this.database.read('SELECT max(start_lsn) AS lsn FROM "cdc.lsn_time_mapping"')?.['lsn'] ??
      null) as Uint8Array | null;
  }

  /** All zero for an instance that is not there, or may not be seen. */
  minLsn(instance: string): Uint8Array {
    const found = this.database.read(
      'SELECT start_lsn AS lsn FROM "cdc.change_tables" WHERE capture_instance = ?',
      instance,
    );
    const isSeen = this.#who.isAdmin || !this.database.isDenied('SELECT', `cdc.${instance}_ct`);
    return found && isSeen ? (found['lsn'] as Uint8Array) : new Uint8Array(10);
  }

  lsnTime(lsn: Uint8Array): string | null {
    const found = this.database.read('SELECT tran_end_time AS at FROM "cdc.lsn_time_mapping" WHERE start_lsn = ?', lsn);
    return (found?.['at'] ?? null) as string | null;
  }

  #mustBePrimary(): void {
    if (this.isSecondary)
      throw new SqlError(
        22_117,
        'For databases that are members of a secondary availability replica, change tracking is not supported.',
      );
  }

  get isSecondary(): boolean {
    return this.#who.isSecondary;
  }

  capturing(): CaptureStep {
    return { tran: this.transaction.takeLog(), command: this.#command };
  }
}
