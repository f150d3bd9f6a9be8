/** What the commands of the embedded store are done with, and the checks that all of them share. */
import { describe, KeymillError, type Version } from '../../../runtime/index.ts';
import type { RedisValue } from '../contract.ts';
import type { Delivery } from '../hub.ts';
import type { EntryOf, Kind } from './entries.ts';
import type { Keyspace } from './keyspace.ts';

export interface Limits {
  readonly ttlMs: number;
  readonly fieldsTtlMs: number;
  readonly versionsMs: number;
  readonly maxValueBytes: number;
}

/** One batch: all of it happens at one time. */
export interface Moment {
  readonly keys: Keyspace;
  readonly limits: Limits;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly epoch: number;
  readonly tokens: Tokens;
  /** What was published, to be given when the batch stands. */
  readonly deliveries: Delivery[];
}

/**
 * Tokens of leases rise through all names, so a name that was forgotten begins above what it had. Those of a store begin
 * where its epoch says: a store made later begins higher, as no store gives 1024 tokens a millisecond (and 2⁵³ is reached in
 * the year 2248).
 */
export class Tokens {
  #last: number;

  constructor(last: number) {
    this.#last = last;
  }

  static first(epoch: number): number {
    return epoch * 1024;
  }

  get last(): number {
    return this.#last;
  }

  next(): number {
    return ++this.#last;
  }

  /** One from another life of the store. */
  seen(token: number): void {
    if (token > this.#last) this.#last = token;
  }
}

/** What stands at a key now. Throws REDIS_WRONG_KIND. */
export function find<K extends Kind>(at: Moment, key: string, kind: K): EntryOf<K> | undefined {
  const entry = at.keys.get(key, at.now);
  if (entry === undefined || entry.kind === kind) return entry as EntryOf<K> | undefined;
  throw wrongKind(key, entry.kind, kind);
}

export function wrongKind(key: string, found: Kind, wanted: Kind): KeymillError {
  return new KeymillError(
    'REDIS_WRONG_KIND',
    `${JSON.stringify(key.slice(0, 80))} holds ${NAMES[found]}, not ${NAMES[wanted]}`,
  );
}

const NAMES: Readonly<Record<Kind, string>> = {
  value: 'a value',
  versioned: 'a versioned value',
  fields: 'fields',
  lease: 'a lease',
};

/** When a life ends that begins now. */
export function endOf(at: Moment, ttlMs: unknown): number {
  if (typeof ttlMs !== 'number' || !(ttlMs >= 0)) throw misasked(`a life of ${describe(ttlMs)}, expected milliseconds`);
  return ttlMs === 0 ? Number.POSITIVE_INFINITY : at.now + ttlMs;
}

/** How long a version is known whose value lives until then. */
export function keepFor(at: Moment, until: number): number {
  return Math.max(until, at.now + at.limits.versionsMs);
}

/** Throws REDIS_VALUE_TOO_LARGE. */
export function checkValue(at: Moment, value: unknown): asserts value is RedisValue {
  if (typeof value !== 'string' && !(value instanceof Uint8Array))
    throw misasked(`${describe(value)} is neither text nor bytes`);
  const { maxValueBytes } = at.limits;
  const bytes =
    typeof value !== 'string'
      ? value.byteLength
      : value.length * 3 <= maxValueBytes
        ? 0 // cannot be larger
        : Buffer.byteLength(value);
  if (bytes > maxValueBytes)
    throw new KeymillError('REDIS_VALUE_TOO_LARGE', `${bytes} bytes, maxValueBytes is ${maxValueBytes}`);
}

export function checkVersion(version: Version): void {
  if (!Number.isSafeInteger(version?.epoch) || !Number.isSafeInteger(version.n))
    throw misasked(`the version ${describe(version)}, expected whole numbers epoch and n`);
}

/** A call that no store could do. */
export function misasked(what: string): KeymillError {
  return new KeymillError('RECORD_BROKEN', `an ask with ${what}`, { class: 'fatal' });
}
