/** The part of bench/README.md that comes from results, and the charts beside it. */
import type { Case } from '../lib/contest.ts';
import { isKept, isLost, type Results, type Row } from '../lib/rows.ts';
import { chart } from './chart.ts';
import { figure } from './format.ts';
import { markdown, type Table, tablesOf } from './tables.ts';

export interface Rendered {
  readonly markdown: string;
  /** By file name. */
  readonly charts: Map<string, string>;
}

/** `cases` say in words what each table measures; a table stands under its case. */
export function render(name: string, results: Results, cases: readonly Case[]): Rendered {
  const charts = new Map<string, string>();
  const tables = tablesOf(results.rows);
  const parts = [`## ${name}`, origin(results), summary(results)];
  for (const one of cases) {
    const mine = tables.filter(table => belongs(table, one));
    if (mine.length === 0) continue;
    parts.push(`### ${one.name}`, one.about);
    for (const table of mine) {
      if (table.name !== one.name) parts.push(`**${table.name}**`);
      const file = `${name}-${slug(table.name)}.svg`;
      const drawn = chartOf(table);
      if (drawn !== undefined) {
        charts.set(file, drawn);
        parts.push(`![${table.name}](charts/${file})`);
      }
      parts.push(markdown(table));
    }
  }
  for (const failure of results.failures)
    parts.push(`### ${failure.case}`, `**Failed**, and has no figures: ${failure.error.split('\n')[0]}`);
  return { markdown: `${parts.join('\n\n')}\n`, charts };
}

function belongs({ name }: Table, one: Case): boolean {
  return one.tables?.includes(name) ?? name === one.name;
}

function origin({ machine, node, commit, modified, startedAt, seconds, quick, versions }: Results): string {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${machine.cpu}, ${machine.cores} cores, ${Math.round(machine.memoryMb / 1024)} GiB, ${machine.os} ${machine.arch}; Node ${node}; ${packages.join(', ')};`,
    `commit ${commit.slice(0, 12)}${modified ? ' with changes' : ''}; ${startedAt.slice(0, 10)}, ${figure(seconds / 60)} minutes${quick ? ', **quick**: fewer and shorter runs' : ''}.`,
  ].join('\n');
}

/** How many comparisons are lost and targets missed, and which: nobody should have to search for them. */
function summary({ rows }: Results): string {
  const compared = rows.filter(row => isLost(row) !== undefined);
  const lost = compared.filter(isLost);
  const targets = rows.filter(row => isKept(row) !== undefined);
  const missed = targets.filter(row => !isKept(row));
  const say = (row: Row): string =>
    `- ${row.case}: ${row.by}, ${row.metric}, ${row.ratioTo === undefined ? figure(row.value) + (row.unit === '%' ? ' %' : ` ${row.unit}`) : `${figure(row.ratio!)} × ${row.ratioTo}`}`;
  return [
    `${compared.length - lost.length} of ${compared.length} comparisons won, ${targets.length - missed.length} of ${targets.length} targets kept.`,
    ...(lost.length > 0 ? ['', 'Lost:', '', ...lost.map(say)] : []),
    ...(missed.length > 0 ? ['', 'Missed:', '', ...missed.map(say)] : []),
  ].join('\n');
}

/** The first metric of a table that more than one contestant has. */
function chartOf({ name, lines }: Table): string | undefined {
  const [first] = lines[0]?.cells ?? [];
  const rows = lines.map(line => line.cells[0]?.value).filter(row => row !== undefined);
  if (first === undefined || rows.length < 2) return undefined;
  const { better } = rows[0]!;
  return chart(`${name}: ${first.metric}, ${first.unit} (${better === 'higher' ? 'more' : 'less'} is better)`, rows);
}

function slug(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
}
