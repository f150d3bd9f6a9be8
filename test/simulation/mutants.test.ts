import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { MUTANTS, type Mutant } from './mutants/list.ts';
import { runSeeds } from './seeds.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const mutants = join(root, '.mutants');
const SEEDS = 1000;

/** A copy of the sources with one change. */
function breakEngine(mutant: Mutant, index: number): URL {
  const folder = join(mutants, String(index));
  mkdirSync(join(folder, 'test'), { recursive: true });
  cpSync(join(root, 'runtime'), join(folder, 'runtime'), { recursive: true });
  cpSync(join(root, 'test/simulation'), join(folder, 'test/simulation'), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const file = join(folder, mutant.file);
  const source = readFileSync(file, 'utf8');
  if (source.split(mutant.find).length !== 2)
    throw new Error(`mutant "${mutant.name}": its text must stand exactly once in ${mutant.file}`);
  writeFileSync(
    file,
    source.replace(mutant.find, () => mutant.replace),
  );
  return pathToFileURL(`${folder}/`);
}

describe('the simulation catches broken engines', () => {
  rmSync(mutants, { recursive: true, force: true });
  afterAll(() => rmSync(mutants, { recursive: true, force: true }));

  it.concurrent.for(MUTANTS.map((mutant, index) => ({ mutant, index })))(
    '$mutant.name ($mutant.breaks)',
    async ({ mutant, index }) => {
      const report = await runSeeds(1, SEEDS, breakEngine(mutant, index));
      expect(report.failed, `not caught in ${SEEDS} seeds`).toBeDefined();
      console.log(`${mutant.name}: seed ${report.failed!.seed}: ${report.failed!.message.slice(0, 140)}`);
    },
  );
});
