/** What travels: real flights, numbered, again and again from the first one on. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineSource } from '../../runtime/index.ts';

export interface Flight {
  /** Counts all flights from 0 on. */
  readonly seq: number;
  readonly origin: string;
  readonly destination: string;
  /** Minutes. */
  readonly delay: number;
  /** Miles. */
  readonly distance: number;
}

interface FeedSettings {
  readonly messages: number;
  /** Flights a second; 0 for as fast as they are taken. */
  readonly rate: number;
}

/** How often a paced feed gives what is due. */
const TICK_MS = 5;

export const feed = defineSource<Flight>({
  traits: { replayable: true, ordered: true, contiguous: true },
  async *read(from, { settings, signal }) {
    const { messages, rate } = settings['feed'] as unknown as FeedSettings;
    const path = fileURLToPath(new URL('../data/flights-20k.json', import.meta.resolve('vega-datasets')));
    const flights = JSON.parse(readFileSync(path, 'utf8')) as Omit<Flight, 'seq'>[];
    const began = Date.now();
    for (let seq = from; seq < messages; seq++) {
      while (rate > 0 && seq - from > ((Date.now() - began) * rate) / 1000) {
        if (signal.aborted) return;
        await new Promise(resolve => setTimeout(resolve, TICK_MS));
      }
      const { origin, destination, delay, distance } = flights[seq % flights.length]!;
      yield { seq, origin, destination, delay, distance };
    }
  },
});
