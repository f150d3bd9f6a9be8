/** The cache: L1 in each thread, L2 in a store of the `redis` I/O actor's, and loaders behind them. */
import { type IoSpec, KeymillError } from '../../runtime/index.ts';
import { type RedisOptionsInput, redis } from '../redis/index.ts';
import { ThreadCache } from './cache.ts';
import type { Cache } from './contract.ts';
import { isCacheOp } from './ops.ts';
import { type CacheOptionsInput, checkOptions, parseOptions, split } from './options.ts';
import { CacheResource } from './resource.ts';

export {
  type Cache,
  type CacheEntry,
  type CacheStats,
  type GetOrSetOptions,
  type Invalidation,
  type Load,
  type LoadContext,
  Loaded,
  type LoadMany,
  type LoadReply,
  loaded,
  type SetOptions,
  type SetReader,
  type SetReply,
  type SetView,
  type SwapOptions,
  type SwapReply,
  UNCHANGED,
  versioned,
  type WarmUp,
  type WarmUpOptions,
} from './contract.ts';
export {
  type Announcer,
  announce,
  INVALIDATION_TOPIC,
  type InvalidationsOptions,
  invalidationFrom,
  invalidations,
} from './invalidations.ts';
export { type CacheOptions, type CacheOptionsInput, cacheSchema } from './options.ts';

/** Without a breaker: threads leave a store alone that does not answer, and who leads a load must be known all the same. */
const CACHE_POLICY = { retry: { attempts: 2 }, timeoutMs: 30_000 };

type Options = CacheOptionsInput & Partial<RedisOptionsInput>;

/**
 * Makes the I/O actor for a topology's `io`: `cache({ url: 'redis://…', namespace: 'shop' })`; handlers ask through
 * `ctx.io<Cache>(name)`. Options that are not the cache's own are the store's, as `redis({ … })` takes them; without a url
 * it is in memory. Wrong options are reported by `check`, and by `open` with CONFIG_INVALID.
 */
export function cache(options: Options = {}): IoSpec<Cache> {
  const threads = new WeakMap<object, Cache>();
  const storeOf = (given: Record<string, unknown>): IoSpec<ReturnType<IoSpec['client']>> =>
    redis(split(given)[1] as RedisOptionsInput);
  const store = redis({ url: 'memory:' });
  return {
    kind: 'cache',
    policy: CACHE_POLICY,
    options: { ...split(options)[1], ...split(options)[0] },
    check: given => {
      const [own, its] = split(given);
      return [...checkOptions(own), ...store.check(its)];
    },
    traits: given => store.traits!(split(given)[1]),
    key(ask, from) {
      if (!isCacheOp(ask)) return store.key(ask, from);
      if (ask.op === 'cache.read') return store.key({ op: 'getEntries', keys: [] }, from);
      return ask.op === 'cache.wait' ? `wait ${ask.by}` : 'lead';
    },
    async open(given, context) {
      parseOptions(given, `io.${context.name}`);
      return new CacheResource(await storeOf(given).open(split(given)[1], context), context);
    },
    rehearse: (given, ...rest) => storeOf(given).rehearse?.(split(given)[1], ...rest),
    doctor: async (given, ...rest) => (await storeOf(given).doctor?.(split(given)[1], ...rest)) ?? [],
    store: ask => store.store!(ask),
    client(_ask, thread) {
      if (!thread) throw new KeymillError('CONFIG_INVALID', 'a cache needs its thread');
      let made = threads.get(thread);
      if (!made) {
        const parsed = parseOptions(thread.options, 'the options of a cache');
        made = new ThreadCache(thread, store.client(thread.ask, thread), parsed);
        threads.set(thread, made);
      }
      return made;
    },
  };
}
