/** The example on a real Pulsar whose broker dies, whose topics move, and one of whose two processes is killed: nothing is lost. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Departure } from '../../examples/pulsar/topology.ts';
import { type Answer, jsonOf, keymill, type Running } from '../support/cli.ts';
import { killBroker, pulsarService, skipped, startBroker } from '../support/services.ts';
import { unloadTopic } from '../support/services-admin.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { wireClient } from '../support/wire.ts';

/** More by hand: KEYMILL_PULSAR_MESSAGES=1000000. */
const MESSAGES = Number(process.env['KEYMILL_PULSAR_MESSAGES'] ?? 40_000);
const BROKER_KILLS = Number(process.env['KEYMILL_PULSAR_BROKER_KILLS'] ?? 1);
/** Flights a second: so that faults come while there is something to do. */
const RATE = Number(process.env['KEYMILL_PULSAR_RATE'] ?? 8000);
const WINDOW = 2000;
const PENDING = 500;
const PREFETCH = 1000;
const MINUTES = 60_000;

interface World {
  readonly flights: string;
  readonly departures: string;
  start(messages: number, ...more: string[]): Promise<Running>;
}

function world(): World {
  const { url, admin } = pulsarService()!;
  const name = randomUUID();
  const [flights, departures] = [`flights-${name}`, `departures-${name}`];
  const settings = {
    'io.pulsar.url': url,
    'io.pulsar.adminUrl': admin,
    'topics.flights': flights,
    'topics.departures': departures,
    'sources.flights.read.topic': flights,
    'sources.flights.read.prefetch': PREFETCH,
    'sources.flights.window.messages': WINDOW,
    'feed.rate': RATE,
  };
  return {
    flights,
    departures,
    async start(messages, ...more) {
      const sets = Object.entries({ ...settings, 'feed.messages': messages });
      return keymill([
        'start',
        'examples/pulsar/topology.ts',
        '--json',
        '--data',
        await tempFolder('pulsar-example'),
        ...sets.flatMap(([path, value]) => ['--set', `${path}=${value}`]),
        ...more,
      ]);
    },
  };
}

/** All departures, read from the topic by a client of its own. */
async function read(topic: string): Promise<Departure[]> {
  const reader = await wireClient().createReader({ topic, from: 'earliest' });
  const found: Departure[] = [];
  while (await reader.hasNext())
    do found.push(JSON.parse(Buffer.from((await reader.next()).payload!).toString()) as Departure);
    while (found.length % 1000 !== 0 && (await reader.hasNext()));
  return found;
}

/** Lost, out of order (first occurrences per airport), and repeats. */
function judge(departures: readonly Departure[], messages: number) {
  const seen = new Set<number>();
  const last = new Map<string, number>();
  let repeats = 0;
  let disorder = 0;
  for (const { seq, airport } of departures) {
    if (seen.has(seq)) {
      repeats++;
      continue;
    }
    seen.add(seq);
    if (seq < (last.get(airport) ?? -1)) disorder++;
    last.set(airport, seq);
  }
  return { lost: messages - seen.size, disorder, repeats };
}

/** Of one fault: what the source had in flight, and what each producer had sent and not seen confirmed, a message in a batch twice. */
const IN_FLIGHT = WINDOW + PREFETCH + 2 * PENDING;

describe.skipIf(skipped('pulsar'))('examples/pulsar', () => {
  test(`the broker is killed ${BROKER_KILLS} times, then its topics are unloaded every 2 s`, {
    timeout: 30 * MINUTES,
  }, async () => {
    const { flights, departures, start } = world();
    const run = await start(MESSAGES, '--once');
    const seconds = MESSAGES / RATE;
    let faults = 0;
    let isOver = false;
    void run.ended.then(() => {
      isOver = true;
    });
    for (let kill = 0; kill < BROKER_KILLS && !isOver; kill++) {
      await later((1000 * seconds) / (3 * BROKER_KILLS));
      await killBroker();
      await startBroker();
      faults++;
    }
    while (!isOver) {
      await Promise.race([later(2000), run.ended]);
      if (isOver) break;
      for (const topic of [flights, departures])
        await unloadTopic(topic).then(
          () => faults++,
          () => undefined, // it is on the move already
        );
    }
    const ended = await run.ended;
    expect(ended.code, ended.stderr).toBe(0);
    expect(jsonOf<Answer>(ended).settled).toMatchObject({ dead: 0, dropped: 0 });
    const verdict = judge(await read(departures), MESSAGES);
    console.log(`${MESSAGES} messages, ${BROKER_KILLS} broker kills, ${faults} faults in all:`, verdict);
    expect(verdict).toMatchObject({ lost: 0, disorder: 0 });
    expect(verdict.repeats).toBeLessThanOrEqual(faults * IN_FLIGHT);
  });

  test('two processes share a subscription, one is killed', { timeout: 30 * MINUTES }, async () => {
    const { departures, start } = world();
    const survivor = await start(MESSAGES, '--once', '--set', 'sources.flights.read.idleMs=4000');
    const victim = await start(0, '--port', '0');
    await victim.says('http://');
    await later((1000 * MESSAGES) / RATE / 3);
    victim.kill('SIGKILL');
    const ended = await survivor.ended;
    expect(ended.code, ended.stderr).toBe(0);
    const verdict = judge(await read(departures), MESSAGES);
    console.log(`${MESSAGES} messages, one of two processes killed:`, verdict);
    expect(verdict).toMatchObject({ lost: 0, disorder: 0 });
    expect(verdict.repeats).toBeLessThanOrEqual(IN_FLIGHT);
  });
});

function later(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}
