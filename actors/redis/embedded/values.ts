/** Values, and values with a version (R1). */
import { compareVersions, type Version } from '../../../runtime/index.ts';
import type { Entry, RedisValue, VersionedReply, VersionedValue } from '../contract.ts';
import type { CompareAndSetOp, SetOp, SetVersionedOp } from '../ops.ts';
import { isThere, type VersionedEntry, weightOf } from './entries.ts';
import { checkFence } from './leases.ts';
import { checkValue, checkVersion, endOf, find, keepFor, type Moment, wrongKind } from './moment.ts';

export function getValue(at: Moment, key: string): RedisValue | null {
  return find(at, key, 'value')?.value ?? null;
}

/** False where `id` says "only if absent" and another write was first. */
export function setValue(at: Moment, { key, value, ttlMs, id }: SetOp): boolean {
  checkValue(at, value);
  const before = find(at, key, 'value');
  if (before && id !== null) return before.by === id;
  const until = endOf(at, ttlMs ?? at.limits.ttlMs);
  const weight = weightOf('value', key, value, id);
  at.keys.put(key, { kind: 'value', value, by: id, until, keep: until, weight });
  return true;
}

/** Of any kind, with versions and tokens. How many a reader would have found. */
export function deleteKeys(at: Moment, keys: readonly string[]): number {
  let count = 0;
  for (const key of keys) {
    if (isThere(at.keys.get(key, at.now), at.now)) count++;
    at.keys.remove(key);
  }
  return count;
}

export function expireKey(at: Moment, key: string, ttlMs: number): boolean {
  const end = endOf(at, ttlMs);
  const entry = at.keys.get(key, at.now);
  if (entry === undefined || !isThere(entry, at.now)) return false;
  if (entry.kind === 'lease') throw wrongKind(key, 'lease', 'value'); // it is renewed by its holder
  // What only keeps others out may not go sooner.
  const until = entry.kind === 'fields' && entry.isGone ? Math.max(entry.until, end) : end;
  const keep = entry.kind === 'value' ? until : Math.max(entry.keep, until);
  at.keys.put(key, { ...entry, until, keep });
  return true;
}

export function getVersioned(at: Moment, key: string): VersionedValue | null {
  const entry = find(at, key, 'versioned');
  return entry && entry.value !== null ? { value: entry.value, version: entry.version } : null;
}

export function getEntry(at: Moment, key: string): Entry {
  const entry = find(at, key, 'versioned');
  if (!entry) return { value: null, version: null, isRemoved: false, leftMs: 0 };
  const { value, version, isRemoved, until } = entry;
  return { value, version, isRemoved, leftMs: value === null ? 0 : until - at.now };
}

export function setVersioned(at: Moment, { key, value, version, ttlMs, fence }: SetVersionedOp): VersionedReply {
  checkVersion(version);
  if (value !== null) checkValue(at, value);
  if (fence !== null) checkFence(at, fence);
  const before = find(at, key, 'versioned');
  const order = before ? compareVersions(version, before.version) : 1;
  if (order < 0) return { outcome: 'older', version: before!.version };
  if (order === 0 && !hasExpired(before!)) return { outcome: 'same', version };
  put(at, key, value, version, ttlMs, null);
  return { outcome: 'newer', version };
}

export function compareAndSet(at: Moment, op: CompareAndSetOp): VersionedReply {
  const { key, value, ttlMs, fence, id } = op;
  if (value !== null) checkValue(at, value);
  const before = find(at, key, 'versioned');
  if (before?.by === id) return { outcome: 'newer', version: before.version }; // asked for again
  if (fence !== null) checkFence(at, fence);
  if (!isExpected(before, op)) return { outcome: 'older', version: before?.version ?? { epoch: at.epoch, n: 0 } };
  const version = nextVersion(at, before, op.above);
  put(at, key, value, version, ttlMs, id);
  return { outcome: 'newer', version };
}

function isExpected(before: VersionedEntry | undefined, { expected, seen }: CompareAndSetOp): boolean {
  if (expected === 'any') return true;
  if (expected !== null) {
    checkVersion(expected);
    return before !== undefined && compareVersions(expected, before.version) === 0 && !before.isRemoved;
  }
  if (before !== undefined && before.value !== null) return false;
  if (seen === undefined) return true;
  if (seen === null) return before === undefined;
  checkVersion(seen);
  return before !== undefined && compareVersions(seen, before.version) === 0;
}

/** Above what stands there or stood there, and `above`; never of an earlier life of the store where nothing stands there. */
function nextVersion(at: Moment, before: VersionedEntry | undefined, above: Version | null): Version {
  const born = { epoch: at.epoch, n: 1 };
  const next = before === undefined ? born : after(before.version);
  const version = before?.value != null || compareVersions(next, born) > 0 ? next : born;
  if (above === null) return version;
  checkVersion(above);
  return compareVersions(version, above) > 0 ? version : after(above);
}

const after = ({ epoch, n }: Version): Version => ({ epoch, n: n + 1 });

function hasExpired({ value, isRemoved }: VersionedEntry): boolean {
  return value === null && !isRemoved;
}

function put(
  at: Moment,
  key: string,
  value: RedisValue | null,
  version: Version,
  ttlMs: number | null,
  by: string | null,
): void {
  const end = endOf(at, ttlMs ?? at.limits.ttlMs);
  const keep = value === null ? at.now + at.limits.versionsMs : keepFor(at, end);
  at.keys.put(key, {
    kind: 'versioned',
    value,
    isRemoved: value === null,
    version: { epoch: version.epoch, n: version.n },
    by,
    until: value === null ? keep : end,
    keep,
    weight: weightOf('versioned', key, value, by),
  });
}
