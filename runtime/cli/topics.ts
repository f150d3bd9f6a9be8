/** `keymill topics check|apply FILE`: whether the topics that a topology declares are there as declared; and makes them so. */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { systemEnvironment } from '../environment.ts';
import type { TopicFinding } from '../io/contract.ts';
import { loadTopology, makePlan } from '../topology/plan.ts';
import { QUIET } from './check.ts';
import { errorJson, exitCodeOf, formatError } from './errors.ts';
import { collectSets } from './start.ts';
import { paintFor } from './terminal.ts';

interface TopicsFlags {
  json?: boolean;
  data?: string;
  set: Record<string, unknown>;
}

/** States in which a topic is as it was declared, now. */
const FINE: readonly TopicFinding['state'][] = ['fine', 'made', 'changed'];

export function topicsCommand(): Command {
  const topics = new Command('topics').description('The topics that a topology declares (io.NAME.topics).');
  for (const [name, description] of [
    ['check', 'Says which are missing or differ. Exit 0 all as declared, 1 not, 78 bad configuration.'],
    [
      'apply',
      'Makes what is missing and changes what may be changed. Never removes a topic or changes its partitions.',
    ],
  ] as const)
    topics.addCommand(
      new Command(name)
        .description(description)
        .argument('<file>', 'module whose default export is a topology')
        .option('--json', 'print one JSON object')
        .option('--data <dir>', 'data folder, as for start')
        .option('--set <path=value>', 'change an option, as for start', collectSets, {})
        .action((file: string, flags: TopicsFlags) => run(file, name === 'apply', flags))
        .exitOverride(),
    );
  return topics;
}

async function run(file: string, apply: boolean, flags: TopicsFlags): Promise<void> {
  const paint = paintFor(process.stdout, process.env);
  try {
    const plan = await makePlan(await loadTopology(file), flags.set, availableParallelism());
    const dataDir = resolve(flags.data ?? `.keymill/${plan.name}`);
    const found: (TopicFinding & { io: string })[] = [];
    for (const { name: full, io } of plan.actors) {
      if (!io?.spec.topics) continue;
      const name = full.slice('io:'.length);
      const context = { name, dataDir, environment: systemEnvironment(), log: QUIET };
      for (const finding of await io.spec.topics(io.spec.options, apply, context)) found.push({ io: name, ...finding });
    }
    const ok = found.every(({ state }) => FINE.includes(state));
    if (flags.json) process.stdout.write(`${JSON.stringify({ ok, topics: found })}\n`);
    else {
      for (const { io, topic, state, what } of found)
        process.stdout.write(
          `${FINE.includes(state) ? paint.green(state) : paint.red(state)} ${io}/${topic}: ${what}\n`,
        );
      if (found.length === 0) process.stdout.write(`${plan.name} declares no topics (io.NAME.topics)\n`);
    }
    process.exitCode = ok ? 0 : 1;
  } catch (error) {
    if (flags.json) process.stdout.write(`${JSON.stringify({ ok: false, error: errorJson(error) })}\n`);
    else process.stderr.write(`${formatError(error, paint)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}
