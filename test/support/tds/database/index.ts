/**
 * A SQL Server for tests: the TDS test server over databases of SQLite.
 *
 *     const server = await mssqlServer();
 *     await server.run('CREATE TABLE t (k bigint NOT NULL PRIMARY KEY, name nvarchar(50) NULL)');
 *     server.at(step => step.name === 'changes' && step.kind === 'select', () => server.cleanUp(7));
 *     sql({ url: server.url, tls: { disabled: true } });
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errors } from '../errors.ts';
import type { FaultWatch, Seen } from '../faults.ts';
import { TdsServer, type TdsServerOptions } from '../server.ts';
import type { SqlValue } from '../types.ts';
import { captureNothing, captureNow, cleanUpCaptured, lsnOf } from './capture.ts';
import { Database, type Unsure } from './database.ts';
import { DatabaseHandler } from './handler.ts';
import { Runner, type Sink, type Step } from './runner.ts';
import { SqlSession } from './session.ts';
import { cleanUp } from './tracking.ts';

export type { Unsure } from './database.ts';
export { addStatement, statementNames } from './named.ts';
export type { Step } from './runner.ts';

export interface MssqlServerOptions extends Partial<Omit<TdsServerOptions, 'open'>> {
  /** The folder of its files, kept when it is closed; one of its own, which is not. */
  readonly folder?: string;
  /** Names; `shop`. */
  readonly databases?: readonly string[];
  readonly login?: { readonly user: string; readonly password: string };
  readonly unsure?: Partial<Unsure>;
  /** Ms since 1970. */
  readonly clock?: () => number;
}

export interface RunResult {
  readonly sets: readonly { readonly names: readonly string[]; readonly rows: readonly (readonly SqlValue[])[] }[];
  /** Of each statement that touched rows. */
  readonly counts: readonly number[];
}

interface Stage {
  readonly when: (step: Step) => boolean;
  readonly act: (step: Step) => void | Promise<void>;
  left: number;
}

const isRequest = ({ kind }: Seen): boolean => kind !== 'prelogin' && kind !== 'login';
const LOGIN = { user: 'keymill', password: 'Secret-1' };

export class MssqlServer {
  readonly tds: TdsServer;
  readonly folder: string;
  readonly #databases = new Map<string, Database>();
  readonly #login: { readonly user: string; readonly password: string };
  readonly #isOwnFolder: boolean;
  readonly #stages = new Set<Stage>();
  #delay: FaultWatch | null = null;
  readonly #counted: FaultWatch;
  #isCaptureHeld = false;
  #capturing: Promise<void> = Promise.resolve();
  #spid = 1000;
  /** Sessions of `run`. */
  readonly #idle = new Map<Database, SqlSession[]>();

  constructor(options: MssqlServerOptions = {}) {
    const { folder, databases = ['shop'], login = LOGIN, unsure = {}, clock = Date.now, ...wire } = options;
    this.#isOwnFolder = folder === undefined;
    this.folder = folder ?? mkdtempSync(join(tmpdir(), 'keymill-mssql-'));
    mkdirSync(this.folder, { recursive: true });
    this.#login = login;
    for (const name of databases) {
      const path = join(this.folder, `${name}.db`);
      const database = new Database({
        name,
        path,
        clock,
        unsure: { currentVersion: 'now', minValidVersion: 'now', beginVersion: 'own', ...unsure },
      });
      database.captured = () => this.#captureSoon(database);
      this.#databases.set(name.toLowerCase(), database);
    }
    this.tds = new TdsServer({
      ...wire,
      open: session => {
        const { user, password } = session.login;
        if (user !== this.#login.user || password !== this.#login.password) throw errors.loginFailed(user);
        const database = this.#databases.get(session.database.toLowerCase());
        if (!database) throw errors.databaseRefused(session.database);
        const { spid, isEncrypted, login } = session;
        const isSecondary = login.isReadOnly;
        const cut = (): void => this.tds.connections.find(one => one.spid === spid)?.cut('reset');
        return new DatabaseHandler(
          new SqlSession(database, { spid, user, isEncrypted, isAdmin: false, isSecondary, cut }),
          step => this.#before(step),
        );
      },
    });
    this.#counted = this.tds.fault({ on: isRequest, nth: Number.POSITIVE_INFINITY });
  }

  get url(): string {
    const { user, password } = this.#login;
    return `mssql://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${this.tds.host}:${this.tds.port}/${this.database().name}`;
  }

  /** The first, or the one of that name. */
  database(name?: string): Database {
    const found = name === undefined ? this.#databases.values().next().value : this.#databases.get(name.toLowerCase());
    if (!found) throw new Error(`no database ${name}`);
    return found;
  }

  async listen(): Promise<this> {
    await this.tds.listen();
    return this;
  }

  // ── what another program, or whoever runs the server, does ───────────────────────────────────────────────────────

  /** T-SQL, by somebody who may do everything, in a session of its own. */
  async run(sql: string, name?: string): Promise<RunResult> {
    const database = this.database(name);
    const idle = this.#idle.get(database)?.pop();
    const session = idle && !idle.isClosed ? idle : this.#administrator(database);
    const found = new Gathered();
    try {
      await new Runner(session, () => undefined).run(sql, new Map(), null, found);
    } finally {
      if (!session.isClosed) session.reset();
      session.abortsOnError = true;
      const others = this.#idle.get(database) ?? [];
      this.#idle.set(database, [...others, session]);
    }
    if (found.failure) throw found.failure;
    return { sets: found.sets, counts: found.counts };
  }

  /** The clean-up of Change Tracking, now, up to a version. */
  async cleanUp(version: number | bigint, name?: string): Promise<void> {
    const database = this.database(name);
    await database.change(db => cleanUp(db, BigInt(version), database.now().slice(0, 23)));
  }

  /** That of CDC: what was captured before the transaction of this number goes. */
  cleanUpCaptured(tran: number | bigint, name?: string): Promise<void> {
    return cleanUpCaptured(this.database(name), lsnOf(BigInt(tran)));
  }

  /** Requests that came, logins aside. */
  requests(): number {
    return this.#counted.seen;
  }

  /** The version that it is at. */
  get version(): number {
    return Number(this.database().version);
  }

  backUp(to: string, name?: string): void {
    this.database(name).backUp(to);
  }

  /** All sessions end, and the database is on another fork from there. */
  restore(from: string, name?: string): void {
    this.database(name).restore(from);
  }

  /** Takes a permission from the login: `VIEW CHANGE TRACKING` on `dbo.t`, `VIEW DATABASE STATE`, `CREATE TABLE`. */
  deny(permission: string, object = '', name?: string): void {
    this.database(name).denied.add(`${permission.toUpperCase()} ${object.toLowerCase()}`.trim());
  }

  grant(permission: string, object = '', name?: string): void {
    this.database(name).denied.delete(`${permission.toUpperCase()} ${object.toLowerCase()}`.trim());
  }

  setReadOnly(isReadOnly: boolean, name?: string): Promise<void> {
    return this.database(name).change(db => db.exec(`UPDATE "sys.databases" SET is_read_only = ${isReadOnly ? 1 : 0}`));
  }

  allowSnapshots(isAllowed: boolean, name?: string): Promise<void> {
    return this.database(name).change(db =>
      db.exec(`UPDATE "sys.databases" SET snapshot_isolation_state = ${isAllowed ? 1 : 0}`),
    );
  }

  setLevel(level: number, name?: string): Promise<void> {
    return this.database(name).change(db => db.exec(`UPDATE "sys.databases" SET compatibility_level = ${level}`));
  }

  holdCapture(): void {
    this.#isCaptureHeld = true;
  }

  async releaseCapture(name?: string): Promise<void> {
    this.#isCaptureHeld = false;
    await captureNow(this.database(name));
  }

  /** Resolves when what was committed is captured. */
  async capture(name?: string): Promise<void> {
    await this.#capturing;
    await captureNow(this.database(name));
  }

  captureNothing(name?: string): Promise<void> {
    return captureNothing(this.database(name));
  }

  // ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Does something just before a statement runs, so often as said (1). What it throws is that statement's error; a SqlError
   * with `rollsBack` ends its transaction, as a deadlock does.
   */
  at(when: (step: Step) => boolean, act: (step: Step) => void | Promise<void>, times = 1): { remove(): void } {
    const stage: Stage = { when, act, left: times };
    this.#stages.add(stage);
    return { remove: () => void this.#stages.delete(stage) };
  }

  /** Every request is answered so much later, from now on; 0: at once. */
  delay(ms: number): void {
    this.#delay?.remove();
    this.#delay = ms === 0 ? null : this.tds.fault({ on: isRequest, delayMs: ms, times: Number.POSITIVE_INFINITY });
  }

  /** As when its process dies and is started again: what was committed is there. */
  async restart(): Promise<void> {
    this.tds.kill();
    for (const database of this.#databases.values()) for (const member of [...database.members]) member.cut();
    await this.tds.listen();
  }

  heal(): void {
    this.tds.heal();
    this.#stages.clear();
  }

  close(): void {
    this.tds.close();
    for (const database of this.#databases.values()) database.close();
    if (this.#isOwnFolder) rmSync(this.folder, { recursive: true, force: true });
  }

  #administrator(database: Database): SqlSession {
    const spid = this.#spid++;
    const who = { spid, user: 'sa', isEncrypted: false, isAdmin: true, isSecondary: false, cut() {} };
    const session = new SqlSession(database, who);
    session.abortsOnError = true;
    return session;
  }

  #before(step: Step): Promise<void> | undefined {
    for (const stage of this.#stages) {
      if (stage.left <= 0 || !stage.when(step)) continue;
      if (--stage.left <= 0) this.#stages.delete(stage);
      return Promise.resolve(stage.act(step));
    }
    return undefined;
  }

  /** The job runs when it is not held, and after the transaction that made it run. */
  #captureSoon(database: Database): void {
    if (this.#isCaptureHeld) return;
    this.#capturing = this.#capturing
      .then(() => (this.#isCaptureHeld ? undefined : captureNow(database)))
      .catch(() => undefined);
  }
}

/** The answer to `run`. */
class Gathered implements Sink {
  readonly signal = new AbortController().signal;
  readonly sets: { names: string[]; rows: SqlValue[][] }[] = [];
  readonly counts: number[] = [];
  failure: Error | null = null;

  columns(columns: readonly { readonly name: string }[]): void {
    this.sets.push({ names: columns.map(column => column.name), rows: [] });
  }

  row(values: readonly SqlValue[]): undefined {
    this.sets.at(-1)!.rows.push([...values]);
  }

  done(count: number | bigint | null = null): void {
    if (count !== null) this.counts.push(Number(count));
  }

  error(error: Error): void {
    this.failure ??= error;
  }

  began(): void {}
  committed(): void {}
  rolledBack(): void {}
}

/** A server that listens; `close` ends it. */
export function mssqlServer(options: MssqlServerOptions = {}): Promise<MssqlServer> {
  return new MssqlServer(options).listen();
}
