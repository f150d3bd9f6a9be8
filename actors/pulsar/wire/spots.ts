/** Places in a topic: where reading begins, and what lies behind what (reference/pulsar.md 2.6). */
import type { StartPosition } from '../contract.ts';
import { parseId } from '../message-id.ts';

export interface Spot {
  readonly ledger: number;
  readonly entry: number;
  /** In its batch; -1 for before the first. */
  readonly index: number;
}

const EARLIEST = { ledgerId: -1, entryId: -1 };
const LATEST = { ledgerId: Number.POSITIVE_INFINITY, entryId: Number.POSITIVE_INFINITY };

/** Whether a message stands behind a spot. */
export function isBehind(ledger: number, entry: number, index: number, spot: Spot): boolean {
  if (ledger !== spot.ledger) return ledger > spot.ledger;
  if (entry !== spot.entry) return entry > spot.entry;
  return index > spot.index;
}

/** The entry that a position names; a time is sought once attached. */
export function entryOf(position: StartPosition): { ledgerId: number; entryId: number } {
  if (position === 'latest') return LATEST;
  if (position === 'earliest' || !('id' in position)) return EARLIEST;
  const { ledger, entry } = parseId(position.id);
  return { ledgerId: ledger, entryId: entry };
}

/** Nothing up to here is to be given out; null for no such spot. */
export function spotBefore(position: StartPosition, isInclusive: boolean): Spot | null {
  if (typeof position !== 'object' || !('id' in position)) return null;
  const { ledger, entry, batchIndex } = parseId(position.id);
  if (ledger < 0) return null;
  const index = Math.max(0, batchIndex);
  return { ledger, entry, index: isInclusive ? index - 1 : index };
}
