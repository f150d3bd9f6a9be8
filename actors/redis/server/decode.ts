/** Replies of the script as the client takes them. */
import { KeymillError, type Version } from '../../../runtime/index.ts';
import type { Entry, RedisValue, VersionedReply, VersionedValue } from '../contract.ts';
import type { FieldsReply, StepOp } from '../ops.ts';
import type { ScriptOp } from './encode.ts';
import { replyFault } from './faults.ts';
import { unpack, unpackVersioned } from './marks.ts';

const KINDS = ['', 'value', 'versioned', 'fields', 'lease', 'other'] as const;
const WORDS: Readonly<Record<string, string>> = {
  value: 'a value',
  versioned: 'a versioned value',
  fields: 'fields',
  lease: 'a lease',
  other: 'what another program put there',
};
const WANTED: Readonly<Record<ScriptOp['op'], string>> = {
  get: 'value',
  set: 'value',
  getVersioned: 'versioned',
  getEntries: 'versioned',
  setVersioned: 'versioned',
  compareAndSet: 'versioned',
  getFields: 'fields',
  merge: 'fields',
  acquire: 'lease',
  renew: 'lease',
  release: 'lease',
  expire: 'value',
  delete: '',
  multi: '',
  publish: '',
};

/** `why`: the script's words, or Redis's. */
export function failureOf(op: ScriptOp, why: string, at: string): KeymillError {
  const [word, what, ...rest] = why.split(' ');
  if (word === 'KIND') return wrongKind(rest.join(' '), what!, WANTED[op.op]);
  if (word === 'FENCED')
    return new KeymillError(
      'REDIS_FENCED',
      `the lease ${JSON.stringify(rest.join(' ').slice(0, 80))} was taken over with the token ${what}`,
    );
  return replyFault(why, at);
}

function wrongKind(key: string, found: string, wanted: string): KeymillError {
  const instead = wanted === '' ? '' : `, not ${WORDS[wanted]}`;
  return new KeymillError('REDIS_WRONG_KIND', `${JSON.stringify(key.slice(0, 80))} holds ${WORDS[found]}${instead}`);
}

type Found = Buffer | number | null;

/** Null for none. Throws REDIS_WRONG_KIND. */
function valueAt(key: string, found: Found): RedisValue | null {
  if (found === null) return null;
  if (typeof found === 'number') throw wrongKind(key, KINDS[found]!, 'value');
  const value = unpack(found);
  if (value === null) throw wrongKind(key, 'versioned', 'value');
  return value;
}

/** Throws REDIS_WRONG_KIND. */
function entryAt(key: string, found: Found, record: Buffer | null, left: number): Entry {
  if (typeof found === 'number') throw wrongKind(key, KINDS[found]!, 'versioned');
  const value = found === null ? null : unpackVersioned(found);
  if (found !== null && value === null) throw wrongKind(key, 'value', 'versioned');
  // A value whose version was taken away by hand is none.
  if (record === null) return { value: null, version: null, isRemoved: false, leftMs: 0 };
  const [epoch, n, flag] = record.toString().split(' ');
  const leftMs = value === null ? 0 : left < 0 ? Number.POSITIVE_INFINITY : left;
  return { value, version: { epoch: Number(epoch), n: Number(n) }, isRemoved: flag === 'r', leftMs };
}

function versionedAt(key: string, found: Found, record: Buffer | null): VersionedValue | null {
  const { value, version } = entryAt(key, found, record, 0);
  return value === null ? null : { value, version: version! };
}

function versionIn(text: Buffer): Version {
  const [epoch, n] = text.toString().split(' ');
  return { epoch: Number(epoch), n: Number(n) };
}

function fieldsAt(key: string, found: readonly Buffer[][] | number | null): FieldsReply | null {
  if (found === null) return null;
  if (typeof found === 'number') throw wrongKind(key, KINDS[found]!, 'fields');
  const [known, held] = found as [Buffer[], Buffer[]];
  const values = new Map<string, RedisValue>();
  for (let i = 0; i < held.length; i += 2) values.set(held[i]!.toString(), unpack(held[i + 1]!)!);
  const names: string[] = [];
  const versions: Version[] = [];
  let version: Version = { epoch: 0, n: 0 };
  let isGone = false;
  for (let i = 0; i < known.length; i += 2) {
    const name = known[i]!.toString();
    if (name === 'v') version = versionIn(known[i + 1]!);
    else if (name === 'g') isGone = known[i + 1]!.toString() === '1';
    else if (name.startsWith('f')) {
      names.push(name.slice(1));
      versions.push(versionIn(known[i + 1]!));
    }
  }
  return { names, values: names.map(name => values.get(name) ?? null), versions, version, isGone };
}

type ReadName = 'get' | 'getVersioned' | 'getEntries' | 'getFields';

/** What a read found at its keys, which are `from` and on among those of the reply. Throws REDIS_WRONG_KIND. */
export function foundBy(op: ReadName, keys: readonly string[], reply: unknown, from: number): unknown[] {
  if (op === 'get') {
    const found = reply as Found[];
    return keys.map((key, i) => valueAt(key, found[from + i]!));
  }
  if (op === 'getFields') {
    const found = reply as (Buffer[][] | number | null)[];
    return keys.map((key, i) => fieldsAt(key, found[from + i]!));
  }
  const [values, records, left] = reply as [Found[], (Buffer | null)[], number[] | undefined];
  if (op === 'getVersioned') return keys.map((key, i) => versionedAt(key, values[from + i]!, records[from + i]!));
  return keys.map((key, i) => entryAt(key, values[from + i]!, records[from + i]!, left![from + i]!));
}

/** What any other ask did. */
export function doneBy(op: ScriptOp, reply: unknown): unknown {
  switch (op.op) {
    case 'set':
    case 'expire':
    case 'renew':
    case 'release':
      return reply === 1;
    case 'setVersioned':
      if (reply === 1) return { outcome: 'newer', version: op.version };
      return versionedReply(reply);
    case 'compareAndSet':
      return versionedReply(reply);
    case 'merge': {
      const [, , , applied] = reply as [number, number, number, Buffer[]];
      return { ...versionedReply(reply), applied: applied.map(name => name.toString()) };
    }
    case 'acquire':
      return reply === null ? null : { name: op.name, token: reply, ttlMs: op.ttlMs };
    case 'multi':
      return (reply as unknown[]).map((one, i) => doneBy(op.steps[i] as StepOp, one));
    default:
      return reply;
  }
}

function exact(number: number | Buffer): number {
  return typeof number === 'number' ? number : Number(number.toString());
}

function versionedReply(reply: unknown): VersionedReply {
  const [order, epoch, n] = reply as [number, number | Buffer, number | Buffer];
  const outcome = order > 0 ? 'newer' : order === 0 ? 'same' : 'older';
  return { outcome, version: { epoch: exact(epoch), n: exact(n) } };
}
