/** SQLite's result codes as keymill's errors (sqlite.org/rescode.html). */
import { asError, type ErrorCode, KeymillError } from '../../../runtime/index.ts';

const CODES: Readonly<Record<number, ErrorCode>> = {
  5: 'SQL_UNAVAILABLE', // BUSY
  6: 'SQL_UNAVAILABLE', // LOCKED
  8: 'STORE_READ_ONLY',
  10: 'IO_FAILED',
  11: 'STORE_CORRUPT',
  13: 'OUTPUT_FULL',
  14: 'SQL_UNAVAILABLE', // CANTOPEN
  18: 'SQL_TOO_LARGE',
  19: 'SQL_CONSTRAINT',
  26: 'STORE_CORRUPT', // not a database
};
const ERROR = 1;
/** IOERR in an extended code that means a full disk or quota. */
const IOERR_WRITE_FULL = new Set([778]);

/** Errors of keymill as they are; of SQLite by their code, with `at` saying where. */
export function sqliteError(thrown: unknown, at: string): KeymillError {
  if (thrown instanceof KeymillError) return thrown;
  const cause = asError(thrown);
  const { errcode } = cause as { errcode?: number };
  const primary = errcode === undefined ? undefined : errcode & 0xff;
  const place = { at };
  if (primary === ERROR && /^no such table/.test(cause.message))
    return new KeymillError('TABLE_UNKNOWN', cause.message, { cause, place });
  if (primary === ERROR && /^(no such column|.* has no column named)/.test(cause.message))
    return new KeymillError('SQL_IDENTIFIER', cause.message, { cause, place });
  const code = errcode !== undefined && IOERR_WRITE_FULL.has(errcode) ? 'OUTPUT_FULL' : primary && CODES[primary];
  return new KeymillError(code || 'SQL_FAILED', cause.message, { cause, place });
}

/** After these nothing that was begun stands, whoever's statement it was. */
export function endsTransaction(error: KeymillError): boolean {
  return ['SQL_UNAVAILABLE', 'STORE_READ_ONLY', 'IO_FAILED', 'STORE_CORRUPT', 'OUTPUT_FULL'].includes(error.code);
}
