/** The options of `cache({ … })`. What is not named here is an option of the store, as `redis({ … })` takes it. */
import { z } from 'zod';
import { optionReader } from '../../runtime/index.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const ms = (least: number, most = 3650 * DAY) => z.number().min(least).max(most);

export const cacheSchema = z.strictObject({
  namespace: z
    .string()
    .regex(/^[A-Za-z0-9_.:-]{1,64}$/, 'expected 1 to 64 letters, digits, and `_.:-`')
    .default('cache')
    .meta({ doc: 'Begins all keys and channels in the store. Caches of one store and namespace are one cache.' }),
  l1: z
    .strictObject({
      ttlMs: ms(0, DAY).default(30_000).meta({
        doc: 'Life in the memory of a thread, never beyond what the store has left; 0 turns L1 off. A change that a thread does not hear of may be hidden from it for so long.',
      }),
      maxBytes: z
        .number()
        .int()
        .min(64 * KiB)
        .max(16_384 * MiB)
        .default(64 * MiB)
        .meta({ doc: 'What L1 of one thread may hold, counted by packed sizes; the least recently used goes first.' }),
      maxEntryBytes: z
        .number()
        .int()
        .min(KiB)
        .max(512 * MiB)
        .default(10 * MiB)
        .meta({ doc: 'Larger values are not kept in L1 (G7219).' }),
    })
    .prefault({})
    .meta({ doc: 'The level in the thread.' }),
  l2: z
    .strictObject({
      preset: z.enum(['long', 'short']).default('long').meta({ doc: 'long: an hour. short: 15 minutes (G 10.4).' }),
      ttlMs: ms(1).optional().meta({ doc: 'Life in the store where the call says nothing; in place of the preset.' }),
      timeoutMs: ms(10, HOUR)
        .default(1000)
        .meta({ doc: 'After so long the store counts as away for that read or write.' }),
      backoffMs: ms(10, MINUTE)
        .default(1000)
        .meta({ doc: 'How long the store is not asked again after it was away; a quarter more or less.' }),
      maxOwed: z.number().int().min(0).max(1_000_000).default(1000).meta({
        doc: 'Keys of a thread whose writes the store did not take, and that are made up for when it is back.',
      }),
    })
    .prefault({})
    .meta({ doc: 'The level in the store.' }),
  staleMs: ms(0)
    .default(HOUR)
    .meta({ doc: 'How long beyond its life a value may be given where the loader fails or the store is away.' }),
  suspectMs: ms(0).default(30_000).meta({
    doc: 'How long after invalidations may have been lost L1 may be given unconfirmed while the store cannot be asked.',
  }),
  retryMs: ms(0, HOUR)
    .default(5000)
    .meta({ doc: 'How long a stale value is given without another try of a loader that failed.' }),
  negativeTtlMs: ms(1).default(10_000).meta({ doc: 'Life of "there is none": a loader gave null or undefined.' }),
  refresh: z
    .strictObject({
      fraction: z.number().min(0).max(1).default(0.8).meta({
        doc: 'Beyond this part of its life a value that is asked for is loaded anew in the background; 1 turns it off.',
      }),
      jitter: z
        .number()
        .min(0)
        .max(1)
        .default(0.1)
        .meta({ doc: 'That point lies earlier by a random part, up to this one, of the life.' }),
    })
    .prefault({})
    .meta({ doc: 'Early refresh.' }),
  softTimeoutMs: ms(0, HOUR)
    .default(0)
    .meta({ doc: 'After so long a stale value is given, and the load goes on behind it; 0 waits for the load.' }),
  hardTimeoutMs: ms(1, HOUR).default(30_000).meta({ doc: 'After so long a load is given up with CACHE_LOAD_TIMEOUT.' }),
  lock: z
    .boolean()
    .default(true)
    .meta({ doc: 'One load of a key in all processes that share the store; false: one in each.' }),
  leaseMs: ms(100, HOUR)
    .default(10_000)
    .meta({ doc: 'Life of the lease of a load, renewed while it runs: after the death of its holder another loads.' }),
  graceMs: ms(10, HOUR)
    .default(1000)
    .meta({ doc: 'How long a set that was swapped out twice can still be read (G 10.3).' }),
});

export type CacheOptions = z.output<typeof cacheSchema>;
export type CacheOptionsInput = z.input<typeof cacheSchema>;

const reader = optionReader(cacheSchema);
const OWN = new Set(Object.keys(cacheSchema.shape));

/** The cache's own options, and those of its store. */
export function split(given: Record<string, unknown>): [own: Record<string, unknown>, store: Record<string, unknown>] {
  const own: Record<string, unknown> = {};
  const store: Record<string, unknown> = { url: 'memory:' };
  for (const [name, value] of Object.entries(given)) (OWN.has(name) ? own : store)[name] = value;
  return [own, store];
}

export const checkOptions = reader.check;

/** Throws CONFIG_INVALID. */
export function parseOptions(given: Record<string, unknown>, at: string): CacheOptions {
  return reader.parse(split(given)[0], at);
}

const PRESETS = { long: HOUR, short: 15 * MINUTE } as const;

export function lifeOf({ l2 }: CacheOptions): number {
  return l2.ttlMs ?? PRESETS[l2.preset];
}
