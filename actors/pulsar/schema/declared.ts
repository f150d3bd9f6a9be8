/** The schema that a producer or consumer declares, as it travels (Schema, reference/pulsar.md 2.6 and 3.3). */
import type { TopicSchema } from '../contract.ts';
import { SCHEMA_TYPES } from '../wire/codec/enums.ts';

const JSON_TYPE = SCHEMA_TYPES.indexOf('Json');

/** Undefined for none: a broker then takes what is sent for bytes. */
export function declaredSchema(schema: TopicSchema | undefined) {
  return schema && { name: schema.name, schemaData: Buffer.from(schema.definition), type: JSON_TYPE };
}
