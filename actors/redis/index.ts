/** The `redis` I/O actor: values, versions, leases and messages; on real servers, or embedded in the process. */
import { DEFAULT_IO_POLICY, type IoContext, type IoSpec } from '../../runtime/index.ts';
import { clientOf } from './client.ts';
import type { RedisClient } from './contract.ts';
import type { RedisDriver } from './driver.ts';
import { rehearseFile } from './embedded/file-place.ts';
import { Hub } from './hub.ts';
import { keyOf } from './ops.ts';
import { checkOptions, parseOptions, parseRead, type RedisOptions, type RedisOptionsInput } from './options.ts';
import { placeOf } from './place.ts';
import { RedisResource } from './resource.ts';
import { TRAITS } from './source.ts';
import { stateStoreOf } from './state-store.ts';

export type {
  CompareOptions,
  Entry,
  Expected,
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
  WriteOptions,
} from './contract.ts';
export { type RedisOptions, type RedisOptionsInput, readSchema, redisSchema } from './options.ts';

/** A look at the store costs next to nothing: an open breaker need not wait a minute for the next. */
const REDIS_POLICY = { ...DEFAULT_IO_POLICY, breaker: { openMs: 1000 } };

/**
 * Makes the I/O actor for a topology's `io`: `redis({ url: 'file:./cache.db' })`. Handlers ask through
 * `ctx.io<RedisClient>(name)`; sources read with `{ from: name, read: { channel: 'x' } }`.
 * Wrong options are reported by `check`, and by `open` with CONFIG_INVALID. A server is connected to in the background:
 * while it cannot be reached, asks fail with IO_FAILED, and with ACCESS_REFUSED where it does not accept who we are.
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
      return new RedisResource(await driverOf(parsed, context, hub), hub, context);
    },
    async rehearse(given, read, name, dataDir, tools) {
      const parsed = parseOptions(given, `io.${name}`);
      const place = placeOf(parsed.url, dataDir);
      if (read !== null) parseRead(read, `read of ${name}`);
      if (place.kind === 'file') rehearseFile(place.path);
      if (place.kind !== 'server') return;
      const { rehearseServer } = await import('./server/rehearse.ts');
      await rehearseServer(parsed, tools.environment);
    },
    async doctor(given, uses, { name, dataDir, environment }) {
      const parsed = parseOptions(given, `io.${name}`);
      if (placeOf(parsed.url, dataDir).kind !== 'server') return [];
      const { examineServer } = await import('./server/doctor.ts');
      return examineServer(parsed, uses, environment);
    },
    client: ask => clientOf(ask),
    store: ask => stateStoreOf(clientOf(ask)),
  };
}

/** Drivers are loaded when they are opened: host threads need none. */
async function driverOf(options: RedisOptions, context: IoContext, hub: Hub): Promise<RedisDriver> {
  if (placeOf(options.url, context.dataDir).kind === 'server') {
    const { ServerDriver } = await import('./server/driver.ts');
    return new ServerDriver(options, context, hub);
  }
  const { EmbeddedDriver } = await import('./embedded/driver.ts');
  return EmbeddedDriver.open(options, context, hub);
}
