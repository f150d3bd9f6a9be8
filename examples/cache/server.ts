/**
 * A service that embeds keymill: HTTP in the main thread, handlers on several threads, one cache behind them.
 *
 *     sh scripts/node.sh examples/cache/server.ts                          # in memory
 *     REDIS_URL=redis://localhost:6379 sh scripts/node.sh examples/cache/server.ts
 *     curl localhost:8080/countries/TR
 *     curl -X DELETE localhost:8080/countries                              # all of them are loaded anew
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Cache } from '../../actors/cache/index.ts';
import { type Runtime, type StartOptions, start } from '../../runtime/index.ts';
import topology from './topology.ts';

export interface Service {
  readonly url: string;
  readonly runtime: Runtime<(typeof topology)['definition']['actors']>;
  stop(): Promise<void>;
}

export async function serve(port: number, options: StartOptions = {}): Promise<Service> {
  const runtime = await start(topology, { threads: 2, ...options });
  const cache = runtime.io<Cache>('cache');
  let requests = 0;

  async function answer({ method, url }: IncomingMessage): Promise<[status: number, body: unknown]> {
    const [, first, code] = new URL(url ?? '/', 'http://localhost').pathname.split('/');
    if (first !== 'countries') return [404, { error: 'there is /countries/CODE' }];
    if (method === 'DELETE') {
      await cache.invalidateTag('countries');
      return [202, { invalidated: 'countries' }];
    }
    const found = await runtime.ask('lookup', { code: (code ?? '').toUpperCase(), request: requests++ });
    return [found.country === null ? 404 : 200, found];
  }

  const server = createServer((request, response) => {
    answer(request).then(
      ([status, body]) => send(response, status, body),
      (error: Error & { code?: string }) => send(response, 503, { error: error.message, code: error.code }),
    );
  });
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    runtime,
    async stop() {
      await closed(server);
      await runtime.stop();
    },
  };
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
}

function closed(server: Server): Promise<void> {
  server.closeIdleConnections();
  return new Promise(resolve => server.close(() => resolve()));
}

if (import.meta.main) {
  const redis = process.env['REDIS_URL'];
  const service = await serve(Number(process.env['PORT'] ?? 8080), redis ? { set: { 'io.cache.url': redis } } : {});
  process.stdout.write(`listening at ${service.url}\n`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void service.stop());
}
