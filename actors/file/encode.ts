/** What an ask adds to the end of an output, as text or bytes. Pure: nothing is remembered until it was written. */
import { describe, KeymillError } from '../../runtime/index.ts';
import type { FileOp, Format } from './contract.ts';
import { CsvReader } from './csv.ts';
import { formatRow } from './csv-rows.ts';
import type { FileOptions } from './options.ts';
import { reasonOf } from './records.ts';

/** What the end of an output is like, as far as the next ask must know. */
export interface Tail {
  /** The first row of a CSV output; undefined while there is none. */
  readonly columns: readonly string[] | undefined;
  /** The last byte is not a newline, because a `write` ended so. */
  readonly midLine: boolean;
}

export const EMPTY_TAIL: Tail = { columns: undefined, midLine: false };

/** What is being written to. */
export interface Target {
  readonly file: string;
  readonly format: Format;
  readonly csv: FileOptions['csv'];
}

export interface Addition {
  readonly data: string | Uint8Array;
  readonly tail: Tail;
}

/** Throws RECORD_BROKEN (fatal) for a record that the format cannot hold, CONFIG_INVALID for an append to JSON. */
export function additionOf(op: FileOp, target: Target, tail: Tail): Addition {
  if (op.op === 'write') {
    const columns = tail.columns ?? (target.format === 'csv' ? firstRowIn(op.data, target) : undefined);
    return { data: op.data, tail: { columns, midLine: isMidLine(op.data, tail.midLine) } };
  }
  if (op.records.length === 0) return { data: '', tail };
  // A record always has lines of its own.
  const before = tail.midLine ? '\n' : '';
  if (target.format === 'csv') {
    const rows = csvRows(op.records, target, tail.columns);
    return { data: before + rows.text, tail: { columns: rows.columns, midLine: false } };
  }
  if (target.format === 'json')
    throw new KeymillError('CONFIG_INVALID', `${target.file}: JSON arrays are for reading; append NDJSON or CSV`, {
      place: { at: target.file },
    });
  return { data: before + op.records.map(jsonLine(target)).join(''), tail: { ...tail, midLine: false } };
}

/** A header may come by a `write` too. */
function firstRowIn(data: string | Uint8Array, { file, csv }: Target): readonly string[] | undefined {
  const bytes = Buffer.from(data as string);
  const reader = new CsvReader({ file, base: 0, from: 0, maxLineBytes: bytes.length, csv: { ...csv, header: false } });
  const [first] = reader.push(bytes);
  return first?.broken ? undefined : (first?.value as readonly string[] | undefined);
}

function isMidLine(data: string | Uint8Array, before: boolean): boolean {
  if (data.length === 0) return before;
  return typeof data === 'string' ? !data.endsWith('\n') : data[data.length - 1] !== 0x0a;
}

function jsonLine(target: Target) {
  return (record: unknown, index: number): string => {
    let text: string | undefined;
    try {
      text = JSON.stringify(record);
    } catch (error) {
      throw unfit(target, index, reasonOf(error));
    }
    if (text === undefined) throw unfit(target, index, `JSON has no ${typeof record}`);
    return `${text}\n`;
  };
}

/**
 * With a header, the keys of the first object become the first row, and later objects are written in its order: what
 * they lack is empty, what they have besides is an error. Arrays are written as they are, the first of all included.
 */
function csvRows(records: readonly unknown[], target: Target, known: readonly string[] | undefined) {
  const { delimiter, header } = target.csv;
  let columns = known;
  let text = '';
  for (const [index, record] of records.entries()) {
    if (typeof record !== 'object' || record === null)
      throw unfit(target, index, `a CSV record is an object or an array, not ${describe(record)}`);
    if (columns === undefined && header && !Array.isArray(record)) {
      columns = Object.keys(record);
      if (columns.length === 0) throw unfit(target, index, 'its keys were to be the header, and it has none');
      text += formatRow(columns, delimiter);
    }
    const values = Array.isArray(record)
      ? record
      : header
        ? inOrder(record, columns!, target, index)
        : Object.values(record);
    const fields = fieldsOf(values, target, index);
    columns ??= fields;
    if (fields.length !== columns.length || fields.length === 0)
      throw unfit(target, index, `${fields.length} columns where there should be ${columns.length || 'at least one'}`);
    text += formatRow(fields, delimiter);
  }
  return { text, columns };
}

function inOrder(record: object, columns: readonly string[], target: Target, index: number): unknown[] {
  const byName = new Map<string, unknown>(Object.entries(record));
  const values = columns.map(name => byName.get(name));
  for (const name of columns) byName.delete(name);
  if (byName.size > 0) throw unfit(target, index, `the header has no column ${JSON.stringify([...byName.keys()][0])}`);
  return values;
}

function fieldsOf(values: readonly unknown[], target: Target, index: number): string[] {
  try {
    return values.map(field);
  } catch (error) {
    throw unfit(target, index, reasonOf(error));
  }
}

function field(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return '';
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? '' : value.toISOString();
  return typeof value === 'object' ? (JSON.stringify(value) ?? '') : String(value);
}

function unfit(target: Target, index: number, why: string): KeymillError {
  const detail = `record ${index} of an append to ${target.file} cannot be written: ${why}`;
  return new KeymillError('RECORD_BROKEN', detail, { class: 'fatal', place: { at: target.file } });
}
