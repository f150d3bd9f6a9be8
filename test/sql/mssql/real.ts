/**
 * A real SQL Server for tests: `KEYMILL_TEST_MSSQL=mssql://USER:PASSWORD@HOST:PORT/DATABASE`, of a user who may do everything in
 * a database that has nothing else in it. deploy/compose.yaml starts one.
 */

import type { SqlValue } from '../../../actors/sql/contract.ts';
import { Connection } from '../../../actors/sql/mssql/connection.ts';
import { mssqlOptionsOf } from '../../../actors/sql/mssql/server-options.ts';
import { parseOptions } from '../../../actors/sql/options.ts';
import type { SqlBench } from '../../contract/sql.ts';
import { environment, SILENT } from '../support.ts';
import { mssqlActor, TSQL, tableText } from './bench.ts';

/** Its certificate is its own. With KEYMILL_TEST_MSSQL_PLAIN it has none. */
const tls = () => (process.env['KEYMILL_TEST_MSSQL_PLAIN'] ? { disabled: true } : { trustServerCertificate: true });

export function realUrl(): string | null {
  return process.env['KEYMILL_TEST_MSSQL'] || null;
}

/** For `describe.skipIf`: true where there is none, which it says. */
export function withoutReal(): boolean {
  if (realUrl() !== null) return false;
  process.stderr.write('skipped: no SQL Server (KEYMILL_TEST_MSSQL is not set; deploy/compose.yaml starts one)\n');
  return true;
}

/** A connection that runs any text. */
export async function realConnection(): Promise<Connection> {
  const options = mssqlOptionsOf(parseOptions({ url: realUrl()!, tls: tls() }, 'io.db'), 'io.db');
  return Connection.open(options.connect, environment, SILENT);
}

/** Its result sets. */
export async function runOn(
  connection: Connection,
  sql: string,
): Promise<readonly { readonly rows: readonly (readonly SqlValue[])[] }[]> {
  return (await connection.run({ name: 'test', sql, params: [], isBatch: true })).sets;
}

/** Drops what tests before have left. */
export async function emptied(connection: Connection): Promise<void> {
  const own = ['bookmarks', 'versions', 'done', 'captured', 'leaders'].map(name => `keymill_${name}`);
  for (const table of ['t', 'u', 'bare', ...own]) await runOn(connection, `DROP TABLE IF EXISTS ${table}`);
  await runOn(connection, 'ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON');
}

export async function openReal(): Promise<SqlBench> {
  const other = await realConnection();
  await emptied(other);
  const { resource, client, source } = mssqlActor(realUrl()!, { tls: tls() });
  return {
    dialect: TSQL,
    client,
    source,
    async createTable(name, keys = 1) {
      await runOn(other, tableText(name, keys));
    },
    async elsewhere(sql) {
      await runOn(other, sql);
    },
    cleanUpTo: null,
    async truncate(table) {
      await runOn(other, `TRUNCATE TABLE ${table}`);
    },
    async close() {
      await resource.close();
      await emptied(other);
      other.close();
    },
  };
}
