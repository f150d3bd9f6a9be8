import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { isKeymillError, KeymillError } from '../../runtime/errors.ts';
import { type HttpHandle, type HttpOptions, startHttp } from '../../runtime/observe/http.ts';
import { MetricsRegistry } from '../../runtime/observe/registry.ts';
import { sampleValue } from './prometheus-text.ts';
import { EXTRA } from './snapshots.ts';

const running: HttpHandle[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.close();
});

async function serve(options: Partial<HttpOptions> = {}): Promise<HttpHandle> {
  const server = await startHttp({
    port: 0,
    metrics: async () => 'up 1\n',
    live: () => ({ ok: true }),
    ready: () => ({ ok: true, reasons: [] }),
    health: () => ({ name: 'shop' }),
    ...options,
  });
  running.push(server);
  return server;
}

interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

function call(server: HttpHandle, path: string, options: { method?: string; host?: string } = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = options.host === undefined ? {} : { host: options.host };
    request({ host: '127.0.0.1', port: server.port, path, method: options.method ?? 'GET', headers }, response => {
      let body = '';
      response.setEncoding('utf8').on('data', chunk => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    })
      .on('error', reject)
      .end();
  });
}

describe('GET', () => {
  test('/metrics answers with the text of the registry', async () => {
    const registry = new MetricsRegistry();
    registry.update([], EXTRA, 0);
    const { status, headers, body } = await call(await serve({ metrics: () => registry.text() }), '/metrics');
    expect([status, headers['content-type']]).toEqual([200, registry.contentType]);
    expect(sampleValue(body, 'keymill_ready')).toBe(1);
  });

  test('/health/ready is 503 with the reasons while the runtime is not ready, and 200 after', async () => {
    let reasons = ['sql: no connection', 'warming up'];
    const server = await serve({ ready: () => ({ ok: reasons.length === 0, reasons }) });
    const before = await call(server, '/health/ready');
    expect(before.status).toBe(503);
    expect(before.headers['content-type']).toContain('application/json');
    expect(JSON.parse(before.body)).toEqual({ ok: false, reasons: ['sql: no connection', 'warming up'] });
    reasons = [];
    const after = await call(server, '/health/ready?from=probe');
    expect([after.status, JSON.parse(after.body)]).toEqual([200, { ok: true, reasons: [] }]);
  });

  test('/health/live and /health are 503 when the runtime is beyond help', async () => {
    const server = await serve({ live: () => ({ ok: false, error: 'HOST_LOST' }) as { ok: boolean } });
    const live = await call(server, '/health/live');
    expect([live.status, JSON.parse(live.body)]).toEqual([503, { ok: false, error: 'HOST_LOST' }]);
    const health = await call(server, '/health');
    expect([health.status, JSON.parse(health.body)]).toEqual([503, { name: 'shop' }]);
  });

  test('/health is the report, and 200 even when the runtime is not ready', async () => {
    const { status, body } = await call(await serve({ ready: () => ({ ok: false, reasons: ['x'] }) }), '/health');
    expect([status, JSON.parse(body)]).toEqual([200, { name: 'shop' }]);
  });

  test('of any other path is 404 and lists the paths there are', async () => {
    const { status, body } = await call(await serve(), '/');
    expect(status).toBe(404);
    expect(JSON.parse(body).paths).toEqual(['/metrics', '/health', '/health/live', '/health/ready']);
  });

  test('is 500 with the error, without its secrets, when the figures cannot be had', async () => {
    const metrics = () => Promise.reject(new KeymillError('IO_FAILED', 'no answer from redis://:hunter2@cache:6379'));
    const { status, body } = await call(await serve({ metrics }), '/metrics');
    expect([status, JSON.parse(body)]).toEqual([500, { error: 'IO_FAILED: no answer from redis://:***@cache:6379' }]);
  });
});

test('HEAD has the headers of GET and no body', async () => {
  const server = await serve();
  const got = await call(server, '/metrics');
  const head = await call(server, '/metrics', { method: 'HEAD' });
  expect([head.status, head.body, head.headers['content-length']]).toEqual([200, '', got.headers['content-length']]);
});

test('any other method is 405 and told which are allowed', async () => {
  const server = await serve();
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const { status, headers } = await call(server, '/health', { method });
    expect([method, status, headers.allow]).toEqual([method, 405, 'GET, HEAD']);
  }
});

describe('the Host header', () => {
  test('may name the loopback or the bound host, with any port', async () => {
    const server = await serve();
    for (const host of ['localhost', 'LOCALHOST.:80', '127.0.0.1', '127.8.8.8:9464', '[::1]:9464', '[::1]'])
      expect([host, (await call(server, '/health', { host })).status]).toEqual([host, 200]);
  });

  test('of anyone else is refused with 421 on every path', async () => {
    const server = await serve();
    const hosts = [
      'evil.example',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      '10.0.0.7',
      '169.254.169.254:80',
      'a@localhost',
      '[::2]',
      '[localhost',
      'localhost:x',
      'x:y:z',
    ];
    for (const host of hosts)
      for (const path of ['/metrics', '/nothing'])
        expect([host, (await call(server, path, { host })).status]).toEqual([host, 421]);
  });

  test('may be missing in no request', async () => {
    const server = await serve();
    const reply = await new Promise<string>((resolve, reject) => {
      let text = '';
      connect(server.port, '127.0.0.1')
        .setEncoding('utf8')
        .on('data', chunk => {
          text += chunk;
        })
        .on('end', () => resolve(text))
        .on('error', reject)
        .end('GET /health HTTP/1.0\r\n\r\n');
    });
    expect(reply).toMatch(/^HTTP\/1\.1 421 /);
  });

  test('may be any address, but no foreign name, where every address is bound', async () => {
    const server = await serve({ host: '0.0.0.0' });
    expect(server.url).toBe(`http://127.0.0.1:${server.port}`);
    expect((await call(server, '/health', { host: '10.0.0.7:9464' })).status).toBe(200);
    expect((await call(server, '/health', { host: '[fd00::7]:9464' })).status).toBe(200);
    expect((await call(server, '/health', { host: 'evil.example' })).status).toBe(421);
  });

  test('may be a name that the options allow', async () => {
    const server = await serve({ allowedHosts: ['Shop.internal'] });
    expect((await call(server, '/health', { host: 'shop.internal:9464' })).status).toBe(200);
    expect((await call(server, '/health', { host: 'other.internal' })).status).toBe(421);
  });
});

describe('starting', () => {
  test('on a port that is taken fails with PORT_IN_USE and names the port', async () => {
    const { port } = await serve();
    const error = await serve({ port }).catch(thrown => thrown);
    expect(isKeymillError(error, 'PORT_IN_USE')).toBe(true);
    expect(error.message).toContain(String(port));
  });

  test('on an address that is not of this machine fails with CONFIG_INVALID', async () => {
    const error = await serve({ host: '192.0.2.1' }).catch(thrown => thrown);
    expect(isKeymillError(error, 'CONFIG_INVALID')).toBe(true);
  });

  test('on port 0 picks a free one and tells its URL', async () => {
    const one = await serve();
    const other = await serve();
    expect(one.port).not.toBe(other.port);
    expect(one.url).toBe(`http://127.0.0.1:${one.port}`);
  });
});

test('closing ends kept-alive connections and unanswered requests at once, and frees the port', async () => {
  let asked = () => {};
  const unanswered = new Promise<void>(resolve => {
    asked = resolve;
  });
  const server = await serve({
    metrics: () => {
      asked();
      return new Promise(() => {});
    },
  });
  const closed: Promise<unknown>[] = [];
  const open = (path: string) => {
    const socket = connect(server.port, '127.0.0.1').on('error', () => {});
    closed.push(new Promise(resolve => socket.once('close', resolve)));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    return socket;
  };
  const kept = open('/health');
  await new Promise(resolve => kept.once('data', resolve));
  open('/metrics');
  await unanswered;
  await server.close();
  await Promise.all(closed);
  await server.close();
  expect((await serve({ port: server.port })).port).toBe(server.port);
});
