/**
 * The main job, whole: tables change; per row, in order, on every core, a versioned cache follows and each change is
 * published; a replica applies it. `keymill start examples/sync/topology.ts --once --json`
 */
import { pulsar } from '../../actors/pulsar/index.ts';
import { redis } from '../../actors/redis/index.ts';
import { sql } from '../../actors/sql/index.ts';
import { applyReplica, DATA_TOPIC, syncResync, syncRows } from '../../actors/sync/index.ts';
import { defineTopology } from '../../runtime/index.ts';
import feed from './feed.ts';
import feeder from './feeder.ts';
import { summary } from './summary.ts';

const changes = { track: true, pollMs: { min: 50, max: 50 } };

export default defineTopology({
  module: import.meta.url,
  name: 'sync',
  settings: { feeder: { rate: 1000, changes: 20_000, seed: 1 } },
  io: {
    sql: sql({ url: 'sqlite:shop.db' }),
    redis: redis({ url: 'file:cache.db' }),
    pulsar: pulsar({ url: 'file:bus' }),
    replica: sql({ url: 'sqlite:replica.db' }),
  },
  sources: {
    feed: { use: feed, to: 'feeder', checkpoint: true },
    airports: {
      from: 'sql',
      read: { table: 'Airports', ...changes },
      to: 'rows',
      checkpoint: true,
      endsAfter: ['feed'],
    },
    flights: { from: 'sql', read: { table: 'Flights', ...changes }, to: 'rows', checkpoint: true, endsAfter: ['feed'] },
    published: {
      from: 'pulsar',
      read: { topic: DATA_TOPIC, subscription: 'replica', initialPosition: 'Earliest', as: 'json' },
      to: 'copy',
      endsAfter: ['airports', 'flights'],
    },
  },
  actors: {
    feeder: { use: feeder, uses: ['sql', 'replica'] },
    rows: { use: syncRows(), sends: ['resync'], uses: ['redis', 'pulsar'] },
    resync: { use: syncResync(), uses: ['redis', 'pulsar'] },
    copy: { use: applyReplica(), uses: ['replica'] },
  },
  summary,
});
