/** Items for tests of mailboxes. */
import type { Extras } from '../../runtime/lanes/envelope.ts';
import { hashKey } from '../../runtime/lanes/key-hash.ts';
import { Arrival, Item, NOWHERE, type Origin } from '../../runtime/mailbox/item.ts';
import type { Key } from '../../runtime/topology/define.ts';

export interface ItemParts {
  body?: unknown;
  key?: Key;
  origin?: Origin;
  seq?: number;
  size?: number;
  position?: number;
  path?: string;
  flags?: number;
  extras?: Extras | null;
  arrivedAt?: number;
}

export function item({
  body = null,
  key = 'k',
  origin = NOWHERE,
  seq = 0,
  size = 1,
  position = 0,
  path = '',
  flags = 0,
  extras = null,
  arrivedAt = 0,
}: ItemParts = {}): Item {
  const arrival = new Arrival('test', 0, flags, arrivedAt);
  return new Item(body, key, hashKey(key), origin, seq, size, arrival, position, path, extras);
}
