/** An I/O actor's resource opened by itself, and its client, for tests of stores. */
import { onTestFinished } from 'vitest';
import type { IoReply, IoSpec } from '../../runtime/io/contract.ts';
import { virtualEnvironment } from './virtual-clock.ts';

export interface Opened<C> {
  client: C;
  close(): Promise<void>;
  /** Several asks as one drain brings them. */
  drain(...asks: unknown[]): Promise<readonly IoReply[]>;
}

export async function opened<C>(
  spec: IoSpec<C>,
  dataDir: string,
  environment = virtualEnvironment(),
): Promise<Opened<C>> {
  const resource = await spec.open(spec.options, {
    name: 'store',
    dataDir,
    first: true,
    reads: false,
    environment,
    log: { debug() {}, info() {}, warn() {}, error() {} },
  });
  let closed = false;
  const close = async () => {
    if (!closed) await resource.close();
    closed = true;
  };
  onTestFinished(close);
  const drain = async (...asks: unknown[]) => resource.handleBatch(asks, new AbortController().signal);
  const client = spec.client(async op => {
    const [reply] = await drain(op);
    if ('error' in reply!) throw reply.error;
    return reply!.value;
  });
  return { client, close, drain };
}
