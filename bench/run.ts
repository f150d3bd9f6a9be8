/**
 * `npm run bench -- [SUITE…] [--json FILE] [--quick] [--flood-seconds N]`. A suite is `engine`, or one case of it:
 * `engine/latency`. Rows go to stdout as a table, progress to stderr. Exit code 1 when a case failed its proof.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { changes } from './changes/index.ts';
import { engine } from './engine/index.ts';
import type { Bench, Case } from './lib/contest.ts';
import { environment, type Results, type Row } from './lib/rows.ts';
import { pulsar } from './pulsar/index.ts';
import { redis } from './redis/index.ts';
import { textTable } from './report/text.ts';
import { sql } from './sql/index.ts';
import { sync } from './sync/index.ts';

const SUITES: Record<string, readonly Case[]> = { engine, changes, sync, pulsar, redis, sql };
const FLOOD_SECONDS = { full: 600, quick: 5 };

/** Raised for what the command line got wrong: exit code 2. */
class Usage extends Error {}

interface Chosen {
  suite: string;
  one: Case;
}

/** Cases by the words of the command line; all of them for none. */
export function choose(words: readonly string[]): Chosen[] {
  const all = Object.entries(SUITES).flatMap(([suite, cases]) => cases.map(one => ({ suite, one })));
  if (words.length === 0) return all;
  return words.flatMap(word => {
    const found = all.filter(({ suite, one }) => word === suite || word === `${suite}/${slug(one.name)}`);
    if (found.length > 0) return found;
    const known = [...Object.keys(SUITES), ...all.map(({ suite, one }) => `${suite}/${slug(one.name)}`)];
    throw new Usage(`no suite ${word}; there are ${known.join(', ')}`);
  });
}

function slug(name: string): string {
  return name.replaceAll(/[^a-z0-9]+/gi, '-');
}

export async function run(chosen: readonly Chosen[], options: { quick: boolean; floodSeconds: number }) {
  const began = performance.now();
  const rows: Row[] = [];
  const failures: Results['failures'] = [];
  for (const { suite, one } of chosen) {
    const caseBegan = performance.now();
    const bench: Bench = {
      suite,
      ...options,
      progress: text => progress(`${suite}/${slug(one.name)}: ${text}`),
    };
    try {
      const its = await one.run(bench);
      rows.push(...its);
      progress('');
      process.stdout.write(`\n${one.name} (${seconds(caseBegan)} s)\n${textTable(its)}`);
    } catch (error) {
      progress('');
      const text = error instanceof Error ? error.message : String(error);
      process.stderr.write(`${suite}/${slug(one.name)} failed: ${text}\n`);
      failures.push({ suite, case: one.name, error: text.split('\n')[0]! });
    }
  }
  return {
    format: 1,
    startedAt: new Date(Date.now() - (performance.now() - began)).toISOString(),
    seconds: seconds(began),
    quick: options.quick,
    ...environment(),
    rows,
    failures,
  } satisfies Results;
}

function seconds(since: number): number {
  return Math.round((performance.now() - since) / 100) / 10;
}

/** One line that is written over, where there is a terminal. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
      'flood-seconds': { type: 'string' },
    },
  });
  const { quick, json } = values;
  const floodSeconds = Number(values['flood-seconds'] ?? (quick ? FLOOD_SECONDS.quick : FLOOD_SECONDS.full));
  if (!(floodSeconds >= 2)) throw new Usage('--flood-seconds: expected a number, 2 or more');
  const results = await run(choose(positionals), { quick, floodSeconds });
  process.stdout.write(
    `\n${results.rows.length} rows in ${results.seconds} s, ${results.failures.length} cases failed\n`,
  );
  if (json !== undefined) {
    mkdirSync(dirname(json), { recursive: true });
    writeFileSync(json, `${JSON.stringify(results, null, 1)}\n`);
  }
  process.exitCode = results.failures.length > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = error instanceof Usage || (error as { code?: string }).code?.startsWith('ERR_PARSE') ? 2 : 1;
  });
