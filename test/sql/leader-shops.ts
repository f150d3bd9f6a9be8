/** The databases that replicas read in tests of leadership, each as whoever runs it sees it: on SQLite, and on SQL Server over TDS. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { SqlDriver } from '../../actors/sql/driver.ts';
import { MssqlDriver } from '../../actors/sql/mssql/driver.ts';
import { MssqlResource } from '../../actors/sql/mssql/resource.ts';
import { mssqlOptionsOf } from '../../actors/sql/mssql/server-options.ts';
import { parseOptions } from '../../actors/sql/options.ts';
import { SqlResource } from '../../actors/sql/resource.ts';
import { SqliteDriver } from '../../actors/sql/sqlite/driver.ts';
import type { Environment, IoContext, IoResource, Log } from '../../runtime/index.ts';
import { mssqlServer } from '../support/tds/database/index.ts';
import { cleanUp } from '../support/tds/database/tracking.ts';
import { mssqlActor } from './mssql/bench.ts';

export interface Kept {
  readonly version: number;
  readonly epoch: number;
}

/** A database with table `t`. */
export interface LeaderShop {
  driver(environment: Environment, log: Log): SqlDriver;
  /** Of a driver made here. */
  resource(driver: SqlDriver, context: IoContext): IoResource;
  exec(sql: string): Promise<void>;
  rows(): Promise<unknown[]>;
  /** What is committed at this moment. */
  bookmark(): Kept;
  mark(): string;
  current(): number;
  /** Bookmark and mark as they were: what a restore in place amounts to. */
  putBack(mark: string, bookmark: Kept): Promise<void>;
  /** In one moment the version moves on, and no position before that is valid any more. */
  cleanUpAll(): Promise<void>;
  /** At no version of its own; null where that cannot be. */
  readonly truncate: (() => Promise<void>) | null;
  close(): Promise<void>;
}

export type OpenShop = (folder: string) => Promise<LeaderShop>;

const ROWS = "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')";

async function openSqliteShop(folder: string): Promise<LeaderShop> {
  const path = join(folder, 'shop.db');
  const options = parseOptions({ url: `sqlite:${path}`, busyMs: 2000 }, 'io.db');
  const db = new DatabaseSync(path, { timeout: 2000 });
  db.exec(`CREATE TABLE t (k INTEGER NOT NULL PRIMARY KEY, name TEXT); ${ROWS}`);
  return {
    driver: (environment, log) => new SqliteDriver({ ...options, path }, environment, log),
    resource: (driver, context) => new SqlResource(driver, options, context),
    async exec(sql) {
      db.exec(sql);
    },
    rows: async () => db.prepare('SELECT * FROM t ORDER BY k').all(),
    bookmark: () => db.prepare('SELECT version, epoch FROM keymill_ct_bookmarks').get() as unknown as Kept,
    mark: () => String(db.prepare('SELECT mark FROM keymill_leaders').get()!['mark']),
    current: () => Number(db.prepare('SELECT current FROM keymill_ct_state').get()!['current']),
    async putBack(mark, { version, epoch }) {
      db.prepare('UPDATE keymill_leaders SET mark = ?').run(mark);
      db.prepare('UPDATE keymill_ct_bookmarks SET version = ?, epoch = ?').run(version, epoch);
    },
    async cleanUpAll() {
      db.exec(`BEGIN IMMEDIATE; DELETE FROM keymill_ct_t;
        UPDATE keymill_ct_state SET current = current + 1;
        UPDATE keymill_ct_tables SET min_valid = (SELECT current FROM keymill_ct_state); COMMIT`);
    },
    truncate: null,
    async close() {
      db.close();
    },
  };
}

async function openMssqlShop(): Promise<LeaderShop> {
  const server = await mssqlServer({ unsure: { beginVersion: 'current' } });
  const options = parseOptions({ url: server.url, tls: { disabled: true } }, 'io.db');
  const { client, resource } = mssqlActor(server.url);
  await server.run(`CREATE TABLE t (k bigint NOT NULL PRIMARY KEY, name nvarchar(50) NULL); ${ROWS}`);
  const read = (sql: string): Record<string, unknown> => server.database().read(sql)!;
  return {
    driver: (environment, log) => new MssqlDriver(mssqlOptionsOf(options, 'io.db'), environment, log),
    resource: (driver, context) => new MssqlResource(driver as MssqlDriver, options, context),
    async exec(sql) {
      await server.run(sql);
    },
    rows: () => client.query('SELECT * FROM t ORDER BY k'),
    bookmark() {
      const { version, epoch } = read('SELECT version, epoch FROM "dbo.keymill_bookmarks"');
      return { version: Number(version), epoch: Number(epoch) };
    },
    mark: () => String(read('SELECT mark FROM "dbo.keymill_leaders"')['mark']),
    current: () => server.version,
    async putBack(mark, { version, epoch }) {
      await server.run(`UPDATE keymill_leaders SET mark = N'${mark}';
        UPDATE keymill_bookmarks SET version = ${version}, epoch = ${epoch}`);
    },
    async cleanUpAll() {
      const database = server.database();
      await database.change(db => {
        db.exec('UPDATE "km.state" SET version = version + 1');
        const { version } = db.prepare('SELECT version FROM "km.state"').get()!;
        cleanUp(db, BigInt(version as number), database.now().slice(0, 23));
      });
    },
    async truncate() {
      const { version } = server;
      await server.run('TRUNCATE TABLE t');
      if (server.version !== version) throw new Error('it took a version');
    },
    async close() {
      await resource.close();
      server.close();
      const [failure] = server.tds.failures;
      if (failure !== undefined) throw failure;
    },
  };
}

export const SHOPS: readonly (readonly [name: string, open: OpenShop])[] = [
  ['sqlite', openSqliteShop],
  ['mssql', openMssqlShop],
];
