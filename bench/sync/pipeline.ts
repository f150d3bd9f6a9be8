/** The main job, whole: examples/sync as a user runs it, in a process of its own. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench, Case } from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import { median, spread } from '../lib/stats.ts';

const MAIN = fileURLToPath(new URL('../../runtime/cli/main.ts', import.meta.url));
const EXAMPLE = fileURLToPath(new URL('../../examples/sync/topology.ts', import.meta.url));

interface Contents {
  readonly rows: number;
  readonly checksum: string;
}

export interface Summary {
  readonly ok: boolean;
  readonly seconds: number;
  readonly lag: { readonly p50: number; readonly p99: number };
  readonly hops: { readonly published: { readonly p50: number; readonly p99: number } };
  readonly table: Contents;
  readonly cache: Contents;
  readonly replica: Contents;
  readonly topic: { readonly messages: number };
}

/** One run of so many operations. Rejects unless table, cache and replica are equal. */
export async function once(rate: number, changes: number, set: readonly string[] = []): Promise<Summary> {
  const folder = await mkdtemp(join(tmpdir(), 'keymill-bench-'));
  const settings = [`feeder.rate=${rate}`, `feeder.changes=${changes}`, ...set].flatMap(one => ['--set', one]);
  try {
    const text = await new Promise<string>((resolve, reject) => {
      const child = spawn(
        process.execPath,
        [MAIN, 'start', EXAMPLE, '--once', '--json', '--data', folder, ...settings],
        {
          stdio: ['ignore', 'pipe', 'ignore'],
        },
      );
      let out = '';
      child.stdout.on('data', data => {
        out += String(data);
      });
      child.on('error', reject);
      child.on('close', code => (code === 0 ? resolve(out) : reject(new Error(`it ended with ${code}: ${out}`))));
    });
    const summary = JSON.parse(text) as Summary;
    const { table, cache, replica } = summary;
    if (table.checksum !== cache.checksum || table.checksum !== replica.checksum || table.rows === 0)
      throw new Error(`table, cache and replica differ: ${text}`);
    return summary;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function several(
  bench: Bench,
  what: string,
  times: number,
  run: () => Promise<Summary>,
): Promise<Summary[]> {
  const runs: Summary[] = [];
  for (let i = 0; i < times; i++) {
    bench.progress(`${what}, ${i + 1} of ${times}`);
    runs.push(await run());
  }
  return runs;
}

export const pipeline: Case = {
  name: 'pipeline',
  about:
    'examples/sync with its embedded parts: a feeder writes flights into two tables; each change goes per row through the cache (`file:`, synced) and pub/sub to a durable topic and from there into a replica. A run counts only if table, cache and replica have equal checksums. `lag` runs from the commit in the source to the replica, with looks every 50 ms; `throughput` is all that the topic took over the whole run, its start and end included.',
  async run(bench) {
    const quick = bench.quick;
    const paced = await several(bench, '1,000 a second', quick ? 1 : 5, () => once(1000, quick ? 5000 : 20_000));
    const flat = await several(bench, 'as fast as it goes', quick ? 1 : 5, () =>
      once(0, quick ? 20_000 : 100_000, ['sources.airports.read.pageSize=5000', 'sources.flights.read.pageSize=5000']),
    );
    const row = (metric: string, unit: string, better: Row['better'], values: number[], atMost?: number): Row => ({
      suite: bench.suite,
      case: this.name,
      by: 'keymill',
      metric,
      unit,
      better,
      value: median(values),
      spread: spread(values),
      samples: values,
      ...(atMost === undefined ? {} : { target: { of: 'value', atMost } }),
    });
    return [
      row(
        'lag to the topic, p50',
        'ms',
        'lower',
        paced.map(one => one.hops.published.p50),
      ),
      row(
        'lag to the topic, p99',
        'ms',
        'lower',
        paced.map(one => one.hops.published.p99),
      ),
      row(
        'lag to the replica, p50',
        'ms',
        'lower',
        paced.map(one => one.lag.p50),
      ),
      row(
        'lag to the replica, p99',
        'ms',
        'lower',
        paced.map(one => one.lag.p99),
        125,
      ),
      row(
        'throughput',
        'changes/s',
        'higher',
        flat.map(one => one.topic.messages / one.seconds),
      ),
    ];
  },
};
