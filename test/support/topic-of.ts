/** Reads a whole topic of an embedded bus whose process is gone. */

import type { PulsarClient } from '../../actors/pulsar/contract.ts';
import { pulsar } from '../../actors/pulsar/index.ts';
import { systemEnvironment } from '../../runtime/environment.ts';

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** The payloads as JSON, in the order of the topic. */
export async function topicOf(bus: string, topic: string): Promise<unknown[]> {
  const spec = pulsar({ url: `file:${bus}` });
  const resource = await spec.open(spec.options, {
    name: 'bus',
    dataDir: '/',
    first: true,
    reads: true,
    environment: systemEnvironment(),
    log: SILENT,
  });
  const client: PulsarClient = spec.client(async op => {
    const [reply] = await resource.handleBatch([op], new AbortController().signal);
    if ('error' in reply!) throw reply.error;
    return reply!.value;
  });
  const messages: unknown[] = [];
  for await (const message of client.read({ topic, from: 'earliest' })) messages.push(message.json());
  await resource.close();
  return messages;
}
