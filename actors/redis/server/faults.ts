/** What a Redis answers that went wrong, in keymill's codes. */
import { asError, type ErrorClass, type ErrorCode, KeymillError } from '../../../runtime/index.ts';

const FAULTS: Readonly<Record<string, readonly [code: ErrorCode, its: ErrorClass, todo?: string]>> = {
  OOM: ['OUTPUT_FULL', 'transient', 'it takes no more than its maxmemory and evicts nothing'],
  WRONGPASS: ['ACCESS_REFUSED', 'fatal'],
  NOAUTH: ['ACCESS_REFUSED', 'fatal', 'it wants a password'],
  NOPERM: ['ACCESS_REFUSED', 'fatal'],
  WRONGTYPE: ['REDIS_WRONG_KIND', 'fatal'],
  CROSSSLOT: ['REDIS_CROSS_SLOT', 'fatal'],
  MISCONF: ['IO_FAILED', 'transient', 'it cannot write its snapshot or log: look at its disk and its log'],
  READONLY: ['IO_FAILED', 'transient', 'it is a replica'],
  NOREPLICAS: ['IO_FAILED', 'transient', 'it has fewer replicas than min-replicas-to-write'],
};

/** Without what a script adds of where it happened. */
function firstLine(text: string): string {
  return text.split(/ script: |\n/, 1)[0]!.slice(0, 300);
}

/** `text`: what a server said, its code in front. `at`: which server, without secrets. */
export function replyFault(text: string, at: string, cause?: unknown): KeymillError {
  const said = firstLine(text.replace(/^-/, ''));
  const found = FAULTS[/^[A-Z]+/.exec(said)?.[0] ?? ''];
  // An error without a code of its own is a command that it does not know, or does not know so.
  const [code, its, todo] = found ?? ['IO_FAILED', said.startsWith('ERR ') ? 'fatal' : 'transient'];
  return new KeymillError(code, `${at}: ${said}${todo === undefined ? '' : ` (${todo})`}`, {
    class: its,
    cause,
    place: { at },
  });
}

/** The connection was lost, or could not be made. */
export function lostFault(at: string, why: string, cause?: unknown): KeymillError {
  return new KeymillError('IO_FAILED', `${at}: ${why}`, { cause, place: { at } });
}

/** Whatever ioredis threw. */
export function faultOf(thrown: unknown, at: string): KeymillError {
  if (thrown instanceof KeymillError) return thrown;
  const cause = asError(thrown);
  return isReply(cause) ? replyFault(cause.message, at, cause) : lostFault(at, cause.message || 'no connection', cause);
}

/** Whether a server said it, rather than that no server was reached. */
export function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** The server will take it again soon, by itself or another one in its place. */
export function isPassing(error: unknown): boolean {
  return (
    isReply(error) && /^(LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|READONLY|NOSCRIPT)\b/.test(asError(error).message)
  );
}
