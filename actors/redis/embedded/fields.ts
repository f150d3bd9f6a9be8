/**
 * Hashes whose fields have versions of their own (R3). Merges may come in any order and any number of times, and end in the
 * same state, as long as a version stands for one change.
 */
import { compareVersions, type Version } from '../../../runtime/index.ts';
import type { MergeReply } from '../contract.ts';
import type { FieldsReply, MergeOp } from '../ops.ts';
import { type FieldsEntry, type Slot, slotWeight, weightOf } from './entries.ts';
import { checkFence } from './leases.ts';
import { checkValue, checkVersion, endOf, find, keepFor, type Moment, misasked } from './moment.ts';

export function getFields(at: Moment, key: string): FieldsReply | null {
  const entry = find(at, key, 'fields');
  if (!entry || entry.isExpired) return null;
  const slots = [...entry.slots.values()];
  return {
    names: [...entry.slots.keys()],
    values: slots.map(slot => slot.value),
    versions: slots.map(slot => slot.version),
    version: entry.version,
    isGone: entry.isGone,
  };
}

/** Without its publishing. */
export function mergeFields(at: Moment, op: MergeOp): MergeReply {
  const { key, names, values } = op;
  checkVersion(op.version);
  if (names.length !== values.length) throw misasked('a value missing for a field');
  if (op.isGone && (names.length > 0 || op.isWhole)) throw misasked('fields for what is gone');
  for (const value of values) if (value !== null) checkValue(at, value);
  if (op.fence !== null) checkFence(at, op.fence);
  const version = { epoch: op.version.epoch, n: op.version.n };
  const before = find(at, key, 'fields');
  const order = before ? compareVersions(version, before.version) : 1;
  const plan = op.isGone ? planGone(before, version, order) : planFields(before, version, op);
  const isNewer = order > 0 || plan.changes.size > 0 || (order === 0 && before!.isExpired);
  const reply: MergeReply = {
    outcome: isNewer ? 'newer' : order === 0 ? 'same' : 'older',
    version: order > 0 ? version : before!.version,
    applied: plan.applied,
  };
  if (isNewer) put(at, op, before, plan, reply.version, order);
  else if (before && !isSameFloor(before, plan))
    at.keys.put(key, { ...before, floor: plan.floor, isFloorOpen: plan.isFloorOpen });
  return reply;
}

/** What a merge does to the slots (null: the slot goes) and the floor. */
interface Plan {
  readonly changes: Map<string, Slot | null>;
  readonly applied: string[];
  readonly floor: Version | null;
  readonly isFloorOpen: boolean;
}

function planFields(before: FieldsEntry | undefined, version: Version, { names, values, isWhole }: MergeOp): Plan {
  const changes = new Map<string, Slot | null>();
  const applied: string[] = [];
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!;
    if (before && !admits(before, name, version)) continue;
    const value = values[i]!;
    if (value === null && isWhole) {
      // The floor says so of every field without a slot.
      if (!before?.slots.has(name)) continue;
      changes.set(name, null);
    } else changes.set(name, { value, version });
    applied.push(name);
  }
  if (!isWhole) return { changes, applied, floor: before?.floor ?? null, isFloorOpen: before?.isFloorOpen ?? false };
  return raised(before, version, changes, applied, new Set(names));
}

function planGone(before: FieldsEntry | undefined, version: Version, order: number): Plan {
  // Another change of this version stands there, which should not be; the first stays.
  if (order === 0 && !before!.isExpired)
    return { changes: new Map(), applied: [], floor: before!.floor, isFloorOpen: before!.isFloorOpen };
  return raised(before, version, new Map(), [], new Set());
}

/** Slots older than the new floor go, but for those named; the floor never falls. */
function raised(
  before: FieldsEntry | undefined,
  version: Version,
  changes: Map<string, Slot | null>,
  applied: string[],
  named: ReadonlySet<string>,
): Plan {
  for (const [name, slot] of before?.slots ?? [])
    if (!named.has(name) && compareVersions(slot.version, version) < 0) {
      changes.set(name, null);
      if (slot.value !== null) applied.push(name);
    }
  const floor = before?.floor ?? null;
  if (floor !== null && compareVersions(floor, version) > 0)
    return { changes, applied, floor, isFloorOpen: before!.isFloorOpen };
  return { changes, applied, floor: version, isFloorOpen: false };
}

function isSameFloor(before: FieldsEntry, { floor, isFloorOpen }: Plan): boolean {
  if (before.isFloorOpen !== isFloorOpen) return false;
  if (before.floor === null || floor === null) return before.floor === floor;
  return compareVersions(before.floor, floor) === 0;
}

/** Whether what stands at this field is older, or has expired at this version. */
function admits({ slots, floor, isFloorOpen }: FieldsEntry, name: string, version: Version): boolean {
  const slot = slots.get(name);
  if (slot) return compareVersions(version, slot.version) > 0;
  if (floor === null) return true;
  const order = compareVersions(version, floor);
  return order > 0 || (order === 0 && isFloorOpen);
}

function put(
  at: Moment,
  { key, isGone, ttlMs }: MergeOp,
  before: FieldsEntry | undefined,
  { changes, floor, isFloorOpen }: Plan,
  version: Version,
  order: number,
): void {
  const ttl = ttlMs ?? at.limits.fieldsTtlMs;
  // A change that is not the newest leaves it as the newest made it.
  const gone = order >= 0 ? isGone : before!.isGone;
  const until = endOf(at, gone ? 2 * ttl : ttl);
  const slots = before?.slots ?? new Map<string, Slot>();
  let weight = before?.weight ?? weightOf('fields', key);
  for (const [name, slot] of changes) {
    const old = slots.get(name);
    weight += (slot ? slotWeight(name, slot.value) : 0) - (old ? slotWeight(name, old.value) : 0);
  }
  at.keys.put(key, {
    kind: 'fields',
    slots,
    version,
    floor,
    isFloorOpen,
    isGone: gone,
    isExpired: false,
    until,
    keep: keepFor(at, until),
    weight,
  });
  for (const [name, slot] of changes) at.keys.setSlot(slots, name, slot);
}
