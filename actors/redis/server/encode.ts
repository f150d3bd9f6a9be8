/** Asks as the script takes them (lua/batch.lua says how each is read). */
import { describe, KeymillError, type Version } from '../../../runtime/index.ts';
import type { Fence, RedisValue } from '../contract.ts';
import { checkVersion, type Limits, misasked } from '../embedded/moment.ts';
import type { CompareAndSetOp, DataOp, MergeOp, SetOp, SetVersionedOp, StepOp } from '../ops.ts';
import type { Batch } from './batch.ts';
import { type Packed, pack, packVersioned } from './marks.ts';
import type { Names } from './names.ts';

/** Asks of data; the driver does the others without the script. */
export type ScriptOp = Exclude<DataOp, { readonly op: 'scan' | 'epoch' | 'subscribe' | 'unsubscribe' }>;

const READS = { get: 'g', getVersioned: 'v', getEntries: 'e', getFields: 'f' } as const;

export class Encoder {
  readonly #limits: Limits;
  readonly #names: Names;
  #keys: string[] = [];
  #args: Packed[] = [];
  #needsEpoch = false;

  constructor(limits: Limits, names: Names) {
    this.#limits = limits;
    this.#names = names;
  }

  /** Of the key that it has and decides the slot, as it stands on the server. Throws RECORD_BROKEN. */
  name(key: unknown): string {
    if (typeof key !== 'string') throw misasked('a name that is not text');
    return this.#names.key(key);
  }

  /** Appends a read or a delete of these keys. Returns where its keys begin among those of the ask in the script. */
  addMany(batch: Batch, op: 'get' | 'getVersioned' | 'getEntries' | 'getFields' | 'delete', names: string[]): number {
    let from = 0;
    if (op !== 'get') batch.needsVersions = true;
    if (op === 'delete') {
      batch.open = '';
      batch.args.push('d', String(names.length));
      batch.asks++;
      batch.writes = true;
    } else from = join(batch, READS[op], null, names.length);
    for (const name of names) this.#addKey(batch, name);
    return from;
  }

  /** Whether it may be one ask with others of its kind. */
  joinable(op: ScriptOp): op is SetOp | SetVersionedOp {
    return (op.op === 'set' && op.id === null) || (op.op === 'setVersioned' && op.value !== null && op.fence === null);
  }

  /** Appends a write that is joinable, under its name. Returns its place among those that it joined. */
  addJoined(batch: Batch, op: SetOp | SetVersionedOp, name: string): number {
    const value = op.op === 'set' ? pack(op.value) : packVersioned(op.value!);
    const from = join(batch, op.op === 'set' ? 'S' : 'W', life(op.ttlMs ?? this.#limits.ttlMs), 1);
    if (op.op === 'setVersioned') batch.args.push(String(op.version.epoch), String(op.version.n));
    batch.args.push(value);
    batch.bytes += value.length + 16;
    batch.writes = batch.needsVersions = true;
    this.#addKey(batch, name);
    return from;
  }

  /** Of a write that is joinable. Throws RECORD_BROKEN, REDIS_VALUE_TOO_LARGE. */
  checked(op: SetOp | SetVersionedOp): string {
    this.#check(op.value);
    if (op.op === 'setVersioned') checkVersion(op.version);
    life(op.ttlMs ?? this.#limits.ttlMs);
    return this.name(op.key);
  }

  /** Appends it whole. Throws RECORD_BROKEN, REDIS_VALUE_TOO_LARGE, and leaves the batch as it was then. */
  prepare(op: ScriptOp): { readonly names: readonly string[]; addTo(batch: Batch): void } {
    this.#keys = [];
    this.#args = [];
    this.#needsEpoch = false;
    this.#encode(op);
    const names = this.#keys;
    const args = this.#args;
    const needsEpoch = this.#needsEpoch;
    return {
      names,
      addTo: batch => {
        batch.open = '';
        batch.asks++;
        batch.writes = batch.needsVersions = true;
        if (needsEpoch) batch.needsEpoch = true;
        for (const name of names) this.#addKey(batch, name);
        for (const arg of args) {
          batch.args.push(arg);
          batch.bytes += arg.length + 8;
        }
      },
    };
  }

  #addKey(batch: Batch, name: string): void {
    batch.keys.push(name);
    batch.bytes += 2 * name.length + 32;
  }

  #encode(op: ScriptOp): void {
    switch (op.op) {
      case 'expire':
        this.#key(op.key);
        this.#args.push('x', life(op.ttlMs));
        return;
      case 'acquire':
        this.#key(op.name);
        if (typeof op.holder !== 'string') throw misasked('a name that is not text');
        this.#needsEpoch = true;
        this.#args.push('q', op.holder, leaseLife(op.ttlMs));
        return;
      case 'renew':
        this.#key(op.lease.name);
        this.#args.push('r', token(op.lease.token), leaseLife(op.lease.ttlMs));
        return;
      case 'release':
        this.#key(op.lease.name);
        this.#args.push('l', token(op.lease.token));
        return;
      case 'multi':
        this.#args.push('t', String(op.steps.length));
        for (const step of op.steps) this.#step(step);
        return;
      default:
        this.#step(op as StepOp);
    }
  }

  #step(op: StepOp): void {
    switch (op.op) {
      case 'set':
        this.#check(op.value);
        this.#key(op.key);
        this.#args.push('s', life(op.ttlMs ?? this.#limits.ttlMs), op.id ?? '', pack(op.value));
        return;
      case 'delete':
        this.#args.push('d', String(op.keys.length));
        for (const key of op.keys) this.#key(key);
        return;
      case 'setVersioned': {
        checkVersion(op.version);
        this.#key(op.key);
        const { epoch, n } = op.version;
        this.#args.push('w', life(op.ttlMs ?? this.#limits.ttlMs), String(epoch), String(n));
        this.#versioned(op.value);
        this.#fence(op.fence);
        return;
      }
      case 'compareAndSet':
        this.#compare(op);
        return;
      case 'merge':
        this.#merge(op);
        return;
      case 'publish':
        this.#args.push(op.isFilled ? 'P' : 'p');
        this.#message(op.channel, op.message);
        return;
      default:
        throw misasked(`the step ${String((op as { op: unknown }).op)}`);
    }
  }

  #compare({ key, expected, seen, above, value, ttlMs, fence, id }: CompareAndSetOp): void {
    this.#key(key);
    this.#needsEpoch = true;
    const what = expected === 'any' ? 'any' : versionText(expected);
    this.#args.push('c', life(ttlMs ?? this.#limits.ttlMs), id, what);
    this.#args.push(seen === undefined ? '-' : versionText(seen), versionText(above));
    this.#versioned(value);
    this.#fence(fence);
  }

  #merge(op: MergeOp): void {
    const { key, version, names, values, isWhole, isGone, ttlMs, fence, publish } = op;
    checkVersion(version);
    if (names.length !== values.length) throw misasked('a value missing for a field');
    if (isGone && (names.length > 0 || isWhole)) throw misasked('fields for what is gone');
    this.#key(key);
    this.#args.push('m', life(ttlMs ?? this.#limits.fieldsTtlMs), String(version.epoch), String(version.n));
    this.#args.push(isWhole ? '1' : '0', isGone ? '1' : '0', String(names.length));
    for (const [i, name] of names.entries()) {
      const value = values[i]!;
      this.#args.push(name);
      if (value === null) this.#args.push('0');
      else {
        this.#check(value);
        this.#args.push('1', pack(value));
      }
    }
    this.#fence(fence);
    if (publish === null) this.#args.push('0');
    else {
      this.#args.push('1');
      this.#message(publish.channel, publish.message);
    }
  }

  #message(channel: unknown, message: RedisValue): void {
    if (typeof channel !== 'string') throw misasked('a name that is not text');
    this.#check(message);
    this.#args.push(this.#names.channel(channel), pack(message));
  }

  #versioned(value: RedisValue | null): void {
    if (value === null) this.#args.push('0');
    else {
      this.#check(value);
      this.#args.push('1', packVersioned(value));
    }
  }

  #fence(fence: Fence | null): void {
    if (fence === null) {
      this.#args.push('0');
      return;
    }
    this.#args.push('1', token(fence.token));
    this.#key(fence.lease);
  }

  #key(key: unknown): void {
    this.#keys.push(this.name(key));
  }

  #check(value: unknown): void {
    if (typeof value !== 'string' && !(value instanceof Uint8Array))
      throw misasked(`${describe(value)} is neither text nor bytes`);
    const most = this.#limits.maxValueBytes;
    if (typeof value === 'string' && value.length * 3 <= most) return; // cannot be larger
    const bytes = typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength;
    if (bytes > most) throw new KeymillError('REDIS_VALUE_TOO_LARGE', `${bytes} bytes, maxValueBytes is ${most}`);
  }
}

/** Joins the last ask where that is of the same kind and life, or begins another. Returns its place among those joined. */
function join(batch: Batch, letter: string, lifeText: string | null, count: number): number {
  const kind = lifeText === null ? letter : `${letter} ${lifeText}`;
  if (batch.open === kind) {
    const before = Number(batch.args[batch.openAt]);
    batch.args[batch.openAt] = String(before + count);
    return before;
  }
  batch.open = kind;
  batch.args.push(letter);
  if (lifeText !== null) batch.args.push(lifeText);
  batch.openAt = batch.args.length;
  batch.args.push(String(count));
  batch.asks++;
  return 0;
}

function versionText(version: Version | null): string {
  if (version === null) return 'none';
  checkVersion(version);
  return `${version.epoch} ${version.n}`;
}

/** Whole ms, 0 for ever. */
function life(ttlMs: unknown): string {
  if (typeof ttlMs !== 'number' || !(ttlMs >= 0)) throw misasked(`a life of ${describe(ttlMs)}, expected milliseconds`);
  return ttlMs === Number.POSITIVE_INFINITY ? '0' : String(Math.ceil(ttlMs));
}

/** A lease for ever would be one that nobody can take over. */
function leaseLife(ttlMs: unknown): string {
  if (typeof ttlMs !== 'number' || !(ttlMs > 0) || ttlMs === Number.POSITIVE_INFINITY)
    throw misasked(`a lease of ${describe(ttlMs)}, expected milliseconds above 0`);
  return String(Math.ceil(ttlMs));
}

function token(value: unknown): string {
  if (!Number.isSafeInteger(value)) throw misasked(`the token ${describe(value)}`);
  return String(value);
}
