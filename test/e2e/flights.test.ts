/** The main example as a user runs it, on one, two and four hosts, against sums from the data set itself. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { jsonOf, keymill } from '../support/cli.ts';
import { type AirportFact, judgeLedger, readFlights, sumAirports } from '../support/flights-ledger.ts';
import { tempFolder } from '../support/temp-folder.ts';

const flights = readFlights();

test.each([1, 2, 4])('on %i hosts every flight is written once, in order, and the airports add up', async threads => {
  const folder = await tempFolder();
  const out = join(folder, 'out');
  const args = ['--set', `io.out.url=file:${out}`, '--threads', String(threads), '--data', join(folder, 'data')];
  const ended = await keymill(['start', 'examples/flights/topology.ts', '--once', '--json', ...args]).ended;
  expect(ended.code, ended.stderr).toBe(0);
  expect(ended.stderr).not.toContain('"level"');
  const summary = jsonOf(ended);
  expect(summary).toMatchObject({
    ok: true,
    messages: 20_000,
    settled: { done: 20_000, dead: 0, dropped: 0 },
    threads,
    restarts: 0,
    repeats: 0,
  });
  expect(summary.perActor).toMatchObject({ airport: { handled: 20_000 }, ledger: { handled: 20_000 } });

  const ledger = await readFile(join(out, 'ledger.ndjson'), 'utf8');
  expect(judgeLedger(ledger, flights, 1)).toMatchObject({
    lines: 20_000,
    lost: [],
    disordered: [],
    altered: [],
    repeats: 0,
  });
  const airports = (await readFile(join(out, 'airports.ndjson'), 'utf8')).trimEnd().split('\n');
  const byOrigin = (a: AirportFact, b: AirportFact) => (a.origin < b.origin ? -1 : 1);
  expect(airports.map(line => JSON.parse(line) as AirportFact).sort(byOrigin)).toEqual(
    sumAirports(flights).sort(byOrigin),
  );
});
