/**
 * Entries as a file holds them, version 1: a JSON array that begins with a letter for its kind and the key. Bytes are an
 * array with their base64, for ever is null.
 */
import type { RedisValue } from '../contract.ts';
import { type Entry, type Slot, slotWeight, weightOf } from './entries.ts';

/** Says whose database it is: "kmrd". */
export const APPLICATION_ID = 0x6b6d7264;
export const FORMAT = 1;

type Packed = string | readonly [string] | null;
type Life = number | null;
type SlotRow = readonly [name: string, value: Packed, epoch: number, n: number];

type Row =
  | readonly ['v', key: string, until: Life, by: string | null, value: Packed]
  | readonly [
      'n',
      key: string,
      until: Life,
      keep: Life,
      epoch: number,
      n: number,
      isRemoved: boolean,
      by: string | null,
      value: Packed,
    ]
  | readonly [
      'f',
      key: string,
      until: Life,
      keep: Life,
      epoch: number,
      n: number,
      floor: readonly [epoch: number, n: number] | null,
      flags: number,
      slots: readonly SlotRow[],
    ]
  | readonly ['l', key: string, until: Life, keep: Life, token: number, holder: string | null];

const FLOOR_OPEN = 1;
const GONE = 2;
const EXPIRED = 4;

export function encode(key: string, entry: Entry): string {
  return JSON.stringify(rowOf(key, entry));
}

/** Throws where the text is none of an entry. */
export function decode(text: string): [key: string, entry: Entry] {
  const row = JSON.parse(text) as Row;
  const key = row[1];
  if (typeof key !== 'string') throw new TypeError('no key');
  return [key, entryOf(row, key)];
}

function rowOf(key: string, entry: Entry): Row {
  const { until, keep } = entry; // JSON writes Infinity as null
  switch (entry.kind) {
    case 'value':
      return ['v', key, until, entry.by, pack(entry.value)];
    case 'versioned': {
      const { epoch, n } = entry.version;
      return ['n', key, until, keep, epoch, n, entry.isRemoved, entry.by, pack(entry.value)];
    }
    case 'fields': {
      const { version, floor, isFloorOpen, isGone, isExpired } = entry;
      const flags = (isFloorOpen ? FLOOR_OPEN : 0) | (isGone ? GONE : 0) | (isExpired ? EXPIRED : 0);
      const slots: SlotRow[] = [];
      for (const [name, slot] of entry.slots) slots.push([name, pack(slot.value), slot.version.epoch, slot.version.n]);
      return ['f', key, until, keep, version.epoch, version.n, floor && [floor.epoch, floor.n], flags, slots];
    }
    case 'lease':
      return ['l', key, until, keep, entry.token, entry.holder];
  }
}

function entryOf(row: Row, key: string): Entry {
  switch (row[0]) {
    case 'v': {
      const [, , until, by, packed] = row;
      const value = unpack(packed)!;
      const end = life(until);
      return { kind: 'value', value, by, until: end, keep: end, weight: weightOf('value', key, value, by) };
    }
    case 'n': {
      const [, , until, keep, epoch, n, isRemoved, by, packed] = row;
      const value = unpack(packed);
      const weight = weightOf('versioned', key, value, by);
      const version = { epoch, n };
      return { kind: 'versioned', value, isRemoved, version, by, until: life(until), keep: life(keep), weight };
    }
    case 'f': {
      const [, , until, keep, epoch, n, floor, flags, slotRows] = row;
      const slots = new Map<string, Slot>();
      let weight = weightOf('fields', key);
      for (const [name, packed, slotEpoch, slotN] of slotRows) {
        const value = unpack(packed);
        slots.set(name, { value, version: { epoch: slotEpoch, n: slotN } });
        weight += slotWeight(name, value);
      }
      return {
        kind: 'fields',
        slots,
        version: { epoch, n },
        floor: floor && { epoch: floor[0], n: floor[1] },
        isFloorOpen: (flags & FLOOR_OPEN) !== 0,
        isGone: (flags & GONE) !== 0,
        isExpired: (flags & EXPIRED) !== 0,
        until: life(until),
        keep: life(keep),
        weight,
      };
    }
    case 'l': {
      const [, , until, keep, token, holder] = row;
      const weight = weightOf('lease', key, holder);
      return { kind: 'lease', token, holder, until: life(until), keep: life(keep), weight };
    }
    default:
      throw new TypeError('no kind of an entry');
  }
}

function life(end: Life): number {
  return end ?? Number.POSITIVE_INFINITY;
}

function pack(value: RedisValue | null): Packed {
  if (value === null || typeof value === 'string') return value;
  return [Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')];
}

function unpack(packed: Packed): RedisValue | null {
  if (packed === null || typeof packed === 'string') return packed;
  return new Uint8Array(Buffer.from(packed[0], 'base64')); // memory of its own, not a part of a pool
}
