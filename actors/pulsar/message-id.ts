/** Message ids as text: `LEDGER:ENTRY:PARTITION:BATCH-INDEX`, -1 where there is none, as the official clients print them. */
import { describe, KeymillError } from '../../runtime/index.ts';
import type { MessageId } from './contract.ts';

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
  if (typeof id !== 'string') throw invalid(id);
  let at = 0;
  /** The next number, and where it must end. By hand: each acknowledgement of a message reads an id. */
  const number = (digits: number, end: number): number => {
    if (id.charCodeAt(at) === MINUS && id.charCodeAt(at + 1) === ONE) {
      at += 2;
      if (at !== id.length && id.charCodeAt(at) !== COLON) throw invalid(id);
      if ((at === id.length ? -1 : COLON) !== end) throw invalid(id);
      at++;
      return -1;
    }
    const from = at;
    let value = 0;
    for (let code = id.charCodeAt(at); code >= ZERO && code <= NINE; code = id.charCodeAt(++at))
      value = value * 10 + code - ZERO;
    const length = at - from;
    if (length === 0 || length > digits || (at === id.length ? -1 : id.charCodeAt(at)) !== end) throw invalid(id);
    at++;
    return value;
  };
  return {
    ledger: number(19, COLON),
    entry: number(19, COLON),
    partition: number(9, COLON),
    batchIndex: number(9, -1),
  };
}

const [MINUS, ZERO, ONE, NINE, COLON] = [0x2d, 0x30, 0x31, 0x39, 0x3a];

function invalid(id: unknown): KeymillError {
  return new KeymillError('CONFIG_INVALID', `${describe(id)} is not the id of a message`);
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
