/** The admin REST API of a broker, as far as keymill uses it, on an embedded bus: for drivers whose topics are made there. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { EmbeddedBus } from '../../actors/pulsar/bus/bus.ts';
import { isKeymillError } from '../../runtime/index.ts';

const PATH =
  /^\/admin\/v2\/persistent\/([\w.=:-]+\/[\w.=:-]+)\/([^/?]+)(?:\/(partitions|stats|partitioned-stats))?(?:\?|$)/;

/** Its url, until the test ends. */
export async function adminOf(bus: EmbeddedBus): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      answer(bus, request.method ?? '', request.url ?? '', Buffer.concat(chunks).toString(), response).catch(
        (error: unknown) => say(response, 500, { reason: String(error) }),
      );
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function answer(
  bus: EmbeddedBus,
  method: string,
  url: string,
  body: string,
  response: ServerResponse,
): Promise<void> {
  const [, namespace, local, what] = PATH.exec(url) ?? [];
  if (namespace === undefined) return say(response, 404, { reason: 'no such path' });
  const topic = `persistent://${namespace}/${decodeURIComponent(local!)}`;
  if (method === 'PUT') {
    const isThere = await bus.stats(topic).then(
      () => true,
      () => false,
    );
    if (isThere) return say(response, 409, { reason: 'This topic already exists' });
    await bus.createTopic(topic, what === 'partitions' ? Number(body) : 0);
    return say(response, 204);
  }
  try {
    const { messages, bytes, subscriptions } = await bus.stats(topic);
    const isParted = (await bus.partitionsOf(topic))[0] !== topic;
    if (what === 'partitions')
      return say(response, 200, { partitions: isParted ? (await bus.partitionsOf(topic)).length : 0 });
    if (isParted !== (what === 'partitioned-stats')) return say(response, 404, { reason: 'Topic not found' });
    say(response, 200, {
      msgInCounter: messages,
      storageSize: bytes,
      subscriptions: Object.fromEntries(
        Object.entries(subscriptions).map(([name, { type, backlog, consumers }]) => [
          name,
          { type, msgBacklog: backlog, consumers: Array.from({ length: consumers }, () => ({})) },
        ]),
      ),
    });
  } catch (error) {
    if (!isKeymillError(error, 'TOPIC_MISSING')) throw error;
    say(response, 404, { reason: 'Topic not found' });
  }
}

function say(response: ServerResponse, status: number, body?: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
