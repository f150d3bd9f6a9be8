/** A `sql` I/O actor on a SQLite file of its own, without threads: what the engine would open, and asks answered at once. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { clientOf } from '../../actors/sql/client.ts';
import type { ChangeRecord } from '../../actors/sql/contract.ts';
import { parseOptions, type SqlOptionsInput } from '../../actors/sql/options.ts';
import { SqlResource } from '../../actors/sql/resource.ts';
import type { OnStep } from '../../actors/sql/sqlite/changes.ts';
import { SqliteDriver } from '../../actors/sql/sqlite/driver.ts';
import { systemEnvironment } from '../../runtime/environment.ts';
import type { IoContext, IoReply, IoResource, SourceHalf } from '../../runtime/index.ts';
import type { SqlBench, SqlDialect } from '../contract/sql.ts';

export const environment = systemEnvironment();
export const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

export interface SqliteBench extends SqlBench {
  cleanUpTo(table: string, version: number): Promise<void>;
  readonly path: string;
  readonly driver: SqliteDriver;
}

export function contextOf(dataDir: string): IoContext {
  return {
    name: 'db',
    dataDir,
    first: true,
    reads: true,
    environment,
    log: SILENT,
  };
}

const SQLITE: SqlDialect = {
  renameColumn: (table, from, to) => `ALTER TABLE ${table} RENAME COLUMN ${from} TO ${to}`,
  hasMasksAcrossAlter: false,
};

/** How a client asks a resource: asks of one turn come as one batch, as the engine would give them. */
export function asking(resource: Pick<IoResource, 'handleBatch'>): (op: unknown) => Promise<unknown> {
  const waiting: { op: unknown; resolve: (reply: IoReply) => void }[] = [];
  return async op => {
    const reply = await new Promise<IoReply>(resolve => {
      waiting.push({ op, resolve });
      if (waiting.length > 1) return;
      setImmediate(async () => {
        const batch = waiting.splice(0);
        try {
          const replies = await resource.handleBatch(
            batch.map(one => one.op),
            new AbortController().signal,
          );
          batch.forEach((one, i) => one.resolve(replies[i]!));
        } catch (error) {
          for (const one of batch) one.resolve({ error });
        }
      });
    });
    if ('error' in reply) throw reply.error;
    return reply.value;
  };
}

export async function openSqlite(
  given: Partial<SqlOptionsInput> & { onStep?: OnStep; path?: string } = {},
): Promise<SqliteBench> {
  const { onStep, path: own, ...input } = given;
  const folder = mkdtempSync(join(tmpdir(), 'keymill-sql-'));
  const path = own ?? join(folder, 'shop.db');
  const options = parseOptions({ url: `sqlite:${path}`, ...input }, 'io.db');
  const driver = new SqliteDriver({ ...options, path, onStep }, environment, SILENT);
  const resource = new SqlResource(driver, options, contextOf(folder));
  const other = new DatabaseSync(path, { timeout: 1000 });
  other.exec('PRAGMA recursive_triggers = ON');
  const client = clientOf(asking(resource));
  return {
    dialect: SQLITE,
    path,
    driver,
    client,
    source: read => resource.source(read) as SourceHalf<ChangeRecord>,
    async createTable(name, keys = 1) {
      const key = keys === 0 ? '' : `, PRIMARY KEY (${keys === 1 ? 'k' : 'k, b'})`;
      other.exec(
        `CREATE TABLE ${name} (k INTEGER NOT NULL, ${keys === 2 ? 'b INTEGER NOT NULL, ' : ''}name TEXT, amount REAL${key})`,
      );
    },
    async elsewhere(sql) {
      other.exec(sql);
    },
    async cleanUpTo(table, version) {
      other.exec(`DELETE FROM keymill_ct_${table} WHERE version <= ${version};
        UPDATE keymill_ct_tables SET min_valid = max(min_valid, ${version}) WHERE name = '${table}'`);
    },
    async truncate(table) {
      // All at once: nobody sees it between two of these.
      await driver.write([
        { op: 'untrack', table },
        { op: 'transaction', statements: [{ sql: `DELETE FROM ${table}` }] },
        { op: 'track', table, options: {} },
      ]);
    },
    async close() {
      await resource.close();
      other.close();
      if (own === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}
