/** What SQLite says went wrong, in keymill's codes (https://sqlite.org/rescode.html). */
import { asError, type ErrorCode, KeymillError } from '../../../runtime/index.ts';

const CODES: Readonly<Record<number, ErrorCode>> = {
  5: 'STORE_IN_USE', // BUSY
  6: 'STORE_IN_USE', // LOCKED
  8: 'STORE_READ_ONLY', // READONLY
  11: 'STORE_CORRUPT', // CORRUPT
  13: 'OUTPUT_FULL', // FULL
  14: 'STORE_READ_ONLY', // CANTOPEN: the file or its write-ahead log cannot be made
  26: 'STORE_CORRUPT', // NOTADB
  3850: 'STORE_READ_ONLY', // IOERR_LOCK: what may not be written was opened for reading, and cannot be locked
};

/** Of making its folder. */
const SYSTEM_CODES: Readonly<Record<string, ErrorCode>> = {
  EACCES: 'STORE_READ_ONLY',
  EPERM: 'STORE_READ_ONLY',
  EROFS: 'STORE_READ_ONLY',
  ENOTDIR: 'STORE_READ_ONLY',
  EEXIST: 'STORE_READ_ONLY',
  ENOSPC: 'OUTPUT_FULL',
  EDQUOT: 'OUTPUT_FULL',
};

const TEXTS: Readonly<Partial<Record<ErrorCode, string>>> = {
  STORE_IN_USE: 'is open in another process, or twice in this one',
  STORE_READ_ONLY: 'cannot be written or locked',
  STORE_CORRUPT: 'cannot be read',
  OUTPUT_FULL: 'has no room left; nothing of this stays in it',
};

function codeOf(error: Error): ErrorCode {
  if ('errcode' in error && typeof error.errcode === 'number')
    return CODES[error.errcode] ?? CODES[error.errcode & 0xff] ?? 'IO_FAILED'; // the low byte has no extension
  return ('code' in error && SYSTEM_CODES[String(error.code)]) || 'IO_FAILED';
}

/** IO_FAILED for what is in no table. Errors of keymill's own are passed on. */
export function storeFault(thrown: unknown, file: string): KeymillError {
  if (thrown instanceof KeymillError) return thrown;
  const cause = asError(thrown);
  const code = codeOf(cause);
  const text = TEXTS[code] ?? 'failed';
  return new KeymillError(code, `the bus ${file} ${text} (${cause.message})`, { cause, place: { at: file } });
}
