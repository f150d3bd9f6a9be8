/** Message ids as text: `LEDGER:ENTRY:PARTITION:BATCH-INDEX`, -1 where there is none, as the official clients print them. */
import { describe, KeymillError } from '../../runtime/index.ts';
import type { MessageId } from './contract.ts';

const ID = /^(-1|\d{1,19}):(-1|\d{1,19}):(-1|\d{1,9}):(-1|\d{1,9})$/;

export interface IdParts {
  readonly ledger: number;
  readonly entry: number;
  readonly partition: number;
  readonly batchIndex: number;
}

/** What a publish is answered with that the topic dropped as a duplicate: it has no id (reference/pulsar.md 2.5). */
export const NO_ID: MessageId = '-1:-1:-1:-1';

export function formatId(ledger: number, entry: number, partition: number): MessageId {
  return `${ledger}:${entry}:${partition}:-1`;
}

/** Throws CONFIG_INVALID for what is not an id. Numbers beyond 2^53 lose digits: none that keymill gives out are. */
export function parseId(id: MessageId): IdParts {
  const match = typeof id === 'string' ? ID.exec(id) : null;
  if (!match) throw new KeymillError('CONFIG_INVALID', `${describe(id)} is not the id of a message`);
  return {
    ledger: Number(match[1]),
    entry: Number(match[2]),
    partition: Number(match[3]),
    batchIndex: Number(match[4]),
  };
}

/** Below zero when `a` was published before `b`; of messages of one partition. Throws CONFIG_INVALID. */
export function compareIds(a: MessageId, b: MessageId): number {
  parseId(a);
  parseId(b);
  const left = a.split(':').map(BigInt);
  const right = b.split(':').map(BigInt);
  for (const part of [0, 1, 3]) if (left[part] !== right[part]) return left[part]! < right[part]! ? -1 : 1;
  return 0;
}
