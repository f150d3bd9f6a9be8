/** Schemas of topics: what may take the place of what; and payloads that keep more than JSON does. */

import { Long } from 'bson';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Publishable } from '../../actors/pulsar/contract.ts';
import { deliveryOf } from '../../actors/pulsar/delivery.ts';
import { bsonBytes, bsonDocument } from '../../actors/pulsar/schema/bson.ts';
import { DATES_PROPERTY, datedJson, withDates } from '../../actors/pulsar/schema/dates.ts';
import { type EvolutionRule, evolutionFindings } from '../../actors/pulsar/schema/evolution.ts';
import { type JsonSchema, parseJsonSchema, valueFindings } from '../../actors/pulsar/schema/json-schema.ts';
import { errorFrom } from '../support/runtimes.ts';
import { opened } from './support.ts';

const findings = (before: JsonSchema, next: JsonSchema, rule: EvolutionRule = 'backward'): string[] =>
  evolutionFindings(before, next, rule).map(({ rule: broken, path, message }) => `${broken} ${path}: ${message}`);

/** The three versions of the seed's event (G2.5). */
const V1: JsonSchema = {
  type: 'object',
  properties: { id: { type: 'integer' }, name: { type: 'string' }, demand: { type: 'number' } },
  required: ['id', 'demand'],
};
const V2: JsonSchema = { ...V1, properties: { ...V1.properties, unit: { type: 'string' } } };
const V3: JsonSchema = {
  type: 'object',
  properties: { id: { type: 'integer' }, demand: { type: 'number' } },
  required: ['id', 'demand'],
};

describe('evolution', () => {
  test('an optional property may come and go', () => {
    expect(findings(V1, V2, 'full')).toEqual([]);
    expect(findings(V2, V3, 'full')).toEqual([]);
  });

  test('a property that must be there may only come before it is read, and go after', () => {
    const must: JsonSchema = { ...V2, required: ['id', 'demand', 'unit'] };
    const said = '/unit: must be there to be read, but may not be written';
    expect(findings(V1, must)).toEqual([`backward ${said}`]);
    expect(findings(V1, must, 'forward')).toEqual([]);
    expect(findings(must, V1)).toEqual([]);
    expect(findings(must, V1, 'full')).toEqual([`forward ${said}`]);
  });

  test('a type may become wider for readers', () => {
    expect(findings({ type: 'integer' }, { type: 'number' })).toEqual([]);
    expect(findings({ type: 'integer' }, { type: ['integer', 'null'] })).toEqual([]);
    expect(findings({ type: 'number' }, { type: 'integer' })).toEqual([
      'backward : number is written, but integer is read',
    ]);
    expect(findings({}, { type: 'string' })).toEqual([
      'backward : null or boolean or number or array or object is written, but string is read',
    ]);
    expect(findings({ type: ['string', 'null'] }, { type: 'string' }, 'full')).toEqual([
      'backward : null is written, but string is read',
    ]);
  });

  test('values of an enum may become more for readers', () => {
    expect(findings({ enum: ['a'] }, { enum: ['a', 'b'] })).toEqual([]);
    expect(findings({ enum: ['a', 'b'] }, { enum: ['a'] })).toEqual([
      'backward : "b" is written: expected one of ["a"], found "b"',
    ]);
    expect(findings({ enum: ['a', 1], type: 'string' }, { enum: ['a'] })).toEqual([]);
    expect(findings({ type: 'string' }, { enum: ['a'] })).toEqual([
      'backward : any string is written, but only ["a"] is read',
    ]);
    expect(findings({ type: 'boolean' }, { enum: [true, false, null] })).toEqual([]);
    expect(findings({ enum: [{ b: 1, a: [2] }] }, { enum: [{ a: [2], b: 1 }] })).toEqual([]);
  });

  test('what is inside is looked at, and its place told', () => {
    const of = (leaf: JsonSchema): JsonSchema => ({
      type: 'object',
      properties: { 'a/b': { type: 'array', items: { type: 'object', properties: { x: leaf } } } },
    });
    expect(findings(of({ type: 'string' }), of({ type: 'integer' }))).toEqual([
      'backward /a~1b/*/x: string is written, but integer is read',
    ]);
  });

  test('properties that are not named', () => {
    const closed: JsonSchema = { type: 'object', properties: { a: true }, additionalProperties: false };
    const two: JsonSchema = { ...closed, properties: { a: true, b: { type: 'string' } } };
    expect(findings(closed, two)).toEqual([]);
    expect(findings(two, closed)).toEqual(['backward /b: is written, but must not be there to be read']);
    const numbers: JsonSchema = { type: 'object', additionalProperties: { type: 'number' } };
    expect(findings(numbers, { type: 'object', additionalProperties: { type: 'string' } })).toEqual([
      'backward /*: number is written, but string is read',
    ]);
    expect(findings(numbers, { type: 'object', properties: { b: { type: 'string' } } })).toEqual([
      'backward /b: number is written, but string is read',
    ]);
    expect(findings(true, closed)).not.toEqual([]);
    expect(findings(closed, true)).toEqual([]);
    expect(findings(false, closed)).toEqual([]);
  });

  test('names of Object.prototype are names', () => {
    const schema = parseJsonSchema(
      '{"type":"object","properties":{"__proto__":{"type":"string"},"toString":{"type":"string"}}}',
    );
    expect(findings(schema, schema, 'full')).toEqual([]);
    expect(valueFindings({ type: 'object', additionalProperties: { type: 'string' } }, { constructor: 1 })).toEqual([
      { path: '/constructor', message: 'expected string, found integer' },
    ]);
  });

  test('where nothing is found, what one allows the other allows', () => {
    const leaf = fc.constantFrom<JsonSchema>(
      true,
      false,
      {},
      { type: 'integer' },
      { type: 'number' },
      { type: ['string', 'null'] },
      { enum: ['a', 1, null] },
      { type: 'boolean' },
    );
    const { schema } = fc.letrec<{ schema: JsonSchema }>(tie => ({
      schema: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.record({ type: fc.constant('array' as const), items: tie('schema') }, { requiredKeys: ['type'] }),
        fc.record(
          {
            type: fc.constantFrom('object' as const, ['object', 'null'] as const),
            properties: fc.dictionary(fc.constantFrom('a', 'b'), tie('schema'), { maxKeys: 2 }),
            required: fc.uniqueArray(fc.constantFrom('a', 'b')),
            additionalProperties: tie('schema'),
          },
          { requiredKeys: ['type', 'additionalProperties'] },
        ),
      ),
    }));
    const value = fc.letrec(tie => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom(null, true, 1, 1.5, 'a', 'b'),
        fc.array(tie('value'), { maxLength: 2 }),
        fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), { maxKeys: 3 }),
      ),
    })).value;
    let allowed = 0;
    fc.assert(
      fc.property(schema, schema, fc.array(value, { minLength: 20, maxLength: 20 }), (writer, reader, values) => {
        expect(evolutionFindings(writer, writer, 'full')).toEqual([]);
        if (evolutionFindings(writer, reader, 'backward').length > 0) return;
        for (const one of values)
          if (valueFindings(writer, one).length === 0) {
            allowed++;
            expect(valueFindings(reader, one), JSON.stringify([writer, reader, one])).toEqual([]);
          }
      }),
      { numRuns: 2000, seed: 7 },
    );
    expect(allowed).toBeGreaterThan(500);
  });

  test('a schema that says more than can be checked is refused', () => {
    expect(parseJsonSchema('{"type":"string","title":"t","format":"date-time"}')).toMatchObject({ type: 'string' });
    for (const [schema, said] of [
      ['{', 'not JSON'],
      ['3', 'schema /: expected a schema'],
      [{ properties: { a: { minimum: 3 } } }, 'schema /properties/a/minimum: not supported'],
      [{ type: 'text' }, 'schema /type: expected some of null, boolean'],
      [{ items: [{}] }, 'schema /items: expected a schema'],
      [{ required: 'a' }, 'schema /required: expected names'],
      [{ enum: [] }, 'schema /enum: expected values'],
      [{ toString: 1 }, 'schema /toString: not supported'],
    ] as const)
      expect(() => parseJsonSchema(schema)).toThrow(said);
  });
});

const MOMENT = new Date('2026-11-22T18:35:06.123Z');

describe('dates in JSON', () => {
  const roundTrip = (value: unknown): unknown => {
    const { text, dates } = datedJson(value);
    return withDates(JSON.parse(text!), dates);
  };

  test('stay dates, and are ISO 8601 for who does not know the marker', () => {
    const value = { at: MOMENT, text: 'x', in: [{ at: MOMENT }, { at: new Date(0) }] };
    const { text, dates } = datedJson(value);
    expect(text).toBe(JSON.stringify(value));
    expect(dates).toBe('["/at","/in/*/at"]');
    expect(roundTrip(value)).toEqual(value);
    expect(roundTrip(MOMENT)).toEqual(MOMENT);
  });

  test('text that looks like a date stays text', () => {
    const value = {
      list: [MOMENT, MOMENT.toJSON(), MOMENT],
      at: MOMENT.toJSON(),
      to: { toJSON: () => MOMENT.toJSON() },
    };
    expect(datedJson(value).dates).toBe('["/list/0","/list/2"]');
    expect(roundTrip(value)).toEqual({ ...value, to: MOMENT.toJSON() });
    expect(datedJson({ at: MOMENT.toJSON() })).toEqual({ text: JSON.stringify({ at: MOMENT }) });
  });

  test('any value with dates comes back', () => {
    const key = fc.oneof(fc.constantFrom('', '*', '0', '/', '~', '~1', 'a'), fc.string({ maxLength: 3 }));
    const { value } = fc.letrec(tie => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, 1, 'x', MOMENT.toJSON(), new Date(8.64e15), new Date(-8.64e15)),
        fc.date({ noInvalidDate: true }),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(key, tie('value'), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(value, one => {
        expect(roundTrip({ one })).toEqual({ one });
      }),
      { numRuns: 2000, seed: 11 },
    );
  });

  test('one value at two places, and a date that is none', () => {
    const shared = { at: MOMENT };
    expect(roundTrip({ a: shared, b: [shared] })).toEqual({ a: shared, b: [shared] });
    expect(roundTrip({ at: new Date(Number.NaN), b: MOMENT })).toEqual({ at: null, b: MOMENT });
  });

  test('a marker that is not ours changes nothing', () => {
    const plain = { at: MOMENT.toJSON(), x: 'y' };
    for (const dates of ['', '{', '3', '[4]', '["at"]', '["/x"]', '["/no/such"]', '["/__proto__/at"]'])
      expect(withDates(structuredClone(plain), dates), dates).toEqual(plain);
  });
});

describe('BSON', () => {
  test('keeps dates, bytes and large whole numbers', () => {
    const document = { at: MOMENT, bytes: Buffer.from([0, 255]), list: [1, 'x', null], count: 2 ** 40 };
    expect(bsonDocument(bsonBytes(document))).toEqual(document);
    expect(bsonDocument(bsonBytes({ n: 5n, m: 2n ** 62n }))).toEqual({ n: 5, m: Long.fromBigInt(2n ** 62n) });
  });

  test('is of a document', () => {
    for (const value of [null, 3, 'x', [1], MOMENT]) expect(() => bsonBytes(value)).toThrow('a BSON document');
  });
});

describe('through the client', () => {
  async function published(...messages: Publishable[]) {
    const { client } = await opened({ url: 'memory:' });
    await client.publishBatch('t', messages);
    const deliveries = [];
    for await (const delivery of client.read({ topic: 't', from: 'earliest' })) deliveries.push(delivery);
    return deliveries;
  }

  test('dates and documents arrive as they were', async () => {
    const value = { at: MOMENT, long: 'x'.repeat(2000) };
    const [json, typedJson, bson, typedBson] = await published(
      { json: value, key: 'k', properties: { p: '1' } },
      { json: value, type: 'T' },
      { bson: value, key: 'k' },
      { bson: value, type: 'T' },
    );
    expect([json!.json(), typedJson!.json(), bson!.bson(), typedBson!.bson()]).toEqual([value, value, value, value]);
    expect(json).toMatchObject({ key: 'k', properties: { p: '1', [DATES_PROPERTY]: '["/at"]' } });
    expect(typedBson).toMatchObject({ properties: { type: 'T', compression: 'gzip' } });
    expect(typedJson!.properties).toMatchObject({ type: 'T', compression: 'gzip', [DATES_PROPERTY]: '["/at"]' });
    expect(bson!.properties).toEqual({});
    const [again] = await published({ json: { at: MOMENT.toJSON() }, properties: { ...json!.properties } });
    expect([again!.json(), again!.properties]).toEqual([{ at: MOMENT.toJSON() }, { p: '1' }]);
  });

  test('what is no document is refused, and what is none is broken', async () => {
    const { client } = await opened({ url: 'memory:' });
    expect(await errorFrom(client.publish('t', { bson: [1] }))).toMatchObject({
      code: 'RECORD_BROKEN',
      class: 'fatal',
    });
    const [none, nothing] = await published({ payload: 'no' }, { payload: null });
    expect(() => none!.bson()).toThrow('RECORD_BROKEN');
    expect(nothing!.bson()).toBeNull();
    expect(() => deliveryOf({ ...none!, properties: { type: 'T', compression: 'gzip' } }).bson()).toThrow(
      'RECORD_BROKEN',
    );
  });
});
