/** A cache on an embedded store whose time is virtual, with threads that ask as the engine does, outages and lost messages. */

import { onTestFinished } from 'vitest';
import { type Cache, type CacheOptionsInput, cache } from '../../actors/cache/index.ts';
import type { Heard, RedisClient } from '../../actors/redis/index.ts';
import { redis } from '../../actors/redis/index.ts';
import { type IoMetric, type IoResource, type IoSpec, type IoThread, KeymillError } from '../../runtime/index.ts';
import { asker as askerOf } from '../support/asker.ts';
import { type VirtualEnvironment, virtualEnvironment } from '../support/virtual-clock.ts';

export type Outage = 'none' | 'refuses' | 'hangs' | 'forgets';

export interface Logged {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly text: string;
}

export interface Seat {
  readonly cache: Cache;
  readonly thread: IoThread;
  /** What the store does to the asks of this thread. forgets: does them, and the reply is lost. */
  outage: Outage;
  /** Messages of subscriptions that do not come, of those to come next. */
  losing: number;
  readonly logged: Logged[];
  /** Asks of the store so far, by their op. */
  readonly asked: Record<string, number>;
}

export interface World {
  readonly environment: VirtualEnvironment;
  readonly resource: IoResource;
  /** The store without a cache. */
  readonly redis: RedisClient;
  /** Another thread of the same process. */
  thread(): Seat;
  /** Another process on the same store. */
  process(): World;
  metrics(): readonly IoMetric[];
}

const down = () => new KeymillError('IO_FAILED', 'the store is down');

export async function world(
  options: CacheOptionsInput & Record<string, unknown> = {},
  environment = virtualEnvironment(),
): Promise<World> {
  const store = redis({ url: 'memory:' });
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const context = { name: 'cache', dataDir: '', reads: false, first: true, environment, log };
  const spec = cache(options as CacheOptionsInput);
  const opened = await spec.open(spec.options, context);
  onTestFinished(async () => {
    opened.drain?.();
    await opened.close();
  });
  return worldOf(options, spec, opened, opened, environment, store);
}

function worldOf(
  options: CacheOptionsInput,
  spec: IoSpec<Cache>,
  resource: IoResource,
  storeResource: IoResource,
  environment: VirtualEnvironment,
  store: IoSpec<RedisClient>,
): World {
  const ask = asker(() => resource, spec);
  return {
    environment,
    resource,
    redis: store.client(ask),
    thread: () => seatOf(spec, ask, environment),
    process() {
      // Another I/O thread, with leads of its own, whose store is the same.
      const other = cache(options);
      const local = new Set(['cache.lead', 'cache.done', 'cache.wait', 'cache.told']);
      const leads = cache(options).open(
        { ...other.options, url: 'memory:' },
        {
          name: 'cache',
          dataDir: '',
          reads: false,
          first: true,
          environment,
          log: { debug() {}, info() {}, warn() {}, error() {} },
        },
      );
      const both: IoResource = {
        async handleBatch(asks, signal) {
          const its = await leads;
          return Promise.all(
            asks.map(async one => {
              const isLocal = local.has(String((one as { op: unknown }).op));
              return (await (isLocal ? its : storeResource).handleBatch([one], signal))[0]!;
            }),
          );
        },
        close() {},
      };
      onTestFinished(async () => void (await (await leads).close()));
      return worldOf(options, other, both, storeResource, environment, store);
    },
    metrics: () => resource.metrics!(),
  };
}

function seatOf(spec: IoSpec<Cache>, ask: (op: unknown) => Promise<unknown>, environment: VirtualEnvironment): Seat {
  const logged: Logged[] = [];
  const at = (level: string) => (fields: Record<string, unknown>, text: string) => {
    logged.push({ level, fields, text });
  };
  const asked: Record<string, number> = {};
  const seat = { outage: 'none' as Outage, losing: 0, logged, asked };
  const thread: IoThread = {
    options: spec.options,
    environment,
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    async ask(op) {
      const name = String((op as { op: unknown }).op);
      asked[name] = (asked[name] ?? 0) + 1;
      if (name.startsWith('cache.') && name !== 'cache.read') return ask(op);
      if (name === 'poll') {
        const reply = (await ask(op)) as { heard: Heard[]; seq: number } | null;
        if (reply === null || seat.losing === 0) return reply;
        const heard = reply.heard.slice(seat.losing);
        seat.losing = Math.max(0, seat.losing - reply.heard.length);
        return { ...reply, heard };
      }
      const { outage } = seat;
      if (outage === 'refuses') throw down();
      if (outage === 'hangs') return new Promise(() => {});
      const reply = await ask(op);
      if (outage === 'forgets') throw down();
      return reply;
    },
  };
  return Object.assign(seat, { thread, cache: spec.client(thread.ask, thread) });
}

function asker(resourceOf: () => IoResource, spec: IoSpec<Cache>): (op: unknown) => Promise<unknown> {
  const { signal } = new AbortController();
  return askerOf(
    async ops => resourceOf().handleBatch(ops, signal),
    op => spec.key(op, 0),
  );
}

export interface Gate<T> {
  readonly load: () => Promise<T>;
  readonly calls: () => number;
  open(value: T): void;
  fail(error: unknown): void;
}

/** A loader that ends when the test says so. */
export function gate<T>(): Gate<T> {
  let calls = 0;
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((one, two) => {
    resolve = one;
    reject = two;
  });
  promise.catch(() => {});
  return {
    load: () => {
      calls++;
      return promise;
    },
    calls: () => calls,
    open: resolve,
    fail: reject,
  };
}

/** How a promise stands now. */
export async function state<T>(promise: Promise<T>, environment: VirtualEnvironment): Promise<T | 'pending' | Error> {
  await environment.settle();
  const pending = Symbol();
  const first = await Promise.race([
    promise.catch((error: unknown) => error as Error),
    new Promise<typeof pending>(resolve => setImmediate(resolve, pending)),
  ]);
  return first === pending ? 'pending' : (first as T | Error);
}

/** What a promise rejects with. */
export function rejected(promise: Promise<unknown>): Promise<Error & { code?: string; class?: string }> {
  return promise.then(
    value => {
      throw new Error(`expected a rejection, found ${JSON.stringify(value)}`);
    },
    (error: Error) => error,
  );
}
