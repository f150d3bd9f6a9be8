/** Runs ranges of seeds in processes of their own, one per core, and sums up. */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

export interface SeedReport {
  seeds: number;
  seconds: number;
  steps: number;
  faults: number;
  repeats: number;
  failed?: { seed: number; message: string };
  transitions: Record<string, number>;
}

/** Runs `simulate.ts` of the checkout in `root` over a range; resolves with its report. */
export function runSeeds(from: number, count: number, root = new URL('../../', import.meta.url)): Promise<SeedReport> {
  const script = fileURLToPath(new URL('test/simulation/simulate.ts', root));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, '--json', '--from', String(from), '--seeds', String(count)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (data: Buffer) => {
      out += data;
    });
    child.stderr.on('data', (data: Buffer) => {
      err += data;
    });
    child.on('error', reject);
    child.on('close', code => {
      const line = out.trim().split('\n').at(-1);
      try {
        resolve(JSON.parse(line ?? '') as SeedReport);
      } catch {
        // It broke down altogether: for a mutant that is a catch, for the engine a failure that must be seen.
        resolve({
          seeds: 0,
          seconds: 0,
          steps: 0,
          faults: 0,
          repeats: 0,
          transitions: {},
          failed: { seed: from, message: `exit ${code}: ${err.slice(-2000)}` },
        });
      }
    });
  });
}

/** A range shared out over the cores. */
export async function runAllSeeds(from: number, count: number): Promise<SeedReport[]> {
  const cores = availableParallelism();
  const each = Math.ceil(count / cores);
  return Promise.all(
    Array.from({ length: cores }, (_, i) => runSeeds(from + i * each, Math.min(each, count - i * each))),
  );
}
