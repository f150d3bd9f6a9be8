/**
 * The protocol by a general protobuf library, from protocol.proto: an oracle that shares nothing with the codec but the
 * reference. Values are those of the codec; here they are made at random, and turned into the library's and back.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import protobuf from 'protobufjs';

const root = protobuf.parse(readFileSync(new URL('protocol.proto', import.meta.url), 'utf8'), {
  keepCase: true,
}).root;
root.resolveAll();

/** A message in the shape of the codec. */
export type Value = Record<string, unknown>;

export function typeOf(name: string): protobuf.Type {
  return root.lookupType(name);
}

/** Commands by what the codec calls them. */
export const COMMAND_TYPES: ReadonlyMap<string, { readonly number: number; readonly type: protobuf.Type }> = new Map(
  typeOf('BaseCommand')
    .fieldsArray.filter(field => field.name !== 'type')
    .map(field => [
      field.name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      { number: field.id, type: field.resolvedType as protobuf.Type },
    ]),
);

/** The codec's name of a field. */
function nameOf(field: protobuf.Field): string {
  if (field.parent?.name === 'CommandConsumerStatsResponse' && field.name === 'type') return 'subscriptionType';
  return field.name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function isMap(field: protobuf.Field): boolean {
  return field.type === 'KeyValue' || field.type === 'KeyLongValue';
}

// ── random values ──────────────────────────────────────────────────────────────────────────────────────────────────

const text = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.constantFrom(
    '',
    '__proto__',
    'constructor',
    'é',
    'ключ',
    '😀',
    'a'.repeat(127),
    'b'.repeat(128),
    'c'.repeat(5000),
  ),
);
const long = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc.maxSafeInteger(),
  fc.constantFrom(-1, Number.POSITIVE_INFINITY, 2 ** 28, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 49, -(2 ** 32)),
);
const word = fc.integer({ min: 0, max: 0xffffffff });
const SCALARS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  string: text,
  bytes: fc.uint8Array({ maxLength: 70 }),
  bool: fc.boolean(),
  int32: fc.oneof(fc.nat(300), fc.integer()),
  uint32: fc.oneof(fc.nat(300), word),
  uint64: long,
  int64: long,
  double: fc.double({ noNaN: true }),
};

/** Any message of a type. Repeated fields are absent rather than empty, as the codec reads them. */
export function anyOf(type: protobuf.Type, depth = 0): fc.Arbitrary<Value> {
  const fields = type.fieldsArray.filter(
    field => depth < 2 || field.required || !(field.resolvedType instanceof protobuf.Type),
  );
  return fc
    .tuple(
      ...fields.map(field =>
        field.required ? anyField(field, depth) : fc.option(anyField(field, depth), { nil: undefined }),
      ),
    )
    .map(values =>
      Object.fromEntries(
        fields.map((field, i) => [nameOf(field), values[i]] as const).filter(([, value]) => value !== undefined),
      ),
    );
}

function anyField(field: protobuf.Field, depth: number): fc.Arbitrary<unknown> {
  if (field.name === 'ack_set')
    return fc.array(word, { minLength: 2, maxLength: 8 }).map(words => Uint32Array.from(words.slice(words.length % 2)));
  if (isMap(field)) {
    const value = field.type === 'KeyValue' ? text : long;
    return fc.array(fc.tuple(text, value), { minLength: 1, maxLength: 4 }).map(pairs => Object.fromEntries(pairs));
  }
  const one = field.resolvedType instanceof protobuf.Type ? anyOf(field.resolvedType, depth + 1) : SCALARS[field.type]!;
  return field.repeated ? fc.array(one, { minLength: 1, maxLength: 4 }) : one;
}

// ── there and back ─────────────────────────────────────────────────────────────────────────────────────────────────

const Long = protobuf.util.Long as unknown as {
  fromString(text: string): protobuf.Long;
  fromBits(low: number, high: number): protobuf.Long;
};
const MAX_64 = 2n ** 63n - 1n;

function toLong(value: number): protobuf.Long {
  const wide = value === Number.POSITIVE_INFINITY ? MAX_64 : BigInt(value);
  return Long.fromString(BigInt.asIntN(64, wide).toString());
}

function fromLong(value: protobuf.Long | number): number {
  const wide = BigInt.asIntN(64, BigInt(value.toString()));
  return wide === MAX_64 ? Number.POSITIVE_INFINITY : Number(wide);
}

function toLibrary(type: protobuf.Type, value: Value): Value {
  const made: Value = {};
  for (const field of type.fieldsArray) {
    const its = value[nameOf(field)];
    if (its === undefined || its === null) continue;
    const convert = (one: unknown): unknown =>
      field.resolvedType instanceof protobuf.Type
        ? toLibrary(field.resolvedType, one as Value)
        : /64/.test(field.type)
          ? toLong(one as number)
          : one;
    if (field.name === 'ack_set') {
      const words = its as Uint32Array;
      made[field.name] = Array.from({ length: words.length / 2 }, (_, i) =>
        Long.fromBits(words[2 * i]! | 0, words[2 * i + 1]! | 0),
      );
    } else if (isMap(field)) made[field.name] = Object.entries(its).map(([key, one]) => convert({ key, value: one }));
    else made[field.name] = field.repeated ? (its as unknown[]).map(convert) : convert(its);
  }
  return made;
}

function fromLibrary(type: protobuf.Type, message: protobuf.Message): Value {
  const value: Value = {};
  for (const field of type.fieldsArray) {
    if (!Object.hasOwn(message, field.name)) continue;
    const its = (message as unknown as Value)[field.name];
    const convert = (one: unknown): unknown =>
      field.resolvedType instanceof protobuf.Type
        ? fromLibrary(field.resolvedType, one as protobuf.Message)
        : /64/.test(field.type)
          ? fromLong(one as protobuf.Long)
          : field.type === 'bytes'
            ? Uint8Array.from(one as Uint8Array)
            : one;
    if (field.repeated && (its as unknown[]).length === 0) continue;
    if (field.name === 'ack_set')
      value['ackSet'] = Uint32Array.from((its as protobuf.Long[]).flatMap(({ low, high }) => [low >>> 0, high >>> 0]));
    else if (isMap(field))
      value[nameOf(field)] = Object.fromEntries(
        (its as unknown[]).map(one => Object.values(convert(one) as object) as [string, unknown]),
      );
    else value[nameOf(field)] = field.repeated ? (its as unknown[]).map(convert) : convert(its);
  }
  return value;
}

/** Bytes of a message by the library. */
export function encoded(type: protobuf.Type, value: Value): Buffer {
  return Buffer.from(type.encode(type.fromObject(toLibrary(type, value))).finish());
}

/** What the library reads, without defaults. Throws for what it cannot read, or finds incomplete. */
export function decoded(type: protobuf.Type, bytes: Uint8Array): Value {
  return fromLibrary(type, type.decode(bytes));
}

/** A value with the defaults that the reference has for what is absent, also within. `but`: fields left absent. */
export function withDefaults(type: protobuf.Type, value: Value, ...but: string[]): Value {
  const full: Value = { ...value };
  for (const field of type.fieldsArray) {
    const name = nameOf(field);
    const fallback: unknown = field.options?.['default'];
    if (value[name] === undefined) {
      if (fallback !== undefined && !but.includes(name)) full[name] = fallback;
    } else if (field.resolvedType instanceof protobuf.Type && !isMap(field)) {
      const within = field.resolvedType;
      full[name] = field.repeated
        ? (value[name] as Value[]).map(one => withDefaults(within, one))
        : withDefaults(within, value[name] as Value);
    }
  }
  return full;
}
