/** Runs every check of the project one after the other and sums them up. Each step counts as one test unless it says how many it ran. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const counts = { passed: 0, failed: 0, skipped: 0 };
const folder = mkdtempSync(join(tmpdir(), 'keymill-test-'));

function step(name: string, command: string, args: string[]): boolean {
  const began = Date.now();
  process.stdout.write(`\n── ${name}\n`);
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  process.stdout.write(
    `── ${name}: ${status === 0 ? 'ok' : `FAILED (${status})`} in ${((Date.now() - began) / 1000).toFixed(1)} s\n`,
  );
  return status === 0;
}

function check(name: string, command: string, args: string[]): void {
  counts[step(name, command, args) ? 'passed' : 'failed']++;
}

interface VitestReport {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numFailedTestSuites: number;
}

function tests(project: string): void {
  const file = join(folder, `${project}.json`);
  const ok = step(`tests: ${project}`, process.execPath, [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
  ]);
  try {
    const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
    counts.passed += report.numPassedTests;
    counts.skipped += report.numPendingTests;
    counts.failed += report.numFailedTests;
    if (!ok && report.numFailedTests === 0) counts.failed++;
  } catch {
    counts.failed++;
  }
}

const bin = (name: string): string => join('node_modules', '.bin', name);
check('types', bin('tsc'), ['--noEmit']);
check('lint and format', bin('biome'), ['check', '--error-on-warnings', '.']);
for (const project of ['unit', 'simulation', 'faults', 'e2e']) tests(project);
rmSync(folder, { recursive: true, force: true });
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exitCode = counts.failed === 0 ? 0 : 1;
