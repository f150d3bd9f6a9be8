/** `npm run simulate -- --seeds N [--from N] [--all] [--seed S]`: runs seeds up to the first that fails, or all of them, and replays one exactly. */
import { parseArgs } from 'node:util';
import { TRANSITIONS, type Transition } from '../../runtime/environment.ts';
import { runScenario } from './scenario.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    all: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

const transitions = new Map<Transition, number>();
// Seeds throw thousands of planned errors; only the trace of a replayed one is read.
if (values.seed === undefined) Error.stackTraceLimit = 0;
if (values.seed !== undefined) {
  try {
    console.log(await runScenario(Number(values.seed), transitions, line => console.log(line)));
  } catch (error) {
    console.log(error);
    process.exitCode = 1;
  }
} else {
  const began = performance.now();
  const from = Number(values.from);
  const until = from + Number(values.seeds);
  let steps = 0;
  let faults = 0;
  let repeats = 0;
  let failed: { seed: number; message: string } | undefined;
  let seed = from;
  for (; seed < until && (!failed || values.all); seed++) {
    try {
      const outcome = await runScenario(seed, transitions);
      steps += outcome.steps;
      faults += outcome.faults;
      repeats += outcome.repeats;
    } catch (error) {
      failed = { seed, message: error instanceof Error ? error.message : String(error) };
      if (values.all) console.log(failed.message);
    }
  }
  const missed = TRANSITIONS.filter(transition => !transitions.has(transition));
  const seconds = (performance.now() - began) / 1000;
  if (values.json)
    console.log(
      JSON.stringify({
        seeds: seed - from,
        seconds,
        steps,
        faults,
        repeats,
        failed,
        transitions: Object.fromEntries(transitions),
      }),
    );
  else {
    console.log(
      `${seed - from} seeds in ${seconds.toFixed(1)} s: ${steps} steps, ${faults} faults, ${repeats} repeats`,
    );
    console.log(missed.length === 0 ? 'all transitions reached' : `not reached: ${missed.join(', ')}`);
    if (failed) console.log(`FAILED ${failed.message}\nreplay with: npm run simulate -- --seed ${failed.seed}`);
  }
  if (failed) process.exitCode = 1;
}
process.exit();
