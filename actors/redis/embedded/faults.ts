/** What SQLite and the system say of a store's file, as keymill's errors (sqlite.org/rescode.html). */
import { asError, type ErrorCode, KeymillError } from '../../../runtime/index.ts';

const BUSY = 5;
const READ_ONLY = 8;
const IO_ERROR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANNOT_OPEN = 14;
const NOT_A_DATABASE = 26;
/** A file that was opened for reading only, as it may not be written, cannot be locked; nor can one on some mounts. */
const IO_ERROR_LOCK = 3850;

const CODES: Readonly<Record<number, ErrorCode>> = {
  [READ_ONLY]: 'STORE_READ_ONLY',
  [IO_ERROR]: 'IO_FAILED',
  [CORRUPT]: 'STORE_CORRUPT',
  [FULL]: 'OUTPUT_FULL',
  [CANNOT_OPEN]: 'STORE_READ_ONLY',
  [NOT_A_DATABASE]: 'STORE_CORRUPT',
};

const SYSTEM: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'OUTPUT_FULL',
  EDQUOT: 'OUTPUT_FULL',
  EACCES: 'STORE_READ_ONLY',
  EPERM: 'STORE_READ_ONLY',
  EROFS: 'STORE_READ_ONLY',
  ENOTDIR: 'STORE_READ_ONLY',
};

/**
 * A store that cannot be written any more may be again, if only by an operator's hand: its asks wait and push back rather
 * than die. At the opening it is fatal, as the start is to be refused.
 */
export function sqliteFault(thrown: unknown, path: string, isOpening = false): KeymillError {
  if (thrown instanceof KeymillError) return thrown;
  const cause = asError(thrown);
  const { errcode, code: system } = cause as { errcode?: number; code?: string };
  const place = { at: path };
  const primary = errcode === undefined ? undefined : errcode & 0xff;
  if (primary === BUSY)
    return new KeymillError(
      'STORE_IN_USE',
      `${path} is open already, in another process or I/O actor; a file: store belongs to one. Stop that one, or use another path`,
      { cause, place, class: 'fatal' },
    );
  const known = primary === undefined ? SYSTEM[system ?? ''] : CODES[errcode === IO_ERROR_LOCK ? READ_ONLY : primary];
  const code = known ?? 'IO_FAILED';
  const detail = `${path}: ${cause.message}`;
  if (code === 'STORE_READ_ONLY') {
    const its = isOpening ? 'fatal' : 'transient';
    return new KeymillError(code, detail, { cause, place, class: its });
  }
  return new KeymillError(code, detail, { cause, place });
}

export function corrupt(path: string, why: string, cause?: unknown): KeymillError {
  return new KeymillError('STORE_CORRUPT', `${path}: ${why}`, { cause, place: { at: path } });
}
