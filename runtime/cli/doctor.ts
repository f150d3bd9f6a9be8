/**
 * `keymill doctor FILE`: what is wrong, or may become so, with what a topology depends on. Each finding is a symptom, the
 * evidence for it, and what to do. It looks, and changes nothing.
 */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { systemEnvironment } from '../environment.ts';
import { ERRORS, isKeymillError } from '../errors.ts';
import type { Finding } from '../io/contract.ts';
import { loadTopology, makePlan, type Plan } from '../topology/plan.ts';
import { QUIET, tryIo } from './check.ts';
import { errorJson, exitCodeOf, formatError, rootOf } from './errors.ts';
import { collectSets } from './start.ts';
import { type Paint, paintFor } from './terminal.ts';

interface DoctorFlags {
  json?: boolean;
  data?: string;
  set: Record<string, unknown>;
}

type Found = Finding & { readonly at: string };

export function doctorCommand(): Command {
  return new Command('doctor')
    .description(
      'Looks at what a topology depends on: each finding is a symptom, its evidence and what to do. Exit 0 nothing is wrong, 1 something is, 78 bad configuration.',
    )
    .argument('<file>', 'module whose default export is a topology')
    .option('--json', 'print one JSON object')
    .option('--data <dir>', 'data folder, as for start')
    .option('--set <path=value>', 'change an option, as for start', collectSets, {})
    .action(run);
}

async function run(file: string, flags: DoctorFlags): Promise<void> {
  const paint = paintFor(process.stdout, process.env);
  try {
    const plan = await makePlan(await loadTopology(file), flags.set, availableParallelism());
    const findings = await examine(plan, resolve(flags.data ?? `.keymill/${plan.name}`));
    const ok = findings.every(({ state }) => state !== 'wrong');
    if (flags.json) process.stdout.write(`${JSON.stringify({ ok, name: plan.name, findings })}\n`);
    else for (const line of linesOf(findings, paint)) process.stdout.write(`${line}\n`);
    process.exitCode = ok ? 0 : 1;
  } catch (error) {
    if (flags.json) process.stdout.write(`${JSON.stringify({ ok: false, error: errorJson(error) })}\n`);
    else process.stderr.write(`${formatError(error, paint)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}

async function examine(plan: Plan, dataDir: string): Promise<Found[]> {
  const findings: Found[] = plan.warnings.map(evidence => ({
    at: 'topology',
    state: 'doubtful',
    symptom: 'the topology is allowed, and may not be what is meant',
    evidence,
    fix: null,
  }));
  const unreachable = await tryIo(plan);
  findings.push(...unreachable.map(({ at, error }) => foundOf(at, error)));
  for (const { name: full, io } of plan.actors) {
    if (!io || io.spec.kind === 'dead-letters' || io.spec.kind === 'park') continue;
    const name = full.slice('io:'.length);
    const at = `io.${name}`;
    if (unreachable.some(one => one.at === at || readsFrom(plan, one.at, name))) continue;
    const context = { name, dataDir, environment: systemEnvironment(), log: QUIET };
    try {
      const found = (await io.spec.doctor?.(io.spec.options, usesOf(plan, name), context)) ?? [];
      findings.push(...found.map(finding => ({ at, ...finding })));
      if (found.length === 0)
        findings.push({ at, state: 'fine', symptom: 'it can be used', evidence: io.spec.kind, fix: null });
    } catch (error) {
      findings.push(foundOf(at, error));
    }
  }
  return findings;
}

function readsFrom(plan: Plan, at: string, io: string): boolean {
  return plan.sources.some(({ name, from }) => at === `sources.${name}` && 'io' in from && from.io === io);
}

/** What the topology keeps there. */
function usesOf(plan: Plan, io: string) {
  return {
    keepsStates:
      plan.actors.some(({ options }) => options.persist && options.persist.in === io) ||
      plan.sources.some(({ options }) => options.checkpoint === io),
  };
}

function foundOf(at: string, thrown: unknown): Found {
  const error = rootOf(thrown);
  return {
    at,
    state: 'wrong',
    symptom: 'it cannot be used as it is',
    evidence: error.message,
    fix: isKeymillError(error) ? ERRORS[error.code].todo : null,
  };
}

function linesOf(findings: readonly Found[], paint: Paint): string[] {
  const shown = { fine: paint.green('fine'), doubtful: paint.yellow('doubtful'), wrong: paint.red('wrong') };
  const count = (state: Finding['state']): number => findings.filter(one => one.state === state).length;
  const lines = findings.flatMap(({ at, state, symptom, evidence, fix }) => [
    `${shown[state]} ${at}: ${symptom}`,
    `  ${paint.dim('seen:')} ${evidence}`,
    ...(fix === null ? [] : [`  ${paint.dim('do:')} ${fix}`]),
  ]);
  return [...lines, `${count('wrong')} wrong, ${count('doubtful')} doubtful, ${count('fine')} fine`];
}
