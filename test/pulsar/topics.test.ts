/** The topic registry on the embedded bus. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type PulsarOptionsInput, pulsar } from '../../actors/pulsar/index.ts';
import { declarationFault, partitionsFor } from '../../actors/pulsar/topics.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { TOOLS } from '../support/tools.ts';
import { busAt } from './support.ts';

test('names are {service}-{event-type}, partitions go by the rate', () => {
  expect([0, 1000, 1001, 10_000, 10_001, 1e7].map(partitionsFor)).toEqual([1, 1, 4, 4, 8, 8]);
  expect(declarationFault('orders-created', {})).toBeUndefined();
  expect(declarationFault('tenant/space/orders-line-added', { partitions: 6, rate: 5000 })).toBeUndefined();
  for (const name of ['orders', 'Orders-Created', 'orders_created', '-orders', 'orders-'])
    expect(declarationFault(name, {})).toMatch(/service/);
  expect(declarationFault('orders-created', { partitions: 32, rate: 100 })).toBe(
    '32 partitions for 100 messages/s: expected 1 to 2',
  );
});

test('what is missing is made once; what differs is said and left alone', async () => {
  const folder = await tempFolder('topics');
  const file = join(folder, 'bus.db');
  const bus = busAt(file);
  await bus.createTopic('cache-invalidation', 2);
  await bus.close();
  const look = async (apply: boolean, topics: PulsarOptionsInput['topics']) => {
    const spec = pulsar({ url: `file:${file}`, topics });
    const found = await spec.topics!(spec.options, apply, { name: 'bus', dataDir: folder, ...TOOLS });
    return found.map(({ topic, state }) => `${topic} ${state}`);
  };
  const declared = {
    'orders-created': { rate: 5000 },
    'orders-paid': { retention: { ms: 60_000, bytes: 0 } },
    'cache-invalidation': { partitions: 8 },
    Wrong: {},
  };
  const rest = ['cache-invalidation differs', 'Wrong wrong'];
  expect(await look(false, declared)).toEqual(['orders-created missing', 'orders-paid missing', ...rest]);
  expect(await look(true, declared)).toEqual(['orders-created made', 'orders-paid made', ...rest]);
  expect(await look(false, declared)).toEqual(['orders-created fine', 'orders-paid fine', ...rest]);
  const again = busAt(file);
  expect(await again.partitionsOf('orders-created')).toHaveLength(4);
  expect(await again.partitionsOf('cache-invalidation')).toHaveLength(2);
  await again.close();
});
