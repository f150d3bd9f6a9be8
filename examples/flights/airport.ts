import type { FileClient } from '../../actors/file/index.ts';
import { defineActor } from '../../runtime/index.ts';
import type { NumberedFlight } from './flight.ts';
import ledger from './ledger.ts';

export interface Airport {
  flights: number;
  delaySum: number;
  distanceSum: number;
  lastDate: string;
}

/** One mailbox per airport: its flights in order, its sums in memory until it leaves. */
export default defineActor<NumberedFlight, void, Airport>({
  key: flight => flight.origin,
  state: () => ({ flights: 0, delaySum: 0, distanceSum: 0, lastDate: '' }),
  handle(flight, ctx) {
    const { state } = ctx;
    state.flights++;
    state.delaySum += flight.delay;
    state.distanceSum += flight.distance;
    state.lastDate = flight.date;
    ctx.send(ledger, flight);
  },
  async onPassivate(state, origin, ctx) {
    await ctx.io<FileClient>('out').append('airports.ndjson', [{ origin, ...state }]);
  },
});
