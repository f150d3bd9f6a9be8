/** A `sql` I/O actor on a SQL Server, without threads: on the test server, or on a real one. */

import { clientOf } from '../../../actors/sql/client.ts';
import type { ChangeRecord } from '../../../actors/sql/contract.ts';
import { MssqlDriver } from '../../../actors/sql/mssql/driver.ts';
import { MssqlResource } from '../../../actors/sql/mssql/resource.ts';
import { mssqlOptionsOf } from '../../../actors/sql/mssql/server-options.ts';
import { parseOptions, type SqlOptionsInput } from '../../../actors/sql/options.ts';
import type { SourceHalf } from '../../../runtime/index.ts';
import type { SqlBench, SqlDialect } from '../../contract/sql.ts';
import { type MssqlServer, type MssqlServerOptions, mssqlServer } from '../../support/tds/database/index.ts';
import { asking, contextOf, environment, SILENT } from '../support.ts';

export interface MssqlBench extends SqlBench {
  cleanUpTo(table: string, version: number): Promise<void>;
  readonly server: MssqlServer;
  readonly driver: MssqlDriver;
  /** Not the server. */
  closeActor(): Promise<void>;
}

export const TSQL: SqlDialect = {
  renameColumn: (table, from, to) => `EXEC sp_rename '${table}.${from}', '${to}', 'COLUMN'`,
  hasMasksAcrossAlter: true,
};

export function tableText(name: string, keys: 0 | 1 | 2): string {
  const key = keys === 0 ? '' : `, PRIMARY KEY (${keys === 1 ? 'k' : 'k, b'})`;
  return `CREATE TABLE ${name} (
    k bigint NOT NULL, ${keys === 2 ? 'b bigint NOT NULL, ' : ''}name nvarchar(100) NULL, amount float NULL${key}
  )`;
}

/** The I/O actor as the engine would open it. */
export function mssqlActor(url: string, input: Partial<SqlOptionsInput> = {}) {
  const options = parseOptions({ url, tls: { disabled: true }, ...input }, 'io.db');
  const driver = new MssqlDriver(mssqlOptionsOf(options, 'io.db'), environment, SILENT);
  const resource = new MssqlResource(driver, options, contextOf('.'));
  return {
    driver,
    resource,
    client: clientOf(asking(resource)),
    source: (read: Record<string, unknown>) => resource.source(read) as SourceHalf<ChangeRecord>,
  };
}

export interface MssqlBenchOptions {
  readonly io?: Partial<SqlOptionsInput>;
  readonly server?: MssqlServerOptions;
}

export async function openMssql({ io, server: how }: MssqlBenchOptions = {}): Promise<MssqlBench> {
  return benchOn(await mssqlServer(how), io);
}

/** The server ends with it. */
export function benchOn(server: MssqlServer, io: Partial<SqlOptionsInput> = {}): MssqlBench {
  const { driver, resource, client, source } = mssqlActor(server.url, io);
  return {
    dialect: TSQL,
    server,
    driver,
    client,
    source,
    async createTable(name, keys = 1) {
      await server.run(tableText(name, keys));
    },
    async elsewhere(sql) {
      await server.run(sql);
    },
    async cleanUpTo(_table, version) {
      await server.cleanUp(version);
    },
    async truncate(table) {
      await server.run(`TRUNCATE TABLE ${table}`);
    },
    closeActor: () => resource.close(),
    async close() {
      await resource.close();
      server.close();
      const [failure] = server.tds.failures;
      if (failure !== undefined) throw failure;
    },
  };
}
