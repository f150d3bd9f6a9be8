/**
 * The `cache` I/O actor as an I/O thread has it, without a runtime around it, and threads that ask it. Each opening is a process
 * of its own as far as the store can tell.
 */
import { onTestFinished } from 'vitest';
import { type Cache, cache } from '../../actors/cache/index.ts';
import { systemEnvironment } from '../../runtime/environment.ts';
import { ReplyError } from '../../runtime/host/failed.ts';
import { IoActor } from '../../runtime/host/io-actor.ts';
import type { IoSpec, IoThread, Log } from '../../runtime/index.ts';
import type { Logged } from './redis-driver.ts';

export interface CacheThread {
  readonly cache: Cache;
  readonly logged: readonly Logged[];
}

export interface CacheDriver {
  /** Another thread of this process. */
  thread(): CacheThread;
}

interface Asked {
  readonly op: unknown;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

type HandleBatch = (asks: readonly unknown[], ctx: { readonly signal: AbortSignal }) => Promise<unknown[]>;

/** Until the test ends. Options as `cache` takes them; rejects with what the driver throws. */
export async function cacheDriver(options: Parameters<typeof cache>[0]): Promise<CacheDriver> {
  const environment = systemEnvironment();
  const spec = cache(options);
  const context = { name: 'cache', dataDir: '', reads: false, first: true, environment, log: logInto([]) };
  const io = new IoActor('cache', spec, context, () => {});
  await io.open(environment);
  const ending = new AbortController();
  onTestFinished(async () => {
    io.resource.drain?.();
    ending.abort();
    await io.close();
  });
  const { handleBatch } = io.definition as unknown as { readonly handleBatch: HandleBatch };
  const ask = asker(spec, asks => handleBatch(asks, ending));
  return {
    thread() {
      const logged: Logged[] = [];
      const thread: IoThread = { options: spec.options, environment, log: logInto(logged), ask };
      return { cache: spec.client(ask, thread), logged };
    },
  };
}

function logInto(logged: Logged[]): Log {
  const at = (level: string) => (fields: Record<string, unknown>, text: string) => {
    logged.push({ level, fields, text });
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** Asks of one key one batch after the other, each of what came meanwhile; other keys beside them. */
function asker(
  spec: IoSpec<Cache>,
  batch: (asks: readonly unknown[]) => Promise<readonly unknown[]>,
): (op: unknown) => Promise<unknown> {
  const queues = new Map<unknown, Asked[]>();
  const drain = async (key: unknown, queue: Asked[]): Promise<void> => {
    while (queue.length > 0) {
      const asked = queue.splice(0);
      const replies = await batch(asked.map(({ op }) => op));
      for (const [i, reply] of replies.entries())
        if (reply instanceof ReplyError) asked[i]!.reject(reply.error);
        else asked[i]!.resolve(structuredClone(reply));
    }
    queues.delete(key);
  };
  return op =>
    new Promise((resolve, reject) => {
      const asked = { op: structuredClone(op), resolve, reject };
      const key = spec.key(op, 0);
      const queue = queues.get(key);
      if (queue) return void queue.push(asked);
      const fresh = [asked];
      queues.set(key, fresh);
      queueMicrotask(() => void drain(key, fresh));
    });
}
