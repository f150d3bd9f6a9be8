/** Rows as tables: a table a case, a line a contestant, its metrics side by side. */
import { isKept, isLost, type Row } from '../lib/rows.ts';
import { figure, range } from './format.ts';

export interface Cell {
  readonly metric: string;
  readonly unit: string;
  readonly value: Row | undefined;
}

export interface Line {
  readonly by: string;
  readonly cells: Cell[];
}

export interface Table {
  readonly name: string;
  readonly lines: Line[];
  /** Comparisons of this case, each with its ratio. */
  readonly ratios: Row[];
  /** Rows that have to be below or above something. */
  readonly targets: Row[];
}

export function tablesOf(rows: readonly Row[]): Table[] {
  const names = [...new Set(rows.map(row => row.case))];
  return names.map(name => {
    const mine = rows.filter(row => row.case === name);
    const values = mine.filter(row => row.ratioTo === undefined);
    const metrics = [...new Map(values.map(row => [row.metric, row.unit]))];
    return {
      name,
      lines: [...new Set(values.map(row => row.by))].map(by => ({
        by,
        cells: metrics.map(([metric, unit]) => ({
          metric,
          unit,
          value: values.find(row => row.by === by && row.metric === metric),
        })),
      })),
      ratios: mine.filter(row => row.ratioTo !== undefined),
      targets: mine.filter(row => row.target !== undefined),
    };
  });
}

export function markdown(table: Table): string {
  const heads = table.lines[0]?.cells.map(({ metric, unit }) => `${metric}, ${unit}`) ?? [];
  const lines = [
    `| | ${heads.join(' | ')} |`,
    `| --- | ${heads.map(() => '---:').join(' | ')} |`,
    ...table.lines.map(({ by, cells }) => `| ${by} | ${cells.map(cellText).join(' | ')} |`),
  ];
  if (table.ratios.length > 0) lines.push('', ...ratioTable(table.ratios));
  for (const row of table.targets) lines.push('', targetText(row));
  return lines.join('\n');
}

function cellText({ value }: Cell): string {
  if (value === undefined) return '';
  const between = range(value.spread);
  return `${figure(value.value)}${between === '' ? '' : ` <sub>${between}</sub>`}${value.note ? ` (${value.note})` : ''}`;
}

/** Lines: who is compared with whom; columns: metrics. What is lost is bold and says so. */
function ratioTable(ratios: readonly Row[]): string[] {
  const metrics = [...new Set(ratios.map(row => row.metric))];
  const pairs = [...new Map(ratios.map(row => [`${row.by} ÷ ${row.ratioTo}`, row])).keys()];
  const of = (pair: string, metric: string): Row | undefined =>
    ratios.find(row => `${row.by} ÷ ${row.ratioTo}` === pair && row.metric === metric);
  return [
    `| ratio | ${metrics.join(' | ')} |`,
    `| --- | ${metrics.map(() => '---:').join(' | ')} |`,
    ...pairs.map(pair => `| ${pair} | ${metrics.map(metric => ratioText(of(pair, metric))).join(' | ')} |`),
  ];
}

export function ratioText(row: Row | undefined): string {
  if (row?.ratio === undefined) return '';
  const note = row.note ? ` (${row.note})` : '';
  const between = range(row.ratioSpread);
  const text = `${figure(row.ratio)}${note}`;
  const whole = between === '' ? text : `${text} <sub>${between}</sub>`;
  return isLost(row) ? `**${whole} loses**` : whole;
}

function targetText(row: Row): string {
  const { of, atMost, atLeast } = row.target!;
  const wanted = [
    ...(atMost === undefined ? [] : [`at most ${figure(atMost)}`]),
    ...(atLeast === undefined ? [] : [`at least ${figure(atLeast)}`]),
  ].join(', ');
  const what = `${row.by}: ${row.metric}${of === 'ratio' ? ` ÷ ${row.ratioTo}` : ''}`;
  const got = figure(of === 'ratio' ? row.ratio! : row.value);
  return `${isKept(row) ? 'Kept' : '**Not kept**'}: ${what}, ${wanted}${of === 'value' ? ` ${row.unit}` : ''}; got ${got}.`;
}
