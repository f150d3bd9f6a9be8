/** What a client asks for: batches, procedure calls, transactions (reference 3.7, 3.8, 3.10). */
import { type Reader, TdsFault } from './bytes.ts';
import { readType, readValue } from './codec.ts';
import type { SqlType, SqlValue } from './types.ts';

export interface Param {
  /** With `@`; empty where it goes by place. */
  readonly name: string;
  readonly type: SqlType;
  readonly value: SqlValue;
  readonly isOutput: boolean;
}

export interface Call {
  /** In lower case, without the schema `sys`, for the procedures with a number; else as it came. */
  readonly name: string;
  readonly params: readonly Param[];
}

export type IsolationLevel = 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable' | 'snapshot';

export interface Beginning {
  /** Null: as it is in the session. */
  readonly level: IsolationLevel | null;
  readonly name: string;
}

export type TransactionRequest =
  | (Beginning & { readonly kind: 'begin' })
  /** `next`: the transaction that begins at once. */
  | { readonly kind: 'commit' | 'rollback'; readonly name: string; readonly next: Beginning | null }
  | { readonly kind: 'save'; readonly name: string };

const LEVELS: readonly (IsolationLevel | null)[] = [
  null,
  'read uncommitted',
  'read committed',
  'repeatable read',
  'serializable',
  'snapshot',
];

const PROCEDURES: Readonly<Record<number, string>> = {
  1: 'sp_cursor',
  2: 'sp_cursoropen',
  3: 'sp_cursorprepare',
  4: 'sp_cursorexecute',
  5: 'sp_cursorprepexec',
  6: 'sp_cursorunprepare',
  7: 'sp_cursorfetch',
  8: 'sp_cursoroption',
  9: 'sp_cursorclose',
  10: 'sp_executesql',
  11: 'sp_prepare',
  12: 'sp_execute',
  13: 'sp_prepexec',
  14: 'sp_prepexecrpc',
  15: 'sp_unprepare',
};
const NUMBERED = new Set(Object.values(PROCEDURES));

const TRANSACTION_HEADER = 2;
const OUTPUT = 0x01;
const BEGINS_NEXT = 0x01;
const OPERATION = { begin: 5, commit: 7, rollback: 8, save: 9 } as const;

/** Reads the headers and gives the transaction that the client means; 0 for none. */
export function readHeaders(reader: Reader): bigint {
  const end = reader.at + reader.u32();
  let transaction: bigint | null = null;
  while (reader.at < end) {
    const next = reader.at + reader.u32();
    if (next > end || next <= reader.at) throw new TdsFault('a header that is longer than all of them');
    if (reader.u16() === TRANSACTION_HEADER) transaction = reader.u64();
    reader.take(next - reader.at);
  }
  if (transaction === null) throw new TdsFault('no header with a transaction descriptor');
  return transaction;
}

export function readBatch(reader: Reader): string {
  if (reader.rest % 2 === 1) throw new TdsFault('a batch with half a char');
  return reader.text(reader.rest / 2);
}

export function readCall(reader: Reader): Call {
  const length = reader.u16();
  const name = length === 0xffff ? numbered(reader.u16()) : named(reader.text(length));
  reader.u16();
  const params: Param[] = [];
  while (reader.rest > 0) {
    const param = reader.shortText();
    const status = reader.u8();
    const type = readType(reader);
    params.push({
      name: param,
      type: type.type,
      value: readValue(reader, type),
      isOutput: (status & OUTPUT) !== 0,
    });
  }
  return { name, params };
}

export function readTransaction(reader: Reader): TransactionRequest {
  const operation = reader.u16();
  if (operation === OPERATION.begin) return { kind: 'begin', ...beginningOf(reader) };
  if (operation === OPERATION.save) return { kind: 'save', name: nameOf(reader) };
  if (operation !== OPERATION.commit && operation !== OPERATION.rollback)
    throw new TdsFault(`a transaction request of type ${operation}`);
  const name = nameOf(reader);
  const next = reader.u8() & BEGINS_NEXT ? beginningOf(reader) : null;
  return { kind: operation === OPERATION.commit ? 'commit' : 'rollback', name, next };
}

function beginningOf(reader: Reader): Beginning {
  const level = LEVELS[reader.u8()];
  if (level === undefined) throw new TdsFault('a transaction of no isolation level');
  return { level, name: nameOf(reader) };
}

/** Its length is in bytes. */
function nameOf(reader: Reader): string {
  return reader.take(reader.u8()).toString('utf16le');
}

function numbered(id: number): string {
  const name = PROCEDURES[id];
  if (!name) throw new TdsFault(`a procedure of number ${id}`);
  return name;
}

function named(text: string): string {
  const name = text.toLowerCase().replace(/^sys\./, '');
  return NUMBERED.has(name) ? name : text;
}
