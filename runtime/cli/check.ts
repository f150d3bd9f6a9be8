/** `keymill check FILE`: everything that can be known to be wrong without running it; with the network unless --offline. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { systemEnvironment } from '../environment.ts';
import type { IoSpec } from '../io/contract.ts';
import type { Log } from '../topology/define.ts';
import { loadTopology, makePlan, type Plan } from '../topology/plan.ts';
import { errorJson, exitCodeOf, formatError } from './errors.ts';
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
      'Checks a topology: options, modules, references, cycles, that sources are there and outputs can be written. Exit 0 fine, 1 wrong, 78 bad configuration.',
    )
    .argument('<file>', 'module whose default export is a topology')
    .option('--offline', 'leave out I/O: do not look for sources and outputs')
    .option('--json', 'print one JSON object')
    .option('--set <path=value>', 'change an option, as for start', collectSets, {})
    .action(run);
}

async function run(file: string, flags: CheckFlags): Promise<void> {
  const paint = paintFor(process.stdout, process.env);
  try {
    const plan = await makePlan(await loadTopology(file), flags.set, availableParallelism());
    const wrong = flags.offline ? [] : await tryIo(plan);
    const ok = wrong.length === 0;
    if (flags.json)
      process.stdout.write(
        `${JSON.stringify({ ok, name: plan.name, actors: namesOf(plan, false), io: namesOf(plan, true), sources: plan.sources.map(source => source.name), warnings: plan.warnings, errors: wrong.map(one => ({ path: one.at, ...errorJson(one.error) })) })}\n`,
      );
    else {
      process.stdout.write(
        `${ok ? paint.green('ok') : paint.red('not ok')} ${plan.name}: actors ${namesOf(plan, false).join(', ')} · sources ${plan.sources.map(source => source.name).join(', ') || 'none'} · I/O ${namesOf(plan, true).join(', ') || 'none'}\n`,
      );
      for (const warning of plan.warnings) process.stdout.write(`${paint.dim('warning')} ${warning}\n`);
      for (const { at, error } of wrong) process.stdout.write(`${at}: ${formatError(error, paint)}\n`);
    }
    process.exitCode = Math.max(0, ...wrong.map(one => exitCodeOf(one.error)));
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

/** What is wrong with the I/O actors, and where in the topology. */
export async function tryIo(plan: Plan): Promise<{ at: string; error: unknown }[]> {
  const wrong: { at: string; error: unknown }[] = [];
  const home = resolve('.keymill', plan.name);
  const tools = { environment: systemEnvironment(), log: QUIET };
  const dataDir = await mkdtemp(join(tmpdir(), 'keymill-check-'));
  for (const { name: full, io } of plan.actors) {
    if (!io || io.spec.kind === 'dead-letters' || io.spec.kind === 'park') continue;
    const { spec } = io;
    const name = full.slice(3);
    const attempt = async (at: string, run: () => Promise<void>): Promise<void> => {
      try {
        await run();
      } catch (error) {
        wrong.push({ at, error });
      }
    };
    const reads = plan.sources.flatMap(source =>
      'io' in source.from && source.from.io === name ? [{ source: source.name, read: source.from.read }] : [],
    );
    if (!spec.rehearse) await attempt(`io.${name}`, () => openAndClose(spec, name, dataDir));
    else if (reads.length === 0)
      await attempt(`io.${name}`, async () => spec.rehearse!(spec.options, null, name, home, tools));
    for (const { source, read } of spec.rehearse ? reads : [])
      await attempt(`sources.${source}`, async () => spec.rehearse!(spec.options, read, name, home, tools));
  }
  await rm(dataDir, { recursive: true, force: true });
  return wrong;
}

/** As a replacement would open it, so that nothing is truncated. */
async function openAndClose(spec: IoSpec, name: string, dataDir: string): Promise<void> {
  const context = { name, dataDir, first: false, reads: true, environment: systemEnvironment(), log: QUIET };
  await (await spec.open(spec.options, context)).close();
}

export const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };
