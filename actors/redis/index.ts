/** The `redis` I/O actor: values, versions, leases and messages; embedded in the process, in memory or in a file. */
import { DEFAULT_IO_POLICY, type IoSpec } from '../../runtime/index.ts';
import { clientOf } from './client.ts';
import type { RedisClient } from './contract.ts';
import { EmbeddedDriver } from './embedded/driver.ts';
import { rehearseFile } from './embedded/file-place.ts';
import { Hub } from './hub.ts';
import { keyOf } from './ops.ts';
import { checkOptions, parseOptions, parseRead, type RedisOptionsInput } from './options.ts';
import { placeOf } from './place.ts';
import { RedisResource } from './resource.ts';
import { TRAITS } from './source.ts';
import { stateStoreOf } from './state-store.ts';

export type {
  Fence,
  Fields,
  Heard,
  Lease,
  LifeOptions,
  Merge,
  MergeReply,
  Published,
  RedisClient,
  RedisRead,
  RedisValue,
  SetOptions,
  Step,
  VersionedReply,
  VersionedValue,
} from './contract.ts';
export { type RedisOptions, type RedisOptionsInput, readSchema, redisSchema } from './options.ts';

/** A look at an embedded store costs next to nothing: an open breaker need not wait a minute for the next. */
const REDIS_POLICY = { ...DEFAULT_IO_POLICY, breaker: { openMs: 1000 } };

/**
 * Makes the I/O actor for a topology's `io`: `redis({ url: 'file:./cache.db' })`. Handlers ask through
 * `ctx.io<RedisClient>(name)`; sources read with `{ from: name, read: { channel: 'x' } }`.
 * Wrong options are reported by `check`, and by `open` with CONFIG_INVALID.
 */
export function redis(options: RedisOptionsInput): IoSpec<RedisClient> {
  return {
    kind: 'redis',
    policy: REDIS_POLICY,
    options: { ...options },
    check: checkOptions,
    traits: () => TRAITS,
    key: keyOf,
    async open(given, context) {
      const parsed = parseOptions(given, `io.${context.name}`);
      const hub = new Hub(context.name, context.environment, parsed.subscriber);
      // Drivers of servers will be chosen here, by the url.
      return new RedisResource(await EmbeddedDriver.open(parsed, context, hub), hub, context);
    },
    rehearse(given, read, name, dataDir) {
      const place = placeOf(parseOptions(given, `io.${name}`).url, dataDir);
      if (read !== null) parseRead(read, `read of ${name}`);
      if (place.kind === 'file') rehearseFile(place.path);
    },
    client: ask => clientOf(ask),
    store: ask => stateStoreOf(clientOf(ask)),
  };
}
