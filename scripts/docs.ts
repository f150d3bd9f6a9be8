/** `npm run docs`: writes docs/reference/ from the schemas and tables that the code itself runs on. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { z } from 'zod';
import { cacheSchema } from '../actors/cache/options.ts';
import { fileSchema, readSchema } from '../actors/file/options.ts';
import { readSchema as pulsarReadSchema, pulsarSchema } from '../actors/pulsar/options.ts';
import { readSchema as redisReadSchema, redisSchema } from '../actors/redis/options.ts';
import { readSchema as sqlReadSchema, sqlSchema } from '../actors/sql/options.ts';
import { ERRORS } from '../runtime/errors.ts';
import { policySchema } from '../runtime/policies/options.ts';
import { actorSchema, PRESETS, runtimeSchema, sourceSchema } from '../runtime/topology/options.ts';
import { metricsMarkdown } from './docs-metrics.ts';

const FOLDER = fileURLToPath(new URL('../docs/reference/', import.meta.url));

/** The part of JSON Schema that the options use. */
interface Schema {
  type?: string | string[];
  doc?: string;
  default?: unknown;
  enum?: readonly unknown[];
  minimum?: number;
  maximum?: number;
  pattern?: string;
  items?: Schema;
  anyOf?: readonly Schema[];
  properties?: Record<string, Schema>;
}

export interface OptionRow {
  readonly path: string;
  readonly type: string;
  readonly default: string;
  readonly doc: string;
  /** A heading for the options below it, which needs no text of its own. */
  readonly isGroup: boolean;
}

interface Section {
  readonly title: string;
  readonly where: string;
  readonly schema: z.ZodType;
}

const SECTIONS: readonly Section[] = [
  {
    title: 'Topology',
    where: 'Beside `name`, `actors`, `sources` and `io` in `defineTopology`.',
    schema: runtimeSchema,
  },
  {
    title: 'Actor',
    where: 'In `options` of `defineActor`, or beside `use` in the topology, which wins.',
    schema: actorSchema,
  },
  {
    title: 'Source',
    where: 'In `options` of `defineSource`, or beside `from` or `use` in the topology, which wins.',
    schema: sourceSchema,
  },
  {
    title: 'Policies',
    where:
      'Of `createPolicy` and of the `policy` of an I/O actor. A part that is left out is off; `{}` switches it on.',
    schema: policySchema,
  },
  { title: 'File', where: 'Of `file({ … })`.', schema: fileSchema },
  { title: 'SQL', where: 'Of `sql({ … })`.', schema: sqlSchema },
  { title: 'SQL: read', where: 'In `read` of a source that reads the changes of a table.', schema: sqlReadSchema },
  { title: 'Pulsar', where: 'Of `pulsar({ … })`.', schema: pulsarSchema },
  { title: 'Pulsar: read', where: 'In `read` of a source that is a subscription.', schema: pulsarReadSchema },
  { title: 'Redis', where: 'Of `redis({ … })`.', schema: redisSchema },
  { title: 'Cache', where: 'Of `cache({ … })`; the options of Redis go there too.', schema: cacheSchema },
  {
    title: 'Redis: read',
    where: 'In `read` of a source that reads a channel of a redis I/O actor.',
    schema: redisReadSchema,
  },
  { title: 'File: read', where: 'In `read` of a source that reads from a file I/O actor.', schema: readSchema },
];

/** One row per option, parents before their children. */
export function rowsOf(schema: z.ZodType): OptionRow[] {
  const rows: OptionRow[] = [];
  collect(z.toJSONSchema(schema, { io: 'input' }) as Schema, '', rows);
  return rows;
}

export function sections(): { title: string; where: string; rows: OptionRow[] }[] {
  return SECTIONS.map(({ title, where, schema }) => ({ title, where, rows: rowsOf(schema) }));
}

function collect(schema: Schema, prefix: string, rows: OptionRow[]): void {
  for (const [name, option] of Object.entries(schema.properties ?? {})) {
    const path = prefix + name;
    const isGroup = option.properties !== undefined;
    const { default: fallback, doc = '' } = option;
    // The default of a group is made of those of its options.
    const shown = isGroup || fallback === undefined ? '' : `\`${JSON.stringify(fallback).replaceAll('"', '')}\``;
    rows.push({ path, type: isGroup ? 'group' : typeOf(option), default: shown, doc, isGroup });
    collect(option, `${path}.`, rows);
  }
}

function typeOf(schema: Schema): string {
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ');
  if (schema.enum) return schema.enum.map(value => `\`${value}\``).join(', ');
  if (schema.type === 'array') return `list of ${schema.items?.type ?? 'values'}s`;
  if (schema.type === 'object') {
    const names = Object.entries(schema.properties ?? {}).map(([name, one]) => `${name}: ${typeOf(one)}`);
    return names.length === 1 ? `{ ${names[0]} }` : 'group';
  }
  const { minimum, maximum } = schema;
  if (Array.isArray(schema.type)) return schema.type.join(' or ');
  return minimum === undefined ? (schema.type ?? 'any') : `${schema.type} ${minimum} to ${maximum}`;
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

export function optionsMarkdown(): string {
  const lines = [
    '# Options',
    '',
    'Made by `npm run docs` from the schemas that check the options. Names carry their unit. G and C in brackets name',
    'the lines and sections of the design documents a figure comes from.',
    '',
    'Any option can be changed at the start: `--set actors.ledger.batch.max=100`, `--set io.out.url=file:./out`.',
  ];
  for (const { title, where, rows } of sections()) {
    lines.push(
      '',
      `## ${title}`,
      '',
      where,
      '',
      '| option | type and range | default | what it does |',
      '|---|---|---|---|',
    );
    for (const row of rows)
      lines.push(`| \`${row.path}\` | ${cell(row.type)} | ${cell(row.default)} | ${cell(row.doc)} |`);
  }
  lines.push('', '## Presets', '', '| preset | options |', '|---|---|');
  for (const [name, preset] of Object.entries(PRESETS)) lines.push(`| \`${name}\` | \`${JSON.stringify(preset)}\` |`);
  return `${lines.join('\n')}\n`;
}

export function errorsMarkdown(): string {
  const lines = [
    '# Errors',
    '',
    'Made by `npm run docs` from the tables in `runtime/error-table.ts` and `error-table-io.ts`. A code keeps its meaning for ever. The class decides what',
    'happens to a message whose handler throws the error: transient and throttled cost no attempt, poison and unknown',
    'cost one, fatal goes to the dead letters at once.',
    '',
    '| code | class | means | what to do |',
    '|---|---|---|---|',
  ];
  for (const [code, row] of Object.entries(ERRORS).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    lines.push(`| \`${code}\` | ${row.class} | ${cell(row.means)} | ${cell(row.todo)} |`);
  return `${lines.join('\n')}\n`;
}

/** File names in docs/reference/ and what is in them. */
export function pages(): Record<string, string> {
  return { 'options.md': optionsMarkdown(), 'errors.md': errorsMarkdown(), 'metrics.md': metricsMarkdown() };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  mkdirSync(FOLDER, { recursive: true });
  for (const [name, text] of Object.entries(pages())) writeFileSync(FOLDER + name, text);
}
