/** Hosts are killed four times a second while the main example runs; the ledger is judged by code that shares none with it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Answer, jsonOf, keymill } from '../support/cli.ts';
import { judgeLedger, readFlights } from '../support/flights-ledger.ts';
import { tempFolder } from '../support/temp-folder.ts';

const KILLS = 20;
/** Default of a source's window: what may be in flight, and so handled again, when a host dies. */
const WINDOW = 81_920;

test('through twenty kills and more nothing is lost, order holds, and repeats are bounded', async () => {
  // A fast machine is through with ten readings before the twentieth kill: it reads more. A busy one takes long for few.
  for (let rounds = 10; (await survived(rounds)).restarts < KILLS; rounds *= 2);
});

async function survived(rounds: number): Promise<Answer> {
  const folder = await tempFolder('chaos');
  const out = join(folder, 'out');
  const chaos = ['--chaos', 'kill-host=250ms,seed=11', '--repeat', String(rounds), '--threads', '2'];
  const places = ['--set', `io.out.url=file:${out}`, '--data', join(folder, 'data')];
  const ended = await keymill(['start', 'examples/flights/topology.ts', '--once', '--json', ...chaos, ...places]).ended;
  expect(ended.code, ended.stderr).toBe(0);
  expect(ended.stderr).not.toContain('"level":"error"');
  const summary = jsonOf(ended);
  const messages = 20_000 * rounds;
  expect(summary).toMatchObject({ ok: true, messages, settled: { done: messages, dead: 0, dropped: 0 } });

  const verdict = judgeLedger(await readFile(join(out, 'ledger.ndjson'), 'utf8'), readFlights(), rounds);
  expect(verdict).toMatchObject({ lost: [], disordered: [], altered: [] });
  expect(verdict.repeats).toBeLessThanOrEqual(summary.restarts * WINDOW);
  expect(verdict.lines).toBe(messages + verdict.repeats);
  for (const { handled } of Object.values(summary.perActor)) {
    expect(handled).toBeGreaterThanOrEqual(messages);
    expect(handled).toBeLessThanOrEqual(messages + summary.repeats);
  }
  console.log(
    `${summary.restarts} kills in ${summary.seconds} s, ${verdict.repeats} repeats among ${verdict.lines} lines`,
  );
  return summary;
}
