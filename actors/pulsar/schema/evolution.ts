/**
 * Whether a schema may take the place of another (G2.5). Backward: the new one reads what was written by the old one; forward:
 * the old one reads what is written by the new one; full: both. What the writer allows, the reader must allow.
 *
 * A property that the writer does not name is taken as not written, unless its additionalProperties say more than that:
 * otherwise no property could ever be added. Findings err on the safe side.
 */
import {
  JSON_TYPES,
  type JsonSchema,
  type JsonSchemaObject,
  type JsonType,
  propertyOf,
  type SchemaFinding,
  typesOf,
  under,
  valueFindings,
} from './json-schema.ts';

export type EvolutionRule = 'backward' | 'forward' | 'full';

export interface EvolutionFinding extends SchemaFinding {
  readonly rule: 'backward' | 'forward';
}

/** Nothing when `next` may take the place of `before`. */
export function evolutionFindings(
  before: JsonSchema,
  next: JsonSchema,
  rule: EvolutionRule,
): readonly EvolutionFinding[] {
  const of = (one: 'backward' | 'forward', writer: JsonSchema, reader: JsonSchema): EvolutionFinding[] =>
    rule === one || rule === 'full' ? readFindings(writer, reader, '').map(found => ({ rule: one, ...found })) : [];
  return [...of('backward', before, next), ...of('forward', next, before)];
}

function readFindings(writer: JsonSchema, reader: JsonSchema, path: string): SchemaFinding[] {
  if (writer === false || reader === true) return [];
  if (reader === false) return [{ path, message: 'is written, but must not be there to be read' }];
  const writes: JsonSchemaObject = writer === true ? {} : writer;
  const values = valuesOf(writes);
  if (values) return values.flatMap(value => valueFindings(reader, value, path).map(found => asWritten(found, value)));
  const written = typesOf(writes);
  const read = typesOf(reader);
  const lost = JSON_TYPES.filter(type => written.has(type) && !canRead(read, type, written));
  if (lost.length > 0)
    return [{ path, message: `${lost.join(' or ')} is written, but ${[...read].join(' or ')} is read` }];
  if (reader.enum)
    return [
      { path, message: `any ${[...written].join(' or ')} is written, but only ${JSON.stringify(reader.enum)} is read` },
    ];
  return [
    ...(written.has('object') ? objectFindings(writes, reader, path) : []),
    ...(written.has('array') ? readFindings(writes.items ?? true, reader.items ?? true, under(path, '*')) : []),
  ];
}

function objectFindings(writer: JsonSchemaObject, reader: JsonSchemaObject, path: string): SchemaFinding[] {
  const always = new Set(writer.required);
  const missing = (reader.required ?? [])
    .filter(name => !always.has(name))
    .map(name => ({ path: under(path, name), message: 'must be there to be read, but may not be written' }));
  const named = Object.entries(writer.properties ?? {}).flatMap(([name, schema]) =>
    readFindings(schema, propertyOf(reader, name), under(path, name)),
  );
  const { additionalProperties: more = false } = writer;
  const unnamed = Object.keys(reader.properties ?? {}).filter(name => !Object.hasOwn(writer.properties ?? {}, name));
  const others = unnamed.flatMap(name => readFindings(more, propertyOf(reader, name), under(path, name)));
  return [
    ...missing,
    ...named,
    ...others,
    ...readFindings(more, reader.additionalProperties ?? true, under(path, '*')),
  ];
}

/** All values there are, where they can be counted. */
function valuesOf(schema: JsonSchemaObject): readonly unknown[] | undefined {
  if (schema.enum)
    return schema.enum.filter(value => valueFindings({ ...schema, enum: undefined }, value).length === 0);
  const types = [...typesOf(schema)];
  if (!types.every(type => type === 'null' || type === 'boolean')) return undefined;
  return types.flatMap(type => (type === 'null' ? [null] : [false, true]));
}

function canRead(read: ReadonlySet<JsonType>, type: JsonType, written: ReadonlySet<JsonType>): boolean {
  if (read.has(type)) return true;
  return type === 'integer' && (read.has('number') || written.has('number')); // told of number already
}

function asWritten({ path, message }: SchemaFinding, value: unknown): SchemaFinding {
  return { path, message: `${JSON.stringify(value)} is written: ${message}` };
}
