/** System errors of files, turned into keymill's codes. */
import { asError, KeymillError } from '../../runtime/index.ts';

const NO_ROOM = new Set(['ENOSPC', 'EDQUOT']);

/** Nothing that waiting would mend: the path, its permissions, or the other end of a pipe. */
const NOT_POSSIBLE = new Set(
  'EACCES EPERM ENOENT ENOTDIR EISDIR EROFS ELOOP ENAMETOOLONG ENXIO ETXTBSY EFBIG EPIPE EBADF EINVAL'.split(' '),
);

/** The other end of a pipe, or the descriptor itself: it will not come back. */
const GONE = new Set(['EPIPE', 'EBADF']);

/**
 * OUTPUT_FULL, OUTPUT_UNWRITABLE or IO_FAILED. All may heal, if only by an operator's hand, so messages wait and push
 * back rather than die; what is wrong from the start is refused at the start (index.ts).
 * `note` says what became of the file.
 */
export function outputFault(thrown: unknown, file: string, note = ''): KeymillError {
  if (thrown instanceof KeymillError) return thrown;
  const cause = asError(thrown);
  const code = codeOf(cause);
  const options = { cause, place: { at: file } };
  const tail = note === '' ? '' : `; ${note}`;
  if (NO_ROOM.has(code)) return new KeymillError('OUTPUT_FULL', `no room for ${file} (${code})${tail}`, options);
  if (NOT_POSSIBLE.has(code))
    return new KeymillError('OUTPUT_UNWRITABLE', `${file} cannot be written (${cause.message})${tail}`, {
      ...options,
      class: GONE.has(code) ? 'fatal' : 'transient',
    });
  return new KeymillError('IO_FAILED', `writing ${file} failed (${cause.message})${tail}`, options);
}

/** SOURCE_MISSING for a path that does not lead to a readable file, else IO_FAILED. */
export function inputFault(thrown: unknown, file: string): KeymillError {
  if (thrown instanceof KeymillError) return thrown;
  const cause = asError(thrown);
  const code = NOT_POSSIBLE.has(codeOf(cause)) ? 'SOURCE_MISSING' : 'IO_FAILED';
  return new KeymillError(code, `${file} cannot be read (${cause.message})`, { cause, place: { at: file } });
}

/** The system's code of an error, '' when it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
