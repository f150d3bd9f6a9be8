/**
 * The part of JSON Schema (draft 07) that topics are described with: type, properties, required, enum, items,
 * additionalProperties. Words that only explain are passed over; one that would constrain more is refused, not ignored.
 */
import { isDeepStrictEqual } from 'node:util';
import { describe, KeymillError } from '../../../runtime/index.ts';

export const JSON_TYPES = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object'] as const;
export type JsonType = (typeof JSON_TYPES)[number];

export interface JsonSchemaObject {
  /** Any where it is left out. */
  readonly type?: JsonType | readonly JsonType[] | undefined;
  readonly enum?: readonly unknown[] | undefined;
  readonly properties?: Readonly<Record<string, JsonSchema>> | undefined;
  readonly required?: readonly string[] | undefined;
  /** Of properties that are not named. */
  readonly additionalProperties?: JsonSchema | undefined;
  /** Of each element. */
  readonly items?: JsonSchema | undefined;
}

/** True allows all, false nothing. */
export type JsonSchema = boolean | JsonSchemaObject;

/** What is wrong, and where: a JSON pointer into the messages, with `*` for each element or property that is not named. */
export interface SchemaFinding {
  readonly path: string;
  readonly message: string;
}

const EXPLAINING: ReadonlySet<string> = new Set([
  '$schema',
  '$id',
  '$comment',
  'title',
  'description',
  'default',
  'examples',
  'format',
  'deprecated',
  'readOnly',
  'writeOnly',
]);

const WORDS: Readonly<Record<string, (value: unknown, at: string) => void>> = {
  type(value, at) {
    const types = Array.isArray(value) ? value : [value];
    if (types.length === 0 || !types.every(type => (JSON_TYPES as readonly unknown[]).includes(type)))
      throw invalid(at, `expected some of ${JSON_TYPES.join(', ')}, found ${describe(value)}`);
  },
  enum(value, at) {
    if (!Array.isArray(value) || value.length === 0) throw invalid(at, `expected values, found ${describe(value)}`);
  },
  properties(value, at) {
    if (!isRecord(value)) throw invalid(at, `expected an object, found ${describe(value)}`);
    for (const [name, schema] of Object.entries(value)) check(schema, under(at, name));
  },
  required(value, at) {
    if (!Array.isArray(value) || !value.every(name => typeof name === 'string'))
      throw invalid(at, `expected names, found ${describe(value)}`);
  },
  additionalProperties: check,
  items: check,
};

/** Takes a schema, as an object or its text. Throws CONFIG_INVALID with the path of what is wrong or not known. */
export function parseJsonSchema(said: unknown): JsonSchema {
  let schema = said;
  if (typeof said === 'string')
    try {
      schema = JSON.parse(said);
    } catch (cause) {
      throw new KeymillError('CONFIG_INVALID', 'schema: not JSON', { cause });
    }
  check(schema, '');
  return schema as JsonSchema;
}

function check(schema: unknown, at: string): void {
  if (typeof schema === 'boolean') return;
  if (!isRecord(schema)) throw invalid(at, `expected a schema, found ${describe(schema)}`);
  for (const [word, value] of Object.entries(schema)) {
    if (EXPLAINING.has(word) || value === undefined) continue;
    if (!Object.hasOwn(WORDS, word)) throw invalid(under(at, word), 'not supported in a schema');
    WORDS[word]!(value, under(at, word));
  }
}

/** What of a value the schema does not allow; nothing when all is well. */
export function valueFindings(schema: JsonSchema, value: unknown, path = ''): readonly SchemaFinding[] {
  if (schema === true) return [];
  if (schema === false) return [{ path, message: 'nothing is allowed here' }];
  const types = typesOf(schema);
  if (!types.has(typeOf(value)) && !(typeOf(value) === 'integer' && types.has('number')))
    return [{ path, message: `expected ${[...types].join(' or ')}, found ${typeOf(value)}` }];
  if (schema.enum && !schema.enum.some(one => isDeepStrictEqual(one, value)))
    return [{ path, message: `expected one of ${JSON.stringify(schema.enum)}, found ${JSON.stringify(value)}` }];
  if (Array.isArray(value))
    return value.flatMap((one, i) => valueFindings(schema.items ?? true, one, under(path, String(i))));
  if (!isRecord(value)) return [];
  const missing = (schema.required ?? [])
    .filter(name => !Object.hasOwn(value, name))
    .map(name => ({ path: under(path, name), message: 'missing' }));
  const wrong = Object.entries(value).flatMap(([name, one]) =>
    valueFindings(propertyOf(schema, name), one, under(path, name)),
  );
  return [...missing, ...wrong];
}

/** Of a property, named or not. */
export function propertyOf({ properties, additionalProperties = true }: JsonSchemaObject, name: string): JsonSchema {
  return properties && Object.hasOwn(properties, name) ? properties[name]! : additionalProperties;
}

export function typesOf({ type }: JsonSchemaObject): ReadonlySet<JsonType> {
  return new Set(type === undefined ? JSON_TYPES : typeof type === 'string' ? [type] : type);
}

export function under(path: string, name: string): string {
  return `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function typeOf(value: unknown): JsonType {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value as JsonType;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(at: string, what: string): KeymillError {
  return new KeymillError('CONFIG_INVALID', `schema ${at === '' ? '/' : at}: ${what}`);
}
