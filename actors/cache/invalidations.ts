/**
 * Invalidations by a topic, for those that must not be lost: `cache-invalidation` (G560). A topology reads it with a source of a
 * `pulsar` I/O actor that leads to this actor; each message is applied to the store once more wherever it is handled, and from
 * there told to all threads.
 */
import { type Actor, defineActor, describe, KeymillError } from '../../runtime/index.ts';
import type { Cache, Invalidation } from './contract.ts';

export const INVALIDATION_TOPIC = 'cache-invalidation';

export interface InvalidationsOptions {
  /** The I/O actor of the cache in the topology. */
  readonly cache?: string | undefined;
}

/** What `announce` needs of a `pulsar` client. */
export interface Announcer {
  publish(topic: string, message: { readonly payload: string; readonly key: string }): Promise<unknown>;
}

/** Takes invalidations as they are, or as a source of a topic gives them: `{ payload }` with their JSON. */
export function invalidations({ cache = 'cache' }: InvalidationsOptions = {}): Actor<unknown, void> {
  return defineActor<unknown, void>({
    key: message => keyOf(message),
    async handle(message, ctx) {
      await ctx.io<Cache>(cache).invalidate(invalidationFrom(message));
    },
    options: { uses: [cache] },
  });
}

/** Publishes it durably, keyed so that those of one key stay in order. Rejects as the topic does. */
export async function announce(
  pulsar: Announcer,
  { key, version, timestamp }: Invalidation,
  topic: string = INVALIDATION_TOPIC,
): Promise<void> {
  await pulsar.publish(topic, { key, payload: JSON.stringify({ key, version, timestamp }) });
}

/** Throws RECORD_BROKEN, as fatal: another try would find the same, so it goes to the dead letters at once. */
export function invalidationFrom(message: unknown): Pick<Invalidation, 'key' | 'version'> {
  const given = bare(message);
  if (typeof given === 'object' && given !== null) {
    const { key, version = null } = given as { key?: unknown; version?: unknown };
    // Of the seed: a bare number, of the source's first life.
    const its = typeof version === 'number' ? { epoch: 0, n: version } : version;
    if (typeof key === 'string' && (its === null || isVersion(its))) return { key, version: its };
  }
  throw new KeymillError('RECORD_BROKEN', `no invalidation { key, version }: ${describe(given)}`, { class: 'fatal' });
}

function keyOf(message: unknown): string {
  try {
    return invalidationFrom(message).key;
  } catch {
    return '';
  }
}

function bare(message: unknown): unknown {
  if (typeof message !== 'object' || message === null || !('payload' in message)) return message;
  const { payload } = message;
  try {
    return JSON.parse(payload instanceof Uint8Array ? Buffer.from(payload).toString() : String(payload));
  } catch {
    return null;
  }
}

function isVersion(version: unknown): version is Invalidation['version'] {
  const { epoch, n } = version as { epoch?: unknown; n?: unknown };
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(n);
}
