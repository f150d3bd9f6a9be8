/**
 * Health and metrics over HTTP, for probes and scrapers. Reads only. A page in a browser must not reach it by DNS
 * rebinding (a name of the attacker's that resolves to 127.0.0.1), so the Host header is checked first.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { asError, KeymillError } from '../errors.ts';
import { redactText } from './log.ts';

/** Content type of Prometheus' text format, the same as `MetricsRegistry.contentType`. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';

export interface HttpOptions {
  /** 0 for any free port. */
  port: number;
  /** The address to bind; default 127.0.0.1. With a wildcard (`0.0.0.0`, `::`) any IP address passes the Host check. */
  host?: string;
  /** Further names that the Host header may have, such as the name of a Kubernetes service. */
  allowedHosts?: readonly string[];
  /** Text of GET /metrics. */
  metrics: () => Promise<string>;
  /** 200 or 503 of /health/live, and of /health (G7.6 probes liveness there). */
  live: () => { ok: boolean };
  /** 200 or 503 of /health/ready. */
  ready: () => { ok: boolean; reasons: string[] };
  /** The full report of GET /health. */
  health: () => object | Promise<object>;
}

export interface HttpHandle {
  readonly port: number;
  readonly url: string;
  /** Stops listening and ends every connection at once. */
  close(): Promise<void>;
}

interface Answer {
  status: number;
  type: string;
  body: string;
  headers?: Record<string, string>;
}

/**
 * Serves GET and HEAD of /metrics, /health, /health/live and /health/ready. Resolves when it listens.
 * Rejects with PORT_IN_USE, or CONFIG_INVALID where the address cannot be bound at all.
 */
export async function startHttp(options: HttpOptions): Promise<HttpHandle> {
  const host = options.host ?? '127.0.0.1';
  const isAllowed = hostCheck(host, options.allowedHosts ?? []);
  const routes = routesOf(options);
  const server = createServer((request, response) => {
    void answer(request, routes, isAllowed).then(result => send(request, response, result));
  });
  await listen(server, options.port, host);
  // A failed accept (EMFILE, say) is reported here; the next one may succeed, and it must not end the process.
  server.on('error', () => {});
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://${urlHost(host)}:${port}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

type Routes = ReadonlyMap<string, () => Promise<Answer>>;

function routesOf(options: HttpOptions): Routes {
  return new Map([
    ['/metrics', async () => ({ status: 200, type: METRICS_TYPE, body: await options.metrics() })],
    ['/health', async () => json(options.live().ok ? 200 : 503, await options.health())],
    ['/health/live', async () => verdict(options.live())],
    ['/health/ready', async () => verdict(options.ready())],
  ]);
}

function verdict(state: { ok: boolean }): Answer {
  return json(state.ok ? 200 : 503, state);
}

function json(status: number, body: object, headers: Record<string, string> = {}): Answer {
  return { status, type: JSON_TYPE, body: `${JSON.stringify(body)}\n`, headers };
}

async function answer(request: IncomingMessage, routes: Routes, isAllowed: (host: string) => boolean): Promise<Answer> {
  if (!isAllowed(request.headers.host ?? '')) return json(421, { error: 'this server does not answer for that Host' });
  const path = (request.url ?? '').split('?', 1)[0] ?? '';
  const route = routes.get(path);
  if (!route) return json(404, { error: 'not found', paths: [...routes.keys()] });
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return json(405, { error: 'only GET and HEAD' }, { allow: 'GET, HEAD' });
  try {
    return await route();
  } catch (error) {
    return json(500, { error: redactText(asError(error).message) });
  }
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body, headers }: Answer): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException) => {
      const code = cause.code === 'EADDRINUSE' ? 'PORT_IN_USE' : 'CONFIG_INVALID';
      const detail =
        cause.code === 'EADDRINUSE'
          ? `port ${port} on ${host} is taken`
          : `cannot listen on port ${port} of ${host}: ${cause.message}`;
      reject(new KeymillError(code, detail, { cause, place: { at: `${host}:${port}` } }));
    };
    server.once('error', fail);
    server.listen(port, host, () => {
      server.off('error', fail);
      resolve();
    });
  });
}

/**
 * Which Host headers are answered; the port in them is ignored, it may be a forwarded one. An attack by rebinding needs
 * a name, so where every address is bound an IP address is safe: kubelet's probes and Prometheus use the pod's.
 */
function hostCheck(bound: string, allowed: readonly string[]): (header: string) => boolean {
  const names = new Set([bound, ...allowed].map(name => name.toLowerCase()));
  const wildcard = bound === '0.0.0.0' || bound === '::';
  return header => {
    const name = hostName(header);
    if (name === undefined) return false;
    return isLoopback(name) || names.has(name) || (wildcard && isIP(name) !== 0);
  };
}

/** The host in a Host header, lower case and without port, brackets and final dot; undefined if it is malformed. */
function hostName(header: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s/@]+))(?::\d*)?$/i.exec(header);
  return (match?.[1] ?? match?.[2])?.toLowerCase().replace(/\.$/, '');
}

function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** An address that a client on this machine can use. */
function urlHost(bound: string): string {
  if (bound === '0.0.0.0') return '127.0.0.1';
  if (bound === '::') return '[::1]';
  return isIP(bound) === 6 ? `[${bound}]` : bound;
}
