/**
 * An independent judge of what the flights example wrote. It shares no code with the example or the engine: flights come
 * straight from the data set, numbers are counted here.
 */
import { readFileSync } from 'node:fs';

/** One flight as the data set has it, without its destination, which the ledger does not keep. */
export interface FlightFact {
  readonly origin: string;
  readonly date: string;
  readonly delay: number;
  readonly distance: number;
}

export interface AirportFact {
  readonly origin: string;
  readonly flights: number;
  readonly delaySum: number;
  readonly distanceSum: number;
  readonly lastDate: string;
}

const FILE = new URL('../../node_modules/vega-datasets/data/flights-20k.json', import.meta.url);

function allFlights(): FlightFact[] {
  return JSON.parse(readFileSync(FILE, 'utf8')) as FlightFact[];
}

/** The flights of each airport, in the order of the file. */
export function readFlights(): Map<string, FlightFact[]> {
  const byAirport = new Map<string, FlightFact[]>();
  for (const { origin, date, delay, distance } of allFlights()) {
    if (!byAirport.has(origin)) byAirport.set(origin, []);
    byAirport.get(origin)!.push({ origin, date, delay, distance });
  }
  return byAirport;
}

/** How many flights of each airport are among the first `count` of the file, read again and again. */
export function countFirst(count: number): Map<string, number> {
  const flights = allFlights();
  const counts = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const { origin } = flights[i % flights.length]!;
    counts.set(origin, (counts.get(origin) ?? 0) + 1);
  }
  return counts;
}

/** What one reading of the file adds up to. */
export function sumAirports(flights: ReadonlyMap<string, readonly FlightFact[]>): AirportFact[] {
  return [...flights].map(([origin, its]) => ({
    origin,
    flights: its.length,
    delaySum: its.reduce((sum, flight) => sum + flight.delay, 0),
    distanceSum: its.reduce((sum, flight) => sum + flight.distance, 0),
    lastDate: its[its.length - 1]!.date,
  }));
}

export interface Verdict {
  readonly lines: number;
  /** `ORIGIN/n` of what is expected and not there. */
  readonly lost: readonly string[];
  /** `ORIGIN/n` whose first line stands before the first line of an earlier n of that airport. */
  readonly disordered: readonly string[];
  /** Lines that are no flight, or not the flight of that number, with their line number. */
  readonly altered: readonly string[];
  /** Lines beyond the first of each flight. */
  readonly repeats: number;
  /** The highest n of each airport. */
  readonly highest: ReadonlyMap<string, number>;
}

/**
 * Judges a ledger against `rounds` readings of the file. With `partial`, each airport may end anywhere, as after a
 * drain: lost is then only what is missing below the highest n that is there.
 */
export function judgeLedger(
  text: string,
  flights: ReadonlyMap<string, readonly FlightFact[]>,
  rounds: number,
  options: { readonly partial?: boolean } = {},
): Verdict {
  const lines = text === '' ? [] : text.split('\n');
  const altered: string[] = [];
  if (lines.length > 0 && lines.pop() !== '') altered.push('the last line does not end');
  const seen = new Map<string, Set<number>>();
  const highest = new Map<string, number>();
  const disordered: string[] = [];
  let repeats = 0;
  for (const [index, line] of lines.entries()) {
    const n = numberOf(line, flights, rounds);
    if (typeof n === 'string') {
      altered.push(`line ${index + 1}: ${n}`);
      continue;
    }
    const { origin } = JSON.parse(line) as FlightFact;
    if (!seen.has(origin)) seen.set(origin, new Set());
    const its = seen.get(origin)!;
    if (its.has(n)) {
      repeats++;
      continue;
    }
    its.add(n);
    const before = highest.get(origin) ?? 0;
    if (n < before) disordered.push(`${origin}/${n}`);
    else highest.set(origin, n);
  }
  const lost: string[] = [];
  for (const [origin, its] of flights) {
    const last = options.partial ? (highest.get(origin) ?? 0) : its.length * rounds;
    for (let n = 1; n <= last; n++) if (!seen.get(origin)?.has(n)) lost.push(`${origin}/${n}`);
  }
  return { lines: lines.length, lost, disordered, altered, repeats, highest };
}

/** The number of the flight on a line, or why the line is none. */
function numberOf(line: string, flights: ReadonlyMap<string, readonly FlightFact[]>, rounds: number): number | string {
  let found: FlightFact & { n: number };
  try {
    found = JSON.parse(line) as FlightFact & { n: number };
  } catch {
    return `not JSON: ${line.slice(0, 100)}`;
  }
  const its = flights.get(found.origin);
  if (!its) return `no airport ${found.origin}`;
  if (!Number.isInteger(found.n) || found.n < 1 || found.n > its.length * rounds) return `no flight ${found.n}`;
  const { origin, date, delay, distance } = its[(found.n - 1) % its.length]!;
  const expected = JSON.stringify({ origin, date, delay, distance, n: found.n });
  return line === expected ? found.n : `${line} is not ${expected}`;
}
