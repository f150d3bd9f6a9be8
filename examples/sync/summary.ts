import type { PulsarClient } from '../../actors/pulsar/contract.ts';
import type { RedisClient } from '../../actors/redis/contract.ts';
import type { SqlClient } from '../../actors/sql/contract.ts';
import { contentsOfCache, contentsOfTables, DATA_TOPIC } from '../../actors/sync/index.ts';
import type { SummaryContext } from '../../runtime/index.ts';
import { TABLES } from './tables.ts';

/** What there is at the end, in each place; equal checksums mean that nothing was lost. Lags in ms, from the change to the replica. */
export async function summary({ io, observed }: SummaryContext): Promise<Record<string, unknown>> {
  const published = observed.find(one => one.actor === 'rows' && one.name === 'published');
  const lag = observed.find(one => one.actor === 'copy' && one.name === 'applied');
  const { messages } = await io<PulsarClient>('pulsar').stats(DATA_TOPIC);
  return {
    lag: { p50: lag?.p50 ?? null, p99: lag?.p99 ?? null },
    hops: { published: { p50: published?.p50 ?? null, p99: published?.p99 ?? null } },
    table: await contentsOfTables(io<SqlClient>('sql'), TABLES),
    cache: await contentsOfCache(io<RedisClient>('redis'), TABLES),
    replica: await contentsOfTables(io<SqlClient>('replica'), TABLES),
    topic: { messages },
  };
}
