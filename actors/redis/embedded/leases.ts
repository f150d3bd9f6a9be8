/**
 * Leases and the fences made of them (rule 14). A lease is over when its life is; its token is remembered, so that a late
 * holder's write is refused once a higher one was given or seen.
 */
import { describe, KeymillError } from '../../../runtime/index.ts';
import type { Fence, Lease } from '../contract.ts';
import { type LeaseEntry, weightOf } from './entries.ts';
import { find, keepFor, type Moment, misasked } from './moment.ts';

export function acquire(at: Moment, name: string, holder: string, ttlMs: number): Lease | null {
  checkLife(ttlMs);
  const before = find(at, name, 'lease');
  if (isHeld(at, before)) {
    if (before.holder !== holder) return null;
    return hold(at, name, holder, before.token, ttlMs);
  }
  return hold(at, name, holder, at.tokens.next(), ttlMs);
}

export function renew(at: Moment, { name, token, ttlMs }: Lease): boolean {
  checkLife(ttlMs);
  const before = find(at, name, 'lease');
  if (!isHeld(at, before) || before.token !== token) return false;
  hold(at, name, before.holder, token, ttlMs);
  return true;
}

/** True once more where it was released before: the ask may have been made twice. */
export function release(at: Moment, { name, token }: Lease): boolean {
  const before = find(at, name, 'lease');
  if (!before || before.token !== token) return false;
  if (before.holder === null) return before.until > 0;
  if (!isHeld(at, before)) return false;
  put(at, name, null, token, RELEASED);
  return true;
}

/** Throws REDIS_FENCED when a higher token was seen for this name, and sees this one. */
export function checkFence(at: Moment, { lease, token }: Fence): void {
  if (!Number.isSafeInteger(token)) throw misasked(`the token ${describe(token)}`);
  const before = find(at, lease, 'lease');
  if (before && before.token > token)
    throw new KeymillError(
      'REDIS_FENCED',
      `token ${token} of ${JSON.stringify(lease.slice(0, 80))} was taken over by ${before.token}`,
    );
  if (before?.token === token) return;
  at.tokens.seen(token);
  put(at, lease, null, token, SEEN);
}

/** In place of the end of a life: released by its holder, or known only from a fence. */
const RELEASED = 1;
const SEEN = 0;

function isHeld(at: Moment, entry: LeaseEntry | undefined): entry is LeaseEntry & { holder: string } {
  return entry !== undefined && entry.holder !== null && entry.until > at.now;
}

function hold(at: Moment, name: string, holder: string, token: number, ttlMs: number): Lease {
  put(at, name, holder, token, at.now + ttlMs);
  return { name, token, ttlMs };
}

function put(at: Moment, name: string, holder: string | null, token: number, until: number): void {
  at.keys.put(name, {
    kind: 'lease',
    token,
    holder,
    until,
    keep: keepFor(at, until),
    weight: weightOf('lease', name, holder),
  });
}

/** A lease for ever would be one that nobody can take over. */
function checkLife(ttlMs: number): void {
  if (typeof ttlMs !== 'number' || !(ttlMs > 0) || ttlMs === Number.POSITIVE_INFINITY)
    throw misasked(`a lease of ${describe(ttlMs)}, expected milliseconds above 0`);
}
