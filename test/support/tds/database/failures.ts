/** SQLite's errors as SQL Server's. What is neither is a mistake of this server's, and stays what it is. */
import { SqlError } from '../errors.ts';

interface SqliteError extends Error {
  readonly errcode?: number;
}

const PRIMARY_KEY = 1555;
const UNIQUE = 2067;
const NOT_NULL = 1299;
const BUSY = 5;
const BUSY_SNAPSHOT = 517;
const FULL = 13;

/** Throws what it does not know. */
export function toSqlError(thrown: unknown): SqlError {
  if (thrown instanceof SqlError) return thrown;
  const { errcode, message } = thrown as SqliteError;
  // `UNIQUE constraint failed: dbo.t.k`
  const place = /: (.+)$/.exec(message ?? '')?.[1] ?? '';
  const column = place.split(',')[0]!.split('.').at(-1)!;
  const table = place.split(',')[0]!.split('.').slice(0, -1).join('.');
  // The history of a table that is not tracked any more.
  if (/^no such table: ct\.\d+$/.test(message ?? ''))
    return new SqlError(22_105, 'Change tracking is not enabled on the table that CHANGETABLE names.');
  switch (errcode) {
    case PRIMARY_KEY:
      return new SqlError(
        2627,
        `Violation of PRIMARY KEY constraint. Cannot insert duplicate key in object '${table}'.`,
        { class: 14 },
      );
    case UNIQUE:
      return new SqlError(
        2627,
        `Violation of UNIQUE KEY constraint. Cannot insert duplicate key in object '${table}'.`,
        { class: 14 },
      );
    case NOT_NULL:
      return new SqlError(
        515,
        `Cannot insert the value NULL into column '${column}', table '${table}'; column does not allow nulls.`,
      );
    case BUSY:
      return new SqlError(1222, 'Lock request time out period exceeded.', { state: 51 });
    case BUSY_SNAPSHOT:
      return new SqlError(3960, 'Snapshot isolation transaction aborted due to update conflict.', { rollsBack: true });
    case FULL:
      return new SqlError(
        1105,
        'Could not allocate space for an object in the database because the filegroup is full.',
        { class: 17 },
      );
    default:
      throw thrown;
  }
}
