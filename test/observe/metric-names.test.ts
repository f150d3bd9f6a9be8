import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { METRIC_NAMES, metricRow } from '../../runtime/observe/metric-names.ts';
import { MetricsRegistry } from '../../runtime/observe/registry.ts';
import { metricsMarkdown } from '../../scripts/docs-metrics.ts';
import { parsePrometheus, sampleValue } from './prometheus-text.ts';
import { actorSnapshot, EXTRA, fullSnapshot, threadSnapshot } from './snapshots.ts';

async function fullText(): Promise<string> {
  const registry = new MetricsRegistry();
  registry.update([fullSnapshot()], EXTRA, 0);
  return registry.text();
}

/** Section 9.9 of the seed, word for word. */
const SEED_NAMES = `items_processed_total items_processed_per_second batches_processed_total batch_size_avg
  batch_queueing_latency_ms batch_processing_latency_ms item_end_to_end_latency_ms queue_depth queue_utilization
  queue_enqueue_rate queue_dequeue_rate batch_worker_cpu_percent batch_worker_memory_mb batch_worker_gc_gen0_count
  batch_worker_gc_gen2_count`.split(/\s+/);

describe('the table of metrics', () => {
  test('has every name of section 9.9 and marks it so', () => {
    expect(METRIC_NAMES.filter(name => metricRow(name).source === '9.9')).toEqual(SEED_NAMES);
  });

  test('and the text of a full snapshot name the same metrics, types and labels', async () => {
    const families = parsePrometheus(await fullText());
    expect([...families.keys()].sort()).toEqual([...METRIC_NAMES].sort());
    for (const name of METRIC_NAMES) {
      const row = metricRow(name);
      const { type, help, samples } = families.get(name)!;
      expect({ name, type, help }).toEqual({ name, type: row.type, help: row.help });
      expect(samples.length, `${name} has no sample`).toBeGreaterThan(0);
      for (const { labels } of samples)
        expect(
          Object.keys(labels).filter(label => label !== 'quantile'),
          name,
        ).toEqual([...row.labels]);
    }
  });

  test('is in the reference in full', () => {
    const page = metricsMarkdown();
    for (const name of METRIC_NAMES) expect(page).toContain(`| \`${name}\` | ${metricRow(name).type} |`);
    expect(page).toContain('batch_queue_depth');
  });

  test('never has the key of a message as a label', () => {
    for (const name of METRIC_NAMES) expect(metricRow(name).labels).not.toContain('key');
  });
});

test('names of any characters come through the text unharmed', async () => {
  const registry = new MetricsRegistry();
  const actor = 'a "quoted", \\slashed\\ {name}\nof two lines';
  registry.update(
    [threadSnapshot({ actors: { [actor]: actorSnapshot({ done: 3 }), other: actorSnapshot() } })],
    EXTRA,
    0,
  );
  expect(sampleValue(await registry.text(), 'items_processed_total', { actor })).toBe(3);
});

test('the text is what promtool takes for Prometheus metrics', async context => {
  const input = await fullText();
  const { error, status, stderr } = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
  if (error) {
    console.log('skipped: promtool is not on PATH');
    return context.skip('promtool is not on PATH');
  }
  // Names of 9.9 are the seed's, so promtool's advice on naming (exit code 3) does not count for them.
  const advice = stderr
    .split('\n')
    .filter(line => line !== '' && !SEED_NAMES.some(name => line.startsWith(`${name} `)));
  expect(advice).toEqual([]);
  expect([0, 3]).toContain(status);
});
