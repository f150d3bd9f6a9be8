/** Schemas that producers and consumers declare, on a real Pulsar, which checks Avro records (reference/pulsar.md 2.6). */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { TopicSchema } from '../../actors/pulsar/contract.ts';
import { topicName } from '../../actors/pulsar/topic-name.ts';
import { errorFrom } from '../support/runtimes.ts';
import { pulsarService, skipped } from '../support/services.ts';
import { wireClient } from '../support/wire.ts';

interface Field {
  readonly name: string;
  readonly type: unknown;
  readonly default?: unknown;
}

const recordOf = (...fields: Field[]): TopicSchema => ({
  type: 'json',
  name: 'forecast',
  definition: JSON.stringify({ type: 'record', name: 'Forecast', fields }),
});
const FIRST = recordOf({ name: 'id', type: 'long' });
const WIDER = recordOf({ name: 'id', type: 'long' }, { name: 'unit', type: ['null', 'string'], default: null });
const OTHER = recordOf({ name: 'id', type: 'long' }, { name: 'unit', type: 'string' });

/** The schema of a topic as the broker has it. */
async function declaredOf(topic: string): Promise<{ readonly type: string; readonly data: string }> {
  const { namespace, local } = topicName(topic);
  const response = await fetch(`${pulsarService()!.admin}/admin/v2/schemas/${namespace}/${local}/schema`);
  return (await response.json()) as { type: string; data: string };
}

describe.skipIf(skipped('pulsar'))('schemas on a real Pulsar', () => {
  test('the broker keeps what is declared, and refuses what does not go with it', async () => {
    const driver = wireClient();
    const topic = `t-${randomUUID()}`;
    const first = await driver.createProducer({ topic, schema: FIRST });
    expect(await declaredOf(topic)).toMatchObject({ type: 'JSON' });
    expect(JSON.parse((await declaredOf(topic)).data)).toEqual(JSON.parse(FIRST.definition));
    const refused = driver.createProducer({ topic, schema: OTHER });
    expect(await errorFrom(refused)).toMatchObject({ code: 'SCHEMA_REFUSED', class: 'fatal' });
    const wider = await driver.createProducer({ topic, schema: WIDER });
    const consumer = await driver.subscribe({ topics: [topic], subscription: 's', type: 'Exclusive', schema: WIDER });
    await first.send({ payload: '{"id":1}' });
    await wider.send({ payload: '{"id":2,"unit":"MW"}' });
    for (const text of ['{"id":1}', '{"id":2,"unit":"MW"}'])
      expect(Buffer.from((await consumer.receive()).payload!).toString()).toBe(text);
  });

  test('a consumer too is refused', async () => {
    const driver = wireClient();
    const topic = `t-${randomUUID()}`;
    await driver.createProducer({ topic, schema: FIRST });
    const options = { topics: [topic], subscription: 's', type: 'Shared' } as const;
    expect(await errorFrom(driver.subscribe({ ...options, schema: OTHER }))).toMatchObject({ code: 'SCHEMA_REFUSED' });
    await driver.subscribe({ ...options, schema: FIRST });
  });

  test('each partition is told', async () => {
    const driver = wireClient();
    const topic = `t-${randomUUID()}`;
    await driver.createTopic(topic, 2);
    await driver.createProducer({ topic, schema: FIRST });
    const refused = driver.createProducer({ topic, schema: OTHER });
    expect(await errorFrom(refused)).toMatchObject({ code: 'SCHEMA_REFUSED' });
    expect(await declaredOf(topic)).toMatchObject({ type: 'JSON' });
  });
});
