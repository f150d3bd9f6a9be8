/** Renders the table of metrics for docs/reference/metrics.md. */
import { METRIC_NAMES, type MetricRow, metricRow } from '../runtime/observe/metric-names.ts';

const INTRO = `# Metrics

\`GET /metrics\` answers in the text format of Prometheus.

- Counters are totals of the whole process and do not go down when a thread is replaced. What it counted between the last
  reading and its death is missing; the summary in \`GET /health\` has it.
- Summaries have quantiles 0.5, 0.95 and 0.99 over the time since the process started. For a window use the rates of
  \`_sum\` and \`_count\`.
- Rates and averages among the gauges cover the time between two readings, 500 ms or more.
- Keys of messages are never labels; \`GET /health\` shows the hot keys.
- Section 9.9 of the seed names the queue's depth both \`queue_depth\` and \`batch_queue_depth\`. keymill publishes
  \`queue_depth\` alone.
- The names under OTel are those of OpenTelemetry's messaging conventions, which are still in development.
`;

/** The whole page as Markdown. */
export function metricsMarkdown(): string {
  const lines = ['| metric | type | labels | unit | what it says | source |', '|---|---|---|---|---|---|'];
  for (const name of METRIC_NAMES) lines.push(line(name, metricRow(name)));
  return `${INTRO}\n${lines.join('\n')}\n`;
}

function line(name: string, row: MetricRow): string {
  const labels = row.labels.map(label => `\`${label}\``).join(', ');
  return `| \`${name}\` | ${row.type} | ${labels} | ${row.unit} | ${row.help} | ${row.source} |`;
}
