/** Sums that outlive everything (E12): hosts die four times a second, the process is killed again and again; each flight counts once. */
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { jsonOf, keymill } from '../support/cli.ts';
import { type AirportFact, readFlights, sumAirports } from '../support/flights-ledger.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** More of them by hand: KEYMILL_DURABLE_KILLS=20. */
const KILLS = Number(process.env['KEYMILL_DURABLE_KILLS'] ?? 5);

/** What reading the file so many times must come to. */
function expected(rounds: number): Map<string, AirportFact> {
  return new Map(
    sumAirports(readFlights()).map(sum => [
      sum.origin,
      {
        ...sum,
        flights: rounds * sum.flights,
        delaySum: rounds * sum.delaySum,
        distanceSum: rounds * sum.distanceSum,
      },
    ]),
  );
}

test(`airports.ndjson is exact after ${KILLS} kills of the process and many of its hosts`, {
  timeout: 600_000,
}, async () => {
  const folder = await tempFolder('durable');
  const rounds = 2 * KILLS;
  const start = (...more: string[]) =>
    keymill([
      'start',
      'examples/flights/durable.ts',
      '--once',
      '--json',
      '--data',
      join(folder, 'data'),
      '--set',
      `io.out.url=file:${join(folder, 'out')}`,
      '--set',
      'io.out.fsync=none',
      '--set',
      'io.state.fsync=none',
      '--repeat',
      String(rounds),
      ...more,
    ]);
  let kills = 0;
  for (let seed = 1; kills < KILLS; seed++) {
    rmSync(join(folder, 'out'), { recursive: true, force: true });
    const run = start('--chaos', `kill-host=250ms,seed=${seed}`);
    const over = await Promise.race([
      run.ended,
      grown(join(folder, 'out', 'ledger.ndjson'), 200_000 + ((seed * 7919) % 10) * 200_000),
    ]);
    if (over !== undefined) {
      expect(over.code, over.stderr).toBe(0);
      break; // all is done: this machine is fast
    }
    run.kill('SIGKILL');
    await run.ended;
    kills++;
  }
  const last = await start().ended;
  expect(last.code, last.stderr).toBe(0);
  const { messages } = jsonOf(last);
  const file = join(folder, 'out', 'airports.ndjson');
  expect(existsSync(file)).toBe(true);
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const found = new Map(lines.map(line => [(JSON.parse(line) as AirportFact).origin, JSON.parse(line) as AirportFact]));
  expect(lines).toHaveLength(found.size);
  expect(found).toEqual(expected(rounds));
  console.log(`${kills} kills of the process; ${messages} of ${20_000 * rounds} messages were left for the last run`);
});

/** Resolves when the file has so many bytes. */
async function grown(file: string, bytes: number): Promise<undefined> {
  while (!existsSync(file) || statSync(file).size < bytes) await later(10);
}

function later(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}
