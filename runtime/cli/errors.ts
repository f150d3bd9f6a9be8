/** How the command line shows an error: code, what was wrong, where, and what to do. */
import { asError, ERRORS, isKeymillError } from '../errors.ts';
import type { Paint } from './terminal.ts';

export const EXIT_FAILED = 1;
/** EX_CONFIG of sysexits.h, as Vector uses it. */
export const EXIT_CONFIG = 78;

const CONFIG_CODES = new Set([
  'CHECKPOINT_UNUSABLE',
  'CONFIG_INVALID',
  'TOPOLOGY_MISSING',
  'ACTOR_MODULE_MISSING',
  'ACTOR_MODULE_NO_DEFAULT',
  'CYCLE_WAITS',
  'SOURCE_MISSING',
  'PORT_IN_USE',
  'OUTPUT_UNWRITABLE',
  'IO_UNKNOWN',
  'ACTOR_UNKNOWN',
]);

/** The error that explains most: SOURCE_FAILED because of a SOURCE_MISSING is a SOURCE_MISSING. */
export function rootOf(thrown: unknown): Error {
  let error = asError(thrown);
  while (isKeymillError(error, 'SOURCE_FAILED') && isKeymillError(error.cause)) error = error.cause;
  return error;
}

export function exitCodeOf(thrown: unknown): number {
  const error = rootOf(thrown);
  return isKeymillError(error) && CONFIG_CODES.has(error.code) ? EXIT_CONFIG : EXIT_FAILED;
}

export function formatError(thrown: unknown, paint: Paint): string {
  const error = rootOf(thrown);
  if (!isKeymillError(error)) return `${paint.red('error')} ${error.stack ?? error.message}`;
  const where = [
    error.place.source && `source ${error.place.source}`,
    error.place.actor && `actor ${error.place.actor}`,
    error.place.at,
  ]
    .filter(Boolean)
    .join(', ');
  const cause =
    error.cause instanceof Error && !error.message.includes(error.cause.message)
      ? `\n  cause: ${error.cause.message}`
      : '';
  return `${paint.red(error.code)} ${error.message.slice(error.code.length + 2)}${where ? `\n  where: ${where}` : ''}${cause}\n  ${paint.dim('do:')} ${ERRORS[error.code].todo}`;
}

export function errorJson(thrown: unknown): Record<string, unknown> {
  const error = rootOf(thrown);
  return isKeymillError(error)
    ? { code: error.code, message: error.message, place: error.place, todo: ERRORS[error.code].todo }
    : { message: error.message };
}
