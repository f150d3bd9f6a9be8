/** The `sql` I/O actor: statements, replicas and changes of tables; embedded on SQLite. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { asError, DEFAULT_IO_POLICY, type IoSpec, KeymillError } from '../../runtime/index.ts';
import { clientOf } from './client.ts';
import type { SqlClient } from './contract.ts';
import { keyOf } from './ops.ts';
import { checkOptions, parseOptions, parseRead, pathOf, type SqlOptionsInput } from './options.ts';
import { SqlResource } from './resource.ts';
import { SqliteDriver } from './sqlite/driver.ts';
import { rehearseFile } from './sqlite/rehearse.ts';

export type * from './contract.ts';
export { readSchema, type SqlOptions, type SqlOptionsInput, sqlSchema } from './options.ts';

/** A look at a file costs next to nothing: an open breaker need not wait a minute for the next. */
const SQLITE_POLICY = { ...DEFAULT_IO_POLICY, breaker: { openMs: 1000 } };

/**
 * Makes the I/O actor for a topology's `io`: `sql({ url: 'sqlite:./shop.db' })`. Handlers use `ctx.io<SqlClient>(name)`;
 * sources read changes with `{ from: name, read: { table: 'Orders', track: true } }`. Wrong options are reported by
 * `check`, and by `open` with CONFIG_INVALID.
 */
export function sql(options: SqlOptionsInput): IoSpec<SqlClient> {
  return {
    kind: 'sql',
    policy: SQLITE_POLICY,
    options: { ...options },
    check: checkOptions,
    traits: () => ({ replayable: true, ordered: true, contiguous: true, stable: false }),
    key: keyOf,
    async open(given, context) {
      const parsed = parseOptions(given, `io.${context.name}`);
      const path = pathOf(parsed.url, context.dataDir);
      await mkdir(dirname(path), { recursive: true }).catch((cause: unknown) => {
        throw new KeymillError('SQL_UNAVAILABLE', `${path}: ${asError(cause).message}`, { cause });
      });
      const driver = new SqliteDriver({ ...parsed, path }, context.environment, context.log);
      return new SqlResource(driver, parsed, context);
    },
    rehearse(given, read, name, dataDir) {
      const { url } = parseOptions(given, `io.${name}`);
      if (read !== null) parseRead(read, `read of ${name}`);
      rehearseFile(pathOf(url, dataDir));
    },
    client: clientOf,
  };
}
