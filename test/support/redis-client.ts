/** Drivers of real Redis servers, and a proxy before one, until the test ends. */
import { onTestFinished } from 'vitest';
import type { RedisOptionsInput } from '../../actors/redis/index.ts';
import { type FaultProxy, type ProxyOptions, proxyTo } from './proxy.ts';
import { respReplies } from './proxy-splitters.ts';
import { type DriverOptions, type OpenedDriver, openDriver } from './redis-driver.ts';

/** Short, so that faults are over soon; recovery must not need more. */
export const QUICK = { commandTimeoutMs: 600, connectTimeoutMs: 1000, heartbeatMs: 500 } as const;

export async function redisDriver(options: RedisOptionsInput, how?: DriverOptions): Promise<OpenedDriver> {
  const driver = await openDriver(options, how);
  onTestFinished(() => driver.close());
  return driver;
}

export const redisProxy = (url: string, options: ProxyOptions = {}): Promise<FaultProxy> =>
  proxyTo(url, { replies: respReplies, ...options });
