/** Who takes part in the cases about asks: keymill's runtime, and ioredis in one thread. */
import { Child } from '../lib/child.ts';
import { checkRun, type Load, type Run, type Witnessed } from './load.ts';
import type { OursSetup } from './ours.ts';
import type { IoredisSetup } from './rivals/ioredis.ts';
import type { RedisServer } from './server.ts';

const OURS_MODULE = new URL('ours.ts', import.meta.url);
const IOREDIS_MODULE = new URL('rivals/ioredis.ts', import.meta.url);

export const HOSTS = 4;

export const openOurs = (url: string): Promise<Child> =>
  Child.open(OURS_MODULE, { url, hosts: HOSTS } satisfies OursSetup);

export const openIoredis = (url: string, mode: IoredisSetup['mode']): Promise<Child> =>
  Child.open(IOREDIS_MODULE, { port: Number(new URL(url).port), mode } satisfies IoredisSetup);

/** One of several that a child can be: with so many lists open at once. */
export interface Side {
  readonly name: string;
  readonly child: number;
  readonly callers: number;
}

/** A run with its proof: all replies, and what the server says. */
export async function askOnce(server: RedisServer, child: Child, load: Load): Promise<Witnessed> {
  await server.prepare(load);
  const run = await child.call<Run>('ask', load);
  checkRun(run, load.asks);
  return { ...run, reads: await server.witness(load) };
}
