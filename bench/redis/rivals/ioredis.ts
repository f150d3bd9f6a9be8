/**
 * Runs in a child: ioredis in one thread. `auto` makes one pipeline of what is asked in a turn of the event loop, `pipeline`
 * one of each list by hand, `plain` neither. A versioned write is the shortest script that does it: compare, then set both.
 */
import { type ChainableCommander, Redis } from 'ioredis';
import type { Commands } from '../../lib/child.ts';
import { type AskList, askAll, KEYS, keyOf, type Load, type Run, seededAt, Watch, writtenBy } from '../load.ts';

export interface IoredisSetup {
  readonly port: number;
  readonly mode: 'plain' | 'auto' | 'pipeline';
}

type Versioned<T> = T & {
  setVersioned(
    key: string,
    versionKey: string,
    value: string,
    n: string,
    ttl: string,
    life: string,
  ): T | Promise<number>;
};

/** As keymill's defaults: an hour for a value, a week for its version. */
const TTL_MS = '3600000';
const VERSIONS_MS = '604800000';

// KEYS: value, version. ARGV: value, version, ms of life of each.
const SET_VERSIONED = `
local before = redis.call('GET', KEYS[2])
if before and tonumber(before) >= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[4])
return 1`;

export async function open({ port, mode }: IoredisSetup): Promise<Commands> {
  const redis = new Redis({ port, host: '127.0.0.1', enableAutoPipelining: mode === 'auto' });
  redis.defineCommand('setVersioned', { numberOfKeys: 2, lua: SET_VERSIONED });
  await redis.ping();
  const askList = mode === 'pipeline' ? pipelined(redis) : each(redis);
  return {
    async ask(load: Load): Promise<Run> {
      const watch = new Watch();
      const callers = Array.from({ length: load.callers }, (_, caller) => askAll(askList, load, caller));
      const right = (await Promise.all(callers)).reduce((sum, one) => sum + one, 0);
      return { asks: load.asks, right, ...watch.stop() };
    },
    async close() {
      await redis.quit();
    },
  };
}

function each(redis: Redis): AskList {
  return async (load, caller, from) => {
    const asked: unknown[] = [];
    for (let n = from; n < from + load.depth; n++) asked.push(ask(redis, load, caller, n));
    const replies = await Promise.all(asked);
    return replies.filter((reply, i) => isRight(load, caller, from + i, reply)).length;
  };
}

function pipelined(redis: Redis): AskList {
  return async (load, caller, from) => {
    const pipeline = redis.pipeline();
    for (let n = from; n < from + load.depth; n++) ask(pipeline, load, caller, n);
    const replies = (await pipeline.exec())!;
    return replies.filter(([error, reply], i) => error === null && isRight(load, caller, from + i, reply)).length;
  };
}

function ask(to: Redis | ChainableCommander, { what }: Load, caller: number, n: number): unknown {
  const key = keyOf(caller, n);
  if (what === 'get') return to.get(key);
  if (what === 'set') return to.set(key, writtenBy(caller, n), 'PX', TTL_MS);
  const { setVersioned } = to as Versioned<typeof to>;
  return setVersioned.call(to, key, `{${key}}:version`, writtenBy(caller, n), String(n + 1), TTL_MS, VERSIONS_MS);
}

function isRight({ what }: Load, caller: number, n: number, reply: unknown): boolean {
  if (what === 'get') return reply === seededAt(caller, n % KEYS);
  return reply === (what === 'set' ? 'OK' : 1);
}
