/** What a run of the bench writes: rows, and where they come from. The schema is checked when results are read. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { z } from 'zod';

const pair = z.tuple([z.number(), z.number()]);

export const rowSchema = z.strictObject({
  suite: z.string(),
  case: z.string(),
  /** Whose figure it is. */
  by: z.string(),
  metric: z.string(),
  unit: z.string(),
  better: z.enum(['higher', 'lower']),
  /** Median of the samples. */
  value: z.number(),
  spread: pair.optional(),
  /** One figure a run, in the order of the runs. */
  samples: z.array(z.number()).optional(),
  /** Whom it is compared with, in the same run: `ratio` is this value over theirs, pair by pair. */
  ratioTo: z.string().optional(),
  ratio: z.number().optional(),
  ratioSpread: pair.optional(),
  /** What the value or the ratio has to be for the case to hold. */
  target: z
    .strictObject({ of: z.enum(['value', 'ratio']), atMost: z.number().optional(), atLeast: z.number().optional() })
    .optional(),
  note: z.string().optional(),
});

export type Row = z.output<typeof rowSchema>;

export const resultsSchema = z.strictObject({
  format: z.literal(1),
  startedAt: z.string(),
  seconds: z.number(),
  quick: z.boolean(),
  machine: z.strictObject({
    cpu: z.string(),
    cores: z.number(),
    memoryMb: z.number(),
    os: z.string(),
    arch: z.string(),
  }),
  node: z.string(),
  commit: z.string(),
  /** Files differ from that commit. */
  modified: z.boolean(),
  versions: z.record(z.string(), z.string()),
  rows: z.array(rowSchema),
  /** Cases that failed their proof or did not end; they have no rows. */
  failures: z.array(z.strictObject({ suite: z.string(), case: z.string(), error: z.string() })),
});

export type Results = z.output<typeof resultsSchema>;

const PACKAGES = [
  ...['piscina', 'tinypool', 'workerpool', 'poolifier', 'tinybench', 'msgpackr'],
  ...['ioredis', 'lru-cache', 'bentocache', 'cacheable'],
];

export function environment(): Pick<Results, 'machine' | 'node' | 'commit' | 'modified' | 'versions'> {
  return {
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      memoryMb: Math.round(totalmem() / 2 ** 20),
      os: `${platform()} ${release()}`,
      arch: arch(),
    },
    node: process.version,
    commit: git('rev-parse', 'HEAD') || 'unknown',
    modified: git('status', '--porcelain') !== '',
    versions: Object.fromEntries(PACKAGES.map(name => [name, versionOf(name)])),
  };
}

/** Whether a row keeps its target; undefined if it has none. */
export function isKept(row: Row): boolean | undefined {
  if (row.target === undefined) return undefined;
  const { of, atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY } = row.target;
  const figure = of === 'value' ? row.value : row.ratio;
  return figure !== undefined && figure <= atMost && figure >= atLeast;
}

/** Whether keymill loses the comparison of a row; undefined where it compares with nobody. */
export function isLost(row: Row): boolean | undefined {
  if (row.ratio === undefined) return undefined;
  return row.better === 'higher' ? row.ratio < 1 : row.ratio > 1;
}

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return '';
  }
}

function versionOf(name: string): string {
  const url = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version;
}
