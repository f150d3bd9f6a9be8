/** Ports that nobody listens on. */
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below those that systems give to outgoing connections (from 32768 on Linux): a server that was killed must find its port free
 * when it starts again.
 */
const FROM = 20_000;
const TO = 32_000;

/** By this process; those who have them may not listen yet. */
const given = new Set<number>();

export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = FROM + Math.floor(Math.random() * (TO - FROM));
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

/** Throws when another listens on one of them: it would answer in place of the server that is to start. */
export async function expectFree(ports: readonly number[]): Promise<void> {
  for (const port of ports) if (!(await isFree(port))) throw new Error(`port ${port} is in use by another process`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
