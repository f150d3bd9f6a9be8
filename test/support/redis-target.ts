/** Stores on real servers for the conformance suite. Their time is real too. */
import { setTimeout as after } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import type { RedisOptionsInput } from '../../actors/redis/index.ts';
import { LIMITS, type OpenedRedis } from '../contract/redis.ts';
import { type OpenedDriver, openDriver } from './redis-driver.ts';

export interface Target {
  options(): RedisOptionsInput;
  /** A prefix of its own makes each store empty. In a cluster its hash tag puts all of a test into one slot. */
  prefix(name: string): string;
}

const RUN = crypto.randomUUID().slice(0, 8);
let stores = 0;

/** Open until the test ends. */
export async function openTarget({ options, prefix }: Target): Promise<OpenedRedis> {
  const given = { ...LIMITS, ...options(), prefix: prefix(`contract-${RUN}-${++stores}`) };
  const open = async (): Promise<OpenedDriver> => {
    const driver = await openDriver(given);
    onTestFinished(() => driver.close());
    return driver;
  };
  const driver = await open();
  return {
    client: driver.client,
    another: () => driver.another(),
    pass: ms => after(ms),
    async reopen() {
      await driver.close();
      return (await open()).client;
    },
  };
}
