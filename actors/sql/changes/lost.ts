/** Why changes can not be read on, so that a source knows what to say of the resync that follows. */
import { isKeymillError, KeymillError } from '../../../runtime/index.ts';
import type { ResyncReason } from '../contract.ts';

export function lost(table: string, reason: ResyncReason, how: string): KeymillError {
  return new KeymillError('TRACKING_LOST', `${table}: ${how} (${reason})`, { place: { at: table } });
}

/** Undefined for any other error. The reason stands in the message: it survives the way across threads. */
export function lostReason(error: unknown): ResyncReason | undefined {
  if (!isKeymillError(error, 'TRACKING_LOST')) return undefined;
  return /\(([a-z-]+)\)$/.exec(error.message)?.[1] as ResyncReason | undefined;
}
