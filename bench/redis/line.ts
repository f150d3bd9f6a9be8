/**
 * Runs in a child: a TCP line to a server on loopback, on which replies take so many ms more. Timers are too coarse for one
 * millisecond, so it spins while it holds bytes back; the client waits meanwhile.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import type { Commands } from '../lib/child.ts';

export interface LineSetup {
  readonly port: number;
  readonly delayMs: number;
}

export async function open({ port, delayMs }: LineSetup): Promise<Commands> {
  const held: { readonly due: number; pass(): void }[] = [];
  let isSpinning = false;
  const spin = (): void => {
    while (held.length > 0 && held[0]!.due <= performance.now()) held.shift()!.pass();
    isSpinning = held.length > 0;
    if (isSpinning) setImmediate(spin);
  };
  const hold = (pass: () => void): void => {
    held.push({ due: performance.now() + delayMs, pass });
    if (!isSpinning) spin();
  };
  const server = createServer(client => {
    const there = connect(port, '127.0.0.1').setNoDelay(true);
    client.setNoDelay(true);
    client.on('data', chunk => there.write(chunk));
    there.on('data', chunk => hold(() => client.write(chunk)));
    for (const end of [client, there]) end.on('error', () => {});
    client.on('close', () => there.destroy());
    there.on('close', () => hold(() => client.destroy()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: async () => (server.address() as AddressInfo).port,
    async close() {
      server.close();
    },
  };
}
