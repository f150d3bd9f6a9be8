/**
 * The same flights, with sums that outlive everything: the state of each airport and the position in the file are kept in one
 * store, so that each flight is counted once, whatever is killed. `keymill start examples/flights/durable.ts --once`
 */
import { redis } from '../../actors/redis/index.ts';
import { defineTopology } from '../../runtime/index.ts';
import airport from './airport.ts';
import flights from './topology.ts';

const { io, sources, actors, ...rest } = flights.definition;

export default defineTopology({
  ...rest,
  module: import.meta.url,
  name: 'durable-flights',
  io: { ...io, state: redis({ url: 'file:state.db' }) },
  sources: { flights: { ...sources!['flights']!, checkpoint: 'state' } },
  actors: {
    ...actors,
    airport: { use: airport, sends: ['ledger'], uses: ['out', 'state'], persist: { in: 'state', restore: 'eager' } },
  },
});
