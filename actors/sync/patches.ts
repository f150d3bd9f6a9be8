/** JSON patches (RFC 6902) between two states of a row. Paths that reach for a prototype are refused, whoever made the patch. */
import { applyPatch, createPatch, type Operation } from 'rfc6902';
import { KeymillError } from '../../runtime/index.ts';
import type { Encoded } from './message.ts';

export type PatchItem = Operation;

const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);

/** From nothing to something it is one `add` of the whole; from something to nothing one `remove`. */
export function patchBetween(before: Encoded | null, after: Encoded | null): PatchItem[] {
  if (before === null && after === null) return [];
  if (before === null) return [{ op: 'add', path: '', value: after }];
  if (after === null) return [{ op: 'remove', path: '' }];
  return createPatch(before, after);
}

/** A new object; the one given stays as it is. Throws RECORD_BROKEN where the patch does not fit. */
export function patched(before: Encoded | null, items: readonly PatchItem[]): Encoded | null {
  for (const item of items)
    for (const path of [item.path, 'from' in item ? item.from : ''])
      if (path.split('/').some(part => FORBIDDEN.has(part))) throw unfit(`the path ${path} is not allowed`);
  const [first] = items;
  if (first?.path === '' && first.op === 'add') return first.value as Encoded;
  if (first?.path === '' && first.op === 'remove') return null;
  if (items.length === 0) return before;
  if (before === null) throw unfit('there is nothing to patch');
  const after = structuredClone(before) as Record<string, unknown>;
  const failed = applyPatch(after, [...items]).find(error => error !== null);
  if (failed) throw unfit(failed.message);
  return after;
}

function unfit(why: string): KeymillError {
  return new KeymillError('RECORD_BROKEN', `a patch cannot be applied: ${why}`);
}
