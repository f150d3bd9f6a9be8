/**
 * What can be carried from thread to thread, and copies of it. A message that waits before it is packed is copied at the
 * call, so the caller may change its object, and what cannot be carried fails at the call, with its path.
 */
import { KeymillError } from '../errors.ts';

const MAX_DEPTH = 200;

export interface Carried<T> {
  readonly value: T;
  /** About the size it will have when packed: within a factor of two for an ordinary record, never less than a quarter. */
  readonly bytes: number;
}

/** A deep copy. Throws MESSAGE_NOT_CARRIABLE with the path of a function, a symbol, or a cycle. */
export function carry<T>(value: T): Carried<T> {
  const size = { bytes: 0 };
  return { value: copy(value, 0, size, rootPath) as T, bytes: size.bytes };
}

type Path = () => string;
const rootPath: Path = () => 'message';

function copy(value: unknown, depth: number, size: { bytes: number }, path: Path): unknown {
  switch (typeof value) {
    case 'string':
      size.bytes += value.length + 2;
      return value;
    case 'function':
      throw new KeymillError('MESSAGE_NOT_CARRIABLE', `${path()} is a function`);
    case 'symbol':
      throw new KeymillError('MESSAGE_NOT_CARRIABLE', `${path()} is a symbol`);
    case 'object':
      if (value === null) break;
      return copyObject(value, depth, size, path);
    case 'number':
      size.bytes += (value | 0) === value ? 3 : 9;
      return value;
    case 'bigint':
      size.bytes += BigInt.asIntN(64, value) === value ? 9 : value.toString(16).length;
      return value;
  }
  size.bytes += 1;
  return value;
}

function copyObject(value: object, depth: number, size: { bytes: number }, path: Path): unknown {
  if (depth > MAX_DEPTH)
    throw new KeymillError(
      'MESSAGE_NOT_CARRIABLE',
      `${path().slice(0, 120)} … is nested more than ${MAX_DEPTH} deep, or refers back to what contains it (a cycle)`,
    );
  size.bytes += 3;
  if (Array.isArray(value)) {
    const copied: unknown[] = new Array(value.length);
    for (let i = 0; i < value.length; i++) copied[i] = copy(value[i], depth + 1, size, () => `${path()}[${i}]`);
    return copied;
  }
  if (ArrayBuffer.isView(value)) {
    size.bytes += value.byteLength;
    return Buffer.isBuffer(value) ? Buffer.from(value) : structuredClone(value);
  }
  if (value instanceof Date) {
    size.bytes += 8;
    return new Date(value);
  }
  if (value instanceof Map) {
    const copied = new Map<unknown, unknown>();
    for (const [key, inner] of value)
      copied.set(
        copy(key, depth + 1, size, () => `${path()}.keys()`),
        copy(inner, depth + 1, size, () => `${path()}.get(${String(key)})`),
      );
    return copied;
  }
  if (value instanceof Set) {
    const copied = new Set<unknown>();
    for (const inner of value) copied.add(copy(inner, depth + 1, size, () => `${path()}.values()`));
    return copied;
  }
  if (value instanceof Error || value instanceof RegExp || value instanceof ArrayBuffer) {
    size.bytes += value instanceof ArrayBuffer ? value.byteLength : 64 + String(value).length;
    if (value instanceof Error && value.cause !== undefined)
      copy(value.cause, depth + 1, size, () => `${path()}.cause`);
    return structuredClone(value);
  }
  const plain = value as Record<string, unknown>;
  if (plain.constructor !== Object && typeof plain['toJSON'] === 'function') {
    const json: unknown = plain['toJSON'](); // as the codec does with what leaves at once
    if (json !== value) return copy(json, depth + 1, size, path);
  }
  const copied: Record<string, unknown> = {};
  for (const name in plain) {
    if (!Object.hasOwn(plain, name)) continue;
    size.bytes += name.length + 1;
    // Setting `__proto__` would change the prototype of the copy; the codec renames it likewise.
    copied[name === '__proto__' ? '__proto_' : name] = copy(plain[name], depth + 1, size, () => `${path()}.${name}`);
  }
  return copied;
}
