/** The `sql` I/O actor: statements, replicas and changes of tables; embedded on SQLite, or on a SQL Server. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  asError,
  DEFAULT_IO_POLICY,
  type IoContext,
  type IoResource,
  type IoSpec,
  KeymillError,
} from '../../runtime/index.ts';
import { clientOf } from './client.ts';
import type { SqlClient } from './contract.ts';
import { mssqlOptionsOf } from './mssql/server-options.ts';
import { keyOf } from './ops.ts';
import {
  checkOptions,
  isServer,
  parseOptions,
  parseRead,
  pathOf,
  type SqlOptions,
  type SqlOptionsInput,
} from './options.ts';
import { SqlResource } from './resource.ts';
import { rehearseFile } from './sqlite/rehearse.ts';

export type * from './contract.ts';
export { readSchema, type SqlOptions, type SqlOptionsInput, sqlSchema } from './options.ts';

/** A look at a file costs next to nothing: an open breaker need not wait a minute for the next. */
const SQLITE_POLICY = { ...DEFAULT_IO_POLICY, breaker: { openMs: 1000 } };

/**
 * Makes the I/O actor for a topology's `io`: `sql({ url: 'sqlite:./shop.db' })`, `sql({ url: 'mssql://host/shop', … })`.
 * Handlers use `ctx.io<SqlClient>(name)`; sources read changes with `{ from: name, read: { table: 'Orders', track: true } }`.
 * Wrong options are reported by `check`, and by `open` with CONFIG_INVALID. A server is connected to when it is first asked
 * for something: while it cannot be reached, asks fail with SQL_UNAVAILABLE, and with ACCESS_REFUSED where it does not
 * accept who we are.
 */
export function sql(options: SqlOptionsInput): IoSpec<SqlClient> {
  return {
    kind: 'sql',
    policy: isServer(options.url) ? DEFAULT_IO_POLICY : SQLITE_POLICY,
    options: { ...options },
    check: checkOptions,
    traits: () => ({ replayable: true, ordered: true, contiguous: true, stable: false }),
    key(ask, from) {
      return keyOf(ask, isServer(String(this.options['url'])) ? from : null);
    },
    async open(given, context) {
      const parsed = parseOptions(given, `io.${context.name}`);
      return resourceOf(parsed, context);
    },
    async rehearse(given, read, name, dataDir, tools) {
      const parsed = parseOptions(given, `io.${name}`);
      const settings = read === null ? null : parseRead(read, `read of ${name}`);
      if (!isServer(parsed.url)) {
        if (settings?.from === 'cdc')
          throw new KeymillError('CONFIG_INVALID', `read of ${name}.from: cdc is for SQL Server`, {
            place: { at: 'from' },
          });
        return rehearseFile(pathOf(parsed.url, dataDir));
      }
      const { rehearseServer } = await import('./mssql/rehearse.ts');
      await rehearseServer(mssqlOptionsOf(parsed, `io.${name}`), settings, tools);
    },
    async doctor(given, _uses, { name, dataDir, environment, log }) {
      const parsed = parseOptions(given, `io.${name}`);
      if (!isServer(parsed.url)) {
        const { examineFile } = await import('./sqlite/doctor.ts');
        return examineFile(pathOf(parsed.url, dataDir), parsed);
      }
      const { examineServer } = await import('./mssql/doctor.ts');
      return examineServer(mssqlOptionsOf(parsed, `io.${name}`), environment, log);
    },
    client: clientOf,
  };
}

/** Drivers are loaded when they are opened: host threads need none. */
async function resourceOf(options: SqlOptions, context: IoContext): Promise<IoResource> {
  const { environment, log, dataDir } = context;
  if (isServer(options.url)) {
    const { MssqlDriver } = await import('./mssql/driver.ts');
    const { MssqlResource } = await import('./mssql/resource.ts');
    const driver = new MssqlDriver(mssqlOptionsOf(options, `io.${context.name}`), environment, log);
    return new MssqlResource(driver, options, context);
  }
  const path = pathOf(options.url, dataDir);
  await mkdir(dirname(path), { recursive: true }).catch((cause: unknown) => {
    throw new KeymillError('SQL_UNAVAILABLE', `${path}: ${asError(cause).message}`, { cause });
  });
  const { SqliteDriver } = await import('./sqlite/driver.ts');
  return new SqlResource(new SqliteDriver({ ...options, path }, environment, log), options, context);
}
