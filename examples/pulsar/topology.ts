/**
 * Pulsar in, keyed actors, Pulsar out: flights are published, a Key_Shared subscription gives each airport's to one process
 * and there to one mailbox, and what its actor makes of them is published again. A message is acknowledged when what came of
 * it is in the other topic. Any number of processes may share the work:
 * `keymill start examples/pulsar/topology.ts --set io.pulsar.url=pulsar://localhost:6650`
 */
import type { PulsarClient } from '../../actors/pulsar/contract.ts';
import { pulsar } from '../../actors/pulsar/index.ts';
import { defineActor, defineTopology, type Settings } from '../../runtime/index.ts';
import { type Flight, feed } from './flight.ts';

interface Topics {
  readonly flights: string;
  readonly departures: string;
}

const topicsOf = (settings: Settings): Topics => settings['topics'] as unknown as Topics;

/** What is told of a flight, by the airport that it leaves from. */
export interface Departure {
  readonly seq: number;
  readonly airport: string;
  readonly isLate: boolean;
  readonly km: number;
}

const LATE_MINUTES = 15;
const KM_A_MILE = 1.609344;

const publish = defineActor<Flight>({
  key: flight => flight.origin,
  async handleBatch(flights, ctx) {
    await ctx.io<PulsarClient>('pulsar').publishBatch(
      topicsOf(ctx.settings).flights,
      flights.map(flight => ({ key: flight.origin, json: flight })),
    );
  },
  options: { batch: { across: 'keys', flushMs: 0, max: 500 } },
});

const airport = defineActor<Flight>({
  key: flight => flight.origin,
  handle({ seq, origin, delay, distance }, ctx) {
    ctx.send<Departure>('departures', {
      seq,
      airport: origin,
      isLate: delay > LATE_MINUTES,
      km: Math.round(distance * KM_A_MILE),
    });
  },
});

const departures = defineActor<Departure>({
  key: departure => departure.airport,
  async handleBatch(batch, ctx) {
    await ctx.io<PulsarClient>('pulsar').publishBatch(
      topicsOf(ctx.settings).departures,
      batch.map(departure => ({ key: departure.airport, json: departure })),
    );
  },
  options: { batch: { across: 'keys', flushMs: 0, max: 500 } },
});

export default defineTopology({
  module: import.meta.url,
  name: 'pulsar',
  settings: { feed: { messages: 20_000, rate: 0 }, topics: { flights: 'flights', departures: 'departures' } },
  io: { pulsar: pulsar({ url: 'file:bus' }) },
  sources: {
    feed: { use: feed, to: 'publish', checkpoint: true },
    flights: {
      from: 'pulsar',
      read: { topic: 'flights', subscription: 'airports', initialPosition: 'Earliest', as: 'json' },
      to: 'airport',
      endsAfter: ['feed'],
    },
  },
  actors: {
    publish: { use: publish, uses: ['pulsar'] },
    airport: { use: airport, sends: ['departures'] },
    departures: { use: departures, uses: ['pulsar'] },
  },
  summary: async ({ io, settings }) => ({
    departures: (await io<PulsarClient>('pulsar').stats(topicsOf(settings).departures)).messages,
  }),
});
