/** A bar chart as SVG: one metric of one case, a bar a contestant, a line over it for the spread. */

import type { Row } from '../lib/rows.ts';
import { figure } from './format.ts';

const WIDTH = 720;
const LABEL = 190;
const VALUE = 110;
const BAR = 18;
const GAP = 8;
const TOP = 34;

export function chart(title: string, rows: readonly Row[]): string {
  const most = Math.max(...rows.map(row => row.spread?.[1] ?? row.value), Number.MIN_VALUE);
  const scale = (value: number): number => (Math.max(0, value) / most) * (WIDTH - LABEL - VALUE);
  const height = TOP + rows.length * (BAR + GAP) + GAP;
  const bars = rows.map((row, i) => {
    const y = TOP + i * (BAR + GAP);
    const middle = y + BAR / 2;
    const [low, high] = row.spread ?? [row.value, row.value];
    return [
      `<text x="${LABEL - 8}" y="${middle + 4}" text-anchor="end">${escaped(row.by)}</text>`,
      `<rect class="${row.by.startsWith('keymill') ? 'ours' : 'theirs'}" x="${LABEL}" y="${y}" width="${round(scale(row.value))}" height="${BAR}" rx="2"/>`,
      ...(high > low
        ? [`<path d="M${round(LABEL + scale(low))} ${middle}H${round(LABEL + scale(high))}" class="spread"/>`]
        : []),
      `<text x="${round(LABEL + scale(Math.max(high, row.value)) + 6)}" y="${middle + 4}">${figure(row.value)}</text>`,
    ].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>${escaped(title)}</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.head { font-weight: 600 }
.ours { fill: #0969da }
.theirs { fill: #8c959f }
.spread { stroke: #24292f; stroke-width: 1.5; fill: none }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ours { fill: #4493f8 } .theirs { fill: #6e7681 } .spread { stroke: #e6edf3 } }
</style>
<text class="head" x="8" y="20">${escaped(title)}</text>
${bars.join('\n')}
</svg>
`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
