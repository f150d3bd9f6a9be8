/** What the tests of the `redis` I/O actor share: stores, clients that ask as the engine does, a store that comes and goes. */

import { onTestFinished } from 'vitest';
import { clientOf } from '../../actors/redis/client.ts';
import { type RedisClient, type RedisOptionsInput, redis } from '../../actors/redis/index.ts';
import { keyOf } from '../../actors/redis/ops.ts';
import { type Environment, systemEnvironment } from '../../runtime/environment.ts';
import type { IoContext, IoReply, IoResource } from '../../runtime/io/contract.ts';
import type { OpenedRedis } from '../contract/redis.ts';
import { asker as askerOf } from '../support/asker.ts';
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

export const asker = (resourceOf: () => IoResource): ((op: unknown) => Promise<unknown>) => {
  const { signal } = new AbortController();
  return askerOf(
    async ops => resourceOf().handleBatch(ops, signal),
    op => keyOf(op, 0),
  );
};

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
