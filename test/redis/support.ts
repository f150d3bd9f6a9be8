/** What the tests of the `redis` I/O actor share: stores, clients that ask as the engine does, a store that comes and goes. */
import { onTestFinished } from 'vitest';
import { clientOf } from '../../actors/redis/client.ts';
import { type RedisClient, type RedisOptionsInput, redis } from '../../actors/redis/index.ts';
import { keyOf } from '../../actors/redis/ops.ts';
import { type Environment, systemEnvironment } from '../../runtime/environment.ts';
import type { IoContext, IoReply, IoResource } from '../../runtime/io/contract.ts';
import type { OpenedRedis } from '../contract/redis.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';

interface Logged {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly text: string;
}

export interface Opened {
  readonly resource: IoResource;
  readonly client: RedisClient;
  readonly logged: Logged[];
  /** One drained batch. */
  ask(...asks: unknown[]): Promise<readonly IoReply[]>;
}

/** Opens `redis(options)` as an I/O thread would, until the test ends. */
export async function opened(
  options: RedisOptionsInput,
  environment: Environment = systemEnvironment(),
): Promise<Opened> {
  const logged: Logged[] = [];
  const at = (level: string) => (fields: Record<string, unknown>, text: string) => {
    logged.push({ level, fields, text });
  };
  const context: IoContext = {
    name: 'store',
    dataDir: '',
    reads: false,
    first: true,
    environment,
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
  };
  const spec = redis(options);
  const resource = await spec.open(spec.options, context);
  onTestFinished(() => resource.close());
  const ask = asker(() => resource);
  return {
    resource,
    client: clientOf(ask),
    logged,
    ask: async (...asks) => resource.handleBatch(asks, new AbortController().signal),
  };
}

/** Asks as the engine does: those of one key in order, and all that came meanwhile as one batch; other keys beside them. */
export function asker(resourceOf: () => IoResource): (op: unknown) => Promise<unknown> {
  interface Asked {
    readonly op: unknown;
    resolve(value: unknown): void;
    reject(error: unknown): void;
  }
  const queues = new Map<string, Asked[]>();
  const { signal } = new AbortController();
  const drain = async (key: string, queue: Asked[]): Promise<void> => {
    while (queue.length > 0) {
      const batch = queue.splice(0);
      try {
        const replies = await resourceOf().handleBatch(
          batch.map(asked => asked.op),
          signal,
        );
        for (const [i, reply] of replies.entries())
          if ('error' in reply) batch[i]!.reject(reply.error);
          else batch[i]!.resolve(structuredClone(reply.value));
      } catch (error) {
        for (const asked of batch) asked.reject(error);
      }
    }
    queues.delete(key);
  };
  return op =>
    new Promise((resolve, reject) => {
      const asked = { op: structuredClone(op), resolve, reject };
      const key = keyOf(op);
      const queue = queues.get(key);
      if (queue) {
        queue.push(asked);
        return;
      }
      const fresh = [asked];
      queues.set(key, fresh);
      queueMicrotask(() => void drain(key, fresh));
    });
}

/** A store for the conformance suite, whose time is virtual. */
export async function restartable(options: RedisOptionsInput): Promise<OpenedRedis> {
  const environment = virtualEnvironment();
  const { client, resource } = await opened(options, environment);
  return {
    client,
    another: () => clientOf(asker(() => resource)),
    pass: ms => environment.advance(ms),
    async reopen() {
      await resource.close();
      await environment.advance(1000);
      return (await opened(options, environment)).client;
    },
  };
}
