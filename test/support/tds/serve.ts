/**
 * The SQL Server for tests as a process of its own: what is committed outlives it.
 *
 *     sh scripts/node.sh test/support/tds/serve.ts --port 0 --data DIR [--database NAME]… [--delay MS] [--tied]
 *
 * Writes `{"url":"mssql://…"}` when it listens. A line of its input is a call of the server's `[method, …arguments]`, and is
 * answered by `{"value":…}` or `{"error":"…"}`. With `--tied` it ends with its input, so that it outlives no test.
 */
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { type MssqlServer, mssqlServer } from './database/index.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    data: { type: 'string' },
    database: { type: 'string', multiple: true },
    delay: { type: 'string', default: '0' },
    user: { type: 'string' },
    password: { type: 'string' },
    tied: { type: 'boolean', default: false },
  },
});

const { data, database, user, password } = values;
const server = await mssqlServer({
  port: Number(values.port),
  ...(data === undefined ? {} : { folder: data }),
  ...(database === undefined ? {} : { databases: database }),
  ...(user === undefined || password === undefined ? {} : { login: { user, password } }),
});
server.delay(Number(values.delay));

const say = (line: unknown): void => {
  process.stdout.write(
    `${JSON.stringify(line, (_key, value) => (typeof value === 'bigint' ? String(value) : value))}\n`,
  );
};
say({ url: server.url });

for await (const line of createInterface({ input: process.stdin })) {
  try {
    const [method, ...args] = JSON.parse(line) as [keyof MssqlServer, ...unknown[]];
    const call = server[method];
    if (typeof call !== 'function') throw new Error(`no method ${method}`);
    say({ value: (await (call as (...given: unknown[]) => unknown).apply(server, args)) ?? null });
  } catch (error) {
    say({ error: (error as Error).message });
  }
}
if (values.tied) server.close();
