/** `keymill check FILE`: everything that can be known to be wrong without running it; with the network unless --offline. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { systemEnvironment } from '../environment.ts';
import type { Log } from '../topology/define.ts';
import { loadTopology, makePlan, type Plan } from '../topology/plan.ts';
import { EXIT_FAILED, errorJson, exitCodeOf, formatError } from './errors.ts';
import { collectSets } from './start.ts';
import { paintFor } from './terminal.ts';

interface CheckFlags {
  offline?: boolean;
  json?: boolean;
  set: Record<string, unknown>;
}

export function checkCommand(): Command {
  return new Command('check')
    .description(
      'Checks a topology: options, modules, references, cycles, and that its I/O actors open. Exit 0 fine, 1 wrong, 78 bad configuration.',
    )
    .argument('<file>', 'module whose default export is a topology')
    .option('--offline', 'open no I/O actor')
    .option('--json', 'print one JSON object')
    .option('--set <path=value>', 'change an option, as for start', collectSets, {})
    .action(run);
}

async function run(file: string, flags: CheckFlags): Promise<void> {
  const paint = paintFor(process.stdout, process.env);
  try {
    const plan = await makePlan(await loadTopology(file), flags.set, availableParallelism());
    const unreachable = flags.offline ? [] : await tryIo(plan);
    const ok = unreachable.length === 0;
    if (flags.json)
      process.stdout.write(
        `${JSON.stringify({ ok, name: plan.name, actors: namesOf(plan, false), io: namesOf(plan, true), sources: plan.sources.map(source => source.name), errors: unreachable.map(one => errorJson(one.error)) })}\n`,
      );
    else {
      process.stdout.write(
        `${ok ? paint.green('ok') : paint.red('not ok')} ${plan.name}: actors ${namesOf(plan, false).join(', ')} · sources ${plan.sources.map(source => source.name).join(', ') || 'none'} · I/O ${namesOf(plan, true).join(', ') || 'none'}\n`,
      );
      for (const { name, error } of unreachable) process.stdout.write(`io.${name}: ${formatError(error, paint)}\n`);
    }
    process.exitCode = ok ? 0 : EXIT_FAILED;
  } catch (error) {
    if (flags.json) process.stdout.write(`${JSON.stringify({ ok: false, errors: [errorJson(error)] })}\n`);
    else process.stderr.write(`${formatError(error, paint)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}

function namesOf(plan: Plan, io: boolean): string[] {
  return plan.actors
    .filter(
      actor => (actor.io !== null) === io && actor.io?.spec.kind !== 'dead-letters' && actor.io?.spec.kind !== 'park',
    )
    .map(actor => actor.name.replace(/^io:/, ''));
}

/** Opens each I/O actor and closes it again, as a replacement would, so that nothing is truncated. */
async function tryIo(plan: Plan): Promise<{ name: string; error: unknown }[]> {
  const failed: { name: string; error: unknown }[] = [];
  const dataDir = await mkdtemp(join(tmpdir(), 'keymill-check-'));
  for (const { name, io } of plan.actors) {
    if (!io || io.spec.kind === 'dead-letters' || io.spec.kind === 'park') continue;
    try {
      const resource = await io.spec.open(io.spec.options, {
        name: name.slice(3),
        dataDir,
        first: false,
        reads: true,
        environment: systemEnvironment(),
        log: QUIET,
      });
      await resource.close();
    } catch (error) {
      failed.push({ name: name.slice(3), error });
    }
  }
  await rm(dataDir, { recursive: true, force: true });
  return failed;
}

const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };
