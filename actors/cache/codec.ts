/**
 * An entry as the store holds it, format 1. Little endian: format u8, flags u8, life f64 and stale f64 in ms (Infinity: for
 * ever), length of the tags u32, the tags and then the value in msgpack. A later format is of a later release: it reads as
 * "nothing here", is loaded anew, and so two releases may run side by side.
 */
import { Packr } from 'msgpackr';
import { describe, KeymillError, type Version } from '../../runtime/index.ts';
import { checkKey } from './names.ts';

const FORMAT = 1;
const HEAD = 22;
/** A loader found nothing. */
const NEGATIVE = 1;
/** Only says that its version exists. */
const VOID = 2;
const MAX_DEPTH = 200;

/** A tag and the version of its counter when the value was made; null: it was never invalidated. */
export interface TagMark {
  readonly tag: string;
  readonly version: Version | null;
}

export interface Packed {
  /** What it was given to live. */
  readonly lifeMs: number;
  /** How long beyond it may be given as stale. */
  readonly staleMs: number;
  readonly isNegative: boolean;
  readonly tags: readonly TagMark[] | null;
  /** The value, packed. */
  readonly body: Uint8Array;
}

type TagRow = readonly [tag: string, epoch: number, n: number] | readonly [tag: string];

class StrictPackr extends Packr {
  writeFunction(): never {
    throw new Error('a function');
  }
}

const packr = new StrictPackr({ useRecords: true, moreTypes: true, useBigIntExtension: true, mapsAsObjects: false });

/** Throws CACHE_VALUE_INVALID with the path of what cannot be kept. */
export function packBody(value: unknown): Uint8Array {
  checkValue(value, 0, 'the value');
  try {
    return packr.pack(value);
  } catch (cause) {
    throw new KeymillError('CACHE_VALUE_INVALID', `the value: ${(cause as Error).message}`, { cause });
  }
}

export function unpackBody(body: Uint8Array): unknown {
  return packr.unpack(body);
}

export function encode({ lifeMs, staleMs, isNegative, tags, body }: Packed): Uint8Array {
  const marks = tags === null ? null : packr.pack(tags.map(rowOf));
  return frame(isNegative ? NEGATIVE : 0, lifeMs, staleMs, marks, body);
}

export function encodeVoid(): Uint8Array {
  return frame(VOID, 0, 0, null, new Uint8Array(0));
}

/** Null where there is nothing to be read: void, or of a format that this release does not know. */
export function decode(bytes: string | Uint8Array): Packed | null {
  if (typeof bytes === 'string' || bytes.length < HEAD || bytes[0] !== FORMAT) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const flags = view.getUint8(1);
  const end = HEAD + view.getUint32(18, true);
  if ((flags & VOID) !== 0 || (flags & ~NEGATIVE) !== 0 || end > bytes.length) return null;
  return {
    lifeMs: view.getFloat64(2, true),
    staleMs: view.getFloat64(10, true),
    isNegative: (flags & NEGATIVE) !== 0,
    tags: end === HEAD ? null : (packr.unpack(bytes.subarray(HEAD, end)) as TagRow[]).map(markOf),
    body: bytes.subarray(end),
  };
}

function frame(flags: number, lifeMs: number, staleMs: number, marks: Uint8Array | null, body: Uint8Array): Uint8Array {
  const tagBytes = marks?.length ?? 0;
  const bytes = new Uint8Array(HEAD + tagBytes + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FORMAT);
  view.setUint8(1, flags);
  view.setFloat64(2, lifeMs, true);
  view.setFloat64(10, staleMs, true);
  view.setUint32(18, tagBytes, true);
  if (marks !== null) bytes.set(marks, HEAD);
  bytes.set(body, HEAD + tagBytes);
  return bytes;
}

function rowOf({ tag, version }: TagMark): TagRow {
  return version === null ? [tag] : [tag, version.epoch, version.n];
}

function markOf([tag, epoch, n]: TagRow): TagMark {
  return { tag, version: epoch === undefined ? null : { epoch, n: n! } };
}

export function checkTags(tags: readonly unknown[] | undefined): asserts tags is readonly string[] | undefined {
  for (const tag of tags ?? []) checkKey(tag, 'a tag');
}

function checkValue(value: unknown, depth: number, path: string): void {
  switch (typeof value) {
    case 'function':
    case 'symbol':
      throw new KeymillError('CACHE_VALUE_INVALID', `${path.slice(0, 200)} is ${describe(value)}`);
    case 'object':
      if (value !== null) checkObject(value, depth, path);
  }
}

function checkObject(value: object, depth: number, path: string): void {
  if (depth > MAX_DEPTH)
    throw new KeymillError(
      'CACHE_VALUE_INVALID',
      `${path.slice(0, 120)} … is nested more than ${MAX_DEPTH} deep, or refers back to what contains it (a cycle)`,
    );
  if (ArrayBuffer.isView(value) || value instanceof Date || value instanceof RegExp || value instanceof ArrayBuffer)
    return;
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet)
    throw new KeymillError('CACHE_VALUE_INVALID', `${path.slice(0, 200)} is ${describe(value)}, which holds no data`);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++)
      if (typeof value[i] === 'object' || typeof value[i] === 'function' || typeof value[i] === 'symbol')
        checkValue(value[i], depth + 1, `${path}[${i}]`);
    return;
  }
  if (value instanceof Map || value instanceof Set) {
    for (const inner of value instanceof Map ? [...value.keys(), ...value.values()] : value)
      checkValue(inner, depth + 1, `${path}.values()`);
    return;
  }
  const plain = value as Record<string, unknown>;
  for (const name of Object.keys(plain)) {
    if (name === '__proto__')
      throw new KeymillError('CACHE_VALUE_INVALID', `${path.slice(0, 200)} has a property called __proto__`);
    const inner = plain[name];
    if (typeof inner === 'object' || typeof inner === 'function' || typeof inner === 'symbol')
      checkValue(inner, depth + 1, `${path}.${name}`);
  }
}
