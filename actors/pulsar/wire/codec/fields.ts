/**
 * Tables of fields: from one table come the type of a message and both directions of its travel. Each field is its number,
 * its kind, and whether it must be there; repeated ones are undefined rather than empty.
 */
import { type MessageIdData, readMessageId, writeMessageId } from './message-id.ts';
import { Pairs } from './pairs.ts';
import { absent, type Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/** What a field holds, by kind. */
interface Values {
  readonly string: string;
  readonly bytes: Uint8Array;
  /** 32 bits with a sign; also enums. */
  readonly int: number;
  readonly uint: number;
  /** 64 bits, as reader.ts reads them. */
  readonly long: number;
  readonly bool: boolean;
  readonly double: number;
  readonly strings: readonly string[];
  /** Repeated KeyValue; of equal keys the last one counts. */
  readonly map: Readonly<Record<string, string>>;
  readonly id: MessageIdData;
  readonly ids: readonly MessageIdData[];
}

type Kind = keyof Values;

interface Field {
  readonly number: number;
  readonly kind: Kind | 'one' | 'many';
  readonly isRequired: boolean;
  /** What an absent one is read as. */
  readonly fallback: string | number | boolean | undefined;
  /** Of kinds `one` and `many`. */
  readonly table: Table | undefined;
}

export type Table = Readonly<Record<string, Field>>;

/** T: what it holds; R: whether it must be there. */
export interface Typed<T, R extends boolean> extends Field {
  readonly isRequired: R;
  /** Only for the types. */
  readonly of?: T;
}

/** The message that a table stands for. */
export type Fields<T extends Table> = Flat<
  {
    readonly [K in keyof T as T[K] extends { isRequired: true } ? K : never]: HeldBy<T[K]>;
  } & {
    readonly [K in keyof T as T[K] extends { isRequired: true } ? never : K]?: HeldBy<T[K]> | undefined;
  }
>;
type HeldBy<F> = F extends { readonly of?: infer T } ? Exclude<T, undefined> : never;
export type Flat<T> = { [K in keyof T]: T[K] };

export function must<K extends Kind>(number: number, kind: K): Typed<Values[K], true> {
  return { number, kind, isRequired: true, fallback: undefined, table: undefined };
}

export function may<K extends Kind>(
  number: number,
  kind: K,
  fallback?: Extract<Values[K], string | number | boolean>,
): Typed<Values[K], false> {
  return { number, kind, isRequired: false, fallback, table: undefined };
}

export function mustOne<T extends Table>(number: number, table: T): Typed<Fields<T>, true> {
  return { number, kind: 'one', isRequired: true, fallback: undefined, table };
}

export function mayOne<T extends Table>(number: number, table: T): Typed<Fields<T>, false> {
  return { number, kind: 'one', isRequired: false, fallback: undefined, table };
}

export function many<T extends Table>(number: number, table: T): Typed<readonly Fields<T>[], false> {
  return { number, kind: 'many', isRequired: false, fallback: undefined, table };
}

// ── travel ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Wire types: varint, 64 bits, with a length. */
const WIRE_TYPES = { int: 0, uint: 0, long: 0, bool: 0, double: 1 } as const;

function tagOf({ number, kind }: Field): number {
  return number * 8 + (kind in WIRE_TYPES ? WIRE_TYPES[kind as keyof typeof WIRE_TYPES] : 2);
}

type Message = Readonly<Record<string, unknown>>;
/** A table made ready. */
interface Layout {
  readonly names: readonly string[];
  readonly fields: readonly Field[];
  readonly tags: readonly number[];
  /** Place in the lists above, by tag. */
  readonly places: ReadonlyMap<number, number>;
}

const layouts = new WeakMap<Table, Layout>();

function layoutOf(table: Table): Layout {
  let layout = layouts.get(table);
  if (!layout) {
    const fields = Object.values(table);
    const tags = fields.map(tagOf);
    layout = { names: Object.keys(table), fields, tags, places: new Map(tags.map((tag, i) => [tag, i])) };
    layouts.set(table, layout);
  }
  return layout;
}

/** Throws for a required field that is undefined. */
export function writeFields(writer: Writer, table: Table, message: object): void {
  const { names, fields, tags } = layoutOf(table);
  for (let i = 0; i < fields.length; i++) {
    const value = (message as Message)[names[i]!];
    if (value !== undefined) writeField(writer, fields[i]!, tags[i]!, value as never);
    else if (fields[i]!.isRequired) throw absent(names[i]!);
  }
}

function writeField(writer: Writer, { kind, table }: Field, tag: number, value: never): void {
  switch (kind) {
    case 'string':
      return writer.textField(tag, value);
    case 'bytes':
      return writer.bytesField(tag, value);
    case 'int':
    case 'uint':
    case 'long':
      return writer.longField(tag, value);
    case 'bool':
      return writer.boolField(tag, value);
    case 'double':
      return writer.doubleField(tag, value);
    case 'map':
      return writer.pairsField(tag, value);
    case 'id':
      return writeMessageId(writer, tag, value);
    case 'ids':
      for (const id of value as readonly MessageIdData[]) writeMessageId(writer, tag, id);
      return;
    case 'strings':
      for (const text of value as readonly string[]) writer.textField(tag, text);
      return;
    case 'one':
      return writeWithin(writer, tag, table!, value);
    case 'many':
      for (const one of value as readonly object[]) writeWithin(writer, tag, table!, one);
  }
}

function writeWithin(writer: Writer, tag: number, table: Table, message: object): void {
  const body = writer.begin(tag);
  writeFields(writer, table, message);
  writer.end(body);
}

/** Reads up to the end into `message`. Throws for a required field that is not there. */
export function readFields(reader: Reader, table: Table, message: Record<string, unknown>): void {
  const { names, fields, places } = layoutOf(table);
  for (let i = 0; i < fields.length; i++) message[names[i]!] = fields[i]!.fallback;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const place = places.get(tag);
    if (place === undefined) reader.skip(tag);
    else message[names[place]!] = readField(reader, fields[place]!, message[names[place]!] as never);
  }
  for (let i = 0; i < fields.length; i++)
    if (fields[i]!.isRequired && message[names[i]!] === undefined) throw absent(names[i]!);
}

/** `before`: what the field held, for repeated ones. */
function readField(reader: Reader, { kind, table }: Field, before: never): unknown {
  switch (kind) {
    case 'string':
      return reader.text();
    case 'bytes':
      return reader.copy();
    case 'int':
      return reader.int();
    case 'uint':
      return reader.uint();
    case 'long':
      return reader.long();
    case 'bool':
      return reader.bool();
    case 'double':
      return reader.double();
    case 'id':
      return readMessageId(reader);
    case 'map': {
      const pairs: Record<string, string> = before ?? new Pairs<string>();
      reader.pair(pairs);
      return pairs;
    }
    case 'ids':
      return appended(before, readMessageId(reader));
    case 'strings':
      return appended(before, reader.text());
    case 'one':
      return readWithin(reader, table!);
    case 'many':
      return appended(before, readWithin(reader, table!));
  }
}

function readWithin(reader: Reader, table: Table): object {
  const message = {};
  const outer = reader.enter();
  readFields(reader, table, message);
  reader.leave(outer);
  return message;
}

function appended<T>(list: T[] | undefined, one: T): T[] {
  if (list === undefined) return [one];
  list.push(one);
  return list;
}
