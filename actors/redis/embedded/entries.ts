/**
 * What a key holds. An entry is never changed: a write puts another in its place, and only the slots of fields are kept
 * (keyspace.ts takes them back too). Times are milliseconds since 1970, Infinity for ever.
 *
 * What has a version has two lives. Until `until` it is there; until `keep` its version is known, so that an older write
 * stays out though the value has gone. A version whose value expired may be written again, one that was removed may not.
 */
import type { Version } from '../../../runtime/index.ts';
import type { RedisValue } from '../contract.ts';
import { bytesOf } from '../hub.ts';

interface PlainEntry {
  readonly kind: 'value';
  readonly value: RedisValue;
  /** Of the write that made it, where that must be known again (`ifAbsent`). */
  readonly by: string | null;
  readonly until: number;
  readonly keep: number;
  readonly weight: number;
}

export interface VersionedEntry {
  readonly kind: 'versioned';
  /** Null: expired, or removed by the change `version`. */
  readonly value: RedisValue | null;
  readonly isRemoved: boolean;
  readonly version: Version;
  readonly by: string | null;
  readonly until: number;
  readonly keep: number;
  readonly weight: number;
}

export interface Slot {
  /** Null: removed by the change `version`. */
  readonly value: RedisValue | null;
  readonly version: Version;
}

export interface FieldsEntry {
  readonly kind: 'fields';
  readonly slots: Map<string, Slot>;
  readonly version: Version;
  /**
   * Fields that have no slot were as good as removed by this change: it named all fields, or removed the whole thing. With
   * `isFloorOpen` they have expired instead, and that very change may write them again. Null: they never were.
   */
  readonly floor: Version | null;
  readonly isFloorOpen: boolean;
  readonly isGone: boolean;
  /** Its fields have expired, and only versions are left. */
  readonly isExpired: boolean;
  readonly until: number;
  readonly keep: number;
  readonly weight: number;
}

export interface LeaseEntry {
  readonly kind: 'lease';
  /** The highest that was given or seen for this name. */
  readonly token: number;
  /** Null after it was released, or where only the token was seen. */
  readonly holder: string | null;
  readonly until: number;
  readonly keep: number;
  readonly weight: number;
}

export type Entry = PlainEntry | VersionedEntry | FieldsEntry | LeaseEntry;
export type Kind = Entry['kind'];
export type EntryOf<K extends Kind> = Extract<Entry, { kind: K }>;

/** About what an entry, and a slot, take beside their texts and bytes, with their places in the maps (Node 26: within 10 %). */
const ENTRY_BYTES: Readonly<Record<Kind, number>> = { value: 160, versioned: 230, fields: 400, lease: 180 };
const SLOT_BYTES = 96;

export function weightOf(kind: Kind, key: string, ...parts: readonly (RedisValue | null)[]): number {
  let bytes = ENTRY_BYTES[kind] + bytesOf(key);
  for (const part of parts) if (part !== null) bytes += bytesOf(part);
  return bytes;
}

export function slotWeight(name: string, value: RedisValue | null): number {
  return SLOT_BYTES + bytesOf(name) + (value === null ? 0 : bytesOf(value));
}

/** What is left of an entry at a time; undefined when nothing is. */
export function current(key: string, entry: Entry | undefined, now: number): Entry | undefined {
  if (entry === undefined || entry.until > now) return entry;
  if (entry.keep <= now) return undefined;
  if (entry.kind === 'versioned' && entry.value !== null)
    return { ...entry, value: null, by: null, weight: weightOf('versioned', key) };
  if (entry.kind === 'fields' && !entry.isExpired)
    return {
      ...entry,
      slots: new Map(),
      floor: entry.version,
      isFloorOpen: !entry.isGone,
      isExpired: true,
      weight: weightOf('fields', key),
    };
  return entry;
}

/** Whether a reader finds it there: more than a version or a token is left. */
export function isThere(entry: Entry | undefined, now: number): boolean {
  if (entry === undefined) return false;
  if (entry.kind === 'versioned') return entry.value !== null;
  if (entry.kind === 'fields') return !entry.isExpired;
  return entry.until > now && (entry.kind === 'value' || entry.holder !== null);
}
