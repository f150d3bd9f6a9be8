/** Runs every check of the project one after the other and sums them up. Each step counts as one test unless it says how many it ran. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { failuresOf, type VitestReport } from './failures.ts';
import { startBeside } from './services/beside.ts';

const counts = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
const folder = mkdtempSync(join(tmpdir(), 'keymill-test-'));

function step(name: string, command: string, args: string[], env: Readonly<Record<string, string>> = {}): boolean {
  const began = Date.now();
  process.stdout.write(`\n── ${name}\n`);
  const { status } = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  process.stdout.write(
    `── ${name}: ${status === 0 ? 'ok' : `FAILED (${status})`} in ${((Date.now() - began) / 1000).toFixed(1)} s, ${freeMb()} MB of disk free\n`,
  );
  return status === 0;
}

/** A full disk fails tests in ways that name everything but the disk. */
function freeMb(): number {
  const { bavail, bsize } = statfsSync('.');
  return Math.floor((bavail * bsize) / 2 ** 20);
}

/** Counts what failed, and keeps its name for the end: a log that was cut still shows it. */
function fail(names: readonly string[]): void {
  counts.failed += names.length;
  failures.push(...names);
}

function check(name: string, command: string, args: string[]): void {
  if (step(name, command, args)) counts.passed++;
  else fail([name]);
}

function tests(project: string, env: Readonly<Record<string, string>> = {}): void {
  const file = join(folder, `${project}.json`);
  const output = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--project', project, ...output];
  const ok = step(`tests: ${project}`, process.execPath, args, env);
  try {
    const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
    counts.passed += report.numPassedTests;
    counts.skipped += report.numPendingTests;
    const failed = failuresOf(report, process.cwd()).map(name => `${project}: ${name}`);
    fail(ok || failed.length > 0 ? failed : [`${project}: vitest failed, though no test did`]);
  } catch {
    fail([`${project}: vitest left no report`]);
  }
}

const services = startBeside();
const bin = (name: string): string => join('node_modules', '.bin', name);
check('types', bin('tsc'), ['--noEmit']);
check('lint and format', bin('biome'), ['check', '--error-on-warnings', '.']);
for (const project of ['unit', 'simulation', 'faults', 'e2e']) tests(project);
const { env, said } = await services.ready;
process.stdout.write(`\n${said}`);
tests('servers', env);
services.stop();
rmSync(folder, { recursive: true, force: true });
if (failures.length > 0) process.stdout.write(`\nfailed:\n${failures.map(name => `  ${name}\n`).join('')}`);
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exitCode = counts.failed === 0 ? 0 : 1;
