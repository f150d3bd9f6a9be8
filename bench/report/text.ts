/** Rows for the terminal. */
import { isKept, isLost, type Row } from '../lib/rows.ts';
import { figure, range } from './format.ts';

export function textTable(rows: readonly Row[]): string {
  const lines = rows.map(row => {
    const ratio = row.ratioTo === undefined ? '' : `${figure(row.ratio!)} × ${row.ratioTo}`;
    const marks = [isLost(row) ? 'loses' : '', isKept(row) === false ? 'target missed' : '', row.note ?? ''];
    return [
      row.case,
      row.by,
      row.metric,
      `${figure(row.value)} ${row.unit}`,
      range(row.spread),
      ratio,
      range(row.ratioSpread),
      marks.filter(Boolean).join('; '),
    ];
  });
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map(line => line[column]!.length))) ?? [];
  return lines
    .map(
      line =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
