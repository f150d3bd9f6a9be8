/**
 * The feeder: real flights as inserts, updates and deletes of two tables. The same seed gives the same operations at the same
 * positions, so it goes on where it stood after a crash; each operation says what the row is to be, so doing it twice does no harm.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineSource } from '../../runtime/index.ts';
import { seededRandom } from '../../runtime/random.ts';

export type Operation =
  | { readonly table: 'Airports'; readonly do: 'put'; readonly row: AirportRow }
  | { readonly table: 'Flights'; readonly do: 'put'; readonly row: FlightRow }
  | { readonly table: 'Flights'; readonly do: 'remove'; readonly id: number };

export interface AirportRow {
  readonly code: string;
  readonly flights: number;
  readonly lastFlight: string;
}

export interface FlightRow {
  readonly id: number;
  readonly date: string;
  readonly origin: string;
  readonly destination: string;
  readonly delay: number;
  readonly distance: number;
}

interface Flight {
  readonly date: string;
  readonly origin: string;
  readonly destination: string;
  readonly delay: number;
  readonly distance: number;
}

/** Of a hundred operations so many update a flight, and so many delete one; the others insert one and update its airport. */
const UPDATES = 30;
const DELETES = 12;

/** Operations without an end. */
export function* operations(seed: number): Generator<Operation> {
  const path = fileURLToPath(new URL('../data/flights-20k.json', import.meta.resolve('vega-datasets')));
  const flights = JSON.parse(readFileSync(path, 'utf8')) as Flight[];
  const random = seededRandom(seed);
  const below = (n: number): number => Math.floor(random() * n);
  const airports = new Map<string, AirportRow>();
  const rows: FlightRow[] = [];
  for (let next = 0; ; ) {
    const chance = below(100);
    if (rows.length > 0 && chance < UPDATES) {
      const at = below(rows.length);
      const row = { ...rows[at]!, delay: below(240) - 20 };
      rows[at] = row;
      yield { table: 'Flights', do: 'put', row };
    } else if (rows.length > 0 && chance < UPDATES + DELETES) {
      const at = below(rows.length);
      const { id } = rows[at]!;
      rows[at] = rows.at(-1)!;
      rows.pop();
      yield { table: 'Flights', do: 'remove', id };
    } else {
      const { date, origin, destination, delay, distance } = flights[next % flights.length]!;
      const row = { id: next++, date, origin, destination, delay, distance };
      rows.push(row);
      yield { table: 'Flights', do: 'put', row };
      const airport = { code: origin, flights: (airports.get(origin)?.flights ?? 0) + 1, lastFlight: date };
      airports.set(origin, airport);
      yield { table: 'Airports', do: 'put', row: airport };
    }
  }
}

interface FeederSettings {
  readonly rate: number;
  readonly changes: number;
  readonly seed: number;
}

/** How often a paced feeder gives what is due. */
const TICK_MS = 5;

export default defineSource<Operation>({
  traits: { replayable: true, ordered: true, contiguous: true },
  async *read(from, { settings, signal }) {
    const { rate, changes, seed } = settings['feeder'] as unknown as FeederSettings;
    const began = Date.now();
    let position = 0;
    for (const operation of operations(seed)) {
      if (changes > 0 && position >= changes) return;
      if (position++ < from) continue;
      while (rate > 0 && position - from > ((Date.now() - began) * rate) / 1000) {
        if (signal.aborted) return;
        await new Promise(resolve => setTimeout(resolve, TICK_MS));
      }
      yield operation;
    }
  },
});
