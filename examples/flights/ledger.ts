import type { FileClient } from '../../actors/file/index.ts';
import { defineActor } from '../../runtime/index.ts';
import type { NumberedFlight } from './flight.ts';

/** Writes one line a flight, many lines a batch. */
export default defineActor<NumberedFlight>({
  key: flight => flight.origin,
  async handleBatch(flights, ctx) {
    const lines = flights.map(({ origin, date, delay, distance, n }) => ({ origin, date, delay, distance, n }));
    await ctx.io<FileClient>('out').append('ledger.ndjson', lines);
  },
});
