/** The judge is judged: it must find each kind of fault in a ledger that is otherwise right. */
import { expect, test } from 'vitest';
import { countFirst, type FlightFact, judgeLedger, readFlights, sumAirports } from '../support/flights-ledger.ts';

const ROUNDS = 2;
const flights = readFlights();

/** A right ledger of two readings: airport by airport is an order as good as any, since only order per airport counts. */
function rightLines(): string[] {
  const lines: string[] = [];
  for (const its of flights.values())
    for (let n = 1; n <= ROUNDS * its.length; n++) lines.push(lineOf(its[(n - 1) % its.length]!, n));
  return lines;
}

function lineOf({ origin, date, delay, distance }: FlightFact, n: number): string {
  return JSON.stringify({ origin, date, delay, distance, n });
}

const judge = (lines: readonly string[], options = {}) =>
  judgeLedger(lines.map(line => `${line}\n`).join(''), flights, ROUNDS, options);
const RIGHT = { lines: 40_000, lost: [], disordered: [], altered: [], repeats: 0, highest: countFirst(40_000) };

test('the data set is what the judge takes it for', () => {
  const sums = sumAirports(flights);
  expect(sums.reduce((sum, airport) => sum + airport.flights, 0)).toBe(20_000);
  expect(sums.length).toBe(220);
});

test('a right ledger passes', () => {
  expect(judge(rightLines())).toEqual(RIGHT);
});

test('a lost line is found', () => {
  const lines = rightLines();
  const [gone] = lines.splice(17, 1);
  const { origin, n } = JSON.parse(gone!) as { origin: string; n: number };
  expect(judge(lines)).toEqual({ ...RIGHT, lines: 39_999, lost: [`${origin}/${n}`] });
  expect(judge(lines, { partial: true }).lost).toEqual([`${origin}/${n}`]);
});

test('a lost tail is found, and is no loss where the ledger may end anywhere', () => {
  const lines = rightLines().slice(0, -3);
  expect(judge(lines).lost.length).toBe(3);
  expect(judge(lines, { partial: true }).lost).toEqual([]);
});

test('a first occurrence out of order is found, a repeat out of order is none', () => {
  const swapped = rightLines();
  [swapped[5], swapped[6]] = [swapped[6]!, swapped[5]!];
  const { origin, n } = JSON.parse(swapped[6]!) as { origin: string; n: number };
  expect(judge(swapped)).toEqual({ ...RIGHT, disordered: [`${origin}/${n}`] });
  const repeated = rightLines();
  repeated.splice(100, 0, repeated[5]!, repeated[6]!);
  expect(judge(repeated)).toEqual({ ...RIGHT, lines: 40_002, repeats: 2 });
});

test('an altered line is found, and counts as lost', () => {
  const lines = rightLines();
  const { delay, ...rest } = JSON.parse(lines[9]!) as FlightFact & { n: number };
  lines[9] = lineOf({ ...rest, delay: delay + 1 }, rest.n);
  const verdict = judge(lines);
  expect(verdict.altered).toEqual([expect.stringContaining('line 10: ')]);
  expect(verdict.lost).toEqual([`${rest.origin}/${rest.n}`]);
});

test('a line that is no flight, or is torn, is found', () => {
  const right = rightLines();
  expect(judge([...right, '{"origin":"XXX","n":1}']).altered).toEqual(['line 40001: no airport XXX']);
  expect(judge([...right, '{"origin":']).altered).toEqual(['line 40001: not JSON: {"origin":']);
  expect(judgeLedger(right.join('\n'), flights, ROUNDS).altered).toEqual(['the last line does not end']);
});
